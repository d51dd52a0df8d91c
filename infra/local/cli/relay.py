"""The relay's operator API as commands use it: every route that `x1` calls is spelt here."""

import json
import os
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from infra.local.errors import AskedFailed, NotThere
from infra.local.state import StateDir
from infra.local.status import read_running

NEXT = {
    "unauthenticated": 'eval "$(x1 env)"',
    "agent_unknown": "x1 agents list, x1 agents apply",
    "session_unknown": "x1 sessions",
    "session_ended": "x1 show ID, x1 start AGENT",
    "preview_unknown": "x1 previews",
    "preview_claimed": "x1 previews",
    "grant_unknown": "x1 grants list",
    "request_unknown": "x1 approvals list",
    "disk_full": "free some space, then the same command again",
}
"""What helps after a refusal of the relay, by its code."""
ANSWER_SECONDS = 30.0
SHORTEST_ID = 4


class Relay:
    """A thin client. Raises AskedFailed with the relay's words, NotThere when it does not answer."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self._http = httpx.Client(
            base_url=url,
            headers={"Authorization": f"Bearer {token}"},
            timeout=ANSWER_SECONDS,
            trust_env=False,
        )

    def get(self, path: str, **query: Any) -> Any:
        return self._call("GET", path, params={k: v for k, v in query.items() if v is not None})

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        return self._call("POST", path, json=dict(body or {}))

    def delete(self, path: str) -> Any:
        return self._call("DELETE", path)

    def listing(self, path: str, name: str, **query: Any) -> list[dict[str, Any]]:
        """A list route's items; the relay wraps them in an object with the list's name."""
        answer = self.get(path, **query)
        return list(answer[name] if isinstance(answer, dict) else answer)

    def stream(self, path: str, after: int) -> Iterator[dict[str, Any]]:
        """Server-sent events as objects, until the relay ends the stream."""
        headers = {"Last-Event-ID": str(after), "Accept": "text/event-stream"}
        with (
            _translated(self.url),
            self._http.stream("GET", path, headers=headers, timeout=None) as got,
        ):
            if not got.is_success:
                got.read()
                raise _refused(got)
            for line in got.iter_lines():
                if line.startswith("data:"):
                    yield json.loads(line[5:])

    def _call(self, method: str, path: str, **arguments: Any) -> Any:
        with _translated(self.url):
            answer = self._http.request(method, path, **arguments)
        if not answer.is_success:
            raise _refused(answer)
        return answer.json() if answer.content else {}


def connect(state: StateDir) -> Relay:
    """The relay of the environment (`x1 env`, or a remote one), else of the state directory's stack.

    A state directory that was asked for by name comes before the environment.
    """
    url = os.environ.get("X1_RELAY_URL")
    token_file = os.environ.get("X1_OPERATOR_TOKEN_FILE")
    is_asked_for = state != StateDir.of(os.environ)
    if is_asked_for or not url or not token_file:
        status = read_running(state)
        url, token_file = status["urls"]["relay"], status["operator_token_file"]
    try:
        token = Path(token_file).read_text().strip()
    except OSError as error:
        raise NotThere(expected="the operator token", came=f"{error}", then="x1 status") from error
    return Relay(url, token)


def the_one(
    items: Sequence[Mapping[str, Any]], given: str, *, key: str, what: str, listed_by: str
) -> str:
    """The only id that begins or ends with what was given: ids of one minute begin alike."""
    if len(given) >= SHORTEST_ID:
        found = [str(item[key]) for item in items if _abbreviates(given.lower(), str(item[key]))]
        if len(found) == 1:
            return found[0]
        came = f"{len(found)} {what}s match {given!r}"
    else:
        came = f"{given!r} is too short"
    raise AskedFailed(
        expected=f"an id, or at least {SHORTEST_ID} letters that begin or end just one",
        came=came,
        then=listed_by,
    )


def _abbreviates(given: str, whole: str) -> bool:
    return whole.startswith(given) or whole.endswith(given)


@contextmanager
def _translated(url: str) -> Generator[None]:
    try:
        yield
    except httpx.HTTPError as error:
        raise NotThere(
            expected=f"an answer of the relay at {url}",
            came=str(error) or type(error).__name__,
            then="x1 status, x1 logs relay",
        ) from error


def _refused(answer: httpx.Response) -> AskedFailed:
    code = ""
    try:
        error = answer.json()["error"]
        code, words = error["code"], f"{error['code']}: {error['message']}"
    except (ValueError, KeyError, TypeError):
        words = answer.text.strip()[:500] or answer.reason_phrase
    otherwise = "x1 logs relay" if answer.is_server_error else "correct it and try again, or x1 -h"
    return AskedFailed(
        expected=f"{answer.request.method} {answer.request.url.path} to be done",
        came=f"{answer.status_code} {words}",
        then=NEXT.get(code, otherwise),
    )
