"""A build's Job: what each container gets, what its log and its end say, and when an image is used again."""

import base64
import json
from dataclasses import replace
from types import SimpleNamespace

import httpx
import kubernetes_validate
import pytest
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from infra.cluster import registry_keys
from sidecar.domain.errors import RegistryUnavailable
from sidecar.domain.image_name import image_repository
from sidecar.http_errors import exception_handlers
from sidecar.relay.registry import token_service
from sidecar.relay.registry.tokens import RegistryTokens
from sidecar.wire.preview_spec import PreviewSpec
from tasks.builders import buildkit_job, buildkit_scripts, image_registry
from tasks.builders.buildkit_ending import digest_of
from tasks.builders.buildkit_log import BuildLog
from tasks.builders.buildkit_names import job_of, tag_of
from tasks.builders.errors import BuildFailed, BuildLost, FetchFailed
from tasks.builders.image_source import BuildPlace, ImageSource

SHA, DIGEST = "a" * 40, f"sha256:{'d' * 64}"
GIT_TOKEN, PUSH_TOKEN = "canary-of-git", "canary-of-push"
PLACE = BuildPlace(agent_image="x1/agent", is_plain_registry=True)
SOURCE = ImageSource(
    operation_id="op-1",
    workspace="default",
    repo="acme/app",
    revision=SHA,
    git_url="http://forge:8600",
    git_token=SecretStr(GIT_TOKEN),
    registry="registry:5000",
    push_token=SecretStr(PUSH_TOKEN),
)
SPEC = PreviewSpec(
    name="app",
    kind="dockerfile",
    directory=".",
    build=(),
    run=(),
    health_path="/",
    startup_seconds=60,
    dockerfile="docker/Dockerfile",
    args={"GREETING": "hello, $(HOME) a=b"},
)


def job(place=PLACE, source=SOURCE, spec=SPEC):
    return buildkit_job.job("build-1", tag_of(source.revision, spec), place, source, spec)


def containers(place=PLACE):
    pod = job(place)["spec"]["template"]["spec"]
    return {each["name"]: each for each in [*pod["initContainers"], *pod["containers"]]}


def test_a_build_makes_way_for_sessions():
    assert job()["spec"]["template"]["spec"]["priorityClassName"] == "x1-preview"


@pytest.mark.parametrize(
    ("version", "is_rootless"), [("1.29", False), ("1.32", True), ("1.36", False), ("1.36", True)]
)
def test_kubernetes_takes_job_and_secret_strictly(version, is_rootless):
    kubernetes_validate.validate(job(replace(PLACE, is_rootless=is_rootless)), version, strict=True)
    secret = buildkit_job.secret("build-1", "uid", PLACE, SOURCE)
    kubernetes_validate.validate(secret, version, strict=True)


def test_both_tokens_are_in_the_secret_and_nowhere_else():
    text = json.dumps(job())
    for token in (GIT_TOKEN, PUSH_TOKEN):
        pair = base64.b64encode(f"x1:{token}".encode()).decode()
        assert token not in text
        assert pair not in text
    kept = buildkit_job.secret("build-1", "uid", PLACE, SOURCE)["data"]
    login = json.loads(base64.b64decode(kept["config.json"]))["auths"]["registry:5000"]["auth"]
    assert base64.b64decode(login).decode() == f"x1:{PUSH_TOKEN}"
    header = base64.b64decode(kept["gitconfig"]).decode().split("Basic ")[1].split('"')[0]
    assert base64.b64decode(header).decode() == f"x-access-token:{GIT_TOKEN}"


@pytest.mark.parametrize("is_rootless", [False, True])
def test_each_token_is_mounted_by_one_container_and_none_by_the_one_that_runs_the_steps(
    is_rootless,
):
    found = containers(replace(PLACE, is_rootless=is_rootless))
    mounts = {name: {m["name"] for m in each["volumeMounts"]} for name, each in found.items()}
    assert [name for name, names in mounts.items() if "git" in names] == ["fetch"]
    assert [name for name, names in mounts.items() if "login" in names] == ["build"]
    assert "env" not in found["buildkitd"]


