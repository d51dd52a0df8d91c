"""What becomes of a session whose activation is over without the session being over.

A death counts when the activation finished no turn; five such in a row fail the session. Whoever closes an
activation (its holder, the reaper, the activator) does it here, so that all count alike.
"""

from dataclasses import replace

from sidecar.domain.event import EventType
from sidecar.domain.ids import ActivationId, SessionId
from sidecar.domain.lease import MAX_BARREN_ACTIVATIONS
from sidecar.domain.session import Activation, ActivationState, Session, SessionStatus
from sidecar.relay.aftermath import Change, change
from sidecar.relay.ending import ended_activation, fail, finish
from sidecar.relay.family import lock_with_caller
from sidecar.relay.journal import note
from sidecar.relay.services import Services
from sidecar.store.port import Transaction


async def close(
    services: Services,
    session_id: SessionId,
    activation_id: ActivationId,
    reason: str,
) -> bool:
    """Ends an open activation from outside and abandons its run. False when it had ended already."""
    async with change(services) as made:
        caller, session = await lock_with_caller(made.tx, session_id)
        activation = await made.tx.activations.lock(activation_id)
        if activation.state is ActivationState.ENDED:
            return False
        await settle(made, caller, session, activation, reason)
        if activation.flow_run_id is not None:
            made.aftermath.abandoned.append((activation.flow_run_id, reason))
    return True


async def settle(
    made: Change,
    caller: Session | None,
    session: Session,
    activation: Activation,
    reason: str,
) -> Session:
    """Ends `activation` and leaves the locked session cancelled, failed, parked or to be activated again."""
    await made.tx.activations.save(ended_activation(made.services, activation, reason))
    if session.status.is_terminal:
        return session
    return await let_go(made, caller, session, reason, is_barren=activation.turns == 0)


async def let_go(
    made: Change,
    caller: Session | None,
    session: Session,
    reason: str,
    *,
    is_barren: bool,
) -> Session:
    """Takes the lease from a locked session whose activation is over."""
    failures = session.failures + int(is_barren)
    session = replace(session, lease_holder=None, lease_expires_at=None, failures=failures)
    await made.tx.sessions.save(session)
    made.aftermath.changed.append(session.id)
    if is_barren:
        session = await _tell_failure(made, session, reason)
    if session.cancel_reason is not None:
        cancelled = SessionStatus.CANCELLED
        return await finish(made, caller, session, cancelled, outcome=session.cancel_reason)
    if failures >= MAX_BARREN_ACTIVATIONS:
        outcome = (
            f"{failures} activations in a row ended without a finished turn; the last: {reason}"
        )
        return await fail(made, caller, session, outcome)
    return await _rest(made.tx, session)


async def _tell_failure(made: Change, session: Session, reason: str) -> Session:
    """Why, where everybody looks who follows the session."""
    told = {"what": "activation_failed", "text": reason, "failures": session.failures}
    await note(made.tx, session, EventType.AGENT_ERROR, told)
    return await made.tx.sessions.lock(session.id)


async def _rest(tx: Transaction, session: Session) -> Session:
    """With nothing to do it is parked; else it stays as it is, and the activator finds it."""
    if session.status is not SessionStatus.RUNNING or await tx.wakes.undone(session.id):
        return session
    parked = replace(session, status=SessionStatus.PARKED)
    await tx.sessions.save(parked)
    return parked
