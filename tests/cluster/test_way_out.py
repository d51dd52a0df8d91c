"""What a session pod can learn and reach: the sessions' own DNS and the egress proxy, as the overlay has them.

Both run in namespaces of their own, behind the overlay's policies, so no installation is needed. The relay is a pod that
tells one key; passes are signed with it here. X1_TEST_OUTSIDE is a host outside that answers HTTPS; where this cluster
reaches it at an internal address, `open_networks` of the settings that X1_TEST_SETTINGS names opens that.
"""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dns_questions
import jwt
import pytest
from clusters import image, kubectl, open_networks
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm
from policy_ground import addresses, apply, namespaces, pod, rendered

pytestmark = pytest.mark.timeout(600)

PREFIX = os.environ.get("X1_TEST_NAMESPACE_PREFIX", "x1-table-") + "out-"
SYSTEM, SESSIONS = f"{PREFIX}system", f"{PREFIX}sessions"
HOST = os.environ.get("X1_TEST_OUTSIDE", "pypi.org")

RELAY = """
import http.server, sys
class Keys(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/.well-known/jwks.json" else 404)
        self.end_headers()
        self.wfile.write(sys.argv[1].encode())
http.server.ThreadingHTTPServer(("0.0.0.0", 8700), Keys).serve_forever()
"""
QUESTIONS = (
    Path(dns_questions.__file__).read_text()
    + """
import json, sys
server, asked = json.loads(sys.argv[1])
print(json.dumps([ask(server, name, kind, by_tcp=tcp) for name, kind in asked for tcp in (False, True)]))
"""
)
CONNECT = """
import socket, ssl, sys
proxy, target, token = sys.argv[1:]
host = target.rpartition(":")[0]
with socket.create_connection((proxy, 3128), timeout=10) as way:
    proof = f"Proxy-Authorization: Bearer {token}\\r\\n" if token else ""
    way.sendall(f"CONNECT {target} HTTP/1.1\\r\\nHost: {target}\\r\\n{proof}\\r\\n".encode())
    said = b""
    while b"\\r\\n\\r\\n" not in said:
        said += way.recv(4096)
    if b" 200 " in said.splitlines()[0]:
        with ssl.create_default_context().wrap_socket(way, server_hostname=host) as inner:
            inner.sendall(f"HEAD / HTTP/1.1\\r\\nHost: {host}\\r\\nConnection: close\\r\\n\\r\\n".encode())
            said += inner.recv(4096)
    else:
        while more := way.recv(4096):
            said += more
print(said.decode())
"""
WAIT = ["python", "-c", "import time; time.sleep(3600)"]


@dataclass(frozen=True, kw_only=True)
class Ground:
    key: Ed25519PrivateKey
    dns: str

    def token(
        self, *hosts: str, expires_in: int = 300, key: Ed25519PrivateKey | None = None
    ) -> str:
        claims = {"aud": "x1-egress", "sub": "s-1", "hosts": hosts}
        claims["exp"] = int(time.time()) + expires_in
        return jwt.encode(claims, key or self.key, "EdDSA")

    def asked(self, *questions: tuple[str, str]) -> list[tuple[str, list[str]]]:
        """Each by UDP and by TCP."""
        return [
            tuple(each)
            for each in json.loads(self._python(QUESTIONS, json.dumps([self.dns, questions])))
        ]

    def resolved(self, name: str) -> str:
        """As any program of the pod resolves it."""
        code = "import socket, sys; print(socket.gethostbyname(sys.argv[1]))"
        return self._python(code, name).strip()

    def connected(self, target: str, token: str) -> str:
        return self._python(CONNECT, f"egress.{SYSTEM}.svc", target, token)

    def _python(self, code: str, *words: str) -> str:
        return kubectl("exec", "-n", SESSIONS, "session", "--", "python", "-c", code, *words)


def _wanted() -> list[dict[str, Any]]:
    """The two of the overlay, one replica each, with the policies and the Services they know."""
    kinds = {"NetworkPolicy", "Service"}
    found = []
    for each in rendered(PREFIX):
        name, kind = each["metadata"]["name"], each["kind"]
        if each["metadata"].get("namespace") not in {SYSTEM, SESSIONS}:
            continue
        if kind in kinds or (
            name in {"session-dns", "egress"} and kind in {"ConfigMap", "Deployment"}
        ):
            found.append(_small(each) if kind == "Deployment" else each)
    return found


