"""The story of one activation, step by step, for the flow that mirrors it as tasks."""

import asyncio
from collections.abc import Sequence
from typing import Final, Literal

from sidecar.wire.control import Step, TurnReport

Kind = Literal["turn", "park", "end", "cancelled", "lost", "failed"]


FINAL: Final = ("cancelled", "lost", "failed")


class Story:
    """Steps are numbered from 1 without gaps and stay readable; one that is final ends the story."""

    def __init__(self) -> None:
        self._steps: list[Step] = []
        self._turns: dict[int, TurnReport] = {}
        self._changed = asyncio.Condition()

    @property
    def is_over(self) -> bool:
        return bool(self._steps) and self._steps[-1].kind in FINAL

    async def tell(
        self,
        kind: Kind,
        *,
        turn: int | None = None,
        title: str = "",
        wake_ids: Sequence[str] = (),
        reason: str = "",
    ) -> None:
        """After a final step nothing more is told."""
        async with self._changed:
            if self.is_over:
                return
            if kind in FINAL:
                self._cut_turns(kind, reason)
            n = len(self._steps) + 1
            self._steps.append(
                Step(n=n, kind=kind, turn=turn, title=title, wake_ids=list(wake_ids), reason=reason)
            )
            self._changed.notify_all()

    def _cut_turns(self, kind: Kind, reason: str) -> None:
        """Nobody waits for the end of a turn that will have none."""
        for turn, report in self._turns.items():
            if report.state == "running":
                self._turns[turn] = TurnReport(
                    turn=turn, state="ended", stop_reason=kind, error=reason or None
                )

    async def step(self, after: int, wait_seconds: float) -> Step | None:
        """The first step numbered above `after`, or None when none came in time."""
        async with self._changed:
            try:
                async with asyncio.timeout(wait_seconds):
                    await self._changed.wait_for(lambda: len(self._steps) > after)
            except TimeoutError:
                return None
            return self._steps[after]

    async def report(self, report: TurnReport) -> None:
        """A turn that a final step has cut short stays as it was told."""
        async with self._changed:
            if not self.is_over:
                self._turns[report.turn] = report
            self._changed.notify_all()

    async def turn(self, number: int, wait_seconds: float) -> TurnReport | None:
        """The turn's report, waiting for its end; None for a turn that never was."""
        async with self._changed:
            if number not in self._turns:
                return None
            try:
                async with asyncio.timeout(wait_seconds):
                    await self._changed.wait_for(lambda: self._turns[number].state == "ended")
            except TimeoutError:
                pass
            return self._turns[number]
