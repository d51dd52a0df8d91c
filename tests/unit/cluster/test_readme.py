"""The README's table of who may talk to whom, held to the one that is tried on a cluster."""

from pathlib import Path

from policy_table import REACHED, TABLE

README = Path(__file__).parents[3] / "README.md"
HEADER = "| from | reaches | and nothing else |"


def lines():
    """(sources, what they reach, why no more) of each line: words apart by commas, a dash for nothing."""
    _, _, after = README.read_text().partition(f"{HEADER}\n")
    table, _, _ = after.partition("\n\n")
    for line in table.splitlines()[1:]:
        sources, reached, why = (each.strip() for each in line.strip("|").split("|"))
        yield sources.split(", "), [each for each in reached.split(", ") if each != "–"], why


def test_it_says_exactly_what_each_party_reaches():
    said = {(source, end) for sources, ends, _ in lines() for source in sources for end in ends}
    assert said == {(row.source, row.end) for row in TABLE if row.is_allowed}


def test_it_names_everybody_once_and_says_why_they_reach_nothing_else():
    named = [source for sources, _, _ in lines() for source in sources]
    assert sorted(named) == sorted({row.source for row in TABLE})
    assert all(why for _, _, why in lines())


def test_whatever_the_table_lets_through_is_a_port_that_somebody_has():
    wanted = {(source, end) for source, ways in REACHED.items() for end in ways.reached}
    assert wanted == {(row.source, row.end) for row in TABLE if row.is_allowed}
