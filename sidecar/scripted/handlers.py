"""Which handler plays a wake: the first all of whose conditions hold."""

import re
from collections.abc import Sequence
from typing import Any

from sidecar.scripted.errors import StepFailed
from sidecar.scripted.prompts import Wake
from sidecar.scripted.script import Handler
from sidecar.scripted.steps import Names, rendered


def chosen(handlers: Sequence[Handler], wake: Wake, names: Names) -> int | None:
    """Raises StepFailed at the handler whose condition cannot be judged."""
    for index, handler in enumerate(handlers):
        try:
            if _fits(handler, wake, names):
                return index
        except StepFailed as error:
            raise error.at(handler.line, "when") from error
    return None


def _fits(handler: Handler, wake: Wake, names: Names) -> bool:
    return (
        (not handler.kind or wake.kind in handler.kind)
        and handler.sender in (None, wake.sender)
        and (handler.text is None or handler.text in wake.text)
        and (handler.matches is None or bool(re.search(handler.matches, wake.text)))
        and all(_at(wake.payload, at) == rendered(it, names) for at, it in handler.payload.items())
        and (handler.condition is None or bool(handler.condition.value(names)))
    )


def _at(payload: Any, path: str) -> Any:
    """`preview.status` in nested mappings; None when it is not there."""
    for part in path.split("."):
        payload = payload.get(part) if isinstance(payload, dict) else None
    return payload
