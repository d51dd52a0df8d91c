"""What a turn consumed, as a runtime reports it; each says it its own way, and a hostile one lies.

Numbers for budgets come from the model gateway; these are for people to look at.
"""

from typing import Any, Final

MAX_COUNT: Final = 10**12


def usage_of(result: dict[str, Any], model: str) -> list[dict[str, Any]]:
    """Rows of {model, input_tokens, output_tokens, cached_tokens, usd} out of a `session/prompt` result."""
    meta = result.get("_meta")
    quota = meta.get("quota") if isinstance(meta, dict) else None
    by_model = quota.get("model_usage") if isinstance(quota, dict) else None
    if isinstance(by_model, list):
        rows = [
            _row(each, str(each.get("model", model))) for each in by_model if isinstance(each, dict)
        ]
        return [row for row in rows if _is_any(row)]
    usage = result.get("usage")
    row = _row(usage, model) if isinstance(usage, dict) else None
    return [row] if row is not None and _is_any(row) else []


def summed(rows: list[dict[str, Any]], more: list[dict[str, Any]]) -> list[dict[str, Any]]:
    sums = {row["model"]: dict(row) for row in rows}
    for row in more:
        known = sums.setdefault(row["model"], {"model": row["model"]})
        for name in ("input_tokens", "output_tokens", "cached_tokens", "usd"):
            known[name] = known.get(name, 0) + row[name]
    return list(sums.values())


def _row(usage: dict[str, Any], model: str) -> dict[str, Any]:
    counts = usage.get("token_count")
    told = {**usage, **counts} if isinstance(counts, dict) else usage
    cost = told.get("usd", told.get("cost"))
    return {
        "model": model[:200],
        "input_tokens": _count(told, "inputTokens", "input_tokens", "inputTokenCount"),
        "output_tokens": _count(told, "outputTokens", "output_tokens", "outputTokenCount"),
        "cached_tokens": _count(told, "cachedReadTokens", "cached_tokens", "cached_read_tokens"),
        "usd": float(cost) if isinstance(cost, int | float) and 0 <= cost < MAX_COUNT else 0.0,
    }


def _count(told: dict[str, Any], *names: str) -> int:
    values = (told.get(name) for name in names)
    return next((int(v) for v in values if isinstance(v, int | float) and 0 <= v < MAX_COUNT), 0)


def _is_any(row: dict[str, Any]) -> bool:
    return any(row[name] for name in ("input_tokens", "output_tokens", "cached_tokens", "usd"))
