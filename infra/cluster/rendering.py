"""What an installation consists of: an overlay of infra/k8s with the wished images and values, rendered."""

import json
import os.path
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from infra.cluster import open_networks
from infra.cluster.kubectl import Kubectl
from infra.cluster.secrets import SYSTEM
from infra.cluster.workspaces import twinned
from infra.local.errors import WrongUsage
from sidecar.domain.workspace import DEFAULT

MANIFESTS: Final = Path(__file__).resolve().parents[1] / "k8s"
IMAGES: Final = ("control", "flow", "sidecar", "agent")
PART_OF: Final = {"app.kubernetes.io/part-of": "x1flows"}
LABEL: Final = "app.kubernetes.io/part-of=x1flows"
WISH: Final = "x1-images"
VALUES: Final = "x1-values"
ASKED: Final = "asked"
"""The key of x1-values that holds what was asked, as JSON: all others are the overlay's or follow from it."""
_HEAD: Final = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """`prefix` and `tag` name the images: `<prefix>control:<tag>`. `values` go over the overlay's x1-values."""

    overlay: str
    prefix: str
    tag: str
    values: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def route(self) -> str:
        """`gateway` or `ingress`: overlays are made for a Gateway, and a component makes the other of it."""
        return self.values.get("previews-route", "gateway")

    @property
    def workspaces(self) -> tuple[str, ...]:
        """Each has a namespace for its previews: the manifests have the default one's, the others' are like it."""
        return tuple(json.loads(self.values.get("workspaces", f'["{DEFAULT}"]')))


def overlays() -> list[str]:
    return sorted(each.name for each in (MANIFESTS / "overlays").iterdir() if each.is_dir())


def installed(kubectl: Kubectl) -> Wish | None:
    """What the last installation wished, and not what its version added: a newer one may say otherwise."""
    images = kubectl.get("configmap", WISH, SYSTEM)
    values = kubectl.get("configmap", VALUES, SYSTEM)
    if images is None or values is None:
        return None
    told = images["data"]
    return Wish(
        overlay=told["X1_OVERLAY"],
        prefix=told["X1_IMAGE_PREFIX"],
        tag=told["X1_IMAGE_TAG"],
        values=json.loads(values["data"][ASKED]) if ASKED in values["data"] else values["data"],
    )


def render(kubectl: Kubectl, wish: Wish) -> list[dict[str, Any]]:
    """The overlay's objects. Raises WrongUsage for an overlay that is none, AskedFailed for one that is broken."""
    if wish.overlay not in overlays():
        raise WrongUsage(
            expected=f"one of {', '.join(overlays())}",
            came=f"the overlay {wish.overlay!r}",
            then="x1 cluster install --overlay local",
        )
    with tempfile.TemporaryDirectory(prefix="x1-kustomize-") as scratch:
        place = Path(scratch).resolve()
        # Values are changed first and put into the manifests after; one kustomization does it the other way round.
        _write(place / "valued", _valued(wish, place / "valued"))
        _write(place / "whole", _whole(wish, place / "whole"))
        text = kubectl.kustomize(place / "whole")
    return list(twinned((each for each in yaml.safe_load_all(text) if each), wish.workspaces))


def _write(place: Path, content: Mapping[str, Any]) -> None:
    place.mkdir()
    (place / "kustomization.yaml").write_text(yaml.safe_dump(dict(content)))


def _valued(wish: Wish, place: Path) -> dict[str, Any]:
    values = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": VALUES, "namespace": SYSTEM},
        "data": {**wish.values, ASKED: json.dumps(dict(wish.values), sort_keys=True)},
    }
    patches = [{"patch": yaml.safe_dump(values)}]
    overlay = _relative(MANIFESTS / "overlays" / wish.overlay, place)
    components = [_relative(MANIFESTS / "ingress", place)] if wish.route == "ingress" else []
    return {**_HEAD, "resources": [overlay], "components": components, "patches": patches}


