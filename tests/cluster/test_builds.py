"""Images of previews, built on a real cluster: by whom, how fast, and what a hostile Dockerfile finds.

One file, as its ground (a namespace, a registry, a forge) is made once.
"""

import asyncio
import json
import os
import re
import signal
import sys
import time
from dataclasses import asdict, replace

import httpx
import pytest
from builds import HOST, REPO, bed
from busy_registry import busy_registry
from clusters import PATIENCE_SECONDS, kubectl, until
from pydantic import SecretStr

from sidecar.domain.errors import RegistryUnavailable
from sidecar.domain.image_name import image_repository
from sidecar.wire.preview_spec import PreviewSpec
from tasks.builders.buildkit_names import job_of, tag_of
from tasks.builders.errors import BuildFailed, FetchFailed

SPEC = PreviewSpec(
    name="app",
    kind="dockerfile",
    directory=".",
    build=(),
    run=(),
    health_path="/",
    startup_seconds=60,
    dockerfile="Dockerfile",
    args={"GREETING": "hello, $(HOME) world"},
)
DOCKERFILE = """\
FROM python:3.11-slim
WORKDIR /app
COPY requirements.txt .
RUN pip install -r requirements.txt
ARG GREETING
RUN echo "$GREETING" > greeting.txt
COPY . .
CMD ["python", "app.py"]
"""
APP = "import idna, pathlib; print(pathlib.Path('greeting.txt').read_text().strip(), '{word}')"


def files(word: str) -> dict[str, str]:
    return {
        "Dockerfile": DOCKERFILE,
        "requirements.txt": "idna\n",
        "app.py": APP.format(word=word),
        ".x1agent/preview.yaml": "",
    }


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    with bed(f"try-builds-{os.getpid()}", tmp_path_factory.mktemp("builds")) as made:
        yield made


async def nothing_left(ground) -> None:
    """Kubernetes' garbage collector takes a moment."""
    await asyncio.to_thread(until, lambda: not ground.left(), "an empty namespace")


def dockerfile(name: str) -> PreviewSpec:
    return replace(SPEC, dockerfile=name, args={})


async def registry_answer(ground, login, path, method="GET", **wanted):
    """As a client with this login is answered; `wanted` are the token service's parameters."""
    async with httpx.AsyncClient(base_url=f"http://{ground.registry}", trust_env=False) as http:
        refusal = await http.request(method, path)
        assert refusal.status_code == 401
        realm = refusal.headers["www-authenticate"].split('realm="')[1].split('"')[0]
        query = {"service": "x1-registry", **wanted}
        given = await http.get(realm, params=query, auth=("x1", login.get_secret_value()))
        given.raise_for_status()
        bearer = f"Bearer {given.json()['token']}"
        accept = "application/vnd.oci.image.manifest.v1+json"
        headers = {"authorization": bearer, "accept": accept}
        return await http.request(method, path, headers=headers)


def run_image(ground, name, image, login):
    """A pod of the image, pulled by the kubelet. Its last words, or why it was not pulled."""
    kubectl("delete", "secret,pod", name, "-n", ground.namespace, "--ignore-not-found")
    password = login.get_secret_value()
    kubectl(
        *("create", "secret", "docker-registry", name, "-n", ground.namespace),
        *(f"--docker-server={ground.registry}", "--docker-username=x1"),
        f"--docker-password={password}",
    )
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": ground.namespace},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "imagePullSecrets": [{"name": name}],
            "containers": [{"name": "app", "image": image, "imagePullPolicy": "Always"}],
        },
    }
    kubectl("apply", "-f", "-", given=json.dumps(pod))

    def look():
        status = json.loads(kubectl("get", "pod", name, "-n", ground.namespace, "-o", "json"))
        [state] = [each["state"] for each in status["status"].get("containerStatuses", [])] or [{}]
        if "terminated" in state:
            return kubectl("logs", name, "-n", ground.namespace)
        waiting = state.get("waiting", {})
        return waiting.get("message") if waiting.get("reason") == "ErrImagePull" else None

    return until(look, f"an end of pod {name}")


