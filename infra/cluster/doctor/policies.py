"""Whether NetworkPolicy holds: one pod asks another, with a positive control, then with each kind of denial.

A cluster takes policies whether or not its network enforces them, so only asking tells.
"""

import json
import time
from collections.abc import Callable
from typing import Any, Final

from infra.cluster.doctor.finding import Finding, failed, ok, unknown
from infra.cluster.doctor.scratch import await_running, pod, scratch_namespace
from infra.cluster.kubectl import Kubectl
from infra.local.errors import AskedFailed

PORT: Final = 8080
EFFECT_SECONDS: Final = 30.0
"""How late a policy may take effect; on a good network it is under a second."""
SERVE: Final = f"""
import http.server, signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
http.server.HTTPServer(("", {PORT}), http.server.BaseHTTPRequestHandler).serve_forever()
"""
WAIT: Final = (
    "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); signal.pause()"
)
ASK: Final = (
    "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 2).close()"
)


def enforcement(kubectl: Kubectl, image: str) -> Finding:
    name, expected = "network-policy", "a connection that a NetworkPolicy denies is refused"
    with scratch_namespace(kubectl) as namespace:
        try:
            answers = _started(kubectl, "answers", namespace, image, SERVE)
            _started(kubectl, "asks", namespace, image, WAIT)
        except AskedFailed as error:
            return unknown(name, expected, f"the probe does not run: {error.came}", error.then)

        def is_open() -> bool:
            words = ("-n", namespace, "asks", "--", "python", "-c", ASK, answers, str(PORT))
            return kubectl.run("exec", *words).returncode == 0

        if not _soon(is_open):
            came = "the probe's pods do not reach each other even without a policy"
            return unknown(name, expected, came, "look at the cluster's network first")
        for direction, target in (("Ingress", "answers"), ("Egress", "asks")):
            policy = _denial(namespace, direction, target)
            kubectl.apply(json.dumps(policy))
            if not _soon(lambda: not is_open()):
                came = (
                    f"a denied connection ({direction}) was still open after {EFFECT_SECONDS:g} s"
                )
                remedy = "use a network that enforces them, such as Calico or Cilium: agents reach everything"
                return failed(name, expected, came, remedy)
            kubectl.must("delete", "networkpolicy", policy["metadata"]["name"], "-n", namespace)
            if not _soon(is_open):
                came = "the probe's pods do not reach each other again without the policy"
                return unknown(name, expected, came, "look at the cluster's network")
    return ok(name, expected, "open without a policy, refused with one, inward and outward")


def _started(kubectl: Kubectl, name: str, namespace: str, image: str, program: str) -> str:
    kubectl.apply(json.dumps(pod(name, namespace, image, ["python", "-c", program])))
    return await_running(kubectl, name, namespace)


def _denial(namespace: str, direction: str, target: str) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": f"deny-{direction.lower()}", "namespace": namespace},
        "spec": {"podSelector": {"matchLabels": {"doctor": target}}, "policyTypes": [direction]},
    }


def _soon(is_so: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + EFFECT_SECONDS
    while time.monotonic() < deadline:
        if is_so():
            return True
        time.sleep(0.2)
    return False
