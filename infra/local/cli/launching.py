"""x1 start: runs the agent's deployment as Prefect would, then waits for the session it becomes."""

import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import httpx

from infra.local import secrets
from infra.local.cli import output
from infra.local.cli.relay import Relay, connect
from infra.local.errors import AskedFailed, NotThere
from infra.local.state import StateDir
from infra.local.status import read_running

CLAIM_SECONDS = 60
POLL_SECONDS = 0.3
ANSWER_SECONDS = 30.0


def launch(state: StateDir, agent: str, text: str | None, *, as_json: bool) -> None:
    """Prints session, run and page links. A live orchestrator is woken instead, and is printed."""
    prefect = read_running(state)["urls"]["prefect"]
    run = _create_run(state, prefect, agent, text)
    relay = connect(state)
    session = _session_of(relay, agent, run["id"])
    started = {
        "agent": agent,
        "flow_run_id": run["id"],
        "flow_run_url": f"{prefect}/runs/flow-run/{run['id']}",
        "session_id": session,
        "session_url": f"{relay.url}/sessions/{session}" if session else None,
    }
    if as_json:
        output.show_json(started)
    else:
        output.fields(started)
        if session is None:
            output.line("not claimed yet; next: x1 sessions")


def _create_run(state: StateDir, prefect: str, agent: str, text: str | None) -> dict[str, Any]:
    user, _, password = secrets.read(state, "prefect-auth").partition(":")
    client = httpx.Client(
        base_url=f"{prefect}/api", auth=(user, password), timeout=ANSWER_SECONDS, trust_env=False
    )
    with client:
        try:
            found = client.get(f"/deployments/name/session/{agent}")
            if found.status_code == HTTPStatus.NOT_FOUND:
                raise AskedFailed(
                    expected=f"a deployment session/{agent}",
                    came=f"no agent {agent!r} is registered",
                    then="x1 agents list, x1 agents apply",
                )
            parameters = {"agent": agent} | ({"text": text} if text else {})
            body = {"parameters": parameters, "state": {"type": "SCHEDULED"}}
            path = f"/deployments/{found.raise_for_status().json()['id']}/create_flow_run"
            return client.post(path, json=body).raise_for_status().json()
        except httpx.HTTPError as error:
            raise NotThere(
                expected=f"an answer of Prefect at {prefect}",
                came=str(error),
                then="x1 status, x1 logs prefect",
            ) from error


def _session_of(relay: Relay, agent: str, flow_run_id: str) -> str | None:
    """The session that the run claimed, or the agent's live one that it was forwarded to."""
    deadline = time.monotonic() + CLAIM_SECONDS
    while time.monotonic() < deadline:
        for session in relay.listing("/api/sessions", "sessions", agent=agent):
            if session["flow_run_id"] == flow_run_id or _is_live_singleton(session):
                return str(session["id"])
        time.sleep(POLL_SECONDS)
    return None


def _is_live_singleton(session: Mapping[str, Any]) -> bool:
    return session["kind"] != "worker" and session["status"] in {"pending", "running", "parked"}
