"""Server-side apply that tells what it changed, so that a second installation can say: nothing."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import yaml

from infra.cluster.kubectl import FIELD_MANAGER, Kubectl

IMMUTABLE: Final = "updates to statefulset spec for fields other than"
KEPT_BY_THE_CLUSTER: Final = ("managedFields", "resourceVersion")


def applied(kubectl: Kubectl, objects: Sequence[dict[str, Any]]) -> list[str]:
    """`Kind/name` of what was made or changed, found by comparing what stands before and after."""
    if not objects:
        return []
    text = yaml.safe_dump_all(objects)
    before = _standing(kubectl, text)
    for each in objects:
        if each["kind"] == "StatefulSet":
            _make_way(kubectl, each)
    kubectl.apply(text)
    after = _standing(kubectl, text)
    changed = [key for key, now in after.items() if before.get(key) != now]
    return [f"{kind}/{name}" for kind, _, name in changed]


def _make_way(kubectl: Kubectl, wanted: Mapping[str, Any]) -> None:
    """Most of one cannot be changed. Made anew, it adopts the pods and volumes that the old one leaves."""
    name, namespace = wanted["metadata"]["name"], wanted["metadata"]["namespace"]
    words = ("apply", "--server-side", "--force-conflicts", "--field-manager", FIELD_MANAGER)
    tried = kubectl.run(*words, "--dry-run=server", "-f", "-", given=json.dumps(wanted))
    if IMMUTABLE in tried.stderr:
        kubectl.must("delete", "statefulset", name, "-n", namespace, "--cascade=orphan")


def _standing(kubectl: Kubectl, text: str) -> dict[tuple[str, str, str], Any]:
    """Of what is named, by kind, namespace and name, all but what the cluster itself keeps writing there."""
    done = kubectl.run("get", "--ignore-not-found", "-f", "-", "-o", "json", given=text)
    found = json.loads(done.stdout or "{}")
    return {
        (each["kind"], each["metadata"].get("namespace", ""), each["metadata"]["name"]): {
            **{key: value for key, value in each.items() if key != "status"},
            "metadata": {k: v for k, v in each["metadata"].items() if k not in KEPT_BY_THE_CLUSTER},
        }
        for each in found.get("items", [found] if "kind" in found else [])
    }
