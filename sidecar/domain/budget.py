"""What a session may spend, bounded before it happens."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Limits of one session; None is no limit. `usd` and `tokens` also bound the agent's day."""

    usd: float | None = None
    tokens: int | None = None
    turns: int | None = None
    wall_minutes: int | None = None
    usd_per_day: float | None = None
    tokens_per_day: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelUsage:
    """Tokens one model consumed, as its runtime reports them."""

    model: str
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    usd: float = 0.0