async def test_a_revision_becomes_an_image_that_a_node_pulls_with_its_repositorys_login_alone(
    ground,
):
    revision = await ground.commit(files("one"))
    lines, began = [], time.monotonic()
    source = await ground.source(revision, "op-one")
    image = await ground.built(source, SPEC, lines)
    cold = time.monotonic() - began
    assert image.startswith(f"{ground.registry}/{image_repository('default', REPO)}@sha256:")
    assert any("RUN pip install" in line for line in lines)
    ours = await asyncio.to_thread(
        run_image, ground, "ours", image, ground.tokens.pull_token("default", REPO)
    )
    assert ours.strip() == "hello, $(HOME) world one"
    strangers = {"space": ("another", REPO), "repo": ("default", "acme/other")}
    for name, whose in strangers.items():
        login = ground.tokens.pull_token(*whose)
        theirs = await asyncio.to_thread(run_image, ground, f"theirs-{name}", image, login)
        assert "authorization" in theirs or "denied" in theirs
    await nothing_left(ground)

    again, began = [], time.monotonic()
    assert await ground.built(replace(source, operation_id="op-again"), SPEC, again) == image
    assert time.monotonic() - began < 3
    assert [line for line in again if "built already" in line] == again

    revision, began = await ground.commit({"app.py": APP.format(word="two")}), time.monotonic()
    second = []
    other = await ground.built(await ground.source(revision, "op-two"), SPEC, second)
    warm = time.monotonic() - began
    print(f"cold {cold:.1f} s, warm {warm:.1f} s")  # noqa: T201 - what the run is read for
    assert other != image
    assert any("CACHED" in line for line in second)
    assert warm < 60


async def test_an_image_says_which_revision_it_is_of(ground):
    revision = await ground.commit(files("labelled"))
    source = await ground.source(revision, "op-labelled")
    image = await ground.built(source, SPEC, [])
    digest = image.rpartition("@")[2]
    scope = f"repository:{source.repository}:pull"
    login, path = ground.tokens.pull_token("default", REPO), f"/v2/{source.repository}"
    manifest = await registry_answer(ground, login, f"{path}/manifests/{digest}", scope=scope)
    blob = manifest.json()["config"]["digest"]
    config = await registry_answer(ground, login, f"{path}/blobs/{blob}", scope=scope)
    labels = config.json()["config"]["Labels"]
    assert labels["org.opencontainers.image.revision"] == revision


OUTPUT = re.compile(r"^#\d+ [\d.]+ (.*)$")
"""What a step wrote, and not what it is called."""

HOSTILE = """\
FROM python:3.11-slim
COPY . /src
RUN echo FIRST; id -u; env; cat /proc/*/environ /proc/*/cmdline | tr '\\0' '\\n'; echo LAST
RUN find / -xdev \\( -name gitconfig -o -name config.json -o -name .git -o -name buildkitd.sock \\) -print | sed 's/^/FOUND /'
RUN ls -R /run /var/run /work /src/.git 2>&1 | head -100; cat /run/secrets/*/* /work/src/* 2>&1 | head -20; echo DONE
RUN --mount=type=secret,id=login --mount=type=secret,id=gitconfig ls -l /run/secrets/; cat /run/secrets/login /run/secrets/gitconfig 2>&1; echo NONE
RUN mount | grep -v overlay | grep -E 'run|secret|work|buildkit' | sed 's/^/MOUNT /'; echo MOUNTED
RUN mkdir /m && (mount -t tmpfs none /m 2>/dev/null && echo CAN-MOUNT || echo CANNOT-MOUNT); mknod /dev/x b 8 0; head -c1 /dev/x >/dev/null 2>&1 && echo CAN-READ-DISK || echo CANNOT-READ-DISK
RUN python3 - <<'PY'
import socket
for host, port in (("kubernetes.default.svc.cluster.local", 443), ("@API@", 6443), ("169.254.169.254", 80), ("pypi.org", 443)):
    try:
        socket.create_connection((host, port), 3).close()
        print("REACHED", host)
    except OSError as error:
        print("REFUSED", host, type(error).__name__)
PY
"""


async def test_a_hostile_dockerfile_finds_no_token_and_reaches_no_part_of_the_cluster(ground):
    server = kubectl("config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}")
    text = HOSTILE.replace("@API@", server.split("//")[1].split(":")[0])
    revision = await ground.commit({"Hostile.Dockerfile": text})
    source, lines = await ground.source(revision, "op-hostile"), []
    await ground.built(source, dockerfile("Hostile.Dockerfile"), lines)
    said = "\n".join(lines)
    written = [told[1] for line in lines if (told := OUTPUT.match(line))]
    for marker in ("FIRST", "LAST", "DONE", "NONE", "MOUNTED", "CANNOT-MOUNT", "CANNOT-READ-DISK"):
        assert marker in written, said
    for token in (source.git_token, source.push_token):
        assert token.get_secret_value() not in said
    assert "eyJ" not in said, "a JWT's beginning"
    assert not [line for line in written if line.startswith("FOUND")]
    reached = [line.split()[-1] for line in written if line.startswith("REACHED")]
    assert reached == ["pypi.org"]


