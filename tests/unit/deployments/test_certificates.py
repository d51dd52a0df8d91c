"""The authority and wildcard of an installation that nobody brings a certificate for."""

import ssl
from datetime import UTC, datetime, timedelta

from infra.cluster.certificates import fits, make_authority, make_wildcard

DOMAIN = "previews.x1flows.test"


def test_a_wildcard_fits_its_domain_its_authority_and_its_time():
    authority, now = make_authority(), datetime.now(UTC)
    wildcard = make_wildcard(authority, DOMAIN)
    assert fits(wildcard, authority, DOMAIN, now)
    assert not fits(wildcard, authority, "other.test", now)
    assert not fits(wildcard, make_authority(), DOMAIN, now)
    assert not fits(wildcard, authority, DOMAIN, now + timedelta(days=380))


def test_a_client_that_trusts_the_authority_accepts_a_preview_of_the_domain_alone(tmp_path):
    authority = make_authority()
    wildcard = make_wildcard(authority, DOMAIN)
    (tmp_path / "tls.crt").write_text(wildcard.certificate)
    (tmp_path / "tls.key").write_text(wildcard.key)
    assert _handshake(tmp_path, authority, f"app-main.{DOMAIN}") == ""
    assert "certificate is not valid for" in _handshake(tmp_path, authority, "app.other.test")
    assert "verify failed" in _handshake(tmp_path, make_authority(), f"app-main.{DOMAIN}")


def _handshake(folder, authority, name):
    """Both ends in memory; returns why the client refuses."""
    served = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    served.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    trusting = ssl.create_default_context(cadata=authority.certificate)
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting.wrap_bio(back, there, server_hostname=name)
    server = served.wrap_bio(there, back, server_side=True)
    for _ in range(4):
        for end in (client, server):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError as error:
                return str(error)
    return ""
