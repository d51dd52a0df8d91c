"""A place to build in, on a cluster: a namespace with our own rights and policies, a registry, a forge, a token service.

The forge and the relay's token route run on this machine, at an address that pods and nodes reach; the registry and
the builds run in namespaces of their own, which are removed at the end.
"""

import base64
import json
import os
import threading
from collections.abc import Collection, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import priorities
import uvicorn
import yaml
from clusters import kubectl, run, until
from embedded_forge import APP_ID, running_forge
from forge_ground import GitGround
from starlette.applications import Starlette

from infra.cluster import registry_keys
from sidecar.client.kubernetes import KubernetesApi
from sidecar.domain.ids import Repository
from sidecar.http_errors import exception_handlers
from sidecar.relay.forge.github import GitHub
from sidecar.relay.registry import token_service
from sidecar.relay.registry.tokens import RegistryTokens
from sidecar.wire.preview_spec import PreviewSpec
from tasks.builders.buildkit import BuildKit
from tasks.builders.image_source import BuildPlace, ImageSource

HOST = os.environ.get("X1_TEST_HOST", "10.250.0.1")
"""This machine, as pods and nodes reach it."""
MIRROR = os.environ.get("X1_MIRROR", "")
"""Where `docker.io` is had from, `host:port`; empty: from itself."""
BASE = Path(__file__).parents[2] / "infra" / "k8s" / "base"
LOCAL = Path(__file__).parents[2] / "infra" / "k8s" / "overlays" / "local"
REPO = Repository("acme/app")


@dataclass(frozen=True)
class Bed:
    namespace: str
    registry: str
    home: Path
    forge_url: str
    forge_key: str
    tokens: RegistryTokens

    @property
    def place(self) -> BuildPlace:
        prefix = os.environ.get("X1_TEST_IMAGE_PREFIX", "x1/")
        tag = os.environ.get("X1_TEST_IMAGE_TAG", "0.1.0")
        return BuildPlace(
            agent_image=f"{prefix}agent:{tag}",
            buildkit_image=os.environ.get("X1_TEST_BUILDKIT_IMAGE", "moby/buildkit:latest"),
            namespace=self.namespace,
            is_plain_registry=True,
        )

    def api(self) -> KubernetesApi:
        """With the rights of the preview flow, and no more."""
        view = json.loads(kubectl("config", "view", "--raw", "--minify", "-o", "json"))
        told = view["clusters"][0]["cluster"]
        ca = base64.b64decode(told["certificate-authority-data"])
        (self.home / "ca.crt").write_bytes(ca)
        (self.home / "token").write_text(
            kubectl("create", "token", "preview", "-n", self.namespace)
        )
        return KubernetesApi(told["server"], self.home)

    async def commit(self, files: dict[str, str], branch: str = "main") -> str:
        async with aclosing(self._forge()) as forge:
            ground = GitGround(forge, self.forge_url, self.home)
            content = {name: text.encode() for name, text in files.items()}
            return await ground.commit(REPO, branch, content)

    def speaks_http(self, registry: str) -> None:
        """Tells the builds that begin from now on."""
        words = ("get", "configmap", "buildkitd", "-n", self.namespace, "-o", "json")
        told = json.loads(kubectl(*words))["data"]["buildkitd.toml"]
        text = f'{told}\n[registry."{registry}"]\n  http = true\n'
        patch = json.dumps({"data": {"buildkitd.toml": text}})
        kubectl("patch", "configmap", "buildkitd", "-n", self.namespace, "--patch", patch)

    async def link(self, name: str, target: str) -> str:
        """A commit with a symbolic link."""
        tree = self.home / REPO.replace("/", "-")
        (tree / name).symlink_to(target)
        return await self.commit({})

    async def source(self, revision: str, operation_id: str) -> ImageSource:
        async with aclosing(self._forge()) as forge:
            token = (await forge.token(REPO, "read")).secret
        return ImageSource(
            operation_id=operation_id,
            workspace="default",
            repo=REPO,
            revision=revision,
            git_url=self.forge_url,
            git_token=token,
            registry=self.registry,
            push_token=self.tokens.push_token("default", REPO),
        )

    async def built(self, source: ImageSource, spec: PreviewSpec, lines: list[str]) -> str:
        api = self.api()
        try:
            return await BuildKit(api, self.place).build(source, spec, lines.append)
        finally:
            await api.aclose()

    async def operations(self) -> Collection[str]:
        """Those for which a sweep finds a build."""
        async with aclosing(self.api()) as api:
            return await BuildKit(api, self.place).operations()

    async def swept(self, operation_id: str) -> None:
        """As a sweep removes what is left of an operation that is over."""
        async with aclosing(self.api()) as api:
            await BuildKit(api, self.place).remove(operation_id)

    def left(self) -> list[str]:
        """What builds have left behind."""
        label = ("-l", "app.kubernetes.io/name=build", "-o", "name")
        return kubectl("get", "jobs,pods,secrets", "-n", self.namespace, *label).split()

    def _forge(self) -> GitHub:
        return GitHub(
            api_url=self.forge_url,
            git_url=self.forge_url,
            app_id=APP_ID,
            private_key=self.forge_key,
        )


