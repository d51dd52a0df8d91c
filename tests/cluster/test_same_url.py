"""One URL, asked from an agent's container, from this machine and in a browser: the same revision answers, over TLS."""

import hashlib
import ssl

import browser
import pytest
from outside import Outside
from shops import Shop, hired

pytestmark = pytest.mark.timeout(600)
PNG = b"\x89PNG"


@pytest.fixture(scope="module")
def shopkeeper(cluster):
    with hired(cluster) as found:
        yield found


@pytest.fixture(scope="module")
def shop(shopkeeper) -> Shop:
    return shopkeeper.opened("plain")


@pytest.fixture(scope="module")
def outside(installed, tmp_path_factory) -> Outside:
    return Outside.with_authority_in(tmp_path_factory.mktemp("authority"))


def test_this_machine_gets_the_revision_over_verified_tls(shop, outside):
    answer = outside.asked(shop.url)
    assert (answer.status_code, answer.headers["x-x1-revision"]) == (200, shop.revision)
    assert shop.name in answer.text


def test_an_agent_gets_the_same_by_the_same_url_trusting_what_it_was_given(
    shopkeeper, shop, outside
):
    body = hashlib.sha256(outside.asked(shop.url).content).hexdigest()
    assert shopkeeper.visited(shop.url) == f"200 {shop.revision} {body}"


@pytest.mark.parametrize(
    "client",
    [
        "import urllib.request as u; print(u.urlopen(URL, timeout=20).headers['x-x1-revision'])",
        "import httpx; print(httpx.get(URL, timeout=20).headers['x-x1-revision'])",
    ],
    ids=["the standard library", "httpx"],
)
def test_whoever_looks_from_inside_its_container_gets_it_too(cluster, shopkeeper, shop, client):
    """With the container's own environment, as `kubectl exec` has it."""
    pod = cluster.pod(shopkeeper.session_id)
    code = f"URL = {shop.url!r}\n{client}"
    assert cluster.inside(pod, "agent", ["python", "-c", code]).strip() == shop.revision


def test_an_agent_is_told_of_a_certificate_that_nobody_vouches_for(cluster, shopkeeper, shop):
    """The control: without the previews' authority the very same question fails, and on nothing else."""
    code = (
        "import os, ssl, urllib.request\n"
        "for name in ('SSL_CERT_FILE',): os.environ.pop(name)\n"
        f"try: urllib.request.urlopen({shop.url!r}, timeout=20)\n"
        "except OSError as error: print(type(error.reason).__name__)"
    )
    pod = cluster.pod(shopkeeper.session_id)
    said = cluster.inside(pod, "agent", ["python", "-c", code])
    assert said.strip() == "SSLCertVerificationError"


@pytest.mark.skipif(
    browser.PROGRAM is None, reason="looks with a browser: there is no chromium on PATH"
)
def test_a_browser_shows_the_same_revision(shop, outside, tmp_path):
    seen = browser.look(shop.url, outside.address, outside.certificate(shop.url), tmp_path)
    assert seen.headers["x-x1-revision"] == shop.revision
    assert f"<h1>The shop {shop.name}</h1>" in seen.page
    assert seen.picture.startswith(PNG)


@pytest.mark.skipif(
    browser.PROGRAM is None, reason="looks with a browser: there is no chromium on PATH"
)
def test_a_browser_shows_nothing_under_a_certificate_of_somebody_elses(shop, outside, tmp_path):
    """The control: it is this certificate alone that was trusted."""
    authority = ssl.PEM_cert_to_DER_cert(outside.authority.read_text())
    seen = browser.look(shop.url, outside.address, authority, tmp_path)
    assert "x-x1-revision" not in seen.headers
    assert shop.name not in seen.page.partition("<h1>")[2]
