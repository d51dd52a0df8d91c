"""Taking an installation away: namespaces with all that is in them, what stands outside of them, volumes."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from infra.cluster.kubectl import Kubectl
from infra.cluster.readiness import Say
from infra.cluster.rendering import LABEL
from infra.local.errors import AskedFailed

NAMESPACE_SECONDS: Final = 300.0
VOLUME_SECONDS: Final = 60.0
POLL_SECONDS: Final = 1.0
PARTIAL: Final = "unable to retrieve the complete list of server APIs"
"""kubectl's words when an aggregated API does not answer; it lists all others."""


def uninstall(kubectl: Kubectl, say: Say) -> list[str]:
    """Removes everything that carries our label, wherever it is. Returns the names. Raises AskedFailed."""
    namespaces = [each["metadata"]["name"] for each in kubectl.listing("namespace", "-l", LABEL)]
    volumes = _volumes(kubectl, namespaces)
    removed = [f"namespace/{each}" for each in namespaces]
    if namespaces:
        say(f"removing namespaces {', '.join(namespaces)}")
        _remove_namespaces(kubectl, namespaces)
    for each in _labelled(kubectl, say):
        name, namespace = each["metadata"]["name"], each["metadata"].get("namespace")
        kind = _typed(each)
        where = ("-n", namespace) if namespace else ()
        kubectl.must("delete", kind, name, *where, "--ignore-not-found")
        removed.append(f"{each['kind'].lower()}/{name}")
    removed += _await_volumes(kubectl, volumes, say)
    return removed


def _remove_namespaces(kubectl: Kubectl, names: Sequence[str]) -> None:
    """All at once; what holds one back is said in the words of Kubernetes."""
    kubectl.must("delete", "namespace", *names, "--wait=false")
    deadline = time.monotonic() + NAMESPACE_SECONDS
    while left := _present(kubectl, names):
        if time.monotonic() > deadline:
            raise AskedFailed(
                expected=f"the namespaces gone within {NAMESPACE_SECONDS:g} s",
                came="; ".join(f"{each['metadata']['name']}: {_held_by(each)}" for each in left),
                then="remove what it names, or its finalizers, and x1 cluster uninstall again",
            )
        time.sleep(POLL_SECONDS)


def _present(kubectl: Kubectl, names: Sequence[str]) -> list[dict[str, Any]]:
    return [each for each in kubectl.listing("namespace") if each["metadata"]["name"] in set(names)]


def _held_by(namespace: Mapping[str, Any]) -> str:
    conditions = namespace.get("status", {}).get("conditions", ())
    said = [str(each["message"]) for each in conditions if each["status"] == "True"]
    return ", ".join(said) or "it is still there, and Kubernetes does not say why"


def _labelled(kubectl: Kubectl, say: Say) -> list[dict[str, Any]]:
    """What is ours outside of our namespaces."""
    found: list[dict[str, Any]] = []
    for scope in ("false", "true"):
        kinds = [kind for kind in _kinds(kubectl, scope, say) if kind not in SERVED]
        found += kubectl.listing(",".join(kinds), "-A", "-l", LABEL)
    return [each for each in found if "deletionTimestamp" not in each["metadata"]]


def _kinds(kubectl: Kubectl, scope: str, say: Say) -> list[str]:
    """All that are served: an API that is down, somebody's metrics say, is told and passed over."""
    words = ("api-resources", "--verbs=list,delete", f"--namespaced={scope}", "-o", "name")
    done = kubectl.run(*words)
    if done.returncode and PARTIAL not in done.stderr:
        return kubectl.must(*words).split()
    if done.returncode:
        say(f"not looked at: {done.stderr.strip()}")
    return done.stdout.split()


def _volumes(kubectl: Kubectl, namespaces: Sequence[str]) -> set[str]:
    """The volumes that our claims are bound to: they outlive a namespace for a while, or for ever."""
    return {
        each["metadata"]["name"]
        for each in kubectl.listing("persistentvolume")
        if each["spec"].get("claimRef", {}).get("namespace") in set(namespaces)
    }


def _await_volumes(kubectl: Kubectl, names: set[str], say: Say) -> list[str]:
    """A volume whose class says Retain stays, with its data: that is its owner's to remove."""
    deadline = time.monotonic() + VOLUME_SECONDS
    kept: set[str] = set()
    while names - kept and time.monotonic() < deadline:
        here = {
            each["metadata"]["name"]: each["spec"].get("persistentVolumeReclaimPolicy")
            for each in kubectl.listing("persistentvolume")
        }
        kept = {name for name in names if here.get(name) == "Retain"}
        if not (names - kept) & here.keys():
            break
        time.sleep(POLL_SECONDS)
    for name in sorted(kept):
        say(f"kept, as its StorageClass says Retain: persistentvolume/{name}")
    return [f"persistentvolume/{name}" for name in sorted(names - kept)]


def _typed(found: Mapping[str, Any]) -> str:
    """`Role.v1.rbac.authorization.k8s.io`: no two groups' kinds are taken for one another."""
    group, _, version = found["apiVersion"].rpartition("/")
    return f"{found['kind']}.{version}.{group}" if group else found["kind"]


SERVED: Final = ("componentstatuses",)
"""Listed by the API, and objects of nobody."""
