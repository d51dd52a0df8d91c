"""Schemathesis holds the routes to their document: with what it allows, and with what it does not."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks

from sidecar.domain.event import EventType
from sidecar.domain.grant import Grant, GrantScope, GrantType
from sidecar.domain.ids import GrantId, PreviewId, Repository, RequestId, Revision
from sidecar.domain.preview import Preview, PreviewStatus
from sidecar.domain.request import HumanRequest, RequestKind
from sidecar.relay.operator.openapi import document
from sidecar.relay.operator.routes import endpoints

KNOWN = "0197aaaa-0000-7000-8000-00000000feed"
"""The id of a session that has ended (so that its stream ends too), of a question, a grant and a preview."""
EXAMPLES = 12

load_all_checks()
JUDGED = CHECKS.get_by_names(
    [
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_schema_conformance",
        "negative_data_rejection",
    ]
)
DOCUMENT = schemathesis.openapi.from_dict(document(endpoints))
OPERATIONS = {found.ok().label: found.ok() for found in DOCUMENT.get_all_operations()}


@pytest.fixture
async def something(desk: Any) -> None:
    """One of each, under `KNOWN`."""
    await desk.agent("worker")
    session = await desk.session(id=KNOWN)
    await desk.note(session, EventType.AGENT_TEXT, text="hello")
    preview = Preview(
        id=PreviewId(KNOWN),
        workspace="default",
        repo=Repository("acme/app"),
        branch="feat/one",
        revision=Revision("a" * 40),
        owner_session_id=session.id,
        root_session_id=session.id,
        status=PreviewStatus.READY,
        url="http://app-feat-one.localhost:8800",
        alias_url="http://app-aaaaaaaa.localhost:8800",
        created_at=desk.clock(),
        updated_at=desk.clock(),
    )
    question = HumanRequest(
        id=RequestId(KNOWN),
        session_id=session.id,
        kind=RequestKind.INPUT,
        question="Blue or green?",
        created_at=desk.clock(),
    )
    grant = Grant(
        id=GrantId(KNOWN),
        agent=session.agent,
        type=GrantType.PUSH,
        target="acme/app",
        scope=GrantScope.PERSISTENT,
        granted_by="operator:test",
        created_at=desk.clock(),
    )
    async with desk.services.store.transaction() as tx:
        await tx.previews.insert(preview)
        await tx.requests.insert(question)
        await tx.grants.insert(grant)
    await desk.ended(session, seconds_ago=60)


@pytest.mark.parametrize("label", OPERATIONS)
@pytest.mark.usefixtures("something")
@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data())
async def test_a_route_does_what_its_document_says(http, label, data):
    operation = OPERATIONS[label]
    mode = data.draw(st.sampled_from([GenerationMode.POSITIVE, GenerationMode.NEGATIVE]))
    case = data.draw(operation.as_strategy(generation_mode=mode))
    if mode is GenerationMode.POSITIVE and case.path_parameters and data.draw(st.booleans()):
        case.path_parameters = dict.fromkeys(case.path_parameters, KNOWN)
    answer = await http.request(**asked(case))
    case.validate_response(answer, checks=JUDGED)


def asked(case: schemathesis.Case) -> dict[str, Any]:
    """What httpx takes of what was made for requests."""
    made = case.as_transport_kwargs(base_url="http://relay")
    names = {"method", "url", "params", "headers", "json"}
    taken = {name: value for name, value in made.items() if name in names and value is not None}
    if isinstance(made.get("data"), str | bytes):
        taken["content"] = made["data"]
    return taken
