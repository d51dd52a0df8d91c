"""Everything in a cluster that is or could be of an installation: by our label, by our names, by our claims."""

import json
import time
from typing import Any

from clusters import kubectl

LABEL = ("app.kubernetes.io/part-of", "x1flows")
PREFIX = "x1-"
PASSING = ("events", "events.events.k8s.io", "componentstatuses")
"""Kinds of which Kubernetes itself makes and forgets objects."""


def belongings() -> set[str]:
    """`Kind namespace/name`, in all namespaces and outside of them."""
    named = kubectl("api-resources", "--verbs=list", "-o", "name").split()
    kinds = ",".join(each for each in named if each not in PASSING)
    found = json.loads(kubectl("get", kinds, "-A", "-o", "json", seconds=300))["items"]
    return {_named(each) for each in found if _is_ours(each)}


def left_since(before: set[str], patience_seconds: float = 120) -> set[str]:
    """What is new, once what Kubernetes takes away by itself has had its time: a volume, say, after its claim."""
    deadline = time.monotonic() + patience_seconds
    while (left := belongings() - before) and time.monotonic() < deadline:
        time.sleep(2)
    return left


def _named(each: dict[str, Any]) -> str:
    metadata = each["metadata"]
    return f"{each['kind']} {metadata.get('namespace', '')}/{metadata['name']}"


def _is_ours(each: dict[str, Any]) -> bool:
    metadata = each["metadata"]
    claimed = (each.get("spec") or {}).get("claimRef") or {}
    places = (metadata["name"], metadata.get("namespace", ""), claimed.get("namespace", ""))
    labelled = (metadata.get("labels") or {}).get(LABEL[0]) == LABEL[1]
    return labelled or any(place.startswith(PREFIX) for place in places)
