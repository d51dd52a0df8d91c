"""What a team has outside of its cluster: PostgreSQL behind TLS, a forge, a registry, and names for them.

All run in one namespace on the cluster itself, reached at their pods' addresses by names of the domain `team.test`,
which the cluster's own DNS is told. One authority, the team's own, vouches for all of them.
"""

import json
import os
import secrets
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import yaml
from clusters import SYSTEM, Cluster, image, kubectl, until
from embedded_forge import ADMIN, app_key
from strikes import BED_HOME

from infra.cluster import certificates
from infra.local.files import read_json, write_whole
from infra.local.state import StateDir

HERE = Path(__file__).resolve().parents[1] / "production"
NAMESPACE = "outside"
DOMAIN = "team.test"
PARTS = ("postgres", "forge", "registry")
REGISTRY = f"registry.{DOMAIN}"
NAMES = "coredns-custom"


@dataclass(frozen=True, kw_only=True)
class Team:
    """`addresses` are the parts' pods', by name."""

    password: str = field(repr=False)
    addresses: dict[str, str]
    authority: certificates.Pair = field(repr=False)

    @property
    def forge(self) -> str:
        """As this machine reaches it; the cluster does by name, over TLS."""
        return f"http://{self.addresses['forge']}:8600"

    def database(self, user: str = "x1", password: str = "", sslmode: str = "require") -> str:
        place = f"{self.addresses['postgres']}:5432/postgres?sslmode={sslmode}&connect_timeout=10&client_encoding=utf8"
        return f"postgresql://{user}:{password or self.password}@{place}"

    def start_registry(self) -> None:
        """With what only an installation has: as the settings' example says it, and nodes are told where it is."""
        certificate = kubectl(
            *("get", "secret", "x1-registry", "-n", SYSTEM),
            *("-o", r"go-template={{index .data `registry-cert.pem` | base64decode}}"),
        )
        words = ("get", "service", "relay", "-n", SYSTEM, "-o")
        relay = kubectl(*words, "jsonpath={.spec.clusterIP}").strip()
        for name, text in (
            ("certificate.pem", certificate),
            ("realm", f"http://{relay}:8700/registry/token"),
        ):
            written = f"cat > /told/.{name} && mv /told/.{name} /told/{name}"
            into = ("exec", "-i", "-n", NAMESPACE, "registry", "--")
            kubectl(*into, "sh", "-c", written, given=text)
        self._tell_the_node()

    def _tell_the_node(self) -> None:
        """The test bed's resolves no names of this team's, and so has no name to hold the certificate to."""
        if "X1_TEST_BED" in os.environ:
            told = BED_HOME / "certs.d" / REGISTRY / "hosts.toml"
            told.parent.mkdir(parents=True, exist_ok=True)
            there = f'server = "https://{self.addresses["registry"]}"\n'
            told.write_text(f'{there}capabilities = ["pull", "resolve"]\nskip_verify = true\n')

    def show_pages(self) -> None:
        """The Ingress that is the operator's to make."""
        pair = certificates.make_wildcard(self.authority, DOMAIN)
        kubectl("apply", "-f", "-", given=json.dumps(_tls("pages-tls", SYSTEM, pair)))
        kubectl(
            *("create", "ingress", "pages", "-n", SYSTEM, "--class=traefik"),
            f"--rule=x1.{DOMAIN}/*=relay:8700,tls=pages-tls",
            f"--rule=prefect.{DOMAIN}/*=prefect:4200,tls=pages-tls",
        )

    def introduce_forge(self, cluster: Cluster) -> None:
        """To a connection, whose commands then seed and look at it as at a forge inside."""
        state = StateDir(root=cluster.state_dir)
        write_whole(state.secret("forge-admin-token"), ADMIN)
        status = read_json(state.run("status.json")) or {}
        status["urls"]["forge"] = cluster.urls["forge"] = self.forge
        write_whole(state.run("status.json"), json.dumps(status))


