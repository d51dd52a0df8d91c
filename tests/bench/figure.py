"""One measured figure: its samples, what it could be at best on this machine now, and what it is to be."""

import statistics
from dataclasses import dataclass


@dataclass(frozen=True)
class Limit:
    """Measured in the same run: `value` in the figure's unit is what `name` alone takes, or achieves."""

    name: str
    value: float


@dataclass(frozen=True)
class Figure:
    """`target` is the most the median may be; of a rate, which is per second, the least."""

    name: str
    samples: list[float]
    unit: str
    limit: Limit | None = None
    target: float | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.samples) if self.samples else float("nan")

    @property
    def median_text(self) -> str:
        return f"{self.median:,.4g} {self.unit}" if self.samples else "no samples"

    @property
    def spread_text(self) -> str:
        if len(self.samples) < 2:
            return ""
        return f"{min(self.samples):,.4g} – {max(self.samples):,.4g} (n={len(self.samples)})"

    @property
    def limit_text(self) -> str:
        if self.limit is None:
            return ""
        ratio = self.median / self.limit.value
        return f"{self.limit.name} {self.limit.value:,.3g} {self.unit} (×{ratio:.2g})"

    @property
    def target_text(self) -> str:
        if self.target is None:
            return ""
        is_rate = self.unit.endswith("/s")
        is_met = self.median >= self.target if is_rate else self.median <= self.target
        sign = "≥" if is_rate else "≤"
        return f"{'met' if is_met else 'MISSED'}: {sign} {self.target:,.4g} {self.unit}"
