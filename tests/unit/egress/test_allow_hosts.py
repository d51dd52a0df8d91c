"""allow_hosts: which names a pattern covers, and what is no pattern."""

import pytest
from pydantic import ValidationError

from sidecar.domain.egress import decide, is_host_pattern
from sidecar.wire.agent_model import NetworkModel


@pytest.mark.parametrize(
    ("pattern", "host"),
    [
        ("pypi.org", "pypi.org"),
        ("pypi.org", "PyPI.org."),
        ("*.pythonhosted.org", "files.pythonhosted.org"),
        ("*.pythonhosted.org", "a.b.pythonhosted.org"),
    ],
)
def test_a_pattern_covers(pattern, host):
    assert decide([pattern], host, 443).allowed


@pytest.mark.parametrize(
    ("pattern", "host"),
    [
        ("pypi.org", "evil-pypi.org"),
        ("pypi.org", "pypi.org.evil.example"),
        ("pypi.org", "files.pypi.org"),
        ("*.pythonhosted.org", "pythonhosted.org"),
        ("*.pythonhosted.org", "evilpythonhosted.org"),
        ("*", "anything.example"),
        ("*.org", "pypi.org"),
        ("pypi.org", "pypi.org\x00.evil.example"),
        ("pypi.org", "pypi.org/.evil.example"),
        ("pypi.org", "[::1]"),
        ("pypi.org", ""),
        ("pypi.org", "x" * 300 + ".pypi.org"),
    ],
)
def test_a_pattern_does_not_cover(pattern, host):
    assert not decide([pattern], host, 443).allowed


@pytest.mark.parametrize("port", [22, 25, 8080, 0, 65536])
def test_other_ports_than_the_webs_are_closed_for_every_host(port):
    assert not decide(["pypi.org"], "pypi.org", port).allowed


def test_a_refusal_names_the_host_and_what_is_allowed():
    said = decide(["pypi.org", "*.npmjs.org"], "evil.example", 443).reason
    assert said == "evil.example is not in this agent's allow_hosts (*.npmjs.org, pypi.org)"


def test_an_agent_without_hosts_is_told_that_it_has_none():
    assert decide([], "evil.example", 443).reason.endswith("allow_hosts (none)")


@pytest.mark.parametrize(
    "bad",
    ["*", "*.com", "https://pypi.org", "pypi.org:443", "PyPI.org", "a..b", "a.*.b", "pypi.org."],
)
def test_an_agents_file_with_something_else_than_hosts_is_refused(bad):
    assert not is_host_pattern(bad)
    with pytest.raises(ValidationError, match="expected a host's name"):
        NetworkModel(allow_hosts=[bad])
