"""What an operation's end means: for its preview, for the evidence, and for the session that asked.

Callers hold the locks in the ledger's order: session, preview, operation.
"""

from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from sidecar.domain.errors import SessionEnded
from sidecar.domain.event import EventType
from sidecar.domain.ids import EvidenceId, new_id
from sidecar.domain.preview import (
    Evidence,
    Operation,
    OperationKind,
    OperationState,
    Preview,
    PreviewStatus,
)
from sidecar.domain.session import Session
from sidecar.domain.wake import WakeKind
from sidecar.relay import nudges
from sidecar.relay.aftermath import Change
from sidecar.relay.journal import note
from sidecar.relay.previews import waiting
from sidecar.relay.waking import wake
from sidecar.wire.checks import dump_check, parse_checks

MAX_DIAGNOSIS: Final = 16_000
SUPERSEDED: Final = "superseded"


async def succeed(
    made: Change, session: Session, preview: Preview, operation: Operation, result: dict[str, Any]
) -> Operation:
    match operation.kind:
        case OperationKind.DEPLOY:
            kept: dict[str, Any] = {"serving": operation.revision}
            await _ready(made, session, preview, operation)
        case OperationKind.VERIFY:
            kept = await _judge(made, session, preview, operation, result)
        case OperationKind.RELEASE:
            kept = {}
            if preview.serving is not None:
                await made.tx.previews.save(replace(preview, serving=None))
    return await _end(made, operation, OperationState.SUCCEEDED, kept)


async def fail(
    made: Change, session: Session, preview: Preview, operation: Operation, diagnosis: str
) -> Operation:
    """The previous revision keeps serving: only what was asked for has failed."""
    diagnosis = diagnosis[:MAX_DIAGNOSIS]
    match operation.kind:
        case OperationKind.DEPLOY:
            await _failed(made, session, preview, operation, diagnosis)
        case OperationKind.VERIFY:
            text = (
                f"The checks of {preview.repo}@{preview.branch} at {operation.revision[:8]} could not "
                f"be run: {diagnosis}"
            )
            told = {**_told(preview, operation), "diagnosis": diagnosis}
            await _tell(made, session, operation, text, told)
        case OperationKind.RELEASE:
            pass  # nobody waits for it: the name is free already
    return await _end(made, operation, OperationState.FAILED, {"diagnosis": diagnosis})


async def _failed(
    made: Change, session: Session, preview: Preview, operation: Operation, diagnosis: str
) -> None:
    now = made.services.now()
    failed = replace(preview, status=PreviewStatus.FAILED, diagnosis=diagnosis, updated_at=now)
    await made.tx.previews.save(failed)
    told = {**_told(failed, operation), "diagnosis": diagnosis}
    await note(made.tx, session, EventType.PREVIEW_FAILED, told)
    serves = f"{preview.serving[:8]} keeps serving" if preview.serving else "nothing is served"
    text = (
        f"The preview of {preview.repo}@{preview.branch} failed at {operation.revision[:8]}; "
        f"{serves} at {preview.url}.\n\n{diagnosis}"
    )
    await _tell(made, session, operation, text, told)


async def supersede(made: Change, preview: Preview, reason: str) -> None:
    """Ends what is open of a preview and not yet under way for good: its flow run is told at its next report.

    Until then it keeps its lease: what must not meet it waits. A release that runs already is left to end: what
    follows it waits for its turn.
    """
    for operation in await made.tx.operations.list_of(preview.id):
        is_releasing = (
            operation.kind is OperationKind.RELEASE and operation.state is OperationState.RUNNING
        )
        if operation.state.is_final or operation.kind is OperationKind.VERIFY or is_releasing:
            continue
        locked = await made.tx.operations.lock(operation.id)
        result = {"diagnosis": reason, SUPERSEDED: True}
        ended = await _end(made, locked, OperationState.FAILED, result)
        if locked.lease_expires_at is not None:
            await made.tx.operations.save(replace(ended, lease_expires_at=locked.lease_expires_at))
        if locked.flow_run_id is not None and locked.state is OperationState.REQUESTED:
            made.aftermath.unstarted.append(locked.flow_run_id)


