"""Where visitors are led: a route for the alias of a revision, and one for the branch's URL. Pure.

How a route is written is the cluster's: an HTTPRoute of its Gateway (http_routes), or an Ingress (ingresses).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

from sidecar.wire.previews import OperationBundle
from tasks.previews.kubernetes.names import REVISION, Names, annotations, labels
from tasks.previews.kubernetes.revision import Entry

Object = dict[str, Any]
RouteKind = Literal["HTTPRoute", "Ingress"]

KINDS: Final[Mapping[str, RouteKind]] = {"gateway": "HTTPRoute", "ingress": "Ingress"}
"""By the installation's setting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lead:
    """`host` leads to this revision's `entry`."""

    host: str
    revision: str
    entry: Entry


class RouteWriter(Protocol):
    @property
    def kind(self) -> RouteKind: ...

    def write(self, metadata: Object, lead: Lead) -> Object:
        """The route, by which an answer can be proven to be the revision's."""
        ...


def alias(bundle: OperationBundle, entry: Entry, writer: RouteWriter) -> Object:
    """For good: goes with its revision."""
    names = Names.of(bundle)
    made = _metadata(bundle, names.app, "alias")
    made["labels"][REVISION] = bundle.revision
    return writer.write(made, Lead(host=names.alias_host, revision=bundle.revision, entry=entry))


def url(bundle: OperationBundle, entry: Entry, writer: RouteWriter) -> Object:
    """The branch's: outlives its revisions, and says in a note which one it leads to."""
    names = Names.of(bundle)
    made = _metadata(bundle, names.route, "url")
    made["annotations"][REVISION] = bundle.revision
    return writer.write(made, Lead(host=names.url_host, revision=bundle.revision, entry=entry))


def entry_of(route: Mapping[str, Any]) -> Entry:
    """Where `/` of one of ours leads."""
    rule = route["spec"]["rules"][0]
    if "http" in rule:
        service = rule["http"]["paths"][-1]["backend"]["service"]
        return Entry(service=str(service["name"]), port=int(service["port"]["number"]))
    backend = rule["backendRefs"][0]
    return Entry(service=str(backend["name"]), port=int(backend["port"]))


def _metadata(bundle: OperationBundle, name: str, role: str) -> Object:
    return {"name": name, "labels": labels(bundle, role), "annotations": annotations(bundle)}
