"""A revision's own manifests as they are applied: renamed, labelled, and every pod hardened. Pure.

Every name gets preview and revision in front, so each revision has a whole set of its own, and no manifest can
name what is not its own. Where a Service is found by then, containers read from `X1_HOST_<NAME>`; Kubernetes
puts it into other variables and arguments where they say `$(X1_HOST_<NAME>)`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sidecar.wire.manifest_rules import Each, Reference, Rule, passes, rule_of
from sidecar.wire.preview_manifests import WORKLOADS, Manifests
from sidecar.wire.preview_spec import PreviewSpec
from sidecar.wire.previews import OperationBundle
from tasks.previews.kubernetes.environment import literals, merged, variables
from tasks.previews.kubernetes.login import login_of
from tasks.previews.kubernetes.names import Names, annotations, revision_labels, selecting
from tasks.previews.kubernetes.pods import hardened

Object = dict[str, Any]


def objects(bundle: OperationBundle, spec: PreviewSpec, manifests: Manifests) -> list[Object]:
    names = Names.of(bundle)
    added = literals(_hosts(names, manifests)) + variables(bundle, spec)
    return [_object(bundle, names, each, added) for each in manifests.objects]


def _hosts(names: Names, manifests: Manifests) -> dict[str, str]:
    services = [each["metadata"]["name"] for each in manifests.objects if each["kind"] == "Service"]
    return {
        f"X1_HOST_{name.upper().replace('-', '_')}": names.part("Service", name)
        for name in services
    }


def _object(
    bundle: OperationBundle, names: Names, written: Mapping[str, Any], added: Sequence[Object]
) -> Object:
    kind = str(written["kind"])
    made: Object = _renamed(written, rule_of(kind), names)
    meta = written["metadata"]
    made["metadata"] = {
        "name": names.part(kind, meta["name"]),
        **_tags(bundle, meta),
    }
    if kind == "Service":
        made["spec"] = {
            **made["spec"],
            "selector": {**made["spec"]["selector"], **selecting(bundle)},
        }
    if kind in WORKLOADS:
        made["spec"] = _workload(bundle, made["spec"], added)
    return made


def _workload(bundle: OperationBundle, spec: Object, added: Sequence[Object]) -> Object:
    template = spec["template"]
    meta = template.get("metadata") or {}
    selector = {**spec["selector"]["matchLabels"], **selecting(bundle)}
    return {
        **spec,
        "selector": {"matchLabels": selector},
        "template": {
            "metadata": _tags(bundle, meta),
            "spec": hardened(_with_variables(template["spec"], added), login=login_of(bundle)),
        },
    }


def _tags(bundle: OperationBundle, written: Mapping[str, Any]) -> Object:
    return {
        "labels": {**_passed(written.get("labels")), **revision_labels(bundle, "app")},
        "annotations": {**_passed(written.get("annotations")), **annotations(bundle)},
    }


def _passed(written: Mapping[str, str] | None) -> dict[str, str]:
    return {key: value for key, value in (written or {}).items() if passes(key)}


def _with_variables(pod: Object, added: Sequence[Object]) -> Object:
    """Ours come first, so that the manifest's own may refer to them; of one name the manifest's counts."""
    filled = {
        key: [{**each, "env": merged(added, each.get("env") or [])} for each in pod[key]]
        for key in ("initContainers", "containers")
        if pod.get(key)
    }
    return {**pod, **filled}


def _renamed(value: Any, rule: Rule, names: Names) -> Any:
    """The value with every reference to another of its objects led to that one's new name."""
    if isinstance(rule, Reference):
        return names.part(rule.kind, value)
    if isinstance(rule, Each):
        return [_renamed(item, rule.rule, names) for item in value]
    if isinstance(rule, Mapping):
        return {key: _renamed(inner, rule[key], names) for key, inner in value.items()}
    return value
