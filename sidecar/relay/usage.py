"""Usage: what a session's models consumed, as runtimes report it: totals that only grow within an activation."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from pydantic import TypeAdapter, ValidationError

from sidecar.domain.budget import ModelUsage
from sidecar.http_errors import invalid

_REPORT: TypeAdapter[list[ModelUsage]] = TypeAdapter(list[ModelUsage])


def parse(report: Sequence[Mapping[str, Any]]) -> tuple[ModelUsage, ...]:
    """Raises InvalidArguments."""
    try:
        return tuple(_REPORT.validate_python([dict(row) for row in report]))
    except ValidationError as error:
        raise invalid(error) from error


def as_json(usage: Iterable[ModelUsage]) -> list[dict[str, Any]]:
    return [asdict(row) for row in usage]


def added(*reports: Iterable[ModelUsage]) -> tuple[ModelUsage, ...]:
    """The sum by model, in the order in which models first appear."""
    sums: dict[str, ModelUsage] = {}
    for row in (row for report in reports for row in report):
        sums[row.model] = _plus(sums.get(row.model), row)
    return tuple(sums.values())


def dollars(usage: Iterable[ModelUsage]) -> float:
    return sum(row.usd for row in usage)


def tokens(usage: Iterable[ModelUsage]) -> int:
    return sum(row.input_tokens + row.output_tokens for row in usage)


def _plus(left: ModelUsage | None, right: ModelUsage) -> ModelUsage:
    if left is None:
        return right
    return ModelUsage(
        model=left.model,
        input_tokens=left.input_tokens + right.input_tokens,
        output_tokens=left.output_tokens + right.output_tokens,
        cached_tokens=left.cached_tokens + right.cached_tokens,
        usd=left.usd + right.usd,
    )