async def _ready(made: Change, session: Session, preview: Preview, operation: Operation) -> None:
    now = made.services.now()
    ready = replace(
        preview,
        status=PreviewStatus.READY,
        serving=operation.revision,
        diagnosis=None,
        updated_at=now,
        expires_at=now + timedelta(hours=made.services.settings.preview_ttl_hours),
    )
    await made.tx.previews.save(ready)
    told = {**_told(ready, operation), "alias_url": ready.alias_url}
    await note(made.tx, session, EventType.PREVIEW_READY, told)
    text = (
        f"The preview of {ready.repo}@{ready.branch} is ready: {ready.url} serves "
        f"{operation.revision}. Verify it before anything is merged."
    )
    await _tell(made, session, operation, text, told)


async def _judge(
    made: Change, session: Session, preview: Preview, operation: Operation, result: dict[str, Any]
) -> dict[str, Any]:
    """Evidence: one result for each check that was asked for, in its order; a missing one has failed."""
    checks = parse_checks(operation.arguments["checks"])
    reported = result.get("results")
    found: list[Any] = list(reported) if isinstance(reported, list) else []
    results = tuple(
        {
            **_result(found, index),
            "check": dump_check(check),
            "identity": check.identity(),
        }
        for index, check in enumerate(checks)
    )
    evidence = Evidence(
        id=EvidenceId(new_id()),
        preview_id=preview.id,
        session_id=session.id,
        repo=preview.repo,
        branch=preview.branch,
        revision=operation.revision,
        passed=all(each["passed"] for each in results),
        results=results,
        created_at=made.services.now(),
    )
    await made.tx.evidence.insert(evidence)
    told = {**_told(preview, operation), "evidence_id": evidence.id, "passed": evidence.passed}
    told["failed"] = sum(not each["passed"] for each in results)
    await note(made.tx, session, EventType.PREVIEW_VERIFIED, told)
    verdict = "passed" if evidence.passed else f"{told['failed']} of {len(results)} failed"
    await _tell(
        made,
        session,
        operation,
        f"Checks of {preview.repo}@{preview.branch} at {operation.revision}: {verdict}. "
        f"Evidence {evidence.id}.",
        told,
    )
    return {"evidence_id": evidence.id, "passed": evidence.passed}


def _result(found: list[Any], index: int) -> dict[str, Any]:
    if index >= len(found) or not isinstance(found[index], dict):
        return {"passed": False, "failures": ["this check was not run"]}
    told: dict[str, Any] = found[index]
    return {**told, "passed": told.get("passed") is True}


async def _end(
    made: Change, operation: Operation, state: OperationState, result: dict[str, Any]
) -> Operation:
    ended = replace(
        operation,
        state=state,
        result=result,
        lease_expires_at=None,
        queued_reason=None,
        ended_at=made.services.now(),
    )
    await made.tx.operations.save(ended)
    made.aftermath.changed.append(operation.session_id)
    made.services.nudges.nudge(nudges.operation(operation.id))
    return ended


async def _tell(
    made: Change, session: Session, operation: Operation, text: str, told: dict[str, Any]
) -> None:
    """A wake, unless the caller waits and will read it in its answer, or is gone."""
    if session.status.is_terminal or operation.arguments.get(waiting.WAITING):
        return
    try:
        sent = await wake(
            made.tx,
            made.services,
            session.id,
            WakeKind.PREVIEW,
            text,
            payload=told,
            sender="relay",
            dedupe_key=f"operation:{operation.id}",
        )
    except SessionEnded:
        return
    made.aftermath.wakes.append(sent)


def _told(preview: Preview, operation: Operation) -> dict[str, Any]:
    return {
        "preview_id": preview.id,
        "operation_id": operation.id,
        "kind": operation.kind.value,
        "status": preview.status.value,
        "repo": preview.repo,
        "branch": preview.branch,
        "revision": operation.revision,
        "url": preview.url,
    }
