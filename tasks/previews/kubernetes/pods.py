"""The pod of hostile code: not root, no token of the API, no capability, no service names in its environment."""

from collections.abc import Mapping
from typing import Any, Final

Object = dict[str, Any]

PRIORITY: Final = "x1-preview"
"""Below sessions: a preview makes way for them, and for the control plane."""
APP_UID: Final = 10101
"""Images often name a user, or none; Kubernetes can tell that neither is root only by a number."""
RESTRICTED: Final[Mapping[str, Any]] = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
}


def pod(container: Object, volumes: list[Object], *, uid: int, login: str = "") -> Object:
    """A restricted pod that gets nothing from the cluster but names."""
    return hardened({"containers": [container], "volumes": volumes}, uid=uid, login=login)


def hardened(written: Mapping[str, Any], *, uid: int = APP_UID, login: str = "") -> Object:
    """What somebody wrote, with what every preview's pod has. Users other than root are left as they are.

    `login` is the Secret that images are pulled with, where there is one.
    """
    user = {
        "runAsUser": uid,
        "runAsGroup": uid,
        "fsGroup": uid,
        **dict(written.get("securityContext") or {}),
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    containers = {
        key: [_restricted(each) for each in written[key]]
        for key in ("initContainers", "containers")
        if written.get(key)
    }
    return {
        "terminationGracePeriodSeconds": 5,
        **written,
        **containers,
        "automountServiceAccountToken": False,
        "priorityClassName": PRIORITY,
        "enableServiceLinks": False,
        "imagePullSecrets": [{"name": login}] if login else [],
        "securityContext": user,
    }


def _restricted(container: Mapping[str, Any]) -> Object:
    asked = dict(container.get("securityContext") or {})
    return {**container, "securityContext": asked | RESTRICTED}
