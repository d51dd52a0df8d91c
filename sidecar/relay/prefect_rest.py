"""Prefect over its REST API: runs started once per key and hung under their caller's run.

The link is a task run of the caller's flow run, made here, whose child the new run is: Prefect's graph then
shows the new run in its place and lets its state follow. Names a deployment's id once and forgets it when
Prefect says that it is gone.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import httpx

from sidecar.domain.errors import AgentUnknown, PrefectUnavailable
from sidecar.domain.ids import FlowRunId
from sidecar.relay.prefect import RunPhase, RunState

TIMEOUT_SECONDS: Final = 10.0
NOT_FOUND: Final = 404
LINK_TASK_KEY: Final = "x1.link"
CASCADE_MESSAGE: Final = "parent flow run was cancelled"
"""What Prefect says of a run that it cancels because of the one it is linked under."""
BATCH: Final = 200
"""Prefect answers at most so many rows a call."""

_PHASES: Final[Mapping[str, RunPhase]] = {
    "SCHEDULED": RunPhase.WAITING,
    "PENDING": RunPhase.WAITING,
    "PAUSED": RunPhase.WAITING,
    "RUNNING": RunPhase.RUNNING,
    "CANCELLING": RunPhase.CANCELLED,
    "CANCELLED": RunPhase.CANCELLED,
    "COMPLETED": RunPhase.FINAL,
    "FAILED": RunPhase.FINAL,
    "CRASHED": RunPhase.FINAL,
}
_MISSING: Final = RunState(phase=RunPhase.MISSING, name="Missing")


class PrefectRest:
    """`auth_file` holds `user:password`."""

    def __init__(
        self,
        api_url: str,
        auth_file: Path,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        user, _, password = auth_file.read_text().strip().partition(":")
        self._http = httpx.AsyncClient(
            base_url=f"{api_url.rstrip('/')}/",
            auth=httpx.BasicAuth(user, password) if user else None,
            timeout=TIMEOUT_SECONDS,
            trust_env=False,
            transport=transport,
        )
        self._deployments: dict[str, str] = {}

    async def aclose(self) -> None:
        await self._http.aclose()

    async def start(
        self,
        *,
        deployment: str,
        parameters: Mapping[str, str | None],
        name: str,
        idempotency_key: str,
        tags: Sequence[str] = (),
        parent: FlowRunId | None = None,
        label: str = "",
    ) -> FlowRunId:
        order: dict[str, Any] = {
            "parameters": dict(parameters),
            "name": name,
            "idempotency_key": idempotency_key,
            "tags": list(tags),
            "state": {"type": "SCHEDULED"},
        }
        if parent is not None:
            link = await self._link(parent, label or name, idempotency_key)
            order |= {"parent_task_run_id": link} if link else {}
        return await self._create(deployment, order)

    async def states(self, flow_run_ids: Sequence[FlowRunId]) -> Mapping[FlowRunId, RunState]:
        found: dict[FlowRunId, RunState] = dict.fromkeys(flow_run_ids, _MISSING)
        known = [each for each in found if _is_uuid(each)]
        for start in range(0, len(known), BATCH):
            asked = {"flow_runs": {"id": {"any_": known[start : start + BATCH]}}, "limit": BATCH}
            answer = await self._call("POST", "flow_runs/filter", asked)
            found |= {FlowRunId(row["id"]): _state(row.get("state")) for row in answer.json()}
        return found

    async def cancel(self, flow_run_id: FlowRunId) -> None:
        if await self._has_ended(flow_run_id):
            return
        await self._set_state(flow_run_id, {"type": "CANCELLING", "name": "Cancelling"})

    async def abandon(self, flow_run_id: FlowRunId, reason: str) -> None:
        if await self._has_ended(flow_run_id):
            return
        state = {"type": "CRASHED", "name": "Crashed", "message": reason[:1000]}
        await self._set_state(flow_run_id, state, force=True)

    async def ping(self) -> None:
        await self._call("GET", "admin/version")  # unlike /health it wants the password

    async def _create(self, deployment: str, order: Mapping[str, Any]) -> FlowRunId:
        known = self._deployments.get(deployment)
        if known is not None:
            answer = await self._order(known, order)
            if answer.status_code != NOT_FOUND:
                return FlowRunId(_checked(answer).json()["id"])
        self._deployments[deployment] = await self._deployment(deployment)
        answer = await self._order(self._deployments[deployment], order)
        return FlowRunId(_checked(answer).json()["id"])

    async def _order(self, deployment_id: str, order: Mapping[str, Any]) -> httpx.Response:
        return await self._ask("POST", f"deployments/{deployment_id}/create_flow_run", order)

    async def _deployment(self, deployment: str) -> str:
        flow, _, name = deployment.partition("/")
        answer = await self._ask("GET", f"deployments/name/{flow}/{name}")
        if answer.status_code == NOT_FOUND:
            raise AgentUnknown(f"Prefect has no deployment {deployment}: run `x1 agents apply`")
        return str(_checked(answer).json()["id"])

    async def _link(self, parent: FlowRunId, label: str, key: str) -> str | None:
        """The task run that stands for the new run in its parent's graph; None when the parent is gone."""
        answer = await self._ask(
            "POST",
            "task_runs/",
            {
                "name": label,
                "flow_run_id": parent,
                "task_key": LINK_TASK_KEY,
                "dynamic_key": key,
                "task_inputs": {},
                "state": {"type": "PENDING"},
            },
        )
        if httpx.codes.is_client_error(answer.status_code) and await self._is_missing(parent):
            return None
        return str(_checked(answer).json()["id"])

    async def _is_missing(self, run: FlowRunId) -> bool:
        return (await self.states([run]))[run].phase is RunPhase.MISSING

    async def _has_ended(self, run: FlowRunId) -> bool:
        return (await self.states([run]))[run].has_ended

    async def _set_state(
        self, run: FlowRunId, state: Mapping[str, Any], *, force: bool = False
    ) -> None:
        await self._call("POST", f"flow_runs/{run}/set_state", {"state": state, "force": force})

    async def _call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> httpx.Response:
        return _checked(await self._ask(method, path, body))

    async def _ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> httpx.Response:
        try:
            return await self._http.request(method, path, json=body)
        except httpx.TransportError as error:
            raise PrefectUnavailable(
                f"Prefect at {self._http.base_url} does not answer: {type(error).__name__}"
            ) from error


def _checked(answer: httpx.Response) -> httpx.Response:
    if answer.is_success:
        return answer
    request = answer.request
    raise PrefectUnavailable(
        f"Prefect answered {answer.status_code} to {request.method} {request.url.path}: "
        f"{answer.text[:300]}"
    )


def _state(row: Mapping[str, Any] | None) -> RunState:
    if row is None:
        return RunState(phase=RunPhase.WAITING, name="Unset")
    message = str(row.get("message") or "")
    phase = _PHASES.get(str(row.get("type")), RunPhase.WAITING)
    return RunState(
        phase=phase,
        name=str(row.get("name") or row.get("type")),
        message=message,
        by_parent=phase is RunPhase.CANCELLED and CASCADE_MESSAGE in message.lower(),
    )


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
