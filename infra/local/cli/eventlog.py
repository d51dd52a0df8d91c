"""A session's events, page by page, then as they come."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from infra.local.cli import output
from infra.local.cli.relay import Relay

PAGE = 500
TEXT_LENGTH = 200


def show(
    relay: Relay,
    session_id: str,
    after: int,
    types: frozenset[str] | None,
    *,
    follow: bool,
    as_json: bool,
) -> None:
    read = _followed if follow else _stored
    for event in read(relay, session_id, after):
        if types is None or event["type"] in types:
            _print(event, as_json=as_json)


def _stored(relay: Relay, session_id: str, after: int) -> Iterator[dict[str, Any]]:
    path = f"/api/sessions/{session_id}/events"
    while page := relay.listing(path, "events", after=after, limit=PAGE):
        yield from page
        after = page[-1]["sequence"]


def _followed(relay: Relay, session_id: str, after: int) -> Iterator[dict[str, Any]]:
    """The stream begins where `after` says: no gap and no repeat between old and new."""
    yield from relay.stream(f"/api/sessions/{session_id}/stream", after)


def _print(event: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        output.line(json.dumps(event, default=str))
        return
    payload = event.get("payload") or {}
    text = payload.get("text") or payload.get("summary") or payload.get("title") or payload
    when = event.get("timestamp") or event.get("occurred_at") or ""
    output.line(
        f"{event['sequence']:>6}  {str(when)[11:19]}  {event['type']:<24} "
        f"{output.plain(text)[:TEXT_LENGTH]}"
    )