def test_whoever_talks_to_forge_or_registry_finds_a_teams_authorities():
    mounts = {
        name: {m["name"]: m["mountPath"] for m in each["volumeMounts"]}
        for name, each in containers().items()
    }
    assert mounts["fetch"]["authorities"] == buildkit_scripts.AUTHORITIES
    for name in ("build", "buildkitd"):
        assert mounts[name]["authorities"] == "/etc/pki/tls/certs"


def test_only_buildkitd_is_privileged():
    found = containers()
    assert found["buildkitd"]["securityContext"]["privileged"] is True
    for name in ("fetch", "build"):
        context = found[name]["securityContext"]
        assert (context["runAsNonRoot"], context["capabilities"]) == (True, {"drop": ["ALL"]})
    rootless = containers(replace(PLACE, is_rootless=True))["buildkitd"]["securityContext"]
    assert "privileged" not in rootless


def test_an_argument_of_the_spec_reaches_the_build_letter_by_letter():
    words = containers()["build"]["args"]
    assert "build-arg:GREETING=hello, $$(HOME) a=b" in words


def test_the_same_revision_has_another_tag_only_for_what_decides_the_image():
    tag = tag_of(SHA, SPEC)
    assert tag.startswith(f"{SHA}-")
    assert tag == tag_of(SHA, replace(SPEC, env={"COLOUR": "blue"}, port=9000))
    others = {
        tag_of(SHA, replace(SPEC, args={})),
        tag_of(SHA, replace(SPEC, context="docker")),
        tag_of(SHA, replace(SPEC, dockerfile="Dockerfile")),
    }
    assert len({tag, *others}) == 4


def test_an_operation_finds_its_own_job_again():
    tag = tag_of(SHA, SPEC)
    again = replace(SOURCE, git_token=SecretStr("renewed"), push_token=SecretStr("renewed"))
    assert job_of(SOURCE, tag) == job_of(again, tag)
    assert job_of(SOURCE, tag) != job_of(replace(SOURCE, operation_id="op-2"), tag)


def heard(*lines):
    log = BuildLog()
    for line in lines:
        log.hear(line)
    return log


def test_a_failure_names_its_step_and_has_the_last_fifty_lines():
    log = heard(
        "#7 [2/3] RUN pip install nosuch",
        *(f"#7 0.{number} line {number}" for number in range(100, 180)),
        '#7 ERROR: process "/bin/sh -c pip install nosuch" did not complete: exit code: 1',
    )
    assert log.failing_step == "[2/3] RUN"
    assert (len(log.tail), log.tail[0]) == (50, "> [2/3] RUN pip install nosuch")
    assert "ERROR" in log.tail[-1]


def test_a_step_cannot_pass_its_output_for_anothers_failure():
    log = heard(
        "#7 [2/3] RUN evil", "#8 [3/3] RUN good", "#7 0.1 #8 ERROR: it was good", "#7 0.2 x"
    )
    assert log.failing_step == ""


def test_a_log_without_end_is_shown_up_to_a_point():
    log = BuildLog()
    shown = [log.hear("#7 0.1 " + "x" * 1990) for _ in range(6000)]
    told = [line for line in shown if line is not None]
    assert sum(map(len, told)) < 9 << 20
    assert "not shown" in told[-1]


def pod(*, fetch=None, build=None, **status):
    def state(name, terminated):
        return {
            "name": name,
            "state": {"terminated": terminated} if terminated else {"running": {}},
        }

    return {
        "metadata": {"name": "p"},
        "spec": job()["spec"]["template"]["spec"],
        "status": {
            "phase": "Running",
            "initContainerStatuses": [state("fetch", fetch), state("buildkitd", None)],
            "containerStatuses": [state("build", build)],
            **status,
        },
    }


