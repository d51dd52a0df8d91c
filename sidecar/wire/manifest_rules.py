"""What a preview's manifests may say: tables of allowed fields, kind by kind. What is not listed is refused.

The same tables name every place that refers to another object, so that who renames objects finds them all.
Kubernetes checks the types of what is allowed itself; here stands what is dangerous or leads out of the preview.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

Path = tuple[str | int, ...]
Judge = Callable[[Any], str | None]
"""Says what is wrong with a value, or None."""


@dataclass(frozen=True, slots=True)
class Each:
    """A list of such."""

    rule: "Rule"


@dataclass(frozen=True, slots=True)
class Reference:
    """The name of another object of these manifests."""

    kind: str


@dataclass(frozen=True, slots=True)
class Amounts:
    """Requests or limits of one container."""


@dataclass(frozen=True, slots=True)
class Image:
    """What a container runs."""


ANY: Final = None
Rule = Mapping[str, Any] | Each | Reference | Amounts | Image | Judge | None

RESERVED: Final = ("prefect.io", "x1flows.io")
"""Labels and annotations of these domains, and below them, are the platform's."""
CONTROLLERS: Final = (*RESERVED, "kubernetes.io", "k8s.io", "traefik.io", "nginx.org")
"""Annotations below these steer controllers of the cluster, and are told to have no effect."""
PASSED: Final = tuple(f"app.kubernetes.io/{each}" for each in ("name", "instance", "version"))
"""Beside plain keys. Whatever else is installed in a cluster may listen to a key of its own domain: an identity of
the cloud, a mesh's sidecar. `component` is ours."""
LABEL: Final = re.compile(r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")
MAX_REPLICAS: Final = 5


def _only(*allowed: str) -> Judge:
    def judge(value: Any) -> str | None:
        expected = " or ".join(allowed)
        return None if value in allowed else f"only {expected} is allowed here"

    return judge


def _true(value: Any) -> str | None:
    return None if value is True else "only true is allowed here"


def _false(value: Any) -> str | None:
    return None if value is False else "only false is allowed here"


def _name(value: Any) -> str | None:
    if isinstance(value, str) and LABEL.match(value):
        return None
    return "expected a name of lower-case letters, digits and dashes, 63 at most"


def _keys_outside(domains: tuple[str, ...]) -> Judge:
    def judge(value: Any) -> str | None:
        if not isinstance(value, Mapping):
            return "expected a mapping"
        reserved = sorted(key for key in map(str, value) if _is_of(key, domains))
        return f"{', '.join(reserved)}: reserved" if reserved else None

    return judge


def _is_of(key: str, domains: tuple[str, ...]) -> bool:
    domain = key.partition("/")[0] if "/" in key else ""
    return any(domain == each or domain.endswith(f".{each}") for each in domains)


def _uid(value: Any) -> str | None:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return None if is_number and value > 0 else "expected the number of a user other than root"


def _replicas(value: Any) -> str | None:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return None if is_number and 0 <= value <= MAX_REPLICAS else f"expected 0 to {MAX_REPLICAS}"


def passes(key: str) -> bool:
    """Whether a label or an annotation of the repository's is applied; the others are left out."""
    return "/" not in key or key in PASSED


def _selector(value: Any) -> str | None:
    if not value:
        return "expected labels"
    if reserved := _labels(value):
        return reserved
    absent = ", ".join(sorted(key for key in map(str, value) if not passes(key)))
    allowed = f"a selector may name labels without a domain, and {', '.join(PASSED)}"
    return f"{absent}: left out of a preview; {allowed}" if absent else None


_labels: Final = _keys_outside(RESERVED)
_annotations: Final = _keys_outside(CONTROLLERS)

METADATA: Final[Rule] = {
    "name": _name,
    "namespace": ANY,  # replaced by the workspace's
    "labels": _labels,
    "annotations": _annotations,
}
_KEY: Final = {"key": ANY, "optional": ANY}
_FILES: Final = {"items": ANY, "defaultMode": ANY, "optional": ANY}
_TIMES: Final = dict.fromkeys(
    (
        "initialDelaySeconds",
        "periodSeconds",
        "timeoutSeconds",
        "successThreshold",
        "failureThreshold",
        "terminationGracePeriodSeconds",
    )
)
_ACT: Final = {
    # Without `host`: the kubelet would ask any address for it.
    "httpGet": {"path": ANY, "port": ANY, "scheme": ANY, "httpHeaders": ANY},
    "tcpSocket": {"port": ANY},
    "grpc": {"port": ANY, "service": ANY},
    "exec": ANY,
    "sleep": ANY,
}
_PROBE: Final = {**_ACT, **_TIMES}
_USER: Final = {
    "runAsUser": _uid,
    "runAsGroup": _uid,
    "runAsNonRoot": _true,
    "seccompProfile": {"type": _only("RuntimeDefault")},
}
_CONTAINER: Final[Rule] = {
    **dict.fromkeys(("name", "command", "args", "workingDir", "imagePullPolicy")),
    "image": Image(),
    **dict.fromkeys(("terminationMessagePath", "terminationMessagePolicy", "restartPolicy")),
    "env": Each(
        {
            "name": ANY,
            "value": ANY,
            "valueFrom": {
                "configMapKeyRef": {"name": Reference("ConfigMap"), **_KEY},
                "secretKeyRef": {"name": Reference("Secret"), **_KEY},
                "fieldRef": ANY,
                "resourceFieldRef": ANY,
            },
        }
    ),
    "envFrom": Each(
        {
            "prefix": ANY,
            "configMapRef": {"name": Reference("ConfigMap"), "optional": ANY},
            "secretRef": {"name": Reference("Secret"), "optional": ANY},
        }
    ),
    "ports": Each({"name": ANY, "containerPort": ANY, "protocol": ANY}),
    "resources": {"requests": Amounts(), "limits": Amounts()},
    "volumeMounts": Each(
        dict.fromkeys(("name", "mountPath", "readOnly", "subPath", "subPathExpr"))
    ),
    "livenessProbe": _PROBE,
    "readinessProbe": _PROBE,
    "startupProbe": _PROBE,
    "lifecycle": {"postStart": _ACT, "preStop": _ACT},
    "securityContext": {
        **_USER,
        "readOnlyRootFilesystem": ANY,
        "allowPrivilegeEscalation": _false,
        "privileged": _false,
        "capabilities": {"drop": ANY},
    },
}
_CONFIG_MAP: Final = {"name": Reference("ConfigMap"), **_FILES}
_VOLUME: Final[Rule] = {
    "name": ANY,
    "emptyDir": ANY,
    "configMap": _CONFIG_MAP,
    "secret": {"secretName": Reference("Secret"), **_FILES},
    "downwardAPI": ANY,
    "projected": {
        "defaultMode": ANY,
        "sources": Each(
            {
                "configMap": _CONFIG_MAP,
                "secret": {"name": Reference("Secret"), **_FILES},
                "downwardAPI": ANY,
            }
        ),
    },
}
POD: Final[Rule] = {
    "containers": Each(_CONTAINER),
    "initContainers": Each(_CONTAINER),
    "volumes": Each(_VOLUME),
    "restartPolicy": _only("Always"),
    "terminationGracePeriodSeconds": ANY,
    "automountServiceAccountToken": _false,
    "enableServiceLinks": _false,
    "securityContext": {
        **_USER,
        "fsGroup": _uid,
        "fsGroupChangePolicy": ANY,
        "supplementalGroups": Each(_uid),
    },
}
_TEMPLATE: Final[Rule] = {
    "metadata": {"labels": _labels, "annotations": _annotations},
    "spec": POD,
}
_SET: Final = {
    "replicas": _replicas,
    "selector": {"matchLabels": _selector},
    "template": _TEMPLATE,
    "minReadySeconds": ANY,
    "revisionHistoryLimit": ANY,
}
SPECS: Final[Mapping[str, tuple[str, Rule]]] = {
    "Deployment": (
        "apps/v1",
        {"spec": {**_SET, "strategy": ANY, "progressDeadlineSeconds": ANY}},
    ),
    "StatefulSet": (
        "apps/v1",
        {
            "spec": {
                **_SET,
                "serviceName": Reference("Service"),
                "podManagementPolicy": ANY,
                "updateStrategy": ANY,
            }
        },
    ),
    "Service": (
        "v1",
        {
            "spec": {
                "type": _only("ClusterIP"),
                "clusterIP": _only("None"),
                "selector": _selector,
                "ports": Each(dict.fromkeys(("name", "port", "targetPort", "protocol"))),
            }
        },
    ),
    "ConfigMap": ("v1", {"data": ANY, "binaryData": ANY, "immutable": ANY}),
    "Secret": (
        "v1",
        {"type": _only("Opaque"), "data": ANY, "stringData": ANY, "immutable": ANY},
    ),
}
"""Of each kind its apiVersion, and what may stand beside apiVersion, kind and metadata."""


def rule_of(kind: str) -> Rule:
    """Of the whole object."""
    version, content = SPECS[kind]
    assert isinstance(content, Mapping)
    return {"apiVersion": _only(version), "kind": ANY, "metadata": METADATA, **content}


def leaves(value: Any, rule: Rule, path: Path = ()) -> Iterator[tuple[Path, Any, Rule]]:
    """Each place that a rule speaks about: (path, value, rule). Unlisted fields have the rule `refused`."""
    if rule is ANY:
        return
    if isinstance(rule, Mapping):
        yield from _fields(value, rule, path)
    elif isinstance(rule, Each):
        if not isinstance(value, list):
            yield path, value, _no_list
            return
        for index, item in enumerate(value):
            yield from leaves(item, rule.rule, (*path, index))
    else:
        yield path, value, rule


def _fields(value: Any, rule: Mapping[str, Any], path: Path) -> Iterator[tuple[Path, Any, Rule]]:
    if not isinstance(value, Mapping):
        yield path, value, _no_mapping
        return
    for key, inner in value.items():
        if key in rule:
            yield from leaves(inner, rule[key], (*path, str(key)))
        else:
            yield (*path, str(key)), inner, refused


def refused(_: Any) -> str:
    return "is not allowed in a preview"


def _no_list(_: Any) -> str:
    return "expected a list"


def _no_mapping(_: Any) -> str:
    return "expected a mapping"
