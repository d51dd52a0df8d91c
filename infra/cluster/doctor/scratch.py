"""What the doctor makes to look at a cluster: pods in a namespace of its own, removed whatever happens."""

import contextlib
import json
import secrets
import signal
import time
from collections.abc import Generator, Sequence
from typing import Any, Final

from infra.cluster.kubectl import Kubectl
from infra.cluster.readiness import pod_reasons
from infra.local.errors import AskedFailed

POD_SECONDS: Final = 120.0
ACCOUNT_SECONDS: Final = 60.0
POLL_SECONDS: Final = 0.5
REMOVAL_SECONDS: Final = 120.0
USER: Final = 10000
LABELS: Final = {"app.kubernetes.io/part-of": "x1flows", "app.kubernetes.io/component": "doctor"}
"""Ours, so that an uninstallation removes what a doctor that was killed has left."""


def name() -> str:
    return f"x1-doctor-{secrets.token_hex(3)}"


@contextlib.contextmanager
def scratch_namespace(kubectl: Kubectl) -> Generator[str]:
    """Removed at the end, on Ctrl-C and SIGTERM too; a second Ctrl-C does not stop the removing."""
    namespace = name()
    labels = {**LABELS, "pod-security.kubernetes.io/enforce": "restricted"}
    manifest = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": namespace, "labels": labels},
    }
    with _ended_by_signals():
        try:
            kubectl.apply(json.dumps(manifest))
            _await_account(kubectl, namespace)
            yield namespace
        finally:
            _remove(kubectl, "namespace", namespace)


@contextlib.contextmanager
def scratch_pod(kubectl: Kubectl, manifest: dict[str, Any]) -> Generator[str]:
    """In a namespace that is somebody else's."""
    metadata = manifest["metadata"]
    with _ended_by_signals():
        try:
            kubectl.apply(json.dumps(manifest))
            yield metadata["name"]
        finally:
            _remove(
                kubectl, "pod", metadata["name"], "-n", metadata["namespace"], "--grace-period=1"
            )


def pod(
    name: str, namespace: str, image: str, command: Sequence[str], **spec: Any
) -> dict[str, Any]:
    """As restricted as ours are. Its command handles SIGTERM, as PID 1 must."""
    container = {
        "name": "doctor",
        "image": image,
        "command": list(command),
        "resources": {
            "requests": {"cpu": "10m", "memory": "32Mi", "ephemeral-storage": "8Mi"},
            "limits": {"cpu": "500m", "memory": "128Mi", "ephemeral-storage": "32Mi"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {**LABELS, "doctor": name}},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 1,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": USER,
                "runAsGroup": USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [container],
            **spec,
        },
    }


def await_running(kubectl: Kubectl, name: str, namespace: str) -> str:
    """The pod's address. Raises AskedFailed with the reasons why it does not run."""
    deadline = time.monotonic() + POD_SECONDS
    reasons: list[str] = []
    while time.monotonic() < deadline:
        found = kubectl.get("pod", name, namespace) or {}
        if found.get("status", {}).get("phase") == "Running":
            return str(found["status"]["podIP"])
        reasons = sorted(set(pod_reasons(found)))
        if any("ErrImage" in each or "ImagePull" in each for each in reasons):
            break
        time.sleep(POLL_SECONDS)
    raise AskedFailed(
        expected=f"the pod {name} to run",
        came=", ".join(reasons) or f"it did not run within {POD_SECONDS:g} s",
        then="x1 cluster images --push, and --prefix and --tag as there",
    )


def _await_account(kubectl: Kubectl, namespace: str) -> None:
    """A new namespace takes no pods before a controller has made its service account."""
    deadline = time.monotonic() + ACCOUNT_SECONDS
    while kubectl.get("serviceaccount", "default", namespace) is None:
        if time.monotonic() > deadline:
            raise AskedFailed(
                expected=f"a service account in the new namespace {namespace}",
                came=f"none within {ACCOUNT_SECONDS:g} s",
                then="kubectl get pods -n kube-system: does kube-controller-manager run?",
            )
        time.sleep(POLL_SECONDS)


def _remove(kubectl: Kubectl, *what: str) -> None:
    before = {each: signal.signal(each, signal.SIG_IGN) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        kubectl.must("delete", *what, "--ignore-not-found", "--wait=true", timeout=REMOVAL_SECONDS)
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@contextlib.contextmanager
def _ended_by_signals() -> Generator[None]:
    """SIGTERM ends a program without a word, and with all it has made; this makes it leave in order."""

    def leave(*_: object) -> None:
        raise SystemExit(128 + signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