def _whole(wish: Wish, place: Path) -> dict[str, Any]:
    named = {
        "X1_OVERLAY": wish.overlay,
        "X1_IMAGE_PREFIX": wish.prefix,
        "X1_IMAGE_TAG": wish.tag,
    }
    return {
        **_HEAD,
        "resources": ["../valued"],
        "components": [_relative(MANIFESTS / "values", place)],
        "images": [
            {"name": f"x1/{name}", "newName": f"{wish.prefix}{name}", "newTag": wish.tag}
            for name in IMAGES
        ],
        "configMapGenerator": [
            {
                "name": WISH,
                "namespace": SYSTEM,
                "literals": [f"{key}={value}" for key, value in named.items()],
                "options": {"disableNameSuffixHash": True, "labels": PART_OF},
            }
        ],
        "patches": list(_patches(wish.values)),
    }


def _patches(values: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """What kustomize's replacements cannot put where it belongs: numbers, and what is not there by default."""
    yield from _room(values)
    yield from _logins(values)
    yield from _way_to_the_database(values)
    gateway, door = ({"kind": kind, "name": "previews"} for kind in ("Gateway", "Ingress"))
    if storage_class := values.get("storage-class"):
        path = "/spec/volumeClaimTemplates/0/spec/storageClassName"
        yield _patch({"kind": "StatefulSet"}, path, storage_class)
    if port := values.get("gateway-port"):
        yield _patch(gateway, "/spec/listeners/0/port", int(port))
    issuer = values.get("certificate-issuer")
    issued = {"cert-manager.io/cluster-issuer": issuer} if issuer else {}
    if issued:
        yield _patch(gateway, "/metadata/annotations", issued)
    told = json.loads(values.get("ingress-annotations", "{}"))
    if told or issued:
        yield _patch(door, "/metadata/annotations", {**told, **issued})
    if networks := values.get("open-networks"):
        yield from open_networks.patches(networks)
    yield from _let_in(values)


def _let_in(values: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Who else reaches relay and Prefect: nodes for their pull logins, people through an ingress controller."""
    place = "/spec/ingress/0/from/-"
    for network in values.get("node-networks", "").split():
        target = {"kind": "NetworkPolicy", "name": "relay-from-builds"}
        yield _patch(target, place, {"ipBlock": {"cidr": network}})
    if namespace := values.get("pages-from"):
        labels = {"kubernetes.io/metadata.name": namespace}
        for name in ("relay", "prefect"):
            target = {"kind": "NetworkPolicy", "name": name, "namespace": SYSTEM}
            yield _patch(target, place, {"namespaceSelector": {"matchLabels": labels}})


def _room(values: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    quota = {"kind": "ResourceQuota", "name": "sessions"}
    for resource, amount in json.loads(values.get("session-quota", "{}")).items():
        yield _patch(quota, f"/spec/hard/{resource.replace('/', '~1')}", amount)


def _way_to_the_database(values: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """A policy holds no name: it says the port, and the networks where these are known."""
    policy = {"kind": "NetworkPolicy", "name": "to-database"}
    if address := values.get("postgres-address"):
        port = int(address.rpartition(":")[2])
        yield _patch(policy, "/spec/egress/0/ports/0/port", port)
    if networks := values.get("postgres-networks", "").split():
        blocks = [{"ipBlock": {"cidr": each}} for each in networks]
        yield _patch(policy, "/spec/egress/0/to", blocks)


def _logins(values: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """For the images' registry; the pools' Jobs get it from their templates."""
    if name := values.get("pull-secret"):
        login = [{"name": name}]
        ours = {"kind": "Deployment|StatefulSet|Job"}
        yield _patch(ours, "/spec/template/spec/imagePullSecrets", login)
        yield _patch({"kind": "ServiceAccount", "name": "build"}, "/imagePullSecrets", login)


def _patch(target: Mapping[str, str], path: str, value: object) -> dict[str, Any]:
    operation = {"op": "add", "path": path, "value": value}
    return {"target": dict(target), "patch": yaml.safe_dump([operation])}


def _relative(target: Path, place: Path) -> str:
    """As kustomize takes no others."""
    return os.path.relpath(target, place)
