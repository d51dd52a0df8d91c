"""When the demo calls its roadmap played, and when it does not."""

import pytest

from infra.local.demo.inspection import roadmap_verdicts

PLAYED = {"R-1": "done", "R-2": "done", "R-3": "blocked"}


def faults(**statuses):
    items = [
        {"id": name, "status": status} for name, status in (PLAYED | statuses).items() if status
    ]
    return [said for said, is_good in roadmap_verdicts(items) if not is_good]


def test_two_items_done_and_the_third_blocked_is_the_whole_roadmap():
    assert faults() == []


@pytest.mark.parametrize(
    ("name", "status", "said"),
    [
        ("R-1", "active", "R-1 is active on the forge's main, expected done"),
        ("R-3", "done", "R-3 is done on the forge's main, expected blocked"),
        ("R-2", None, "R-2 is gone from the roadmap on the forge's main, expected done"),
        ("R-9", "todo", "R-9 is todo on the forge's main, expected done"),
    ],
)
def test_any_other_end_is_a_fault(name, status, said):
    assert faults(**{name: status}) == [said]


def test_what_blocks_an_item_is_said():
    items = [{"id": "R-3", "status": "blocked", "blocked_by": "missing secret X"}]
    assert ("R-3 is blocked (missing secret X) on the forge's main", True) in roadmap_verdicts(
        items
    )
