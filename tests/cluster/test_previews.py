"""Previews on a real cluster: served over a Gateway and over Ingresses, switched without a wrong answer, and
diagnosed when they fail.

One file, as its ground (namespaces, a door with a certificate) is made once for each way of serving.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from clusters import kubectl, listed
from preview_ground import INSIDE, PLAIN, Ground, ground
from pydantic import SecretStr

from sidecar.domain.check import Check
from sidecar.wire.preview_spec import PreviewSpec, parse_preview
from sidecar.wire.previews import OperationAnswer, OperationBundle
from tasks.previews import steps
from tasks.previews.checks import run_checks, serves
from tasks.previews.errors import NotProven
from tasks.previews.kubernetes.inventory import look
from tasks.previews.kubernetes.namespace import Namespace
from tasks.previews.kubernetes.target import KubernetesTarget
from tasks.previews.operation import Operation
from tasks.previews.way import Way

ONE, TWO, THREE = "1" * 40, "2" * 40, "3" * 40
SERVER = "import http.server as h,os,sys;B=os.environ['PAGE'].encode()\n\
class H(h.BaseHTTPRequestHandler):\n\
  def do_GET(s):\n\
    s.send_response(200);s.send_header('X-X1-Revision','forged');s.end_headers();s.wfile.write(B)\n\
  def log_message(s,*a):pass\n\
print('serving',flush=True);h.ThreadingHTTPServer(('0.0.0.0',8000),H).serve_forever()"
SPEC = """apiVersion: x1agent.io/v1
kind: PreviewSpec
metadata: {name: app}
spec:
  entrypoint: {kind: manifest, path: k8s}
  runtime: {port: 8000, healthcheck: {path: /, initialDelaySeconds: 1, periodSeconds: 1}}