DONE = {"exitCode": 0}


def test_the_digest_comes_with_the_end_and_not_before():
    assert digest_of(pod(), BuildLog(), "acme/app") is None
    ended = pod(fetch=DONE, build={"exitCode": 0, "message": f"{DIGEST}\n"})
    assert digest_of(ended, BuildLog(), "acme/app") == DIGEST


@pytest.mark.parametrize(
    ("ended", "error", "words"),
    [
        (pod(fetch={"exitCode": 10, "message": "exit code 128"}), FetchFailed, "acme/app.*128"),
        (pod(fetch={"exitCode": 11, "message": "no Dockerfile"}), BuildFailed, "no Dockerfile"),
        (pod(fetch={"exitCode": 12, "message": "exit code 128"}), BuildFailed, "check .* out.*128"),
        (pod(fetch={"exitCode": 137, "reason": "OOMKilled"}), BuildFailed, "memory than the 512Mi"),
        (pod(fetch={"exitCode": 137, "reason": "Error"}), BuildLost, "exit code 137"),
        (
            pod(
                fetch={"exitCode": 137, "reason": "Error"},
                phase="Failed",
                reason="Evicted",
                message='Usage of EmptyDir volume "work" exceeds the limit "2Gi".',
            ),
            BuildFailed,
            "more disk.*2Gi",
        ),
        (pod(fetch=DONE, build={"exitCode": 1}), BuildFailed, "build failed"),
        (pod(fetch=DONE, build={"exitCode": 0, "message": "x"}), BuildFailed, "no digest"),
        (pod(fetch=DONE, build={"exitCode": 20}), BuildLost, "not there"),
        (
            pod(phase="Failed", reason="Evicted", message="node is low on memory"),
            BuildLost,
            "Evicted",
        ),
        (
            pod(phase="Failed", reason="Evicted", message="usage exceeds the limit 20Gi"),
            BuildFailed,
            "more disk",
        ),
    ],
)
def test_every_other_end_has_its_own_error(ended, error, words):
    with pytest.raises(error, match=words) as raised:
        digest_of(ended, BuildLog(), "acme/app")
    assert type(raised.value) is error


def test_a_builder_out_of_memory_is_the_builds_fault():
    ended = pod(fetch=DONE, build={"exitCode": 1})
    killed = {"terminated": {"reason": "OOMKilled", "exitCode": 137}}
    ended["status"]["initContainerStatuses"][1] |= {"lastState": killed}
    with pytest.raises(BuildFailed, match="memory than the 4Gi that buildkitd may have"):
        digest_of(ended, BuildLog(), "acme/app")


REFUSED = "dial tcp 10.250.0.1:1: connect: connection refused"
BUSY = "unexpected status from HEAD request to http://r/v2/x/manifests/1: 429 Too Many Requests"
GONE = "rpc error: code = Unavailable desc = error reading from server: EOF"


def failing(name, why):
    return [f"#7 {name}", f"#7 ERROR: {why}", f"error: failed to solve: {why}"]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (failing("[internal] load metadata for r/x:1", REFUSED), "find a base image"),
        (failing("[internal] load metadata for r/x:1", BUSY), "find a base image"),
        (failing("resolve image config for docker-image://r/d:1", REFUSED), "find a base image"),
        (failing("[app 1/3] FROM r/x:1@sha256:1", f"failed to copy: {REFUSED}"), "pull a base"),
        (failing("exporting to image", f"failed to push r/ws/x:1: {REFUSED}"), "push the image"),
        (
            failing("[auth] ws/x:pull,push token for r", "failed to fetch oauth token: 503"),
            "log in",
        ),
        (["#5 [2/2] RUN make", f"error: failed to receive status: {GONE}"], "not there to the end"),
    ],
)
def test_a_registry_or_builder_that_was_away_is_not_the_revisions_fault(lines, words):
    with pytest.raises(BuildLost, match=words) as lost:
        digest_of(pod(fetch=DONE, build={"exitCode": 1}), heard(*lines), "acme/app")
    assert lost.value.lines[-1] == lines[-1]


