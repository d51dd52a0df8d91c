"""One operation on a preview: build and deploy a revision, verify what is served, or take it down.

The relay keeps the operation's row and its lease; this flow claims it, works, and reports. When this process dies
the relay asks for another run, which finds what is built and proven already. Parameters are ids alone.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from sidecar.client.operations import OperationsClient
from sidecar.domain.errors import InvalidArguments
from sidecar.wire.previews import OperationClaim
from tasks.builders.errors import BuildFailed
from tasks.previews import steps
from tasks.previews.errors import HostUnavailable, NotProven, OperationOver
from tasks.previews.operation import Operation, held, in_hand
from tasks.previews.settings import PreviewSettings
from tasks.previews.targets.choice import chosen

MOST_SHOWN: Final = 50


@flow(name="preview")
async def preview(operation_id: str) -> State[None]:
    """Ends as Completed, Failed (the preview's session is told why) or Superseded (another run or wish has it)."""
    settings = _settings()
    request = OperationClaim(flow_run_id=str(flow_run.get_id()), nonce=settings.nonce())
    async with OperationsClient(settings.relay_url) as relay:
        bundle = await steps.claim(relay, settings, operation_id, request)
        if bundle.outcome == "lost":
            return Completed(name="Superseded", message=bundle.reason)
        try:
            async with held(relay, bundle) as operation:
                return await _story(operation)
        except OperationOver as over:
            return Completed(name="Superseded", message=str(over))


async def _story(operation: Operation) -> State[None]:
    bundle = operation.bundle
    match bundle.kind:
        case "deploy":
            return await _deploy(operation)
        case "verify":
            results = await verify(bundle.operation_id)
            await operation.end("succeeded", {"results": results})
            return Completed(message=f"{sum(each['passed'] for each in results)}/{len(results)}")
        case _:
            async with chosen(_settings()) as target:
                await steps.release(target, operation)
            await operation.end("succeeded", {})
            return Completed(name="Released", message=bundle.url)


async def _deploy(operation: Operation) -> State[None]:
    bundle = operation.bundle
    try:
        await build(bundle.operation_id)
        await deploy(bundle.operation_id)
    except (BuildFailed, NotProven, HostUnavailable, InvalidArguments) as error:
        return await _failed(operation, error)
    await operation.end("succeeded", {"serving": bundle.revision})
    await steps.leave_link(bundle)
    return Completed(message=bundle.url)


async def _failed(operation: Operation, error: Exception) -> State[None]:
    """What it said is kept before its pods go; its session hears of it when the old revision serves again."""
    lines = getattr(error, "lines", ())
    await operation.app_log(lines if isinstance(error, NotProven) else ())
    if operation.stage == "deploying":
        async with chosen(_settings()) as target:
            with suppress(HostUnavailable, NotProven):  # the sweep gives back what is left
                await steps.give_back(target, operation.bundle)
    await operation.end("failed", {"diagnosis": _diagnosis(operation.stage, error, lines)})
    return Failed(message=f"{operation.stage} failed; the preview's log says why")


@flow(name="build", flow_run_name="build")
async def build(operation_id: str) -> None:  # noqa: ARG001 - shown in the graph; the work is in hand
    """The revision, fetched and built; an earlier build of it is used again."""
    operation = in_hand()
    await operation.enter("building")
    async with chosen(_settings()) as target:
        spec = steps.spec_of(target, operation.bundle)
        operation.artifact = await steps.compile_revision(target, operation, spec)


@flow(name="deploy", flow_run_name="deploy")
async def deploy(operation_id: str) -> None:  # noqa: ARG001 - as in build
    """Started and proven at its own alias, then the branch's URL goes to it: until then the old one serves."""
    operation = in_hand()
    await operation.enter("deploying")
    async with chosen(_settings()) as target:
        spec = steps.spec_of(target, operation.bundle)
        await steps.start(target, operation, spec, operation.artifact)
        await operation.enter("deploying")
        await steps.switch(target, operation, spec, operation.artifact)
        with suppress(HostUnavailable, NotProven):
            await steps.tidy(target, operation.bundle)


@flow(name="verify", flow_run_name="verify")
async def verify(operation_id: str) -> list[dict[str, Any]]:  # noqa: ARG001 - as in build
    """What is served now, asked over the proxy as anybody would."""
    async with chosen(_settings()) as target:
        return await steps.check(target, in_hand())


def _settings() -> PreviewSettings:
    return PreviewSettings()  # pyright: ignore[reportCallIssue] - filled from the environment


def _diagnosis(stage: str, error: Exception, lines: Sequence[str]) -> str:
    """One text for the agent that wrote the revision: which step, why, and the end of what it said."""
    shown = "\n".join(list(lines)[-MOST_SHOWN:])
    why = getattr(error, "diagnosis", "") or str(error)
    return f"{stage}: {why}" + (f"\n\nThe last lines:\n{shown}" if shown else "")
