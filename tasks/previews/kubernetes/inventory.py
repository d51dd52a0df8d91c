"""What of previews is in a namespace: whose objects there are, and which revision each one really serves."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tasks.previews.kubernetes.names import PREVIEW, REVISION, ROLE
from tasks.previews.kubernetes.namespace import Namespace
from tasks.previews.kubernetes.routes import entry_of

Object = Mapping[str, Any]

LISTED: Final = ("Deployment", "StatefulSet", "Service", "NetworkPolicy")
"""Every preview has a policy, from its first object to its last: no Secret need be read."""
OURS: Final = {"app.kubernetes.io/component": "preview"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """`serving` are the revisions whose URL, Service and pods' owner are all there.

    `revisions` are (preview, revision) of all of which anything is there.
    """

    present: frozenset[str]
    serving: Mapping[str, str]
    revisions: frozenset[tuple[str, str]] = frozenset()


async def look(here: Namespace) -> Inventory:
    found = {kind: await here.find(kind, OURS) for kind in (here.route_kind, *LISTED)}
    labelled = [each for objects in found.values() for each in objects if PREVIEW in _labels(each)]
    return Inventory(
        present=frozenset(_labels(each)[PREVIEW] for each in labelled),
        serving=_serving(found[here.route_kind], found),
        revisions=frozenset(
            (_labels(each)[PREVIEW], _labels(each)[REVISION])
            for each in labelled
            if REVISION in _labels(each)
        ),
    )


def together(found: Sequence[Inventory]) -> Inventory:
    """Of several namespaces: a preview is in one of them."""
    return Inventory(
        present=frozenset().union(*(each.present for each in found)),
        serving={preview: revision for each in found for preview, revision in each.serving.items()},
        revisions=frozenset().union(*(each.revisions for each in found)),
    )


def _serving(routes: Sequence[Object], found: Mapping[str, Sequence[Object]]) -> dict[str, str]:
    services = {each["metadata"]["name"] for each in found["Service"]}
    workloads = Counter(
        (_labels(each).get(PREVIEW), _labels(each).get(REVISION))
        for each in (*found["Deployment"], *found["StatefulSet"])
    )
    serving: dict[str, str] = {}
    for route in routes:
        tags = _labels(route)
        if tags.get(ROLE) != "url" or PREVIEW not in tags:
            continue
        revision = str(route["metadata"].get("annotations", {}).get(REVISION, ""))
        if entry_of(route).service in services and workloads[tags[PREVIEW], revision]:
            serving[tags[PREVIEW]] = revision
    return serving


def _labels(each: Object) -> Mapping[str, str]:
    return each["metadata"].get("labels") or {}
