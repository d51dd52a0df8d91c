"""Whom an agent's programs trust, as a program that the bridge started finds it."""

import sys

import pytest
from bridges import bridge_at

from sidecar.bridge import trust
from sidecar.pod.bridged import BridgedHands

SHOW = "import os; print(open(os.environ['SSL_CERT_FILE']).read(), end='')"


@pytest.fixture
def asked(tmp_path):
    """As the container's environment of a session pod says it."""
    bundle = str(tmp_path / "trust" / "bundle.pem")
    return {
        trust.ADDED: str(tmp_path / "ca.crt"),
        trust.BUNDLE: bundle,
        **dict.fromkeys(trust.NAMES, bundle),
    }


def system_authorities():
    """This machine's."""
    return next((each.read_text() for each in trust.SYSTEM if each.is_file()), "")


async def seen(tmp_path, environment, given=()):
    """What a program of the agent's finds in the file that it is told of."""
    async with bridge_at(tmp_path / "b.sock", **environment):
        hands = BridgedHands(tmp_path / "b.sock", log_dir=tmp_path)
        argv = [sys.executable, "-c", SHOW]
        return (await hands.run(argv, cwd=tmp_path, env=dict(given), timeout=30)).out.decode()


async def test_the_previews_authority_is_trusted_beside_those_of_the_image(tmp_path, asked):
    (tmp_path / "ca.crt").write_text("the previews' authority\n")
    found = await seen(tmp_path, asked)
    assert found.endswith("the previews' authority\n")
    assert system_authorities() in found


async def test_without_an_authority_of_ours_those_of_the_image_are_trusted(tmp_path, asked):
    assert await seen(tmp_path, asked) == system_authorities()


def test_an_image_without_authorities_leaves_the_previews_own(tmp_path, asked):
    (tmp_path / "ca.crt").write_text("the previews' authority\n")
    trust.lay_out(asked, system=[tmp_path / "nowhere"])
    assert (tmp_path / "trust" / "bundle.pem").read_text() == "the previews' authority\n"


async def test_what_a_sidecar_says_itself_stands(tmp_path, asked):
    (tmp_path / "other").write_text("another")
    assert await seen(tmp_path, asked, {"SSL_CERT_FILE": str(tmp_path / "other")}) == "another"


async def test_a_bridge_that_can_lay_nothing_out_works_all_the_same(tmp_path, asked):
    (tmp_path / "trust").write_text("no directory")
    async with bridge_at(tmp_path / "b.sock", **asked):
        hands = BridgedHands(tmp_path / "b.sock", log_dir=tmp_path)
        ran = await hands.run([sys.executable, "-c", "print(1)"], cwd=tmp_path, env={}, timeout=30)
        assert ran.out == b"1\n"
