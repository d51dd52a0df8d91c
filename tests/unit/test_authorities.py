"""Whom a service trusts outside, by a TLS handshake with a server that a team's own authority vouches for."""

import asyncio
import ssl
from contextlib import asynccontextmanager

import pytest

from infra.cluster import certificates
from sidecar.authorities import trusted

DOMAIN = "team.test"
HOST = f"github.{DOMAIN}"


@pytest.fixture(scope="module")
def authority():
    return certificates.make_authority()


@asynccontextmanager
async def server(authority, folder):
    """Yields its port on this machine."""
    pair = certificates.make_wildcard(authority, DOMAIN)
    (folder / "tls.pem").write_text(pair.certificate + pair.key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "tls.pem")

    async def welcome(_, writer):
        writer.write(b"welcome")
        writer.close()

    async with await asyncio.start_server(welcome, "127.0.0.1", 0, ssl=context) as serving:
        yield serving.sockets[0].getsockname()[1]


async def heard(port, context):
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=context, server_hostname=HOST
    )
    try:
        return await reader.read()
    finally:
        writer.close()


async def test_a_teams_own_authority_is_trusted_beside_the_public_ones(authority, tmp_path):
    own = tmp_path / "ca.crt"
    own.write_text(authority.certificate)
    context = trusted(own)
    assert len(context.get_ca_certs()) > 50
    async with server(authority, tmp_path) as port:
        assert await heard(port, context) == b"welcome"
        with pytest.raises(ssl.SSLCertVerificationError):
            await heard(port, ssl.create_default_context())


@pytest.mark.parametrize("text", [None, "", "\n"])
def test_nobody_is_added_where_a_team_has_no_authority_of_its_own(text, tmp_path):
    own = tmp_path / "ca.crt"
    if text is not None:
        own.write_text(text)
    assert trusted(own) is True
    assert trusted(None) is True


def test_what_is_no_certificate_is_refused(tmp_path):
    own = tmp_path / "ca.crt"
    own.write_text("-----BEGIN CERTIFICATE-----\nnone\n-----END CERTIFICATE-----\n")
    with pytest.raises(ssl.SSLError):
        trusted(own)