def _small(deployment: dict[str, Any]) -> dict[str, Any]:
    """Without the installation's priority class, which may not be there."""
    deployment["spec"]["replicas"] = 1
    spec = deployment["spec"]["template"]["spec"]
    del spec["priorityClassName"]
    container = spec["containers"][0]
    if container["image"].startswith("x1/sidecar"):
        container["image"] = image("sidecar")
        for each in container["env"]:
            if each["name"] == "X1_EGRESS_OPEN_NETWORKS":
                each["value"] = open_networks()
    return deployment


def _service(name: str, namespace: str) -> str:
    words = ("get", "service", name, "-n", namespace, "-o", "jsonpath={.spec.clusterIP}")
    return kubectl(*words).strip()


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    key = Ed25519PrivateKey.generate()
    keys = json.dumps({"keys": [json.loads(OKPAlgorithm.to_jwk(key.public_key()))]})
    labels = {"app.kubernetes.io/name": "relay"}
    with namespaces([SYSTEM, SESSIONS]):
        apply(_wanted())
        dns = _service("session-dns", SYSTEM)
        names = {"nameservers": [dns], "options": [{"name": "ndots", "value": "1"}]}
        session = {"app.kubernetes.io/component": "session"}
        apply(
            [
                pod("relay", SYSTEM, labels, ["python", "-c", RELAY, keys], ports={"http": 8700}),
                pod("session", SESSIONS, session, WAIT, dnsPolicy="None", dnsConfig=names),
            ]
        )
        addresses([(SYSTEM, "relay"), (SESSIONS, "session")])
        for each in ("session-dns", "egress"):
            kubectl(
                "rollout",
                "status",
                f"deployment/{each}",
                "-n",
                SYSTEM,
                "--timeout=120s",
                seconds=150,
            )
        yield Ground(key=key, dns=dns)


@pytest.mark.parametrize("service", ["relay", "nats", "prefect", "egress", "forge"])
def test_a_session_resolves_the_services_it_uses(ground, service):
    address = _service(service, SYSTEM)
    assert ground.resolved(f"{service}.{SYSTEM}.svc") == address
    assert ground.resolved(f"{service}.{SYSTEM}.svc.cluster.local") == address


def test_every_name_below_the_previews_domain_leads_to_the_gateway(ground):
    gateway = _service("traefik", "ingress")
    assert ground.resolved("app-main.previews.x1flows.test") == gateway
    assert ground.resolved("whatever.is-asked.previews.x1flows.test") == gateway


@pytest.mark.parametrize(
    "name",
    [
        "example.com",
        "pypi.org",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
        f"postgres.{SYSTEM}.svc",
        f"postgres.{SYSTEM}.svc.cluster.local",
        f"stolen-bytes.relay.{SYSTEM}.svc",
        f"stolen-bytes.relay.{SYSTEM}.svc.cluster.local",
        "traefik.ingress.svc.cluster.local",
        "previews.x1flows.test.example.com",
    ],
)
def test_no_other_name_exists_by_any_way_of_asking(ground, name):
    answers = ground.asked((name, "A"), (name, "AAAA"), (name, "TXT"), (name, "ANY"))
    assert answers == [("NXDOMAIN", [])] * len(answers)


def test_an_allowed_host_is_reached_over_tls_through_the_proxy(ground):
    said = ground.connected(f"{HOST}:443", ground.token(HOST))
    assert said.startswith("HTTP/1.1 200 Connection established")
    assert said.count("HTTP/1.1 ") == 2, said


def test_a_host_that_is_not_allowed_is_refused_in_words(ground):
    said = ground.connected(f"{HOST}:443", ground.token("example.com"))
    assert said.startswith("HTTP/1.1 403 ")
    assert f"egress: {HOST} is not in this agent's allow_hosts (example.com)" in said


@pytest.mark.parametrize(
    "host",
    [
        "kubernetes.default.svc.cluster.local",
        f"relay.{SYSTEM}.svc.cluster.local",
        "169.254.169.254",
        "127.0.0.1",
        "10.96.0.1",
        "localhost",
    ],
)
def test_what_leads_inside_is_refused_even_when_it_is_allowed(ground, host):
    said = ground.connected(f"{host}:443", ground.token(host))
    assert said.startswith(f"HTTP/1.1 403 egress: {host} does not lead outside"), said


def test_without_a_pass_of_the_relays_nothing_passes(ground):
    stranger = Ed25519PrivateKey.generate()
    for token in ("", ground.token(HOST, expires_in=-1), ground.token(HOST, key=stranger)):
        assert ground.connected(f"{HOST}:443", token).startswith("HTTP/1.1 407 ")
