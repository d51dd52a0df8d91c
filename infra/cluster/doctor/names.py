"""Whether the DNS of session pods answers what they may know, and nothing else; asked from where they run."""

from collections.abc import Mapping
from typing import Final

from infra.cluster.doctor.finding import Finding, failed, ok, unknown
from infra.cluster.doctor.scratch import await_running, name, pod, scratch_pod
from infra.cluster.kubectl import Kubectl
from infra.cluster.secrets import SESSIONS, SYSTEM
from infra.local.errors import AskedFailed

NAME: Final = "session-dns"
EXPECTED: Final = (
    "a session pod resolves the relay's and previews' names, and no name of the outside"
)
SERVICE: Final = "session-dns"
RELAY: Final = "relay.x1-system.svc"
PREVIEW: Final = "doctor"
"""Below the previews' domain: any name is led to the controller."""
FOREIGN: Final = "example.com"
WAIT: Final = (
    "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); signal.pause()"
)
ASK: Final = """
import socket, sys
try:
    print(socket.getaddrinfo(sys.argv[1], 80, socket.AF_INET)[0][4][0])
except socket.gaierror as error:
    sys.exit(str(error))
"""


def session_dns(kubectl: Kubectl, image: str, values: Mapping[str, str]) -> Finding:
    """`values` are what the installation's manifests were filled with."""
    service = kubectl.get("service", SERVICE, SYSTEM)
    if service is None:
        return unknown(NAME, EXPECTED, "nothing is installed yet", "x1 cluster install, then again")
    server = {"nameservers": [service["spec"]["clusterIP"]]}
    spec = {
        "dnsPolicy": "None",
        "dnsConfig": {**server, "options": [{"name": "timeout", "value": "2"}]},
    }
    manifest = pod(name(), SESSIONS, image, ["python", "-c", WAIT], **spec)
    with scratch_pod(kubectl, manifest) as asking:
        try:
            await_running(kubectl, asking, SESSIONS)
        except AskedFailed as error:
            return unknown(NAME, EXPECTED, f"the probe does not run: {error.came}", error.then)
        return _judged(kubectl, asking, values)


def _judged(kubectl: Kubectl, asking: str, values: Mapping[str, str]) -> Finding:
    relay = f"{RELAY}.{values['cluster-domain']}"
    preview = f"{PREVIEW}.{values['previews-domain']}"
    known, led, foreign = (_asked(kubectl, asking, each) for each in (relay, preview, FOREIGN))
    if known is None:
        remedy = (
            f"kubectl -n {SYSTEM} get pods -l app.kubernetes.io/name={SERVICE}; its log says why"
        )
        return failed(NAME, EXPECTED, f"{relay} is not resolved", remedy)
    if led is None:
        came = f"{preview} is not resolved: it is led to {values['gateway-service']}"
        remedy = "`previews: {gateway_service: …}` in --settings names the controller's Service"
        return failed(NAME, EXPECTED, came, remedy)
    if foreign is not None:
        remedy = "session pods must use our DNS alone: see the policies of x1-sessions"
        return failed(NAME, EXPECTED, f"{FOREIGN} is resolved, to {foreign}", remedy)
    came = f"{relay} is {known}, previews are at {led}; {FOREIGN} is unknown"
    return ok(NAME, EXPECTED, came)


def _asked(kubectl: Kubectl, asking: str, host: str) -> str | None:
    words = ("-n", SESSIONS, asking, "--", "python", "-c", ASK, host)
    done = kubectl.run("exec", *words)
    return done.stdout.strip() if done.returncode == 0 else None
