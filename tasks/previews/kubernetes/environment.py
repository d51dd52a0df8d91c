"""The variables of a preview's containers: literals as they are, everything secret by reference."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from sidecar.wire.preview_spec import PreviewSpec
from sidecar.wire.previews import OperationBundle
from tasks.previews.kubernetes.names import Names, annotations, revision_labels

Object = dict[str, Any]


def variables(bundle: OperationBundle, spec: PreviewSpec) -> list[Object]:
    """No password and no secret stands in a pod's spec."""
    names = Names.of(bundle)
    plain = dict(spec.env) | dict.fromkeys(spec.self_url_names, bundle.url)
    told = [(each, one, "url") for one in spec.dependencies for each in one.provides]
    told += [(name, spec.dependencies[index], part) for name, index, part in spec.dependency_env]
    return [
        *literals(plain),
        *(_reference(name, names.dependency(whose), part) for name, whose, part in told),
        *(_reference(name, names.app, secret) for name, secret in spec.secret_env),
    ]


def literals(values: Mapping[str, str]) -> list[Object]:
    return [{"name": name, "value": value} for name, value in values.items()]


def merged(*layers: Sequence[Mapping[str, Any]]) -> list[Object]:
    """A name once, in the place where it was first, with what the last layer says."""
    by_name: dict[str, Object] = {}
    for layer in layers:
        for each in layer:
            by_name[str(each.get("name"))] = dict(each)
    return list(by_name.values())


def secrets(bundle: OperationBundle, spec: PreviewSpec) -> list[Object]:
    """The named secrets that the revision may hold, as one Secret of its own; none when it names none."""
    wanted = {name: bundle.secrets[name] for _, name in spec.secret_env if name in bundle.secrets}
    if not wanted:
        return []
    content = {name: value.get_secret_value() for name, value in wanted.items()}
    tags = revision_labels(bundle, "app")
    return [secret(Names.of(bundle).app, tags, content, annotations(bundle))]


def secret(
    name: str,
    tags: Mapping[str, str],
    content: Mapping[str, str],
    notes: Mapping[str, str] | None = None,
    kind: str = "Opaque",
) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "labels": dict(tags), "annotations": dict(notes or {})},
        "type": kind,
        "data": {key: base64.b64encode(text.encode()).decode() for key, text in content.items()},
    }


def _reference(name: str, secret_name: str, key: str) -> Object:
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret_name, "key": key}}}
