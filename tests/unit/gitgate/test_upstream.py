"""The git gateway's way to a forge outside: through the egress proxy, with a pass of its own."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from egress_ground import Ground, listening
from pydantic import SecretStr

from sidecar.domain.errors import ForgeUnavailable
from sidecar.pod.gitgate.upstream import Upstream, Way

URL = "http://forge.example/acme/app.git/info/refs?service=git-upload-pack"


@pytest.fixture
def ground():
    ground = Ground(key=Ed25519PrivateKey.generate())
    ground.names.known["forge.example"] = ("127.0.0.1",)
    return ground


def way(ground, *hosts):
    return Way(url=URL, token=SecretStr("ghs_t"), egress=SecretStr(ground.token(hosts)))


async def asked(ground, way):
    """What the forge was asked, and how the gateway was answered."""
    async with ground.running() as port:
        upstream = Upstream(f"http://127.0.0.1:{port}")
        try:
            async with upstream.request("GET", way, headers={}) as answer:
                return answer.status, (await answer.read()).decode()
        finally:
            await upstream.aclose()


async def test_it_is_reached_with_the_forges_token_and_without_the_pass(ground, monkeypatch):
    seen = []

    async def forge(client):
        seen.append((await client[0].readuntil(b"\r\n\r\n")).decode())
        client[1].write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\nrefs")

    async with listening(forge) as port:
        ground.dialled(monkeypatch, port)
        assert await asked(ground, way(ground, "forge.example")) == (200, "refs")
    assert seen[0].startswith("GET /acme/app.git/info/refs?service=git-upload-pack HTTP/1.1\r\n")
    assert "authorization: Basic " in seen[0].lower().replace("basic", "Basic")
    assert "proxy-authorization" not in seen[0].lower()


async def test_a_pass_for_another_host_leads_nowhere(ground):
    status, said = await asked(ground, way(ground, "pypi.org"))
    assert status == 403
    assert "forge.example is not in this agent's allow_hosts" in said


async def test_an_egress_proxy_that_is_away_is_a_forge_that_is_away(ground):
    upstream = Upstream("http://127.0.0.1:1")
    with pytest.raises(ForgeUnavailable):
        async with upstream.request("GET", way(ground, "forge.example"), headers={}):
            pass
    await upstream.aclose()
