"""Kubernetes' events, in the order of what is newest. A repeated one is one object with a count."""

from collections.abc import Mapping, Sequence
from typing import Any

_TIMES = ("lastTimestamp", "eventTime", "firstTimestamp")

Event = Mapping[str, Any]
"""core/v1 Event, as JSON."""


def of_pod(pod: Mapping[str, Any], events: Sequence[Event]) -> Sequence[Event]:
    """By uid where both say it: a pod's name may come again."""
    uid = (pod.get("metadata") or {}).get("uid")
    return [each for each in events if _about(each).get("uid", uid) in (uid, None)]


def newest_first(events: Sequence[Event]) -> Sequence[Event]:
    return sorted(events, key=_when, reverse=True)


def newest_message(
    events: Sequence[Event], reasons: Sequence[str], containing: str = ""
) -> str | None:
    """Of `events` that come newest first."""
    for each in events:
        message = str(each.get("message") or "")
        if each.get("reason") in reasons and containing in message:
            return message
    return None


def of_container(events: Sequence[Event], name: str) -> Sequence[Event]:
    """Kubernetes writes `spec.containers{name}` or `spec.initContainers{name}` into an event's field path."""
    return [
        each for each in events if str(_about(each).get("fieldPath", "")).endswith(f"{{{name}}}")
    ]


def after_colon(message: object) -> str:
    return f": {message}" if message else ""


def _about(event: Event) -> Mapping[str, Any]:
    return event.get("involvedObject") or {}


def _when(event: Event) -> str:
    """RFC 3339 in UTC sorts as text, to the second: the fraction is cut, as only some have one."""
    made = (event.get("metadata") or {}).get("creationTimestamp")
    said = (event.get(each) for each in _TIMES)
    return str(next((each for each in said if each), made) or "")[:19]
