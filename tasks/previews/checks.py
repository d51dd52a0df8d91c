"""Checks of a preview: one request each, the answer judged, and proof of which revision answered."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import httpx

from sidecar.domain.check import MAX_TIMEOUT_SECONDS, Check, Outcome, Response, evaluate
from tasks.previews.asking import ask, client
from tasks.previews.way import Way

MAX_HEAD: Final = 20
DIRECT: Final = Way()
NOT_FOUND: Final = 404
SERVER_ERROR: Final = 500


async def run_checks(
    url: str,
    revision: str,
    checks: Sequence[Check],
    transport: httpx.AsyncBaseTransport | None = None,
    way: Way = DIRECT,
    *,
    seconds: float = MAX_TIMEOUT_SECONDS,
) -> list[dict[str, Any]]:
    """One result a check, in order: its request, the head and digest of the answer, the time, the verdict.

    `seconds` are one check's, from its request to the last byte of the answer.
    """
    async with client(way, transport) as http:
        return [await _result(http, way, url, revision, each, seconds=seconds) for each in checks]


async def serves(url: str, revision: str, path: str, way: Way = DIRECT) -> str:
    """Empty when it is proven that `revision` answers at `url`, else what was found."""
    async with client(way) as http:
        try:
            async with asyncio.timeout(MAX_TIMEOUT_SECONDS):
                answer = await ask(http, way, url, Check(path=path), revision)
        except (httpx.HTTPError, TimeoutError, ValueError) as error:
            return f"{path} gave no answer ({_said(error)})"
    return _stranger(answer, revision, way) or _nobody(answer, path, way)


async def _result(
    http: httpx.AsyncClient, way: Way, url: str, revision: str, check: Check, *, seconds: float
) -> dict[str, Any]:
    at = datetime.now(UTC).isoformat()
    answer: Response | None = None
    try:
        async with asyncio.timeout(seconds):
            answer = await ask(http, way, url, check, revision)
        outcome = evaluate(check, answer)
        stranger = _stranger(answer, revision, way)
        failures = (*outcome.failures, *((stranger,) if stranger else ()))
    except TimeoutError:
        outcome = Outcome(check=check, failures=())
        failures = (f"no whole answer within {seconds:g} s",)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        outcome = Outcome(check=check, failures=())
        failures = (f"no answer: {type(error).__name__}",)
    return {
        "method": check.method,
        "path": check.path,
        "passed": not failures,
        "failures": list(failures),
        "status": outcome.status,
        "headers": _head(answer),
        "body_digest": outcome.body_digest,
        "elapsed_ms": outcome.elapsed_ms,
        "revision": answer.revision if answer else None,
        "proven_by": "header" if way.stamps is None else "stamps",
        "at": at,
    }


def _stranger(answer: Response, revision: str, way: Way) -> str:
    if answer.revision == revision:
        return ""
    came = f"it was {(answer.revision or 'none')[:8]}"
    if way.stamps is not None:
        came = "no stamp proves it: the ingress leads elsewhere, or the stamp service is away"
    return f"expected revision {revision[:8]} to answer, {came}"


def _nobody(answer: Response, path: str, way: Way) -> str:
    """A stamp proves where the controller leads, not that it finds a pod there; if not, it says 404 or 503."""
    if way.stamps is None or (answer.status < SERVER_ERROR and answer.status != NOT_FOUND):
        return ""
    return (
        f"{path} is answered with {answer.status}, by the app or for want of one: "
        "runtime.healthcheck.path names a page that is there"
    )


def _said(error: Exception) -> str:
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return "the ingress shows a certificate that is not the previews'"
    return type(error).__name__


def _head(answer: Response | None) -> Mapping[str, str]:
    """The answer's first headers, without what a visitor would be known by."""
    if answer is None:
        return {}
    shown = [each for each in answer.headers.items() if each[0].lower() != "set-cookie"]
    return {name: text[:500] for name, text in shown[:MAX_HEAD]}
