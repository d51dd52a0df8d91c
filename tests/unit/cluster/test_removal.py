"""What an uninstallation looks at when not all of the cluster answers."""

import json
from subprocess import CompletedProcess

import pytest

from infra.cluster import removal
from infra.local.errors import AskedFailed

DOWN = "error: unable to retrieve the complete list of server APIs: metrics.k8s.io/v1beta1: down"


class Cluster:
    """Has one labelled ClusterRole; discovery says what it is given."""

    def __init__(self, said):
        self.said, self.deleted, self.listed = said, [], []

    def run(self, *words):
        return CompletedProcess(words, 1, "clusterroles.rbac.authorization.k8s.io\n", self.said)

    def must(self, *words):
        if words[0] == "api-resources":
            raise AskedFailed(expected="an answer", came=self.said, then="look")
        self.deleted.append(words[1:3])

    def listing(self, kind, *words):
        self.listed.append(kind)
        if not kind.startswith("clusterroles") or kind in self.listed[:-1]:
            return []
        head = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole"}
        return json.loads(json.dumps([{**head, "metadata": {"name": "x1-relay-token-review"}}]))


def test_an_api_of_somebody_elses_that_is_down_holds_nothing_back_and_is_told():
    cluster, said = Cluster(DOWN), []
    assert removal.uninstall(cluster, said.append) == ["clusterrole/x1-relay-token-review"]
    assert cluster.deleted == [
        ("ClusterRole.v1.rbac.authorization.k8s.io", "x1-relay-token-review")
    ]
    assert any("metrics.k8s.io" in each for each in said)


def test_a_cluster_that_does_not_tell_its_kinds_is_no_empty_one():
    with pytest.raises(AskedFailed, match="forbidden"):
        removal.uninstall(Cluster("forbidden"), lambda _: None)