@contextmanager
def bed(namespace: str, home: Path) -> Iterator[Bed]:
    keys = registry_keys.make({})
    tokens = RegistryTokens(*(text.encode() for text in keys.values()))
    with running_forge(home, HOST) as forge, _token_service(tokens) as realm:
        try:
            priorities.ensure()
            kubectl("apply", "-f", "-", given=yaml.safe_dump_all(_namespace(namespace)))
            registry = _registry(f"{namespace}-registry", keys, realm)
            _let_the_node_pull(registry)
            _settle(namespace, registry)
            yield Bed(namespace, registry, home, forge.url, forge.key, tokens)
        finally:
            both = (namespace, f"{namespace}-registry")
            kubectl("delete", "namespace", *both, "--ignore-not-found", seconds=300)


def _namespace(namespace: str) -> list[dict[str, Any]]:
    """`builds.yaml`, with the preview flow's account beside the builds, and this machine let in by the policy."""
    found = [
        each
        for each in yaml.safe_load_all((BASE / "builds.yaml").read_text())
        if "x1-builds" in (each["metadata"]["name"], each["metadata"].get("namespace"))
    ]
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "preview", "namespace": "x1-builds"},
    }
    mirror, _, port = MIRROR.partition(":")
    at_the_mirror = {
        "to": [{"ipBlock": {"cidr": f"{mirror or HOST}/32"}}],
        "ports": [{"port": int(port or 5000)}],
    }
    this_machine = {"ipBlock": {"cidr": f"{HOST}/32"}}
    place = {"kubernetes.io/metadata.name": "x1-builds-registry"}
    registry = {"namespaceSelector": {"matchLabels": place}}
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "to-the-bed", "namespace": "x1-builds"},
        "spec": {
            "podSelector": {},
            "policyTypes": ["Egress"],
            "egress": [{"to": [this_machine, registry]}, at_the_mirror],
        },
    }
    moved = yaml.safe_dump_all([found[0], account, *found[1:], policy])
    return list(
        yaml.safe_load_all(
            moved.replace("x1-builds", namespace).replace("x1-operations", namespace)
        )
    )


def _registry(namespace: str, keys: dict[str, str], realm: str) -> str:
    """`registry.yaml`, as much of it as the registry itself is made of. Returns its address."""
    service, workload, *_ = yaml.safe_load_all((LOCAL / "registry.yaml").read_text())
    del workload["spec"]["template"]["spec"]["priorityClassName"]
    for each in (service, workload):
        each["metadata"]["namespace"] = namespace
    meta = {"name": "x1-registry", "namespace": namespace}
    certificate = {registry_keys.CERTIFICATE: keys[registry_keys.CERTIFICATE]}
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": certificate}
    told = {"X1_REGISTRY_TOKEN_REALM": realm}
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": told}
    objects = [space, secret, settings, service, workload]
    kubectl("apply", "-f", "-", given=yaml.safe_dump_all(objects))
    kubectl("rollout", "status", "statefulset/registry", "-n", namespace, "--timeout=120s")
    words = ("get", "service", "registry", "-n", namespace, "-o")
    return f"{kubectl(*words, 'jsonpath={.spec.clusterIP}').strip()}:5000"


def _settle(namespace: str, registry: str) -> None:
    """What an operator tells BuildKit: where there is no TLS, and where public images are had."""
    lines = [f'[registry."{registry}"]', "  http = true"]
    if MIRROR:
        lines += ['[registry."docker.io"]', f'  mirrors = ["{MIRROR}"]']
        lines += [f'[registry."{MIRROR}"]', "  http = true"]
    patch = {"data": {"buildkitd.toml": "\n".join(lines)}}
    kubectl("patch", "configmap", "buildkitd", "-n", namespace, "--patch", json.dumps(patch))


def _let_the_node_pull(registry: str) -> None:
    test_bed = os.environ.get("X1_TEST_BED")
    if test_bed:
        run(test_bed, "trust", registry, f"http://{registry}")


@contextmanager
def _token_service(tokens: RegistryTokens) -> Iterator[str]:
    """The relay's own route, alone. Yields its URL."""
    app = Starlette(routes=token_service.routes, exception_handlers=exception_handlers)
    app.state.services = SimpleNamespace(registry_tokens=tokens)
    config = uvicorn.Config(app, host=HOST, port=0, log_level="warning", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="registry tokens")
    thread.start()
    try:
        until(lambda: server.started, "the token service", 10)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://{HOST}:{port}/registry/token"
    finally:
        server.should_exit = True
        thread.join(10)
