"""What of ours is in a cluster, by name: for what is there before to be compared with what is there after."""

from typing import Any, Final

from clusters import listed

KINDS: Final = (
    "jobs.batch,pods,secrets,services,configmaps,persistentvolumeclaims,deployments.apps,"
    "replicasets.apps,statefulsets.apps,networkpolicies,httproutes,ingresses,serviceaccounts,"
    "roles,rolebindings,cronjobs.batch"
)
CLUSTER_WIDE: Final = "namespaces,clusterroles,clusterrolebindings,priorityclasses"
Thing = tuple[str, str, str]
"""Namespace, kind, name."""


def inventory() -> frozenset[Thing]:
    """Of every namespace of ours, and what of ours is in none."""
    spaces = [
        each["metadata"]["name"]
        for each in listed("namespace", "-l", "app.kubernetes.io/part-of=x1flows")
    ]
    found = [each for space in spaces for each in listed(KINDS, "-n", space)]
    ours = ("-l", "app.kubernetes.io/part-of=x1flows")
    found += listed(CLUSTER_WIDE, *ours)
    found += [each for each in listed("persistentvolumes") if _claimant(each) in spaces]
    return frozenset(
        (each["metadata"].get("namespace", ""), each["kind"], each["metadata"]["name"])
        for each in found
    )


def _claimant(volume: dict[str, Any]) -> str:
    """The namespace that it was made for."""
    return volume["spec"].get("claimRef", {}).get("namespace", "")


def appeared(before: frozenset[Thing]) -> list[Thing]:
    return sorted(inventory() - before)
