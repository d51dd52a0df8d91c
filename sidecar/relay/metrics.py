"""/metrics for Prometheus: how many sessions, activations, previews and questions there are, and the process.

It counts the ledger when it is asked, so every replica says the same. It names no agent and no session, as
it lets everybody in.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Gauge,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sidecar.domain.errors import StoreUnavailable
from sidecar.domain.preview import PreviewStatus
from sidecar.domain.session import TERMINAL, ActivationState, SessionStatus
from sidecar.relay.auth import services_of
from sidecar.relay.services import Services

MOST_COUNTED: Final = 10_000
LIVE: Final = tuple(status for status in SessionStatus if status not in TERMINAL)
STANDING: Final = tuple(
    status
    for status in PreviewStatus
    if status not in (PreviewStatus.RELEASED, PreviewStatus.EXPIRED)
)
OPEN: Final = (ActivationState.REQUESTED, ActivationState.RUNNING)


async def metrics(request: Request) -> Response:
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    up = Gauge("x1_store_up", "Whether the ledger answers.", registry=registry)
    try:
        await _count(services_of(request), registry)
        up.set(1)
    except StoreUnavailable:
        up.set(0)
    return Response(generate_latest(registry), headers={"content-type": CONTENT_TYPE_LATEST})


async def _count(services: Services, registry: CollectorRegistry) -> None:
    async with services.store.transaction() as tx:
        sessions = await tx.sessions.find(statuses=LIVE, limit=MOST_COUNTED)
        activations = await tx.activations.all_open()
        previews = await tx.previews.find(limit=MOST_COUNTED)
        questions = await tx.requests.open()
    gauge = Gauge("x1_sessions", "Live sessions.", ["status"], registry=registry)
    _fill(gauge, LIVE, (session.status for session in sessions))
    gauge = Gauge("x1_activations", "Open activations.", ["state"], registry=registry)
    _fill(gauge, OPEN, (activation.state for activation in activations))
    gauge = Gauge("x1_previews", "Previews that stand.", ["status"], registry=registry)
    _fill(gauge, STANDING, (preview.status for preview in previews))
    asked = Gauge("x1_open_questions", "What agents wait for humans to answer.", registry=registry)
    asked.set(len(questions))


def _fill(gauge: Gauge, labels: Iterable[str], found: Iterable[str]) -> None:
    """Zeros too, so that a series does not vanish when nothing is in it."""
    counted = Counter(found)
    for label in labels:
        gauge.labels(str(label)).set(counted[label])


routes = [Route("/metrics", metrics, methods=["GET"])]
