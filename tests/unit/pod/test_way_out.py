"""The agent's way out: its proxy on loopback, which shows the session's pass to the real egress proxy behind it."""

import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from egress_ground import Ground, listening, talk
from pydantic import SecretStr

from sidecar.pod.way_out import WayOut
from sidecar.pod.zone import Outward, Zone
from sidecar.wire.claim import EgressAccess

CONNECT = "CONNECT pypi.org:443 HTTP/1.1\r\nHost: pypi.org:443\r\n{more}\r\n"


@pytest.fixture
def ground():
    return Ground(key=Ed25519PrivateKey.generate())


def access(ground, *hosts):
    return EgressAccess(token=SecretStr(ground.token(hosts)), allow_hosts=list(hosts))


async def through(ground, current, asked):
    """What an agent is told for `asked`; nothing outside is really connected to."""
    async with ground.running() as port:
        way = WayOut(f"http://127.0.0.1:{port}", lambda: current)
        async with listening(way.serve) as own:
            return await talk(own, asked)


async def test_the_sidecar_shows_the_pass_and_the_egress_proxy_decides(ground):
    said = await through(ground, access(ground, "pypi.org"), CONNECT.format(more=""))
    assert said.startswith("HTTP/1.1 502 egress: pypi.org is not known to DNS")
    assert ground.names.asked == ["pypi.org"]


async def test_the_agent_reads_why_a_host_is_refused(ground):
    said = await through(ground, access(ground, "deb.debian.org"), CONNECT.format(more=""))
    assert said.endswith("egress: pypi.org is not in this agent's allow_hosts (deb.debian.org)\n")


async def test_a_pass_that_the_agent_brings_along_is_not_looked_at(ground):
    wide = ground.token(["pypi.org"])
    asked = CONNECT.format(more=f"Proxy-Authorization: Bearer {wide}\r\n")
    said = await through(ground, access(ground, "deb.debian.org"), asked)
    assert said.startswith("HTTP/1.1 403 ")


async def test_straight_at_the_egress_proxy_without_a_pass_the_agent_gets_nowhere(ground):
    async with ground.running() as port:
        said = await talk(port, CONNECT.format(more=""))
    assert said.startswith("HTTP/1.1 407 ")


async def test_the_pass_never_comes_back_to_the_agent_nor_goes_on_to_an_origin(ground, monkeypatch):
    ground.names.known["deb.example"] = ("127.0.0.1",)
    current, seen = access(ground, "deb.example"), []

    async def origin(client):
        seen.append(await client[0].readuntil(b"\r\n\r\n"))
        client[1].write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi")
        client[1].write_eof()

    async with listening(origin) as port:
        ground.dialled(monkeypatch, port)
        asked = "GET http://deb.example/x HTTP/1.1\r\nHost: deb.example\r\n\r\n"
        said = await through(ground, current, asked)
    assert said.endswith("hi")
    token = current.token.get_secret_value()
    assert token not in said
    assert token.encode() not in seen[0]


async def test_a_session_without_a_pass_is_told_so(ground):
    said = await through(ground, None, CONNECT.format(more=""))
    assert said.endswith("egress: this session may reach nothing outside\n")


async def test_an_egress_proxy_that_is_away_is_named(ground):
    way = WayOut("http://127.0.0.1:1", lambda: access(ground, "pypi.org"))
    async with listening(way.serve) as own:
        said = await talk(own, CONNECT.format(more=""))
    assert said.startswith("HTTP/1.1 502 egress: the egress proxy does not answer")


def zone(outward):
    return Zone(
        hands=None,
        workspace_dir=Path("/w"),
        state_dir=Path("/s"),
        agent="a",
        forge_host="github.com",
        port=1,
        outward=outward,
    )


def test_programs_of_the_agent_are_told_of_the_proxy_and_of_what_is_reached_without_it():
    env = zone(Outward(port=7, direct_domains=("previews.x1flows.test",))).environment(())
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        assert env[name] == "http://127.0.0.1:7"
    assert env["NO_PROXY"] == env["no_proxy"]
    assert env["NO_PROXY"] == "127.0.0.1,localhost,.localhost,.previews.x1flows.test"


def test_on_one_machine_there_is_no_proxy():
    assert not [name for name in zone(None).environment(()) if name.lower() == "http_proxy"]


ASK = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=5).read().decode())"


async def test_a_program_of_the_agent_reaches_an_allowed_host_by_its_environment_alone(
    stage, ground, monkeypatch
):
    ground.names.known["deb.example"] = ("127.0.0.1",)
    stage.egress = access(ground, "deb.example")

    async def origin(client):
        await client[0].readuntil(b"\r\n\r\n")
        client[1].write(b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\nconnection: close\r\n\r\npackage")

    async with listening(origin) as port:
        ground.dialled(monkeypatch, port)
        async with ground.running() as proxy:
            stage.egress_url = f"http://127.0.0.1:{proxy}"
            async with stage.activation() as activation:
                reached, refused = [
                    await run(activation, "python", "-c", ASK, f"http://{host}/x")
                    for host in ("deb.example", "evil.example")
                ]
    assert reached.out == b"package\n", reached.err
    assert b"HTTP Error 403: egress: evil.example is not in this agent's allow_hosts" in refused.err


async def run(activation, *argv):
    zone = activation._zone
    env = {**zone.environment(()), "PATH": os.environ["PATH"]}
    return await zone.hands.run(argv, cwd=zone.workspace_dir, env=env, timeout=20)
