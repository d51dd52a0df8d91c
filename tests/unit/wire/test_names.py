"""What a branch and a runtime may be called, wherever a person or an agent names one."""

import pytest
from pydantic import ValidationError

from sidecar.domain.names import RUNTIMES, is_valid_branch
from sidecar.pod.acp import profile
from sidecar.wire.sessions import SpawnRequest


def test_the_runtimes_that_may_be_named_are_those_with_a_profile():
    assert sorted(RUNTIMES) == sorted(profile.names())


@pytest.mark.parametrize("branch", ["main", "feat/x", "feat/ünï", "a.b-c_d", "x;rm"])
def test_what_git_takes_is_a_branch(branch):
    assert is_valid_branch(branch)


@pytest.mark.parametrize(
    "branch",
    [
        "",
        "-x",
        "a/-x",
        "a b",
        "a\0b",
        "a\x1b[31m",
        "a\u202eb",
        "a..b",
        "a.lock",
        "/a",
        "a/",
        "a//b",
        ".a",
        "a~1",
        "a@{0}",
    ],
)
def test_what_git_or_a_terminal_would_take_for_something_else_is_not(branch):
    assert not is_valid_branch(branch)


@pytest.mark.parametrize("field", [{"runtime": "nope"}, {"branch": "main\0x"}])
def test_a_spawn_that_names_what_cannot_be_is_refused_before_anything_is_made(field):
    with pytest.raises(ValidationError, match="expected"):
        SpawnRequest(child_agent_id="x", **field)
