"""How a demo fails: at which step, why, and where to look."""

from infra.local.errors import AskedFailed


class DemoFailed(AskedFailed):
    """`step` is one of the demo's headings."""

    def __init__(self, step: str, *, expected: str, came: str, then: str) -> None:
        super().__init__(expected=expected, came=f"{step}: {came}", then=then)
        self.step = step
