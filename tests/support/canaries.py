"""Where a secret could be read by whoever may not: every such place as text, and the secrets to search for in it.

What lives for seconds only, such as a build's Job and its Secret, is written down while it does.
"""

import base64
import contextlib
import json
import re
import subprocess
import tempfile
import threading
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit

from clusters import Cluster, kubectl, listed
from prefects import Prefect

SHORTEST: Final = 16
SHAPE: Final = re.compile(rf"eyJ[\w.-]{{{SHORTEST},}}|[A-Za-z0-9+/=_-]{{{SHORTEST},}}")
"""A signed token, or what keys, seeds and lines of PEM look like: with a digit in it, it is no word of anybody's."""
NO_SECRETS: Final = {
    "tls.crt": "a certificate: every visitor is shown it",
    "registry-cert.pem": "a certificate",
    "forge-public.pem": "a public key",
    "public.pem": "a public key",
    "postgres-address": "an address, without its password",
    "bus-server.json": "signed accounts of the bus, which hold no key",
    "keys.conf": "the same, as the bus reads them",
    "workspaces": "names of the installation's workspaces",
    "host": "a dependency's Service, beside its password",
}
"""Keys of Secrets that stand beside a secret and are none, and why."""
PUBLIC: Final = re.compile(r"[AOU][A-Z2-7]{55}")
"""An account's, operator's or user's public key of the bus, beside the seed that signs for it."""
WATCHED: Final = ("secrets", "pods", "jobs.batch", "events")
OBJECTS: Final = (
    "configmaps,serviceaccounts,services,persistentvolumeclaims,deployments.apps,replicasets.apps,"
    "statefulsets.apps,daemonsets.apps,networkpolicies,httproutes,gateways,ingresses,"
    "endpointslices,leases,controllerrevisions.apps"
)
BUILDS: Final = "x1-builds"
PREFECTS: Final = (
    "flow_runs",
    "task_runs",
    "flows",
    "deployments",
    "variables",
    "block_documents",
    "block_types",
    "block_schemas",
    "logs",
    "artifacts",
    "work_pools",
    "work_queues",
    "concurrency_limits",
    "v2/concurrency_limits",
    "automations",
)
PAGE: Final = 200


