"""The journal: what a crash leaves, and what the next activation reads in it."""

from sidecar.pod.journal import Journal


async def test_a_turn_that_did_not_end_is_still_open(tmp_path):
    journal = Journal(tmp_path / "j")
    await journal.prompted(1, ("a",))
    await journal.ended(1, ("a",), "end_turn")
    await journal.prompted(2, ("b", "c"))
    past = journal.read()
    assert past.prompted == ("b", "c")
    assert past.ended["a"].stop_reason == "end_turn"


async def test_a_torn_last_line_is_ignored_and_does_not_swallow_the_next(tmp_path):
    journal = Journal(tmp_path / "j")
    await journal.prompted(1, ("a",))
    with (tmp_path / "j").open("ab") as file:
        file.write(b'{"what": "ended", "turn": 1, "wa')
    await journal.prompted(2, ("b",))
    assert journal.read().prompted == ("b",)
    assert "a" not in journal.read().ended


def test_no_journal_is_an_empty_past(tmp_path):
    assert Journal(tmp_path / "none").read().prompted == ()
