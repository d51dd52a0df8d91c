"""One revision as a cluster sees it: its objects, what of them must come up, and where its routes lead to."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sidecar.wire.preview_manifests import WORKLOADS, read_manifests
from sidecar.wire.preview_spec import PreviewSpec
from sidecar.wire.previews import OperationBundle
from tasks.previews.kubernetes import environment, image_app, manifest_app
from tasks.previews.kubernetes.names import Names

Object = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """The Service, and its port, that routes lead to."""

    service: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RevisionObjects:
    objects: Sequence[Object]
    entry: Entry

    @property
    def workloads(self) -> list[tuple[str, str]]:
        """(kind, name) of what must be ready."""
        return [
            (each["kind"], each["metadata"]["name"])
            for each in self.objects
            if each["kind"] in WORKLOADS
        ]


def of_revision(bundle: OperationBundle, spec: PreviewSpec, artifact: str) -> RevisionObjects:
    """`artifact` is the image of kind dockerfile. Raises SpecInvalid for manifests that may not be."""
    held = environment.secrets(bundle, spec)
    if spec.kind == "dockerfile":
        made = image_app.objects(bundle, spec, artifact)
        entry = Entry(service=Names.of(bundle).app, port=image_app.PORT)
        return RevisionObjects(objects=[*held, *made], entry=entry)
    manifests = read_manifests(bundle.manifests, spec.port)
    service = Names.of(bundle).part("Service", manifests.service)
    return RevisionObjects(
        objects=[*held, *manifest_app.objects(bundle, spec, manifests)],
        entry=Entry(service=service, port=manifests.port),
    )