@pytest.mark.parametrize(
    "lines",
    [
        failing("[2/3] RUN make", 'process "make" did not complete successfully: exit code: 2'),
        failing("[2/3] RUN curl http://r", REFUSED),
        failing("[internal] load metadata for r/x:nosuch", "r/x:nosuch: not found"),
        failing("[internal] load metadata for r/x:1", "pull access denied, repository ..."),
        ["#6 [2/2] COPY nope /x", "#6 CANCELED", 'error: failed to solve: "/nope": not found'],
        ["error: failed to solve: dockerfile parse error on line 1: unknown instruction: FRM"],
        # A first build has no cache to import, which is no failure, and the step after it is.
        [
            "#4 importing cache manifest from r/ws/x:buildcache",
            f"#4 ERROR: failed to configure registry cache importer: {REFUSED}",
            *failing("[2/3] RUN make", "exit code: 2"),
        ],
        ["#7 [2/3] RUN evil", f"#7 0.1 error: {GONE}", "#7 ERROR: exit code: 1"],
    ],
)
def test_a_failure_of_the_dockerfile_is_told_and_not_repeated(lines):
    with pytest.raises(BuildFailed):
        digest_of(pod(fetch=DONE, build={"exitCode": 1}), heard(*lines), "acme/app")


@pytest.fixture
def registry():
    """A registry that keeps one tag, behind the relay's own token service."""
    keys = [text.encode() for text in registry_keys.make({}).values()]
    tokens = RegistryTokens(*keys)
    name = image_repository("default", "acme/app")

    async def manifest(request):
        if "authorization" not in request.headers:
            challenge = (
                'Bearer realm="http://relay/registry/token",service="x1-registry",'
                f'scope="repository:{name}:pull"'
            )
            return Response(status_code=401, headers={"www-authenticate": challenge})
        is_there = request.path_params["tag"] == "there"
        headers = {"docker-content-digest": DIGEST} if is_there else {}
        return Response(status_code=200 if is_there else 404, headers=headers)

    route = Route(f"/v2/{name}/manifests/{{tag}}", manifest, methods=["HEAD"])
    app = Starlette(routes=[route, *token_service.routes], exception_handlers=exception_handlers)
    app.state.services = SimpleNamespace(registry_tokens=tokens)
    source = replace(SOURCE, push_token=tokens.push_token("default", "acme/app"))
    return source, httpx.ASGITransport(app)


async def test_an_image_that_is_there_is_found_and_a_missing_one_is_no_error(registry):
    source, transport = registry
    for tag, digest in (("there", DIGEST), ("missing", None)):
        found = await image_registry.digest_of(source, tag, is_plain=True, transport=transport)
        assert found == digest


async def test_a_registry_that_is_away_or_busy_is_asked_again_for_a_while(registry):
    source, transport = registry
    came = [httpx.ConnectError("refused"), httpx.Response(503), httpx.Response(429)]

    class Flapping(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request):
            if not came:
                return await transport.handle_async_request(request)
            first = came.pop(0)
            if isinstance(first, Exception):
                raise first
            return first

    found = await image_registry.digest_of(source, "there", is_plain=True, transport=Flapping())
    assert found == DIGEST
    came = [httpx.Response(503)]
    with pytest.raises(RegistryUnavailable, match="503"):
        await image_registry.digest_of(
            source, "there", is_plain=True, patience_seconds=0, transport=Flapping()
        )


async def test_a_login_that_is_refused_is_said_and_not_taken_for_a_missing_image(registry):
    _, transport = registry
    with pytest.raises(RegistryUnavailable, match="401"):
        await image_registry.digest_of(SOURCE, "there", is_plain=True, transport=transport)
