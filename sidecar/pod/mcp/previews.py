"""Tools that bring work before people: previews of one revision, evidence about it, and its merge."""

from typing import Any, Literal

from pydantic import Field

from sidecar.pod.mcp.tool import Arguments, Desk, Repeatable, Tool
from sidecar.wire.model import BranchName
from sidecar.wire.previews import DeployRequest, MergeRequest, ValidateRequest, VerifyRequest
from sidecar.wire.sessions import SpecModel

WAIT_MARGIN_SECONDS = 15.0
VERIFY_SECONDS = 180.0
MERGE_SECONDS = 60.0
REPOSITORY = r"^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$"
REVISION = r"^[0-9a-f]{40}$"
IDENTIFIER = r"^[A-Za-z0-9_-]{1,64}$"


class Validate(Arguments):
    repo: str = Field(pattern=REPOSITORY)
    revision: str = Field(pattern=REVISION)


class Deploy(Repeatable):
    repo: str = Field(pattern=REPOSITORY)
    branch: BranchName
    commit_sha: str = Field(pattern=REVISION)
    wait_seconds: float = Field(
        default=0, ge=0, le=50, description="Wait so long for it to be ready."
    )


class Named(Arguments):
    preview_id: str = Field(pattern=IDENTIFIER)


class Logs(Named):
    source: Literal["build", "app"] = "app"
    tail: int = Field(default=100, ge=1, le=2000)


class Events(Named):
    since: int = Field(default=0, ge=0)


class Verify(Repeatable):
    preview_id: str = Field(pattern=IDENTIFIER)
    checks: list[dict[str, Any]] = Field(default_factory=list, max_length=100)
    spec: SpecModel | None = None


class Release(Repeatable):
    preview_id: str = Field(pattern=IDENTIFIER)


class Rollback(Repeatable):
    preview_id: str = Field(pattern=IDENTIFIER)


class Merge(Repeatable):
    repo: str = Field(pattern=REPOSITORY)
    head: str = Field(min_length=1, max_length=255)
    base: str = Field(min_length=1, max_length=255)
    expected_sha: str = Field(pattern=REVISION)
    evidence_id: str = Field(pattern=IDENTIFIER)


async def _validate(desk: Desk, call: Validate) -> Any:
    request = ValidateRequest(repo=call.repo, revision=call.revision)
    return await desk.post("/internal/previews/validate", request)


async def _deploy(desk: Desk, call: Deploy) -> Any:
    request = DeployRequest.model_validate(call.model_dump(exclude={"idempotency_key"}))
    timeout = call.wait_seconds + WAIT_MARGIN_SECONDS
    return await desk.post("/internal/previews", request, timeout=timeout)


async def _status(desk: Desk, call: Named) -> Any:
    return await desk.get(f"/internal/previews/{call.preview_id}")


async def _logs(desk: Desk, call: Logs) -> Any:
    params = {"source": call.source, "tail": call.tail}
    return await desk.get(f"/internal/previews/{call.preview_id}/logs", params)


async def _events(desk: Desk, call: Events) -> Any:
    return await desk.get(f"/internal/previews/{call.preview_id}/events", {"since": call.since})


async def _verify(desk: Desk, call: Verify) -> Any:
    spec = call.spec.model_dump() if call.spec else None
    request = VerifyRequest(checks=call.checks, spec=spec)
    path = f"/internal/previews/{call.preview_id}/verify"
    return await desk.post(path, request, timeout=VERIFY_SECONDS)


async def _release(desk: Desk, call: Release) -> Any:
    return await desk.post(f"/internal/previews/{call.preview_id}/release")


async def _rollback(desk: Desk, call: Rollback) -> Any:
    return await desk.post(f"/internal/previews/{call.preview_id}/rollback")


async def _merge(desk: Desk, call: Merge) -> Any:
    request = MergeRequest.model_validate(call.model_dump(exclude={"idempotency_key"}))
    return await desk.post("/internal/merge", request, timeout=MERGE_SECONDS)


TOOLS = (
    Tool(
        name="preview_validate",
        description="Check .x1agent/preview.yaml at a pushed revision: all findings at once.",
        arguments=Validate,
        act=_validate,
    ),
    Tool(
        name="preview_deploy",
        description="Build and serve one pushed revision at a URL. The old one serves until the new one is "
        "proven. Later progress reaches you as a message.",
        arguments=Deploy,
        act=_deploy,
    ),
    Tool(
        name="preview_status",
        description="Which revision a preview serves, at which URL, or why it does not.",
        arguments=Named,
        act=_status,
    ),
    Tool(
        name="preview_logs",
        description="The last lines of a preview's build or app log.",
        arguments=Logs,
        act=_logs,
    ),
    Tool(
        name="preview_events",
        description="What happened to a preview, oldest first.",
        arguments=Events,
        act=_events,
    ),
    Tool(
        name="preview_verify",
        description="Run HTTP checks, or a committed spec's acceptance checks, against a preview. The answer "
        "is kept as evidence for the revision that was served.",
        arguments=Verify,
        act=_verify,
    ),
    Tool(
        name="preview_release",
        description="Take a preview down for good.",
        arguments=Release,
        act=_release,
    ),
    Tool(
        name="preview_rollback",
        description="Serve the last revision that passed a verification, other than the one that is served. "
        "It is proven first; progress reaches you as a message.",
        arguments=Rollback,
        act=_rollback,
    ),
    Tool(
        name="merge_branch",
        description="Merge exactly the revision that was verified. Needs evidence of every acceptance check.",
        arguments=Merge,
        act=_merge,
    ),
)
