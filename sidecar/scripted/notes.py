"""How far a turn has come, by place: `0/2/then/1` is a step, what is noted there is settled.

A second playing of the turn asks here first. Every note is on disk before the next step begins.
"""

import hashlib
from collections.abc import Callable
from typing import Any, Final

from sidecar.scripted.errors import StepFailed
from sidecar.scripted.state import State, Turn

MAX_STEPS: Final = 10_000


class Notes:
    def __init__(self, state: State, turn: Turn) -> None:
        self._state = state
        self._turn = turn
        self._steps_left = MAX_STEPS

    def once(self, place: str, decide: Callable[[], Any]) -> Any:
        """What was decided there, now or in an earlier playing."""
        if place not in self._turn.done:
            self._turn.done[place] = decide()
            self._state.save()
        return self._turn.done[place]

    def at(self, place: str) -> Any:
        """None when nothing is settled there."""
        return self._turn.done.get(place)

    def settle(self, place: str, how: str = "done") -> None:
        """With the place, all below it is settled."""
        below = f"{place}/"
        kept = {at: was for at, was in self._turn.done.items() if not at.startswith(below)}
        self._turn.done = {**kept, place: how}
        self._state.save()

    def keep(self, name: str, value: Any) -> None:
        """A variable; on disk with the next note."""
        self._state.variables[name] = value

    def variables(self) -> dict[str, Any]:
        return self._state.variables

    def key(self, place: str) -> str:
        """The same for the same step of the same turn, however often it is played."""
        name = f"{self._turn.identity}\0{place}"
        return hashlib.sha256(name.encode(errors="replace")).hexdigest()[:40]

    def count_step(self) -> None:
        self._steps_left -= 1
        if self._steps_left < 0:
            raise StepFailed("endless", f"more than {MAX_STEPS} steps in one turn")
