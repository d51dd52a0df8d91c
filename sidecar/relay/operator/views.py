"""Domain objects as the operator's API shows them, with the links that only the relay can make."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TypeVar

from pydantic import BaseModel

from sidecar.domain.event import Event
from sidecar.domain.ids import FlowRunId, SessionId
from sidecar.domain.preview import Preview
from sidecar.domain.request import HumanRequest
from sidecar.domain.session import Activation, ActivationState, Session
from sidecar.relay.bundles import page_url
from sidecar.relay.previews import reading
from sidecar.relay.services import Services
from sidecar.store.port import Transaction
from sidecar.wire.operator import ApprovalModel, PreviewModel, SessionModel
from sidecar.wire.sessions import EventModel

Model = TypeVar("Model", bound=BaseModel)


async def session_models(
    tx: Transaction, services: Services, sessions: Sequence[Session]
) -> list[SessionModel]:
    newest = await tx.activations.newest([session.id for session in sessions])
    return [session_model(services, session, newest) for session in sessions]


def session_model(
    services: Services, session: Session, newest: Mapping[SessionId, Activation]
) -> SessionModel:
    activation = newest.get(session.id)
    run = activation.flow_run_id if activation else None
    return SessionModel.model_validate(
        asdict(session)
        | {
            "url": page_url(services, session.id),
            "activation_id": activation.id if activation else None,
            "flow_run_id": run,
            "flow_run_url": flow_run_url(services, run),
            "waits_for": waits_for(activation),
        }
    )


async def last_failure(tx: Transaction, session: Session) -> str | None:
    """Why its newest activation ended without a turn; None once one took a turn, or the session ended."""
    if not session.failures or session.status.is_terminal:
        return None
    ended = [
        each
        for each in await tx.activations.list_of(session.id)
        if each.state is ActivationState.ENDED
    ]
    return ended[-1].end_reason if ended else None


def waits_for(activation: Activation | None) -> str | None:
    is_waiting = activation is not None and activation.state is ActivationState.REQUESTED
    return activation.queued_reason if activation is not None and is_waiting else None


def flow_run_url(services: Services, run: FlowRunId | None) -> str | None:
    """None when Prefect's pages have no address that a browser reaches."""
    base = services.settings.prefect_ui_url.rstrip("/")
    return f"{base}/runs/flow-run/{run}" if base and run else None


async def preview_models(tx: Transaction, previews: Sequence[Preview]) -> list[PreviewModel]:
    reasons = await reading.waits_for(tx)
    return [
        PreviewModel.model_validate(asdict(each) | {"waits_for": reasons.get(each.id)})
        for each in previews
    ]


def event_model(event: Event) -> EventModel:
    return EventModel.model_validate(event, from_attributes=True)


def approval_model(request: HumanRequest, session: Session) -> ApprovalModel:
    status = "open" if request.answered_at is None else "answered"
    fields = asdict(request) | {"agent": session.agent, "status": status}
    return ApprovalModel.model_validate(fields | {"options": list(request.options)})


def rows(model: type[Model], found: Sequence[object]) -> list[Model]:
    return [model.model_validate(each, from_attributes=True) for each in found]
