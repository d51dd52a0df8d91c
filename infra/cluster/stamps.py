"""A digest of what a pod reads from Secrets and ConfigMaps, on its template: when they change, it is replaced.

Without it a pod goes on with what its environment and files said when it began. Whoever may read the digest can
try guesses on it: each of our pods reads at least one secret of 256 random bits, so there is nothing to guess.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from infra.cluster import secrets
from infra.cluster.kubectl import Kubectl
from infra.cluster.secrets import SYSTEM, Part

ANNOTATION: Final = "x1flows.io/reads"
ONCE: Final = "once"
"""Written in a manifest instead of a digest: what this pod reads it reads when it is made, and never again."""
TEMPLATED: Final = ("Deployment", "StatefulSet", "DaemonSet")

Contents = Mapping[tuple[str, str, str], Mapping[str, str]]
"""By kind, namespace and name."""


def standing(kubectl: Kubectl) -> Contents:
    """What pods of the control plane can read now."""
    settings = [
        {"kind": "ConfigMap", **each} for each in kubectl.listing("configmap", "-n", SYSTEM)
    ]
    return contents(settings, secrets.parts(secrets.read(kubectl, secrets.WHOLE) or {}))


def contents(objects: Iterable[Mapping[str, Any]], parts: Iterable[Part]) -> Contents:
    return {
        **{
            ("ConfigMap", each["metadata"]["namespace"], each["metadata"]["name"]): each["data"]
            for each in objects
            if each["kind"] == "ConfigMap" and "data" in each
        },
        **{(part.kind, part.namespace, part.name): part.content for part in parts},
    }


def stamped(workload: dict[str, Any], known: Contents) -> dict[str, Any]:
    """The same with the digest; others than workloads stay. What is not known, like x1-named, is left out."""
    if workload["kind"] not in TEMPLATED:
        return workload
    template = workload["spec"]["template"]
    metadata = template.get("metadata", {})
    if metadata.get("annotations", {}).get(ANNOTATION) == ONCE:
        return workload
    stamp = digest(template["spec"], workload["metadata"]["namespace"], known)
    annotations = {**metadata.get("annotations", {}), ANNOTATION: stamp}
    return {
        **workload,
        "spec": {
            **workload["spec"],
            "template": {**template, "metadata": {**metadata, "annotations": annotations}},
        },
    }


def digest(pod: Mapping[str, Any], namespace: str, known: Contents) -> str:
    read: list[tuple[str, str, str, str]] = []
    for kind, name, keys in _references(pod):
        content = known.get((kind, namespace, name), {})
        read += [(kind, name, key, content[key]) for key in content if keys is None or key in keys]
    return hashlib.sha256(json.dumps(sorted(set(read))).encode()).hexdigest()[:16]


def _references(pod: Mapping[str, Any]) -> Iterator[tuple[str, str, set[str] | None]]:
    """Kind, name, and the keys that are read; None: all of them."""
    for container in (*pod.get("initContainers", ()), *pod.get("containers", ())):
        for each in container.get("env", ()):
            source = each.get("valueFrom", {})
            for field, kind in (("secretKeyRef", "Secret"), ("configMapKeyRef", "ConfigMap")):
                if field in source:
                    yield kind, source[field]["name"], {source[field]["key"]}
        for each in container.get("envFrom", ()):
            for field, kind in (("secretRef", "Secret"), ("configMapRef", "ConfigMap")):
                if field in each:
                    yield kind, each[field]["name"], None
    for volume in pod.get("volumes", ()):
        for source in (volume, *volume.get("projected", {}).get("sources", ())):
            yield from _mounted(source)


def _mounted(source: Mapping[str, Any]) -> Iterator[tuple[str, str, set[str] | None]]:
    for field, kind in (("secret", "Secret"), ("configMap", "ConfigMap")):
        if field in source:
            items = source[field].get("items")
            keys = {each["key"] for each in items} if items else None
            yield kind, source[field].get("secretName") or source[field]["name"], keys