"""
IMAGE_SPEC = SPEC.replace("kind: manifest, path: k8s", "kind: dockerfile").replace("8000", "5000")
CLUSTER_IP = "jsonpath={.spec.clusterIP}"
IMAGE = "registry:2"
"""Answers on port 5000 whoever it runs as: a stand-in for what a build makes."""


@pytest.fixture(scope="module", params=["gateway", "ingress"])
def here(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ground]:
    with ground(tmp_path_factory.mktemp("ground"), request.param) as made:
        yield made


@pytest.fixture
async def space(here: Ground) -> AsyncGenerator[Namespace]:
    async with here.space() as made:
        yield made
        await made.remove({"app.kubernetes.io/component": "preview"})


@pytest.fixture
async def target(here: Ground, space: Namespace) -> AsyncGenerator[KubernetesTarget]:
    async with here.target(grace_seconds=20) as made:
        yield made


def manifests(command: str, *, page: str = "", port: int = 8000, **pod: Any) -> dict[str, str]:
    container = {
        "name": "web",
        "image": pod.pop("image", "python:3.11-slim"),
        "command": ["python3", "-c", command],
        "env": [{"name": "PAGE", "value": page}],
        "readinessProbe": {"httpGet": {"path": "/", "port": port}, "periodSeconds": 1},
        "resources": {
            "requests": {"cpu": pod.pop("cpu", "10m"), "memory": "24Mi"},
            "limits": {"cpu": "2", "memory": "64Mi"},
        },
    }
    objects = [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web"},
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": {"app": "web"}},
                "template": {
                    "metadata": {"labels": {"app": "web"}},
                    "spec": {"containers": [container], **pod},
                },
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "web"},
            "spec": {"selector": {"app": "web"}, "ports": [{"port": 8000}]},
        },
    ]
    return {"k8s/all.yaml": "\n---\n".join(json.dumps(each) for each in objects)}


def operation(here: Ground, app: str, revision: str, **fields: Any) -> Any:
    """As far as a target knows one."""
    bundle = OperationBundle(
        **{
            "outcome": "claimed",
            "operation_id": f"op-{app}",
            "preview_id": f"preview-of-{app}",
            "repo": "acme/app",
            "branch": "main",
            "revision": revision,
            "workspace": "default",
            "url": f"https://{app}-main.{here.domain}",
            "alias_url": f"https://{app}-{revision[:8]}.{here.domain}",
            "spec_text": SPEC,
            **fields,
        }
    )
    return Operation(bundle=bundle, relay=SimpleNamespace(report=_heard), stage="deploying")


async def _heard(*_: Any) -> OperationAnswer:
    return OperationAnswer(lease_seconds=20)


async def start(target: KubernetesTarget, one: Operation, artifact: str = "") -> PreviewSpec:
    """The steps of a deploy, up to the proof at the alias."""
    spec = parse_preview(one.bundle.spec_text, abilities=target.abilities(one.bundle))
    await target.start(one, spec, artifact)
    await steps._await_revision(target, one.bundle.alias_url, one.bundle.revision, "/")
    return spec


async def deploy(target: KubernetesTarget, one: Operation, artifact: str = "") -> None:
    spec = await start(target, one, artifact)
    await steps.switch.fn(target, one, spec, artifact)
    await steps.tidy.fn(target, one.bundle)


@dataclass
class Branch:
    """A preview deployed again and again, and what the ledger says of it by then. A page shows its revision."""

    here: Ground
    target: KubernetesTarget
    app: str
    serving: str = ""
    proven: list[str] = field(default_factory=list)

    def operation(self, revision: str) -> Operation:
        ledger = {"serving": self.serving, "proven": self.proven}
        content = manifests(SERVER, page=f"page of {revision}")
        return operation(self.here, self.app, revision, manifests=content, **ledger)

    async def deploy(self, revision: str) -> None:
        await deploy(self.target, self.operation(revision))
        self.serving = revision
        self.proven = list(dict.fromkeys([revision, *self.proven]))

    @property
    def alive(self) -> set[str]:
        return {
            each["metadata"]["labels"]["x1flows.io/revision"]
            for each in of_preview(self.here, self.app, "deployments")
        }


@asynccontextmanager
async def visitors(here: Ground, url: str) -> AsyncGenerator[list[tuple[int, str, str]]]:
    """What three of them, who ask all the time, are answered."""
    answers: list[tuple[int, str, str]] = []
    is_over = asyncio.Event()

    async def visit() -> None:
        while not is_over.is_set():
            answers.append(await page(here, url))

    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(visit())
        yield answers
        is_over.set()


async def page(here: Ground, url: str) -> tuple[int, str, str]:
    """(status, header of the revision, body) as anybody gets them, TLS verified."""
    parts = httpx.URL(url)
    where, extensions = here.way.place(SimpleNamespace(hostname=parts.host, port=parts.port))  # type: ignore[arg-type]
    async with httpx.AsyncClient(verify=here.way.tls(), trust_env=False, timeout=10) as http:
        answer = await http.get(
            f"https://{where}/", headers={"host": parts.host}, extensions=extensions
        )
    return answer.status_code, answer.headers.get("x-x1-revision", ""), answer.text


def of_preview(here: Ground, app: str, kinds: str) -> list[dict[str, Any]]:
    return listed(kinds, "-n", here.previews, "-l", f"x1flows.io/preview=preview-of-{app}")


async def test_an_image_is_served_at_its_alias_and_url_and_released_without_a_trace(
    here: Ground, target: KubernetesTarget
):
    one = operation(here, "image", ONE, spec_text=IMAGE_SPEC)
    await deploy(target, one, IMAGE)
    for url in (one.bundle.url, one.bundle.alias_url):
        assert (await page(here, url))[:2] == (200, here.header(ONE, said=""))
    await target.release(one.bundle)
    await target.release(one.bundle)
    kinds = "deployments,services,httproutes,ingresses,networkpolicies,secrets,configmaps"
    assert of_preview(here, "image", kinds) == []


async def test_while_a_branch_goes_from_revision_to_revision_every_answer_is_of_one_of_them(
    here: Ground, target: KubernetesTarget
):
    first, second = (
        operation(here, "switch", sha, manifests=manifests(SERVER, page=f"page of {sha}"))
        for sha in (ONE, TWO)
    )
    await deploy(target, first)
    async with visitors(here, first.bundle.url) as answers:
        await deploy(target, second)
        await deploy(target, first)
    pages = {(200, here.header(sha), f"page of {sha}") for sha in (ONE, TWO)}
    assert set(answers) == pages
    assert await page(here, second.bundle.alias_url) == (200, here.header(TWO), f"page of {TWO}")


async def test_a_pod_and_this_machine_get_the_same_revision_over_tls(
    here: Ground, target: KubernetesTarget
):
    one = operation(here, "same", ONE, manifests=manifests(SERVER, page="the same"))
    await deploy(target, one)
    assert await page(here, one.bundle.url) == (200, here.header(ONE), "the same")
    assert inside(here, one.bundle.url) == f"200 {here.header(ONE)} the same"


async def test_nothing_is_served_without_tls(here: Ground, target: KubernetesTarget):
    one = operation(here, "plain", ONE, manifests=manifests(SERVER, page="secret"))
    await deploy(target, one)
    host = httpx.URL(one.bundle.url).host
    async with httpx.AsyncClient(trust_env=False, timeout=10) as http:
        answer = await http.get(f"http://{PLAIN}/", headers={"host": host})
    assert answer.status_code == 404


async def test_the_newest_few_revisions_stay_and_older_ones_go(
    here: Ground, target: KubernetesTarget
):
    revisions = [f"{digit}" * 40 for digit in "4567"]
    branch = Branch(here, target, "old")
    for sha in revisions:
        await branch.deploy(sha)
    assert branch.alive == set(revisions[1:])


async def test_a_rollback_and_the_deploy_after_it_leave_no_visitor_without_an_answer(
    here: Ground, target: KubernetesTarget
):
    """Two later revisions were superseded in their start: they are younger than what serves by then."""
    branch = Branch(here, target, "back")
    for sha in (ONE, TWO):
        await branch.deploy(sha)
    for sha in ("3" * 40, "4" * 40):
        await start(target, branch.operation(sha))
    url = branch.operation(ONE).bundle.url
    async with visitors(here, url) as answers:
        await branch.deploy(ONE)
        await branch.deploy("5" * 40)
    assert {status for status, _, _ in answers} == {200}
    assert {text for _, _, text in answers} == {f"page of {sha}" for sha in (TWO, ONE, "5" * 40)}
    assert branch.alive == {ONE, TWO, "5" * 40}


async def test_a_url_that_is_not_proven_leads_back_and_no_visitor_is_without_an_answer(
    here: Ground, target: KubernetesTarget, monkeypatch: pytest.MonkeyPatch
):
    branch = Branch(here, target, "unproven")
    await branch.deploy(ONE)
    two = branch.operation(TWO)
    spec = await start(target, two)
    monkeypatch.setattr(steps, "ROUTE_SECONDS", 1.0)
    async with visitors(here, two.bundle.url) as answers:
        target.way = Way(address="127.0.0.1:1")
        with pytest.raises(NotProven, match="does not lead"):
            await steps.switch.fn(target, two, spec, "")
        target.way = here.way
        monkeypatch.undo()
        await steps.give_back.fn(target, two.bundle)
    assert {status for status, _, _ in answers} == {200}
    assert (await page(here, two.bundle.url))[2] == f"page of {ONE}"
    assert branch.alive == {ONE}


async def test_postgres_and_redis_are_there_for_their_preview_and_keep_their_content(
    here: Ground, target: KubernetesTarget
):
    ask = (
        "import os,socket,urllib.parse as u\n"
        "for name in ('DATABASE_URL','CACHE_URL'):\n"
        "  p=u.urlsplit(os.environ[name]); socket.create_connection((p.hostname,p.port),5).close()\n"
        "s=u.urlsplit(os.environ['CACHE_URL']); c=socket.create_connection((s.hostname,s.port),5)\n"
        "c.sendall(f'AUTH {s.password}\\r\\nINCR starts\\r\\n'.encode())\n"
        "import time; time.sleep(.5); os.environ['PAGE']=c.recv(99).decode().split(':')[1].strip()\n"
    )
    spec = SPEC + (
        "  dependencies: [{kind: postgres, provides: [DATABASE_URL]}, {kind: redis, provides: [CACHE_URL]}]\n"
    )
    for sha, starts in ((ONE, "1"), (TWO, "2")):
        one = operation(
            here, "deps", sha, spec_text=spec, manifests=manifests(ask + SERVER, page="")
        )
        await deploy(target, one)
        assert await page(here, one.bundle.url) == (200, here.header(sha), starts)


@pytest.mark.parametrize(
    ("what", "content", "expected"),
    [
        ("pull", manifests(SERVER, image="nowhere.invalid/none:1"), "nowhere.invalid/none:1"),
        (
            "crash",
            manifests("import sys; print('no DATABASE_URL'); sys.exit(3)"),
            "exited with code 3",
        ),
        ("memory", manifests("a = bytearray(10**9)\nimport time; time.sleep(9)"), "memory"),
        ("probe", manifests(SERVER, page="x", port=8001), "probe"),
        ("pending", manifests(SERVER, cpu="2"), "Insufficient cpu"),
    ],
)
async def test_what_fails_is_said_in_one_text_and_the_revision_before_it_keeps_serving(
    here: Ground, target: KubernetesTarget, what: str, content: dict[str, str], expected: str
):
    before = operation(here, what, ONE, manifests=manifests(SERVER, page="before"))
    await deploy(target, before)
    after = operation(here, what, TWO, manifests=content, serving=ONE, proven=[ONE])
    with pytest.raises(NotProven) as failed:
        await start(target, after)
    await steps.give_back.fn(target, after.bundle)
    assert expected in failed.value.diagnosis
    assert "no DATABASE_URL" not in str(failed.value)
    if what == "crash":
        assert failed.value.lines == ("no DATABASE_URL",)
    assert await page(here, before.bundle.url) == (200, here.header(ONE), "before")
    assert {
        each["metadata"]["labels"]["x1flows.io/revision"]
        for each in of_preview(here, what, "deployments")
    } == {ONE}


async def test_a_revision_that_the_quota_does_not_let_in_is_told_so(
    here: Ground, target: KubernetesTarget
):
    await deploy(target, operation(here, "quota", ONE, manifests=manifests(SERVER, page="before")))
    kubectl("create", "quota", "tight", "-n", here.previews, "--hard", "pods=1")
    try:
        with pytest.raises(NotProven) as failed:
            await start(target, operation(here, "quota", TWO, manifests=manifests(SERVER)))
        assert "quota" in failed.value.diagnosis
    finally:
        kubectl("delete", "quota", "tight", "-n", here.previews)


async def test_a_named_secret_reaches_the_app_and_nothing_else_that_can_be_read(
    here: Ground, target: KubernetesTarget
):
    show = "import os; os.environ['PAGE'] = os.environ['KEY'][::-1]\n"
    one = operation(
        here,
        "secret",
        ONE,
        spec_text=f"{SPEC}  env: [{{name: KEY, from: 'secret:STRIPE'}}]\n",
        secrets={"STRIPE": SecretStr("canary-of-stripe")},
        manifests=manifests(show + SERVER, page=""),
    )
    await deploy(target, one)
    assert (await page(here, one.bundle.url))[2] == "canary-of-stripe"[::-1]
    shown = kubectl(
        "get", "deployments,pods,events,httproutes,ingresses", "-n", here.previews, "-o", "yaml"
    )
    assert "canary-of-stripe" not in shown


async def test_a_preview_reaches_names_and_nothing_else_of_the_cluster(
    here: Ground, target: KubernetesTarget
):
    """The DNS is the control: connecting works at all."""
    names = kubectl("get", "service", "kube-dns", "-n", "kube-system", "-o", CLUSTER_IP).strip()
    api = kubectl("get", "service", "kubernetes", "-o", CLUSTER_IP).strip()
    relatives = [(names, 53), (api, 443), ("10.250.0.2", 6443), ("169.254.169.254", 80)]
    look = (
        "import os,socket,time\n"
        "def told(place):\n"
        "  try: socket.create_connection(place, 3).close(); return 'open'\n"
        "  except OSError: return 'shut'\n"
        "for _ in range(9):\n"  # until the policy is in force
        f"  os.environ['PAGE'] = said = ' '.join(map(told, {relatives}))\n"
        "  if said == 'open shut shut shut': break\n"
        "  time.sleep(1)\n"
    )
    one = operation(here, "egress", ONE, manifests=manifests(look + SERVER))
    await deploy(target, one)
    assert (await page(here, one.bundle.url))[2] == "open shut shut shut"


async def test_another_preview_is_not_reached(here: Ground, target: KubernetesTarget):
    victim = operation(here, "victim", ONE, manifests=manifests(SERVER, page="private"))
    await deploy(target, victim)
    service = of_preview(here, "victim", "services")[0]["spec"]["clusterIP"]
    look = (
        "import os,socket,time\n"
        "for _ in range(30):\n"  # until the policy is in force
        f"  try: socket.create_connection(('{service}', 8000), 3).close(); os.environ['PAGE'] = 'open'\n"
        "  except OSError: os.environ['PAGE'] = 'shut'; break\n"
        "  time.sleep(1)\n"
    )
    one = operation(here, "attacker", ONE, manifests=manifests(look + SERVER, page=""))
    await deploy(target, one)
    assert (await page(here, one.bundle.url))[2] == "shut"


async def test_what_does_not_serve_is_not_taken_for_the_revision(
    here: Ground, target: KubernetesTarget
):
    one = operation(here, "asked", ONE, manifests=manifests(SERVER, page="x"))
    await deploy(target, one)
    assert "expected revision 22222222" in await serves(one.bundle.url, TWO, "/", here.way)
    nowhere = f"https://nobody.{here.domain}"
    assert await serves(nowhere, ONE, "/", here.way) != ""


async def test_checks_are_proven_to_be_answered_by_the_revision_whatever_the_app_says(
    here: Ground, target: KubernetesTarget
):
    one = operation(here, "checked", ONE, manifests=manifests(SERVER, page="x"))
    await deploy(target, one)
    checks = [Check(contains=("x",)), Check(path="/other", not_contains=("x",))]
    good, bad = await run_checks(one.bundle.url, ONE, checks, way=here.way)
    assert (good["passed"], good["revision"], bad["passed"], bad["revision"]) == (
        True,
        ONE,
        False,
        ONE,
    )
    [stranger] = await run_checks(one.bundle.url, TWO, checks[:1], way=here.way)
    assert not stranger["passed"]


async def test_a_sweep_sees_what_is_there_what_is_gone_and_removes_a_stranger(
    here: Ground, target: KubernetesTarget, space: Namespace
):
    one = operation(here, "swept", ONE, manifests=manifests(SERVER, page="x"))
    await deploy(target, one)
    preview_id = one.bundle.preview_id
    found = await look(space)
    assert (found.present, found.serving) == ({preview_id}, {preview_id: ONE})
    workloads = f"x1flows.io/preview={preview_id},x1flows.io/revision={ONE}"
    kubectl("delete", "deployment", "-n", here.previews, "-l", workloads)
    found = await look(space)
    assert (found.present, found.serving) == ({preview_id}, {})
    await space.remove({"x1flows.io/preview": preview_id})
    assert (await look(space)).present == frozenset()


def inside(here: Ground, url: str) -> str:
    """What a pod of the operations' namespace is answered: status, revision, body."""
    host, port = INSIDE.split(":")
    name = httpx.URL(url).host
    program = (
        "import http.client,socket,ssl\n"
        "c=ssl.create_default_context(cafile='/ca/ca.crt')\n"
        f"s=c.wrap_socket(socket.create_connection(('{host}',{port}),10),server_hostname='{name}')\n"
        f"h=http.client.HTTPConnection('{name}');h.sock=s;h.request('GET','/');a=h.getresponse()\n"
        "print(a.status,a.getheader('x-x1-revision'),a.read().decode())"
    )
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "visitor", "namespace": here.operations},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 10001,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "visitor",
                    "image": "python:3.11-slim",
                    "command": ["python3", "-c", program],
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "capabilities": {"drop": ["ALL"]},
                    },
                    "volumeMounts": [{"name": "ca", "mountPath": "/ca"}],
                }
            ],
            "volumes": [{"name": "ca", "configMap": {"name": "previews-ca"}}],
        },
    }
    kubectl("apply", "-f", "-", given=json.dumps(pod))
    kubectl(
        "wait", "pod/visitor", "-n", here.operations, "--for=jsonpath={.status.phase}=Succeeded"
    )
    return kubectl("logs", "visitor", "-n", here.operations).strip()
