"""The README's tables: who may talk to whom, held to what is tried on a cluster; what is made, held to what is made."""

from collections import defaultdict
from pathlib import Path

import pytest
from policy_table import REACHED, TABLE
from remembered_cluster import RememberedCluster

from infra.cluster import installation
from infra.cluster.rendering import Wish

README = Path(__file__).parents[3] / "README.md"
MADE = "| where | an installation's objects (overlay `local`) |"
HEADER = "| from | reaches | and nothing else |"


def rows(header):
    _, _, after = README.read_text().partition(f"{header}\n")
    table, _, _ = after.partition("\n\n")
    for line in table.splitlines()[1:]:
        yield [each.strip() for each in line.strip("|").split("|")]


def lines():
    """(sources, what they reach, why no more) of each line: words apart by commas, a dash for nothing."""
    for sources, reached, why in rows(HEADER):
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


@pytest.mark.real
def test_it_lists_every_object_that_an_installation_makes(kubectl_on_path):
    cluster = RememberedCluster()
    installation.install(cluster, Wish(overlay="local", prefix="x1/", tag="1"), lambda _: None)
    made = defaultdict(lambda: defaultdict(set))
    for (_, namespace, name), each in cluster.objects.items():
        made[namespace or "the cluster"][each["kind"]].add(name)
    listed = {
        where: {
            kind: set(names.split(", "))
            for kind, _, names in (each.partition(" ") for each in objects.split("; "))
        }
        for where, objects in rows(MADE)
    }
    assert listed == made
