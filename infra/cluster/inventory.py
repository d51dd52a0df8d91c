"""What an installation's manifests made, so that a newer version takes away what it no longer has.

Nothing else is touched: not secrets and certificates, which are made beside the manifests, nor sessions' Jobs and
previews. While one version becomes another the list names both, so that an interruption forgets nothing.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from infra.cluster.kubectl import Kubectl
from infra.cluster.secrets import SYSTEM

NAME: Final = "x1-objects"
KEY: Final = "objects"
KEPT: Final = ("Namespace", "PersistentVolumeClaim", "Secret")
"""They hold what nobody can make again: an uninstallation removes them, and nothing else does, but for the empty
namespace of a workspace that is left out (workspaces)."""
UNSERVED: Final = "the server doesn't have a resource type"


def begin(kubectl: Kubectl, objects: Sequence[Mapping[str, Any]]) -> None:
    known = _known(kubectl)
    _keep(kubectl, known, known | _names(objects))


def finish(kubectl: Kubectl, objects: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Removes what `objects` no longer have, and says so. Raises AskedFailed."""
    known, wanted = _known(kubectl), _names(objects)
    for each in sorted(known - wanted):
        if each.split(".")[0].split("/")[0] not in KEPT:
            _remove(kubectl, each)
            yield f"{each}, which this version does not have, is gone"
    _keep(kubectl, known, wanted)


def _names(objects: Sequence[Mapping[str, Any]]) -> set[str]:
    """`Deployment.apps/x1-system/relay`; without a version, in which the same object may be asked for anew."""
    return {
        f"{_kind(each)}/{each['metadata'].get('namespace', '')}/{each['metadata']['name']}"
        for each in objects
    }


def _kind(each: Mapping[str, Any]) -> str:
    group, _, _ = each["apiVersion"].rpartition("/")
    return f"{each['kind']}.{group}" if group else each["kind"]


def _remove(kubectl: Kubectl, each: str) -> None:
    kind, namespace, name = each.split("/")
    words = ("delete", kind, name, *(("-n", namespace) if namespace else ()), "--ignore-not-found")
    if UNSERVED not in kubectl.run(*words, "--dry-run=client").stderr:
        kubectl.must(*words)


def _known(kubectl: Kubectl) -> set[str]:
    found = kubectl.get("configmap", NAME, SYSTEM)
    return set(found["data"][KEY].split()) if found else set()


def _keep(kubectl: Kubectl, known: set[str], wanted: set[str]) -> None:
    if known == wanted:
        return
    labels = {"app.kubernetes.io/part-of": "x1flows"}
    metadata = {"name": NAME, "namespace": SYSTEM, "labels": labels}
    data = {KEY: "\n".join(sorted(wanted)) + "\n"}
    listed = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
    kubectl.apply(json.dumps(listed))
