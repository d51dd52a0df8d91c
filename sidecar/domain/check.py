"""Checks: what an HTTP answer must be, and whether it was. Pure; asking is done elsewhere."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

MAX_TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One request and what its answer must show. `json_equals` maps JSON pointers (RFC 6901) to values."""

    method: str = "GET"
    path: str = "/"
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: str | None = None
    status: int = 200
    contains: tuple[str, ...] = ()
    not_contains: tuple[str, ...] = ()
    json_equals: Mapping[str, Any] = field(default_factory=dict[str, Any])
    max_ms: float | None = None

    def identity(self) -> str:
        """Equal for equal checks: evidence of one is evidence of the other."""
        canonical = json.dumps(asdict(self), sort_keys=True, default=str)
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What came back. `revision` is what the proxy said it served, None when it said nothing."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    elapsed_ms: float
    revision: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """`failures` says, for a reader, what was expected and what came; empty when the check passed."""

    check: Check
    failures: tuple[str, ...]
    status: int | None = None
    body_digest: str | None = None
    elapsed_ms: float | None = None

    @property
    def passed(self) -> bool:
        return not self.failures


def evaluate(check: Check, response: Response) -> Outcome:
    text = response.body.decode("utf-8", "replace")
    failures: list[str] = []
    if response.status != check.status:
        failures.append(f"expected status {check.status}, came {response.status}")
    failures.extend(f"expected to contain {part!r}" for part in check.contains if part not in text)
    failures.extend(
        f"expected not to contain {part!r}" for part in check.not_contains if part in text
    )
    failures.extend(_pointer_failures(check, text))
    if check.max_ms is not None and response.elapsed_ms > check.max_ms:
        failures.append(f"expected at most {check.max_ms:g} ms, took {response.elapsed_ms:.0f} ms")
    return Outcome(
        check=check,
        failures=tuple(failures),
        status=response.status,
        body_digest=hashlib.sha256(response.body).hexdigest(),
        elapsed_ms=round(response.elapsed_ms, 1),
    )


def _pointer_failures(check: Check, text: str) -> list[str]:
    if not check.json_equals:
        return []
    try:
        document = json.loads(text)
    except ValueError:
        return ["expected JSON, came something else"]
    failures: list[str] = []
    for pointer, expected in check.json_equals.items():
        try:
            found = resolve(document, pointer)
        except LookupError:
            failures.append(f"expected {pointer} to be {expected!r}, it is not there")
            continue
        if found != expected:
            failures.append(f"expected {pointer} to be {expected!r}, came {found!r}")
    return failures


def resolve(document: Any, pointer: str) -> Any:
    """The value at a JSON pointer. Raises LookupError when there is none."""
    for token in pointer.split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")
        if isinstance(document, list):
            if not key.isdecimal():
                raise LookupError(pointer)
            document = document[int(key)]
        elif isinstance(document, dict):
            document = document[key]
        else:
            raise LookupError(pointer)  # noqa: TRY004 - callers ask whether it is there
    return document
