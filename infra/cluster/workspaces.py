"""The namespaces of workspaces' previews: one rendered set of objects, and its like for each further workspace.

Objects elsewhere know these namespaces by their label alone, so nothing else has to be copied. A workspace that is
no longer asked for loses its namespace, but never one that holds previews: hostile pods would go on without the
policies around them, and the ledger would have them deployed again.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from infra.cluster.kubectl import Kubectl
from infra.local.errors import WrongUsage
from sidecar.domain.workspace import DEFAULT, previews_namespace

WORKSPACE: Final = "x1flows.io/workspace"
PREVIEWS: Final = "x1flows.io/previews=true"
OURS: Final = ("app.kubernetes.io/part-of", "x1flows")
OF_PREVIEWS: Final = "app.kubernetes.io/component=preview"
MANY: Final = 10
"""Previews are named up to here, then counted."""


def twinned(
    objects: Iterable[dict[str, Any]], workspaces: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """`objects`, and a twin of each that belongs to the default workspace's namespace for each other workspace."""
    found = list(objects)
    yield from found
    mine = [each for each in found if _space(each) == previews_namespace(DEFAULT)]
    for workspace in workspaces:
        if workspace != DEFAULT:
            yield from (_twin(each, workspace) for each in mine)


def require_none_left(kubectl: Kubectl, workspaces: Sequence[str]) -> None:
    """Raises WrongUsage when a workspace that is not asked for any more holds previews."""
    for workspace in _departed(kubectl, workspaces):
        if held := list(_held(kubectl, workspace)):
            more = f" and {len(held) - MANY} more" if len(held) > MANY else ""
            raise WrongUsage(
                expected=f"the workspace {workspace}, which the settings leave out, without previews",
                came=f"{', '.join(held[:MANY])}{more} in {previews_namespace(workspace)}",
                then="x1 previews release ID for each of them, and again; or name it in `workspaces` still",
            )


def remove_departed(kubectl: Kubectl, workspaces: Sequence[str]) -> Iterator[str]:
    """Whole namespaces, so that no pod outlives its policies. Says so. Raises as `require_none_left`."""
    require_none_left(kubectl, workspaces)
    for workspace in _departed(kubectl, workspaces):
        name = previews_namespace(workspace)
        kubectl.must("delete", "namespace", name, "--ignore-not-found")
        yield f"Namespace/{name}, of a workspace that the settings do not name, is gone"


def _space(each: Mapping[str, Any]) -> str:
    """The namespace that an object is, or is in."""
    metadata = each["metadata"]
    return str(metadata["name"] if each["kind"] == "Namespace" else metadata.get("namespace", ""))


def _twin(each: Mapping[str, Any], workspace: str) -> dict[str, Any]:
    made = _renamed(each, previews_namespace(DEFAULT), previews_namespace(workspace))
    labels = made["metadata"].get("labels", {})
    if WORKSPACE in labels:
        labels[WORKSPACE] = workspace
    return made


def _renamed(content: Any, old: str, new: str) -> Any:
    """A copy, through and through, as JSON has it."""
    if isinstance(content, Mapping):
        return {key: _renamed(value, old, new) for key, value in content.items()}
    if isinstance(content, list):
        return [_renamed(value, old, new) for value in content]
    return new if content == old else content


def _departed(kubectl: Kubectl, workspaces: Sequence[str]) -> list[str]:
    """Those that have a namespace of ours and are not asked for. Whoever else uses the label is left alone."""
    found: list[str] = []
    for each in kubectl.listing("namespace", "-l", PREVIEWS):
        name, labels = each["metadata"]["name"], each["metadata"]["labels"]
        workspace = labels.get(WORKSPACE, "")
        is_ours = labels.get(OURS[0]) == OURS[1] and name == previews_namespace(workspace)
        if is_ours and workspace not in workspaces:
            found.append(workspace)
    return found


def _held(kubectl: Kubectl, workspace: str) -> Iterator[str]:
    """A preview has a policy from its first object to its last."""
    namespace = previews_namespace(workspace)
    for each in kubectl.listing("networkpolicy", "-n", namespace, "-l", OF_PREVIEWS):
        notes, labels = each["metadata"].get("annotations", {}), each["metadata"]["labels"]
        of = f"{notes.get('x1flows.io/repo', '?')}@{notes.get('x1flows.io/branch', '?')}"
        yield f"{labels.get('x1flows.io/preview', '?')} ({of})"
