"""Logs: one event a line, a short phrase plus fields, as JSON on standard error; secrets masked.

Every module says `log = structlog.stdlib.get_logger(__name__)`. What libraries write through `logging`
takes the same way out. `redactor` is the process's: whoever reads a secret teaches it to it.
"""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from sidecar.redaction import Redactor

redactor = Redactor()

_NOISY = ("httpx", "httpcore", "nats", "uvicorn.access", "mcp")
"""Libraries that narrate; their warnings are enough."""


def configure(level: str = "INFO") -> None:
    """Once, at a process's start. Safe to repeat."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _masked,
                structlog.processors.JSONRenderer(ensure_ascii=False, default=str),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    for name in _NOISY:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger().level))


def _masked(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {key: redactor.mask(value) for key, value in event.items()}
