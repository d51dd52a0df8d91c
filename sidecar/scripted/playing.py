"""One wake's handler, step by step: what is passed over, branched on, looped over, rescued."""

from datetime import UTC, datetime
from typing import Any, Final

from sidecar.scripted.errors import StepFailed
from sidecar.scripted.expressions import Template
from sidecar.scripted.notes import Notes
from sidecar.scripted.prompts import Wake
from sidecar.scripted.script import Script, Step, Verb
from sidecar.scripted.steps import Hands, rendered

DEFAULT_AT_MOST: Final = 100
RESCUED: Final = "rescued"


class HandlerDone(Exception):
    """`done` was reached: the rest of this wake's handler is not played."""


class SessionEnd(Exception):
    """`end` was reached, and the platform was told."""

    def __init__(self, summary: str, outcome: str | None) -> None:
        self.summary = summary
        self.outcome = outcome
        super().__init__(summary)


class Playing:
    def __init__(
        self, script: Script, wake: Wake, notes: Notes, hands: Hands, given: dict[str, Any]
    ) -> None:
        self._script = script
        self._notes = notes
        self._hands = hands
        self._given = {**given, "wake": wake.as_names()}

    def names(self) -> dict[str, Any]:
        """What expressions see; the player's own names win."""
        today = datetime.now(UTC).date().isoformat()
        return {**self._notes.variables(), **self._given, "today": today}

    async def block(self, steps: tuple[Step, ...], place: str) -> None:
        """Raises StepFailed at the innermost step that failed, HandlerDone, SessionEnd."""
        for index, step in enumerate(steps):
            at = f"{place}/{index}"
            if self._notes.at(at) == "done":
                continue
            try:
                await self._step(step, at)
            except StepFailed as error:
                raise error.at(step.line, step.verb.value) from error

    async def _step(self, step: Step, at: str) -> None:
        match step.verb:
            case Verb.IF:
                await self._branch(step, at)
            case Verb.FOR:
                await self._for(step, at)
            case Verb.WHILE:
                await self._while(step, at)
            case Verb.PLAY:
                await self.block(self._script.routines[step.fields["play"]], f"{at}/p")
            case Verb.SET:
                for name, tree in step.fields["set"].items():
                    self._notes.keep(name, rendered(tree, self.names()))
            case Verb.DONE:
                self._say_once(step.fields.get("done"), at)
                raise HandlerDone
            case Verb.END:
                await self._end(step)
            case _:
                await self._act(step, at)
        self._notes.settle(at)

    async def _branch(self, step: Step, at: str) -> None:
        name = "then" if self._notes.once(f"{at}/?", lambda: self._holds(step, "if")) else "else"
        await self.block(step.blocks.get(name, ()), f"{at}/b")

    async def _for(self, step: Step, at: str) -> None:
        items = self._notes.once(f"{at}/?", lambda: _listed(step.fields["in"].value(self.names())))
        for index, item in enumerate(items):
            self._notes.keep(step.fields["for"], item)
            await self.block(step.blocks["do"], f"{at}/{index}")

    async def _while(self, step: Step, at: str) -> None:
        for index in range(step.fields.get("at_most", DEFAULT_AT_MOST)):
            if not self._notes.once(f"{at}/{index}?", lambda: self._holds(step, "while")):
                return
            await self.block(step.blocks["do"], f"{at}/{index}")

    async def _act(self, step: Step, at: str) -> None:
        """Its result and the note that it is done are one write."""
        rescue = step.blocks.get("rescue")
        if self._notes.at(at) != RESCUED:
            self._notes.count_step()
            try:
                yielded = await self._hands.do(step, self.names(), self._notes.key(at))
            except StepFailed as error:
                if rescue is None:
                    raise
                self._notes.keep("error", error.at(step.line, step.verb.value).as_names())
                self._notes.settle(at, RESCUED)
            else:
                if "as" in step.fields:
                    self._notes.keep(step.fields["as"], yielded)
                return
        await self.block(rescue or (), f"{at}/r")

    async def _end(self, step: Step) -> None:
        """Never noted: an interrupted turn has to tell its end again."""
        names = self.names()
        summary = step.fields["end"].text(names)
        outcome = step.fields["outcome"].text(names) if "outcome" in step.fields else None
        await self._hands.end(summary, outcome)
        raise SessionEnd(summary, outcome)

    def _say_once(self, said: Template | None, at: str) -> None:
        if said is not None and self._notes.at(f"{at}/?") is None:
            self._hands.say(said.text(self.names()))
            self._notes.settle(f"{at}/?")

    def _holds(self, step: Step, field: str) -> bool:
        return bool(step.fields[field].value(self.names()))


def _listed(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise StepFailed("expression", f"`in` needs a list, came {str(value)[:60]!r}")
    return value
