"""What an installation is about to make, read from the very objects: where it is, and what it takes."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

CLAIMS: Final = "volumeClaimTemplates"

Object = Mapping[str, Any]


def announced(objects: Sequence[Object]) -> Iterator[str]:
    """A line for each: namespaces, what belongs to no namespace, volumes."""
    namespaces = [_name(each) for each in objects if each["kind"] == "Namespace"]
    inside = [each for each in objects if "namespace" in each["metadata"]]
    yield f"namespaces {', '.join(namespaces)}, and {len(inside)} objects in them"
    outside = [
        f"{each['kind']} {_name(each)}"
        for each in objects
        if each["kind"] != "Namespace" and "namespace" not in each["metadata"]
    ]
    yield f"for the whole cluster: {', '.join(outside)}"
    yield f"volumes: {', '.join(_volumes(objects))}"


def _volumes(objects: Sequence[Object]) -> Iterator[str]:
    for each in objects:
        for claim in each.get("spec", {}).get(CLAIMS, ()):
            size = claim["spec"]["resources"]["requests"]["storage"]
            copies = each["spec"].get("replicas", 1)
            yield f"{_name(each)} {f'{copies} × ' if copies > 1 else ''}{size}"


def _name(each: Object) -> str:
    return str(each["metadata"]["name"])
