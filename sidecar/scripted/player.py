"""Plays a script: one handler for each wake of a prompt, from wherever a crash left it.

A turn is always played from its beginning. What was decided or done is noted at its place, so that a second
playing passes over it: conditions keep their answers, loops their items, steps their results.
"""

from pathlib import Path
from typing import Any

from sidecar.scripted.errors import StepFailed
from sidecar.scripted.handlers import chosen
from sidecar.scripted.notes import Notes
from sidecar.scripted.playing import HandlerDone, Playing, SessionEnd
from sidecar.scripted.prompts import Prompt, Wake
from sidecar.scripted.script import Script
from sidecar.scripted.state import State
from sidecar.scripted.steps import Hands
from sidecar.scripted.tools import Server, Tools
from sidecar.scripted.voice import Voice


class Player:
    def __init__(
        self,
        *,
        script: Script,
        state: State,
        voice: Voice,
        workspace: Path,
        servers: tuple[Server, ...],
        repos: Any,
    ) -> None:
        self._script = script
        self._state = state
        self._voice = voice
        self._workspace = workspace
        self._servers = servers
        self._repos = repos

    async def play(self, prompt: Prompt) -> None:
        """One turn. Raises StepFailed; played again with the same prompt, it goes on at that step."""
        async with Tools(self._servers) as tools:
            hands = Hands(workspace=self._workspace, voice=self._voice, tools=tools)
            if prompt.is_named and self._state.ended.get("identity") == prompt.identity:
                await self._repeat_end(hands, self._state.ended.get("end"))
                return
            notes = Notes(self._state, self._state.begin(prompt.identity, self._script.digest))
            end = None
            try:
                for index, wake in enumerate(prompt.wakes):
                    await self._play_wake(wake, str(index), notes, hands)
            except SessionEnd as told:
                end = {"summary": told.summary, "outcome": told.outcome}
            self._state.finish(end)

    def forget_turn(self) -> None:
        """The turn was cancelled: it is over, and nothing of it is played again."""
        self._state.turn = None
        self._state.save()

    async def _repeat_end(self, hands: Hands, end: dict[str, Any] | None) -> None:
        """A crash came between the turn's end and its receipt: whoever asks again may not know the end."""
        self._voice.say("This turn had already ended.")
        if end is not None:
            await hands.end(end["summary"], end["outcome"])

    async def _play_wake(self, wake: Wake, place: str, notes: Notes, hands: Hands) -> None:
        given = {"workspace": str(self._workspace), "repos": self._repos}
        playing = Playing(self._script, wake, notes, hands, given)
        handlers = self._script.handlers
        index = notes.once(f"{place}?", lambda: chosen(handlers, wake, playing.names()))
        if index is None:
            self._voice.say(self._unhandled(wake))
            return
        try:
            await playing.block(handlers[index].steps, place)
        except HandlerDone:
            return
        except RecursionError as error:
            raise StepFailed("endless", "routines that play each other without end") from error

    def _unhandled(self, wake: Wake) -> str:
        names = ", ".join(handler.name for handler in self._script.handlers)
        sender = f" from {wake.sender}" if wake.sender else ""
        return f"No handler of the script fits this {wake.kind}{sender}; there are: {names}."
