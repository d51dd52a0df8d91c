"""The egress proxy over real sockets: who passes, where to, and how much."""

import asyncio
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from egress_ground import LIMITS, listening, talk
from structlog.testing import capture_logs


async def echo(client):
    reader, writer = client
    while chunk := await reader.read(65536):
        writer.write(chunk)
        await writer.drain()
    writer.write_eof()


def connect(token, host="pypi.org", port=443, after=""):
    proof = f"Proxy-Authorization: Bearer {token}\r\n" if token else ""
    return f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n{proof}\r\n{after}"


@pytest.fixture
async def dialled(ground, monkeypatch):
    """Addresses that were connected to; whatever they are, an echo answers."""
    async with listening(echo) as port:
        yield ground.dialled(monkeypatch, port)


async def test_an_allowed_host_is_reached_and_bytes_go_both_ways(ground, dialled):
    ground.names.known["pypi.org"] = ("127.0.0.1",)
    async with ground.running() as port:
        said = await talk(port, connect(ground.token(["pypi.org"]), after="hello"))
    assert said == "HTTP/1.1 200 Connection established\r\n\r\nhello"
    assert dialled == ["127.0.0.1"]


async def test_a_host_that_is_not_allowed_gets_a_readable_refusal_and_is_not_even_resolved(ground):
    async with ground.running() as port:
        said = await talk(port, connect(ground.token(["pypi.org"]), "evil.example"))
    head, _, body = said.partition("\r\n\r\n")
    reason = "egress: evil.example is not in this agent's allow_hosts (pypi.org)"
    assert head.startswith(f"HTTP/1.1 403 {reason}\r\n")
    assert body == f"{reason}\n"
    assert not ground.names.asked


@pytest.mark.parametrize("port", [22, 8443])
async def test_other_ports_are_refused(ground, port):
    async with ground.running() as own:
        said = await talk(own, connect(ground.token(["pypi.org"]), port=port))
    assert said.startswith(f"HTTP/1.1 403 egress: port {port} is not open")


@pytest.mark.parametrize(
    "address",
    [
        "10.96.0.1",
        "192.168.1.1",
        "172.16.0.1",
        "100.64.0.1",
        "169.254.169.254",
        "127.0.0.2",
        "0.0.0.0",
        "224.0.0.1",
        "168.63.129.16",
        "192.0.0.192",
        "::1",
        "::ffff:10.96.0.1",
        "fe80::1%eth0",
        "fd00:ec2::254",
        "2002:0a60:0001::1",
        "64:ff9b::a60:1",
    ],
)
async def test_a_name_that_leads_inside_is_refused_whoever_allowed_it(ground, dialled, address):
    ground.names.known["pypi.org"] = (address,)
    async with ground.running() as port:
        said = await talk(port, connect(ground.token(["pypi.org"])))
    assert said.startswith("HTTP/1.1 403 egress: pypi.org does not lead outside")
    assert not dialled


async def test_of_several_addresses_only_those_outside_are_tried(ground, dialled):
    ground.names.known["pypi.org"] = ("10.0.0.1", "127.0.0.1")
    ground.outside = type(ground.outside)()
    async with ground.running() as port:
        await talk(port, connect(ground.token(["pypi.org"])))
    assert dialled == ["127.0.0.1"]


async def test_a_name_that_leads_inside_a_moment_later_is_connected_to_where_it_was_looked_at(
    ground, dialled
):
    ground.names.known["pypi.org"] = [("127.0.0.1",), ("10.96.0.1",)]
    async with ground.running() as port:
        said = await talk(port, connect(ground.token(["pypi.org"])))
        assert said.startswith("HTTP/1.1 200")
        again = await talk(port, connect(ground.token(["pypi.org"])))
    assert again.startswith("HTTP/1.1 403")
    assert dialled == ["127.0.0.1"]
    assert ground.names.asked == ["pypi.org", "pypi.org"]


@pytest.mark.parametrize(
    "forged",
    [
        lambda ground: "",
        lambda ground: "rubbish",
        lambda ground: ground.token(["pypi.org"], expires_in=-1),
        lambda ground: ground.token(["pypi.org"], audience="x1-relay"),
        lambda ground: ground.token(["pypi.org"], key=Ed25519PrivateKey.generate()),
    ],
    ids=["none", "rubbish", "expired", "another audience", "another key"],
)
async def test_without_a_pass_of_the_relays_nothing_passes(ground, forged):
    async with ground.running() as port:
        said = await talk(port, connect(forged(ground)))
    assert said.startswith("HTTP/1.1 407 ")
    assert "proxy-authenticate: Bearer" in said
    assert not ground.names.asked