async def test_a_context_that_a_link_leads_out_of_the_tree_is_refused(ground):
    await ground.commit(files("links"))
    revision = await ground.link("out", "/run/secrets/registry")
    source = await ground.source(revision, "op-link")
    with pytest.raises(BuildFailed, match="not a directory of the repository") as failed:
        await ground.built(source, replace(SPEC, context="out"), [])
    assert not isinstance(failed.value, FetchFailed)
    await nothing_left(ground)


async def test_a_failed_build_names_the_step_and_brings_its_last_lines(ground):
    text = "FROM python:3.11-slim\nRUN seq 1 80\nRUN echo broken; exit 3\n"
    revision = await ground.commit({"Broken.Dockerfile": text})
    with pytest.raises(BuildFailed, match=r"step \[\d/\d\] RUN failed") as failed:
        await ground.built(
            await ground.source(revision, "op-broken"), dockerfile("Broken.Dockerfile"), []
        )
    assert len(failed.value.lines) == 50
    assert any("broken" in line for line in failed.value.lines)
    await nothing_left(ground)


async def test_a_git_token_that_is_refused_is_worth_repeating(ground):
    revision = await ground.commit(files("refused"))
    source = replace(await ground.source(revision, "op-git"), git_token=SecretStr("wrong"))
    with pytest.raises(FetchFailed, match="could not fetch"):
        await ground.built(source, SPEC, [])
    await nothing_left(ground)


async def test_nobody_pushes_without_the_login_of_that_very_repository(ground):
    revision = await ground.commit(files("pushed"))
    source = await ground.source(revision, "op-push")
    for wrong in (SecretStr("wrong"), ground.tokens.push_token("default", "acme/other")):
        with pytest.raises(RegistryUnavailable, match="401"):
            await ground.built(replace(source, push_token=wrong), SPEC, [])
    own, other = source.repository, image_repository("default", "acme/other")
    for name, status in ((own, 202), (other, 401)):
        scope = f"repository:{name}:pull,push"
        path = f"/v2/{name}/blobs/uploads/"
        answer = await registry_answer(ground, source.push_token, path, "POST", scope=scope)
        assert answer.status_code == status, name
    pull, scope = ground.tokens.pull_token("default", REPO), f"repository:{own}:pull,push"
    answer = await registry_answer(ground, pull, f"/v2/{own}/blobs/uploads/", "POST", scope=scope)
    assert answer.status_code == 401


SLOW = "FROM python:3.11-slim\nRUN echo it has begun; sleep 20; echo it has ended\n"
"""For long enough that another can be attached to it on a busy node."""


async def has_begun(lines):
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not any(told[1] == "it has begun" for told in map(OUTPUT.match, lines) if told):
            await asyncio.sleep(0.1)


async def test_a_cancelled_build_leaves_nothing(ground):
    revision, lines = await ground.commit({"Slow.Dockerfile": f"{SLOW}# cancelled"}), []
    source = await ground.source(revision, "op-cancelled")
    building = asyncio.create_task(ground.built(source, dockerfile("Slow.Dockerfile"), lines))
    await has_begun(lines)
    building.cancel()
    with pytest.raises(asyncio.CancelledError):
        await building
    await nothing_left(ground)


CHILD = """
import asyncio, json, os, signal, sys
from pathlib import Path
from pydantic import SecretStr
from sidecar.client.kubernetes import KubernetesApi
from sidecar.wire.preview_spec import PreviewSpec
from tasks.builders.buildkit import BuildKit
from tasks.builders.image_source import BuildPlace, ImageSource

told = json.loads(sys.stdin.read())
tokens = {name: SecretStr(told["source"].pop(name)) for name in ("git_token", "push_token")}
source = ImageSource(**told["source"], **tokens)
applied = []

class Dying(KubernetesApi):
    async def apply(self, *words):
        applied.append(words)
        if len(applied) == told["dies_at"]:
            os.kill(os.getpid(), signal.SIGKILL)
        return await super().apply(*words)

api = Dying(told["url"], Path(told["home"]))
say = lambda line: print(line, flush=True)
builder = BuildKit(api, BuildPlace(**told["place"]))
asyncio.run(builder.build(source, PreviewSpec(**told["spec"]), say))
"""


async def flow(ground, source, spec, dies_at=0):
    """A process of its own that builds; it kills itself before the given object is applied, counted from 1."""
    await ground.api().aclose()
    told = {
        "source": asdict(source)
        | {name: getattr(source, name).get_secret_value() for name in ("git_token", "push_token")},
        "place": asdict(ground.place),
        "spec": asdict(spec),
        "home": str(ground.home),
        "dies_at": dies_at,
        "url": kubectl(
            "config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}"
        ),
    }
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CHILD, stdin=pipe, stdout=pipe
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(told).encode())
    process.stdin.close()
    return process


