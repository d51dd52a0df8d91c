"""What an upgrade keeps of an installation, and what it takes away."""

import json
from subprocess import CompletedProcess

import pytest

from infra.cluster import inventory, rendering
from infra.cluster.settings import Settings

RELAY = {"apiVersion": "apps/v1", "kind": "Deployment"}
OLD = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget"}


def named(head, name, namespace="x1-system"):
    return {**head, "metadata": {"name": name, "namespace": namespace}}


class Cluster:
    """Keeps what is applied; knows the kinds that it `serves`."""

    def __init__(self, *objects, serves=("Deployment", "PodDisruptionBudget", "ConfigMap")):
        self.objects = {each["metadata"]["name"]: each for each in objects}
        self.serves, self.removed = serves, []

    def get(self, kind, name, namespace=None):
        return self.objects.get(name)

    def apply(self, text):
        each = json.loads(text)
        self.objects[each["metadata"]["name"]] = each

    def run(self, *words):
        kind = words[1].partition(".")[0]
        said = "" if kind in self.serves else "error: the server doesn't have a resource type"
        return CompletedProcess(words, 1 if said else 0, "", said)

    def must(self, *words):
        self.removed.append(words[1:-1])


def installed(cluster, *objects):
    inventory.begin(cluster, objects)
    return list(inventory.finish(cluster, objects))


def test_what_a_newer_version_does_not_have_is_removed_and_told():
    cluster = Cluster()
    assert installed(cluster, named(RELAY, "relay"), named(OLD, "relay")) == []
    (told,) = installed(cluster, named(RELAY, "relay"))
    assert told.startswith("PodDisruptionBudget.policy/x1-system/relay")
    assert cluster.removed == [("PodDisruptionBudget.policy", "relay", "-n", "x1-system")]


def test_an_installation_that_was_interrupted_forgets_nothing():
    cluster = Cluster()
    installed(cluster, named(RELAY, "relay"), named(OLD, "relay"))
    inventory.begin(cluster, [named(RELAY, "relay"), named(OLD, "half")])
    installed(cluster, named(RELAY, "relay"))
    assert {words[1] for words in cluster.removed} == {"relay", "half"}


@pytest.mark.parametrize("kind", ["Namespace", "PersistentVolumeClaim", "Secret"])
def test_what_holds_data_is_kept(kind):
    cluster = Cluster()
    installed(cluster, named({"apiVersion": "v1", "kind": kind}, "data"))
    assert installed(cluster) == []
    assert cluster.removed == []


def test_a_kind_that_went_with_its_controller_is_no_obstacle():
    cluster = Cluster(serves=("ConfigMap",))
    installed(cluster, named(OLD, "relay"))
    installed(cluster)
    assert cluster.removed == []
    installed(cluster)


def test_the_version_of_an_api_is_no_other_object():
    cluster = Cluster()
    installed(cluster, named({**OLD, "apiVersion": "policy/v1beta1"}, "relay"))
    assert installed(cluster, named(OLD, "relay")) == []


def test_only_what_was_asked_goes_into_a_newer_version(render_overlay):
    asked = Settings.model_validate({"cluster_domain": "acme.local"}).wish().values
    objects = render_overlay("local", **asked)
    maps = [each for each in objects if each["kind"] == "ConfigMap"]
    wish = rendering.installed(Cluster(*maps))
    assert wish.values == asked
    assert (wish.overlay, wish.tag) == ("local", "2")