class Overheard:
    """What the API server told of pods, Jobs, events and Secrets since the beginning, and what builds logged."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def text(self, kind: str) -> str:
        return (self._folder / kind).read_text()

    def logs(self) -> str:
        return "".join(each.read_text() for each in sorted(self._folder.glob("log-*")))

    def secrets(self) -> dict[str, str]:
        """Every value worth hiding, by where it is: `namespace/name/key`, and which part of it."""
        found: dict[str, str] = {}
        for each in _objects(self.text("secrets")):
            meta = each["metadata"]
            if not meta["namespace"].startswith("x1-"):
                continue
            for key, encoded in (each.get("data") or {}).items():
                if key not in NO_SECRETS:
                    value = base64.b64decode(encoded).decode(errors="ignore")
                    parts = enumerate(_parts(value))
                    where = f"{meta['namespace']}/{meta['name']}/{key}"
                    found |= {f"{where} ({number})": part for number, part in parts}
        return found


@contextmanager
def overhearing() -> Generator[Overheard]:
    over = threading.Event()
    with (
        tempfile.TemporaryDirectory(prefix="x1-canaries-") as scratch,
        contextlib.ExitStack() as to,
    ):
        folder = Path(scratch)
        for kind in WATCHED:
            to.enter_context(_kept(folder / kind, "get", kind, "-A", "--watch", "-o", "json"))
        following = threading.Thread(target=_follow_builds, args=(folder, to, over), daemon=True)
        following.start()
        try:
            yield Overheard(folder)
        finally:
            over.set()
            following.join(30)


@contextmanager
def _kept(file: Path, *words: str) -> Generator[None]:
    """What kubectl says goes into `file` until it is over."""
    with file.open("w") as kept:
        told = subprocess.Popen(["kubectl", *words], stdout=kept, stderr=subprocess.DEVNULL)
        try:
            yield
        finally:
            told.terminate()
            told.wait(10)


def _follow_builds(folder: Path, to: contextlib.ExitStack, over: threading.Event) -> None:
    """Each container of a build from the moment that it runs: it is gone a second after its end."""
    known: set[str] = set()
    while not over.wait(0.3):
        for pod in listed("pods", "-n", BUILDS):
            status = pod.get("status", {})
            both = [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]
            for each in both:
                number = each.get("containerID", "")
                if "waiting" not in each["state"] and number and number not in known:
                    known.add(number)
                    name = pod["metadata"]["name"]
                    words = ("logs", "-n", BUILDS, name, "-c", each["name"], "--follow")
                    to.enter_context(_kept(folder / f"log-{name}-{each['name']}", *words))


def written(value: str) -> set[str]:
    """The ways in which a secret may be written."""
    encoded = base64.b64encode(value.encode()).decode().rstrip("=")
    return {value, quote(value, safe=""), encoded, json.dumps(value)[1:-1]}


def leaks(secrets: Mapping[str, str], places: Mapping[str, str]) -> list[str]:
    """Which secret stands in which place; never the secret itself."""
    return sorted(
        f"{name} in {place}"
        for name, value in secrets.items()
        for place, text in places.items()
        if any(each in text for each in written(value))
    )


def places(cluster: Cluster, overheard: Overheard) -> dict[str, str]:
    """All that can be read of the installation without reading a Secret."""
    return {
        "pods": overheard.text("pods"),
        "Jobs": overheard.text("jobs.batch"),
        "events": overheard.text("events"),
        "other objects": kubectl("get", OBJECTS, "-A", "-o", "json"),
        "logs": _logs(),
        "logs of builds": overheard.logs(),
        **{f"Prefect's {kind}": text for kind, text in _prefect(cluster)},
        **{f"the relay's {path}": text for path, text in _relay(cluster)},
    }


def _logs() -> str:
    """Of every container of ours, those before the last restart too."""
    told: list[str] = []
    for namespace in listed("namespace", "-l", "app.kubernetes.io/part-of=x1flows"):
        name = namespace["metadata"]["name"]
        for pod in listed("pods", "-n", name):
            for previous in ("false", "true"):
                words = ("-n", name, pod["metadata"]["name"], "--all-containers", "--prefix")
                command = ["kubectl", "logs", *words, f"--previous={previous}", "--ignore-errors"]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                told.append(done.stdout)
    return "".join(told)


def _prefect(cluster: Cluster) -> Iterator[tuple[str, str]]:
    with Prefect.of(cluster) as prefect:
        for kind in PREFECTS:
            yield kind, "".join(_pages(prefect, kind))
        yield "events", "".join(prefect.events())


def _pages(prefect: Prefect, kind: str) -> Iterator[str]:
    offset = 0
    while True:
        answer = prefect.filtered(kind, offset, PAGE)
        yield answer.text
        if len(answer.json()) < PAGE:
            return
        offset += PAGE


def _relay(cluster: Cluster) -> Iterator[tuple[str, str]]:
    """Every list of the operator's API, and all of each session and preview in it."""
    for path in (
        "sessions",
        "previews",
        "audit",
        "agents",
        "grants",
        "approvals",
        "costs",
    ):
        yield path, json.dumps(cluster.get(f"/api/{path}"))
    yield "metrics", cluster.http.get("/metrics").text
    sessions = cluster.get("/api/sessions")["sessions"]
    yield "sessions one by one", json.dumps([cluster.session(each["id"]) for each in sessions])
    yield "events", json.dumps([_all_events(cluster, each["id"]) for each in sessions])
    wakes = [cluster.get("/api/wakes", session_id=each["id"]) for each in sessions]
    yield "wakes", json.dumps(wakes)
    pages = [cluster.http.get(urlsplit(each["url"]).path) for each in sessions]
    yield "pages", "".join(each.raise_for_status().text for each in pages)
    previews = cluster.get("/api/previews", limit=500)["previews"]
    for source in ("build", "app"):
        asked = [
            cluster.get(f"/api/previews/{each['id']}/logs", source=source, tail=5000)
            for each in previews
        ]
        yield f"{source} logs of previews", json.dumps(asked)


def _all_events(cluster: Cluster, session_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while page := cluster.events(session_id, after=found[-1]["sequence"] if found else 0):
        found += page
    return found


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """JSON objects that follow one another; the last may be under way."""
    decoder, at = json.JSONDecoder(), 0
    while (at := text.find("{", at)) >= 0:
        try:
            each, at = decoder.raw_decode(text, at)
        except ValueError:
            return
        yield each


def _parts(value: str) -> Iterator[str]:
    """What is worth hiding in it: a URL's password, else the whole of a line and each word of a secret's shape."""
    text = value.strip()
    if "://" in text and "\n" not in text:
        yield from filter(None, [urlsplit(text).password])
        return
    if "\n" not in text and " " not in text and len(text) >= SHORTEST:
        yield text
    for word in SHAPE.findall(text):
        if any(each.isdigit() for each in word) and not PUBLIC.fullmatch(word):
            yield word
            yield from _unwrapped(word)


def _unwrapped(encoded: str) -> Iterator[str]:
    """The password in a Basic credential."""
    with contextlib.suppress(ValueError):
        _, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        if colon and len(password) >= SHORTEST:
            yield password