async def test_a_build_outlives_a_killed_flow_and_is_attached_to(ground):
    revision = await ground.commit({"Slow.Dockerfile": f"{SLOW}# killed"})
    source, spec = await ground.source(revision, "op-killed"), dockerfile("Slow.Dockerfile")
    first = await flow(ground, source, spec)
    assert first.stdout is not None
    async with asyncio.timeout(PATIENCE_SECONDS):
        while b"it has begun" not in await first.stdout.readline():
            assert first.returncode is None
    first.kill()
    await first.wait()
    name = job_of(source, tag_of(revision, spec))
    pods = ("get", "pods", "-n", ground.namespace, "-l", f"job-name={name}", "-o", "name")
    [pod] = kubectl(*pods).split()
    lines = []
    building = asyncio.create_task(ground.built(source, spec, lines))
    await has_begun(lines)
    assert kubectl(*pods).split() == [pod]
    assert "@sha256:" in await building
    assert any("has begun already" in line for line in lines)
    await nothing_left(ground)


@pytest.mark.parametrize(
    ("dies_at", "kept"), [(1, ["job"]), (2, ["job", "secret"])], ids=["no Secret", "suspended"]
)
async def test_a_build_that_a_killed_flow_never_began_is_found_and_removed_by_a_sweep(
    ground, dies_at, kept
):
    revision = await ground.commit({"Never.Dockerfile": f"FROM scratch\n# {dies_at}"})
    source = await ground.source(revision, f"op-never-{dies_at}")
    killed = await flow(ground, source, dockerfile("Never.Dockerfile"), dies_at)
    assert await asyncio.wait_for(killed.wait(), 60) == -signal.SIGKILL
    assert [each.split("/")[0].split(".")[0] for each in ground.left()] == kept
    assert await ground.operations() == {source.operation_id}
    await ground.swept("op-another")
    assert await ground.operations() == {source.operation_id}
    await ground.swept(source.operation_id)
    await nothing_left(ground)
    assert await ground.operations() == set()


async def test_a_sweep_ends_a_build_whose_flow_is_dead_and_whose_operation_is_over(ground):
    revision = await ground.commit({"Slow.Dockerfile": f"{SLOW}# orphaned"})
    source = await ground.source(revision, "op-orphan")
    dead = await flow(ground, source, dockerfile("Slow.Dockerfile"))
    assert dead.stdout is not None
    async with asyncio.timeout(PATIENCE_SECONDS):
        while b"it has begun" not in await dead.stdout.readline():
            assert dead.returncode is None
    dead.kill()
    await dead.wait()
    await ground.swept(source.operation_id)
    await nothing_left(ground)


async def test_a_registry_that_is_busy_for_a_while_is_asked_again_by_another_try(ground):
    with busy_registry(HOST) as base:
        ground.speaks_http(base.address)
        text = f"FROM {base.address}/base:1\nCOPY Busy.Dockerfile /\n"
        revision, lines = await ground.commit({"Busy.Dockerfile": text}), []
        source = await ground.source(revision, "op-busy")
        building = asyncio.create_task(ground.built(source, dockerfile("Busy.Dockerfile"), lines))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not any("find a base image" in line for line in lines):
                await asyncio.sleep(0.1)
        base.is_busy = False
        assert "@sha256:" in await building
    await nothing_left(ground)


async def test_a_base_image_that_is_not_there_is_told_at_once(ground):
    revision, lines = await ground.commit({"None.Dockerfile": "FROM python:nosuch\n"}), []
    with pytest.raises(BuildFailed, match="internal") as failed:
        await ground.built(
            await ground.source(revision, "op-none"), dockerfile("None.Dockerfile"), lines
        )
    assert any("not found" in line for line in failed.value.lines)
    assert not any("begun again" in line for line in lines)


async def test_a_build_that_finds_no_room_says_so_and_goes_on_when_there_is(ground):
    revision, lines = await ground.commit({"Roomy.Dockerfile": "FROM python:3.11-slim\n"}), []
    quota = ("patch", "resourcequota", "builds", "-n", ground.namespace, "--patch")
    kubectl(*quota, '{"spec": {"hard": {"pods": "0"}}}')
    source = await ground.source(revision, "op-room")
    building = asyncio.create_task(ground.built(source, dockerfile("Roomy.Dockerfile"), lines))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not any("quota leaves no room" in line for line in lines):
            await asyncio.sleep(0.1)
    kubectl(*quota, '{"spec": {"hard": {"pods": "10"}}}')
    assert "@sha256:" in await building
    await nothing_left(ground)