async def test_plain_http_reaches_its_origin_without_the_pass_and_with_the_host_it_asked_for(
    ground, dialled
):
    ground.names.known["deb.example"] = ("127.0.0.1",)
    token = ground.token(["deb.example"])
    asked = (
        "GET http://deb.example/a?b=c HTTP/1.1\r\nHost: evil.example\r\nX-Kept: 1\r\n"
        f"Proxy-Authorization: Bearer {token}\r\nConnection: keep-alive, x-dropped\r\nX-Dropped: 1\r\n\r\n"
    )
    async with ground.running() as port:
        seen = await talk(port, asked)
    assert seen.split("\r\n") == [
        "GET /a?b=c HTTP/1.1",
        "host: deb.example",
        "x-kept: 1",
        "connection: close",
        "",
        "",
    ]


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        ("GET https://pypi.org/ HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("CONNECT pypi.org HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("CONNECT pypi.org:99999 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("CONNECT user@pypi.org:443 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("CONNECT pypi.org:443/evil HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("no request\r\n\r\n", 400),
        (f"GET http://pypi.org/ HTTP/1.1\r\nHost: x\r\nX-Long: {'x' * 40000}\r\n\r\n", 400),
    ],
)
async def test_what_no_proxy_takes_is_refused(ground, asked, status):
    async with ground.running() as port:
        assert (await talk(port, asked)).startswith(f"HTTP/1.1 {status} ")


async def test_a_session_has_so_many_connections_and_another_is_not_held_up_by_them(
    ground, dialled
):
    ground.names.known["pypi.org"] = ("127.0.0.1",)
    ground.per_session = 1
    async with ground.running() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(connect(ground.token(["pypi.org"])).encode())
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        second = await talk(port, connect(ground.token(["pypi.org"])))
        other = await talk(port, connect(ground.token(["pypi.org"], session_id="s-2")))
        writer.close()
        await writer.wait_closed()
    assert second.startswith("HTTP/1.1 429 egress: this session has 1 connections open already")
    assert other.startswith("HTTP/1.1 200")


@pytest.mark.parametrize(
    ("limit", "ending"),
    [
        ({"idle_seconds": 0.2}, "idle"),
        ({"life_seconds": 0.2}, "overdue"),
        ({"max_bytes": 3}, "too much"),
    ],
)
async def test_a_tunnel_ends_at_its_limits_and_the_log_says_at_which(
    ground, dialled, limit, ending
):
    ground.names.known["pypi.org"] = ("127.0.0.1",)
    ground.limits = replace(LIMITS, **limit)
    with capture_logs() as logs:
        async with ground.running() as port:
            await talk(port, connect(ground.token(["pypi.org"]), after="hello"), end=False)
            assert await eventually(lambda: [e for e in logs if e["event"] == "egress ended"])
    assert [e["ending"] for e in logs if e["event"] == "egress ended"] == [ending]


async def test_every_decision_is_logged_with_its_session_and_reason_and_without_the_pass(
    ground, dialled
):
    ground.names.known["pypi.org"] = ("127.0.0.1",)
    token = ground.token(["pypi.org"])
    with capture_logs() as logs:
        async with ground.running() as port:
            await talk(port, connect(token))
            await talk(port, connect(token, "evil.example"))
    told = [
        (e["event"], e["session_id"], e["host"])
        for e in logs
        if "denied" in e["event"] or "allowed" in e["event"]
    ]
    assert told == [
        ("egress allowed", "s-1", "pypi.org"),
        ("egress denied", "s-1", "evil.example"),
    ]
    assert token not in str(logs)


async def test_a_big_answer_to_a_slow_reader_is_held_back_and_not_kept(ground, monkeypatch):
    sent = 0

    async def flood(client):
        nonlocal sent
        while sent < 256 << 20:
            client[1].write(bytes(65536))
            await client[1].drain()
            sent += 65536

    ground.names.known["pypi.org"] = ("127.0.0.1",)
    async with listening(flood) as port:
        ground.dialled(monkeypatch, port)
        async with ground.running() as own:
            reader, writer = await asyncio.open_connection("127.0.0.1", own)
            writer.write(connect(ground.token(["pypi.org"])).encode())
            await reader.readline()
            before = -1
            async with asyncio.timeout(20):
                while before != sent:  # until nothing moves any more
                    before = sent
                    await asyncio.sleep(0.3)
            writer.transport.abort()
    assert sent < 32 << 20


async def eventually(condition, seconds=10):
    async with asyncio.timeout(seconds):
        while not (found := condition()):
            await asyncio.sleep(0.01)
    return found
