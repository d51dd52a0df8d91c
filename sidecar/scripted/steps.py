"""What each verb does, once. Where it stands in the script and whether it was done is the player's matter."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from sidecar.scripted import files, shell
from sidecar.scripted.errors import StepFailed
from sidecar.scripted.expressions import Raw, Template
from sidecar.scripted.script import Step, Verb
from sidecar.scripted.tools import DEFAULT_SECONDS, Tools
from sidecar.scripted.voice import Voice, shortened

RUN_SECONDS: Final = 600.0
TITLE: Final = 100
LAST_WORDS: Final = 600
STATES: Final = ("pending", "in_progress", "completed")
Names = Mapping[str, Any]


class Hands:
    """Acts in one working tree, with one turn's tools, and tells what it does."""

    def __init__(self, *, workspace: Path, voice: Voice, tools: Tools) -> None:
        self._workspace = workspace
        self._voice = voice
        self._tools = tools

    async def do(self, step: Step, names: Names, key: str) -> Any:
        """What the step yields for its `as`. Raises StepFailed. `key` names this doing of it."""
        match step.verb:
            case Verb.SAY:
                self.say(_text(step, "say", names))
            case Verb.THINK:
                self._voice.think(_text(step, "think", names))
            case Verb.PLAN:
                self._voice.plan(_entries(rendered(step.fields["plan"], names)))
            case Verb.RUN:
                return await self._run(step, names)
            case Verb.CALL:
                return await self._call(step, names, key)
            case Verb.READ | Verb.WRITE | Verb.EDIT:
                return await self._file(step, names)
            case Verb.WAIT:
                await asyncio.sleep(float(step.fields["wait"]))
            case Verb.FAIL:
                raise StepFailed("failed", _text(step, "fail", names))
            case _:
                raise AssertionError(step.verb)
        return None

    def say(self, text: str) -> None:
        self._voice.say(text)

    async def end(self, summary: str, outcome: str | None) -> None:
        """Tells the platform that the work is finished. Raises StepFailed."""
        given = {"summary": summary} | ({"outcome": outcome} if outcome else {})
        await self._tool("end_session", given, key="", timeout=DEFAULT_SECONDS)

    async def _run(self, step: Step, names: Names) -> Any:
        command = step.fields["run"].command(names).strip()
        cwd = self._folder(step, names)
        call = self._voice.begin(_title(command), "execute", {"command": command, "cwd": str(cwd)})
        env = {
            name: _shown(value)
            for name, value in rendered(step.fields.get("env", {}), names).items()
        }
        try:
            ran, told = await shell.run(
                command,
                cwd=cwd,
                env=env,
                timeout=float(step.fields.get("timeout", RUN_SECONDS)),
                tell=lambda output: self._voice.progress(call, output),
            )
        except (StepFailed, asyncio.CancelledError) as error:
            self._voice.finish(call, _title(command), str(error) or "cancelled", is_good=False)
            raise
        is_good = ran.exit_code == 0
        told = told if is_good else f"{told}\nexit {ran.exit_code}"
        self._voice.finish(call, _title(command), told, is_good=is_good)
        if not is_good and step.fields.get("check", True):
            words = (ran.errors.strip() or ran.output.strip())[-LAST_WORDS:]
            raise StepFailed("exit", f"exit {ran.exit_code}: {words}")
        return ran.as_names()

    async def _call(self, step: Step, names: Names, key: str) -> Any:
        given = rendered(step.fields.get("with", {}), names)
        timeout = float(step.fields.get("timeout", DEFAULT_SECONDS))
        return await self._tool(step.fields["call"], given, key=key, timeout=timeout)

    async def _tool(self, name: str, given: dict[str, Any], *, key: str, timeout: float) -> Any:
        call = self._voice.begin(name, "other", given)
        try:
            answer = await self._tools.call(name, given, key=key, timeout=timeout)
        except (StepFailed, asyncio.CancelledError) as error:
            self._voice.finish(call, name, str(error) or "cancelled", is_good=False)
            raise
        self._voice.finish(call, name, _shown(answer), is_good=True)
        return answer

    async def _file(self, step: Step, names: Names) -> Any:
        verb = step.verb.value
        given = _text(step, verb, names)
        path = files.inside(self._workspace, _text(step, "in", names) or ".", given)
        shown = str(path.relative_to(self._workspace.resolve()))
        call = self._voice.begin(
            f"{verb} {shown}", "read" if verb == "read" else "edit", {"path": shown}
        )
        try:
            yielded = await asyncio.to_thread(self._act_on, step, path, names)
        except StepFailed as error:
            self._voice.finish(call, f"{verb} {shown}", str(error), is_good=False)
            raise
        self._voice.finish(call, f"{verb} {shown}", _shown(yielded), is_good=True)
        return yielded if step.verb is Verb.READ else None

    def _act_on(self, step: Step, path: Path, names: Names) -> Any:
        match step.verb:
            case Verb.READ:
                return files.read(path, step.fields.get("format", "text"))
            case Verb.EDIT:
                return files.edit(path, _text(step, "find", names), _text(step, "replace", names))
            case _:
                content = step.fields.get("verbatim")
                if content is None:
                    content = _text(step, "content", names)
                is_executable = bool(step.fields.get("executable"))
                return files.write(path, content, is_executable=is_executable)

    def _folder(self, step: Step, names: Names) -> Path:
        folder = files.inside(self._workspace, _text(step, "in", names) or ".")
        if not folder.is_dir():
            raise StepFailed("missing", f"there is no directory {_text(step, 'in', names)!r}")
        return folder


def rendered(tree: Any, names: Names) -> Any:
    """A value with all its templates filled in."""
    match tree:
        case Template():
            value = tree.value(names)
            return str(value) if isinstance(value, Raw) else value
        case dict():
            return {key: rendered(each, names) for key, each in tree.items()}
        case list():
            return [rendered(each, names) for each in tree]
        case _:
            return tree


def _text(step: Step, name: str, names: Names) -> str:
    template = step.fields.get(name)
    return template.text(names) if isinstance(template, Template) else ""


def _entries(given: Any) -> list[dict[str, str]]:
    """Texts, or {content, status}; a first text that is under way is nobody's guess, so all are pending."""
    entries = given if isinstance(given, list) else [given]
    return [_entry(each) for each in entries]


def _entry(given: Any) -> dict[str, str]:
    entry = given if isinstance(given, dict) else {"content": given}
    status = str(entry.get("status", "pending"))
    return {
        "content": _shown(entry.get("content", "")),
        "priority": "medium",
        "status": status if status in STATES else "pending",
    }


def _title(command: str) -> str:
    line = "; ".join(part.strip() for part in command.splitlines())
    return line if len(line) <= TITLE else f"{line[: TITLE - 1]}…"


def _shown(value: Any) -> str:
    return shortened(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
