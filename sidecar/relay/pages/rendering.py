"""Templates into answers. Everything is escaped, and a link leads to http or https or is no link."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final
from urllib.parse import urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse

HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cache-control": "no-store",
}
"""`same-origin`, because a page without referrer posts its forms with the origin `null`."""

SHORT: Final = 8
MINUTE, HOUR, DAY = 60, 3600, 86400


def web(url: str | None) -> str | None:
    """The address if a browser may follow it."""
    if not url:
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return url if parts.scheme in {"http", "https"} and parts.netloc else None


def short(identity: str) -> str:
    """Its end, which tells ids of one minute apart."""
    return identity[-SHORT:]


def moment(at: datetime | None) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if at else "–"


def duration(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    whole = max(0, int(seconds))
    if whole < MINUTE:
        return f"{whole} s"
    if whole < HOUR:
        return f"{whole // MINUTE} min {whole % MINUTE:02} s"
    if whole < DAY:
        return f"{whole // HOUR} h {whole % HOUR // MINUTE:02} min"
    return f"{whole // DAY} d {whole % DAY // HOUR} h"


@cache
def _templates() -> Environment:
    made = Environment(
        loader=PackageLoader("sidecar.relay.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Any] = {"web": web, "short": short, "moment": moment, "duration": duration}
    made.filters.update(filters)
    return made


def rendered(template: str, context: Mapping[str, Any], status: int = 200) -> HTMLResponse:
    content = _templates().get_template(template).render(context)
    return HTMLResponse(content, status_code=status, headers=HEADERS)
