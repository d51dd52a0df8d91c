"""The verbs of a preview's flow, each a task run in its graph. None of them caches or persists.

What they raise carries no text of the app: messages end up in Prefect's states, lines go to the relay.
"""

import asyncio
import contextlib
from functools import partial
from typing import Any, Final

from prefect import task
from prefect.artifacts import acreate_markdown_artifact
from prefect.cache_policies import NO_CACHE
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_exponential_jitter

from sidecar.client.operations import OperationsClient
from sidecar.domain.errors import Unavailable
from sidecar.wire.checks import parse_checks
from sidecar.wire.preview_spec import PreviewSpec, parse_preview
from sidecar.wire.previews import OperationBundle, OperationClaim
from tasks.builders.errors import FetchFailed
from tasks.previews.checks import run_checks, serves
from tasks.previews.errors import HostUnavailable, NotProven
from tasks.previews.operation import Operation
from tasks.previews.settings import PreviewSettings
from tasks.previews.targets.port import PreviewTarget

CLAIM_PATIENCE_SECONDS: Final = 3600.0
LOG_TAIL: Final = 50
ROUTE_SECONDS: Final = 15.0
KEPT_REVISIONS: Final = 3
"""An immutable URL that ends with the next push is not one; each costs a pod."""

step = partial(task, cache_policy=NO_CACHE, persist_result=False)


def _while(*errors: type[Exception]) -> Any:
    """A retry condition of Prefect's: only what is away is asked again."""

    async def is_worth_repeating(_task: Any, _run: Any, state: Any) -> bool:
        return isinstance(await state.aresult(raise_on_failure=False), errors)

    return is_worth_repeating


@step(name="claim")
@retry(
    retry=retry_if_exception_type(Unavailable),
    wait=wait_exponential_jitter(multiplier=0.2, max=5, jitter=0.5),
    stop=stop_after_delay(CLAIM_PATIENCE_SECONDS),
    reraise=True,
)
async def claim(
    relay: OperationsClient, settings: PreviewSettings, operation_id: str, request: OperationClaim
) -> OperationBundle:
    """Asks the relay for the operation until it answers: claiming twice with one nonce is one claim."""
    return await relay.claim(operation_id, settings.activation_token(), request)


@step(
    name="compile",
    retries=3,
    retry_delay_seconds=[1, 3, 9],
    retry_condition_fn=_while(FetchFailed),
)
async def compile_revision(target: PreviewTarget, operation: Operation, spec: PreviewSpec) -> str:
    """Three retries for a forge that is away. Builders wait for cluster and registry themselves."""
    return await target.build(operation, spec)


@step(
    name="start",
    retries=4,
    retry_delay_seconds=[1, 2, 4, 8],
    retry_condition_fn=_while(HostUnavailable),
)
async def start(
    target: PreviewTarget, operation: Operation, spec: PreviewSpec, artifact: str
) -> None:
    """Four retries: the target may be restarting. Proven on the alias; the URL is as it was."""
    bundle = operation.bundle
    await target.start(operation, spec, artifact)
    await _await_revision(target, bundle.alias_url, bundle.revision, spec.health_path)


@step(
    name="switch",
    retries=4,
    retry_delay_seconds=[1, 2, 4, 8],
    retry_condition_fn=_while(HostUnavailable),
)
async def switch(
    target: PreviewTarget, operation: Operation, spec: PreviewSpec, artifact: str
) -> None:
    """Four retries: switching twice is switching once. Asked for again at the branch's own URL."""
    bundle = operation.bundle
    await target.switch(operation, spec, artifact)
    await _await_revision(target, bundle.url, bundle.revision, spec.health_path)
    with contextlib.suppress(HostUnavailable, NotProven):
        await operation.app_log(await target.log(bundle, LOG_TAIL))


@step(
    name="tidy",
    retries=2,
    retry_delay_seconds=[1, 2],
    retry_condition_fn=_while(HostUnavailable),
)
async def tidy(target: PreviewTarget, bundle: OperationBundle) -> None:
    """Two retries: what is left goes with the next deploy. Called when the URL has left the others for good."""
    await target.tidy(bundle, _newest(bundle.revision, bundle.serving, *bundle.proven))


@step(
    name="give back",
    retries=4,
    retry_delay_seconds=[1, 2, 4, 8],
    retry_condition_fn=_while(HostUnavailable),
)
async def give_back(target: PreviewTarget, bundle: OperationBundle) -> None:
    """After a failure: the URL leads to what the ledger says it serves, and what was never ready holds no room.

    Four retries: a session is told next that the old revision keeps serving.
    """
    if await target.switch_back(bundle) and bundle.serving:
        with contextlib.suppress(NotProven):
            await _await_revision(target, bundle.url, bundle.serving, "/")
    await target.tidy(bundle, _newest(bundle.serving, *bundle.proven))


@step(name="checks")
async def check(target: PreviewTarget, operation: Operation) -> list[dict[str, Any]]:
    """What the app answers, asked once: a check that has to be repeated is a finding.

    When one fails, the app's last words are put into the preview's log.
    """
    bundle = operation.bundle
    results = await run_checks(
        bundle.url, bundle.revision, parse_checks(bundle.checks), way=target.way
    )
    if not all(each["passed"] for each in results):
        with contextlib.suppress(HostUnavailable, NotProven):
            await operation.app_log(await target.log(bundle, LOG_TAIL))
    return results


@step(
    name="release",
    retries=4,
    retry_delay_seconds=[1, 2, 4, 8],
    retry_condition_fn=_while(HostUnavailable),
)
async def release(target: PreviewTarget, operation: Operation) -> None:
    await target.release(operation.bundle)


@step(name="artifact", retries=2, retry_delay_seconds=1)
async def leave_link(bundle: OperationBundle) -> None:
    """Two retries: the preview is served whatever becomes of its artifact."""
    await acreate_markdown_artifact(
        key=f"preview-{bundle.preview_id}",
        markdown=f"[{bundle.url}]({bundle.url}) serves `{bundle.revision}`\n\n"
        f"This revision alone: [{bundle.alias_url}]({bundle.alias_url})\n\n"
        f"[Session page]({bundle.page_url})",
        description="Preview",
    )


def spec_of(target: PreviewTarget, bundle: OperationBundle) -> PreviewSpec:
    """Raises SpecInvalid: settings may have changed since the relay judged it."""
    return parse_preview(bundle.spec_text, abilities=target.abilities(bundle))


def _newest(*revisions: str) -> list[str]:
    return list(dict.fromkeys(each for each in revisions if each))[:KEPT_REVISIONS]


async def _await_revision(target: PreviewTarget, url: str, revision: str, path: str) -> None:
    """The proxy takes a moment to follow. Raises NotProven."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + ROUTE_SECONDS
    while why := await serves(url, revision, path, target.way):
        if clock() > deadline:
            raise NotProven(f"the proxy does not lead to the revision: {why}")
        await asyncio.sleep(0.2)
