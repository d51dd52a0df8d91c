"""One activation of a session: claim, check out, boot, take turns, then park or end.

The session itself is a row in the relay's database; it outlives this flow run. The sidecar drives the
turns, and this flow tells them as tasks, so that Prefect's graph is the session's story. When this process
dies, the sidecar's lifeline ends all it started, and the relay asks for a new activation.
"""

from typing import Literal

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Cancelled, Completed, Failed

from sidecar.client.control import ControlClient
from sidecar.domain.errors import LeaseLost
from sidecar.domain.lease import holder_of
from sidecar.wire.claim import ClaimAnswer, ClaimRequest, SessionBundle
from sidecar.wire.control import Step
from tasks.session import steps
from tasks.session.artifacts import leave_artifacts
from tasks.session.place import Place, taken
from tasks.session.settings import FlowSettings


@flow(name="session", persist_result=True)
async def session(
    agent: str | None = None,
    session_id: str | None = None,
    text: str | None = None,
    trigger: Literal["user", "scheduler"] = "user",
) -> State[None]:
    """Starts `agent`, or goes on with `session_id` when the relay asks.

    Ends as Parked, Completed, Forwarded (the agent lives already; `text` became a wake), Superseded
    (another activation holds the session), Cancelled or Failed.
    """
    settings = FlowSettings()  # pyright: ignore[reportCallIssue] - filled from the environment
    request = ClaimRequest(
        flow_run_id=str(flow_run.get_id()),
        nonce=settings.nonce(),
        agent=agent if session_id is None else None,
        session_id=session_id,
        text=text,
        trigger=trigger,
    )
    answer = await steps.claim(settings, request)
    if answer.bundle is None:
        return _without_session(answer)
    holder = holder_of(request.flow_run_id, request.nonce)
    with taken(settings, answer.bundle.session_id) as place:
        try:
            async with ControlClient(settings.control_socket) as pod:
                return await _activation(pod, answer.bundle, holder, place)
        except LeaseLost as lost:
            return Completed(name="Superseded", message=str(lost))


def _without_session(answer: ClaimAnswer) -> State[None]:
    if answer.outcome == "forwarded":
        return Completed(
            name="Forwarded",
            message=f"The agent has a live session; the text became a wake of it: {answer.page_url}",
        )
    return Completed(name="Superseded", message=answer.reason)


async def _activation(
    pod: ControlClient, bundle: SessionBundle, holder: str, place: Place
) -> State[None]:
    await steps.checkout(pod, bundle, holder, place)
    await steps.boot(pod)
    seen = 0
    while True:
        step = await pod.step(after=seen)
        if step is None:
            continue
        seen = step.n
        if (state := await _tell(pod, bundle, step)) is not None:
            return state


async def _tell(pod: ControlClient, bundle: SessionBundle, step: Step) -> State[None] | None:
    """One step of the story. A state ends the activation; None goes on."""
    match step.kind:
        case "turn":
            number = step.turn or 0
            name = f"turn-{number}: {step.title}"
            await steps.turn.with_options(task_run_name=name)(pod, number)
            return None
        case "park":
            parked = await steps.park(pod)
            return Completed(name="Parked", message=bundle.page_url) if parked.parked else None
        case "end":
            await leave_artifacts(bundle, await steps.end(pod))
            return Completed(message=bundle.page_url)
        case "cancelled":
            await pod.stop(step.reason)
            return Cancelled(message=step.reason)
        case "lost":
            await pod.stop(step.reason)
            return Completed(name="Superseded", message=step.reason)
        case "failed":
            await pod.stop(step.reason)
            return Failed(message=step.reason)
