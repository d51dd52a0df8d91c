"""Session specs: a contract is read whole, or refused with everything that is wrong with it."""

import pytest

from sidecar.domain.errors import SpecInvalid
from sidecar.wire.spec import parse_spec

PATH = "sessions/x.md"
GOOD = """\
---
child: hirer-app
repo: hirer-co/app
branch: feat/site
scope: {in: the site, out: [the forge]}
acceptance:
  - {path: /, status: 200, contains: hello}
self_verification: ["make test"]
---
Build the site.
"""


def findings_of(text):
    with pytest.raises(SpecInvalid) as refused:
        parse_spec(text, PATH)
    return [(each.line, each.path) for each in refused.value.findings]


def test_a_spec_is_read_with_its_words():
    spec = parse_spec(GOOD, PATH)
    assert (spec.child, spec.repo, spec.branch) == ("hirer-app", "hirer-co/app", "feat/site")
    assert (spec.scope_in, spec.scope_out) == (("the site",), ("the forge",))
    assert (len(spec.acceptance), spec.body) == (1, "Build the site.")


def test_all_errors_come_at_once_each_with_line_and_path():
    text = GOOD.replace("repo: hirer-co/app", "repo: nowhere")
    text = text.replace("feat/site", "feat..site").replace("status: 200", "status: ok")
    text = text.replace("self_verification", "verification")
    assert findings_of(text) == [
        (3, f"{PATH}: repo"),
        (4, f"{PATH}: branch"),
        (7, f"{PATH}: acceptance[0].status"),
        (8, f"{PATH}: verification"),
    ]


def test_a_contract_that_nothing_proves_is_refused():
    none = GOOD.replace("\n  - {path: /, status: 200, contains: hello}", " []")
    assert findings_of(none) == [(6, f"{PATH}: acceptance")]


@pytest.mark.parametrize(
    ("text", "line"),
    [("Build the site.\n", 1), ("---\nchild: x\n", 1), ("---\nchild: [x\nrepo: y\n---\n", 3)],
)
def test_what_is_no_spec_says_at_which_line(text, line):
    assert [found for found, _ in findings_of(text)] == [line]
