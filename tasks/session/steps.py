"""The verbs of one activation, each a task run in the graph of its flow run.

None of them caches or persists: a re-executed flow run claims anew, and the relay tells it where it stands.
"""

from functools import partial

import structlog
from prefect import task
from prefect.cache_policies import NO_CACHE
from tenacity import (
    RetryCallState,
    retry,
    retry_if_exception_type,
    stop_after_delay,
    wait_exponential_jitter,
)

from sidecar.client.claim import claim as ask_to_claim
from sidecar.client.control import ControlClient
from sidecar.domain.errors import Unavailable
from sidecar.wire.claim import ClaimAnswer, ClaimRequest, EndAnswer, SessionBundle
from sidecar.wire.control import BootAnswer, CheckoutAnswer, HandOver, ParkAnswer, TurnReport
from tasks.session.place import Place
from tasks.session.settings import FlowSettings

log = structlog.get_logger(__name__)

CLAIM_PATIENCE_SECONDS = 3600.0
"""A relay that is away this long has asked for other activations meanwhile, or an operator is on it."""

step = partial(task, cache_policy=NO_CACHE, persist_result=False)


def _say_what_is_awaited(state: RetryCallState) -> None:
    reason = state.outcome.exception() if state.outcome else None
    log.info("claim waits", reason=str(reason), attempt=state.attempt_number)


@step(name="claim")
@retry(
    retry=retry_if_exception_type(Unavailable),
    wait=wait_exponential_jitter(multiplier=0.2, max=5, jitter=0.5),
    stop=stop_after_delay(CLAIM_PATIENCE_SECONDS),
    before_sleep=_say_what_is_awaited,
    reraise=True,
)
async def claim(settings: FlowSettings, request: ClaimRequest) -> ClaimAnswer:
    """Asks the relay for the session until it answers: claiming twice with one nonce is one claim."""
    return await ask_to_claim(settings.relay_url, settings.activation_token(), request)


@step(name="checkout")
async def checkout(
    pod: ControlClient, bundle: SessionBundle, holder: str, place: Place
) -> CheckoutAnswer:
    """Hands the session to the sidecar; what an earlier pod left comes back, git fetches what is missing."""
    await pod.hand_over(
        HandOver(
            bundle=bundle,
            holder=holder,
            workspace_dir=str(place.tree),
            state_dir=str(place.state),
        )
    )
    return await pod.checkout()


@step(name="boot")
async def boot(pod: ControlClient) -> BootAnswer:
    return await pod.boot()


@step(name="turn")
async def turn(pod: ControlClient, number: int) -> TurnReport:
    """Mirrors a turn that the sidecar runs: the agent never waits for Prefect."""
    while (report := await pod.turn(number)).state == "running":
        pass
    return report


@step(name="park")
async def park(pod: ControlClient) -> ParkAnswer:
    return await pod.park()


@step(name="end")
async def end(pod: ControlClient) -> EndAnswer:
    return await pod.end()