@contextmanager
def team() -> Generator[Team]:
    """Brought up, and removed whatever happens."""
    password, root_password = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
    authority = certificates.make_authority()
    try:
        namespace, *others = _objects(root_password, authority)
        kubectl("apply", "-f", "-", given=json.dumps(namespace))
        account = ("get", "serviceaccount", "default", "-n", NAMESPACE, "--ignore-not-found")
        until(lambda: kubectl(*account), "the account that pods there run as")
        kubectl("apply", "-f", "-", given=yaml.safe_dump_all(others))
        addresses = {each: _address(each) for each in PARTS}
        _answer_names(addresses)
        made = Team(password=password, addresses=addresses, authority=authority)
        for each in ("postgres", "forge"):
            words = ("-n", NAMESPACE, f"pod/{each}", "--for=condition=Ready", "--timeout=300s")
            kubectl("wait", *words, seconds=320)
        _make_user(made, root_password)
        yield made
    finally:
        kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", seconds=300)
        kubectl("delete", "configmap", NAMES, "-n", "kube-system", "--ignore-not-found")
        _restart_names()


def _objects(root_password: str, authority: certificates.Pair) -> list[dict[str, Any]]:
    text = (HERE / "outside" / "outside.yaml").read_text().replace("x1/control", image("control"))
    namespace, *pods = yaml.safe_load_all(text)
    gate = (HERE / "outside" / "tls_gate.py").read_text()
    return [
        namespace,
        _object("Secret", "postgres", {"password": root_password}),
        _tls("tls", NAMESPACE, certificates.make_wildcard(authority, DOMAIN)),
        _object("ConfigMap", "gate", {"tls_gate.py": gate}),
        _object("Secret", "forge", {"public.pem": app_key().public, "admin-token": ADMIN}),
        *pods,
    ]


def _object(kind: str, name: str, content: dict[str, str]) -> dict[str, Any]:
    field_name = "data" if kind == "ConfigMap" else "stringData"
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, field_name: content}


def _tls(name: str, namespace: str, pair: certificates.Pair) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "type": "kubernetes.io/tls",
        "stringData": {"tls.key": pair.key, "tls.crt": pair.certificate},
    }


def _address(name: str) -> str:
    def look() -> str:
        words = ("get", "pod", name, "-n", NAMESPACE, "-o", "jsonpath={.status.podIP}")
        return kubectl(*words).strip()

    return until(look, f"an address of {name}")


def _make_user(made: Team, root_password: str) -> None:
    """One that may create databases, and is no superuser."""

    def ask() -> bool:
        try:
            psycopg.connect(made.database("postgres", root_password)).close()
        except psycopg.OperationalError:
            return False
        return True

    until(ask, "the database")
    with psycopg.connect(made.database("postgres", root_password), autocommit=True) as root:
        # The password is of letters, digits, - and _: CREATE ROLE takes no parameters.
        root.execute(f"CREATE ROLE x1 LOGIN CREATEDB PASSWORD '{made.password}'".encode())


def _answer_names(addresses: dict[str, str]) -> None:
    named = {
        f"postgres.{DOMAIN}": addresses["postgres"],
        f"github.{DOMAIN}": addresses["forge"],
        f"registry.{DOMAIN}": addresses["registry"],
    }
    hosts = "\n".join(f"        {address} {name}" for name, address in named.items())
    zone = f"{DOMAIN}:53 {{\n    hosts {{\n{hosts}\n    }}\n}}\n"
    metadata = {"name": NAMES, "namespace": "kube-system"}
    told = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata,
        "data": {"team.server": zone},
    }
    kubectl("apply", "-f", "-", given=json.dumps(told))
    _restart_names()


def _restart_names() -> None:
    for words in (("restart",), ("status", "--timeout=110s")):
        kubectl("rollout", words[0], "deployment/coredns", "-n", "kube-system", *words[1:])
