"""From YAML to a script. Everything that can be judged before it is played is judged here, all at once."""

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from sidecar.domain.errors import Finding, InvalidArguments
from sidecar.scripted.errors import ScriptInvalid
from sidecar.scripted.expressions import Expression, Template, condition
from sidecar.scripted.language import SHAPES, TAKEN, Kind, Shape
from sidecar.scripted.script import Handler, Script, Step, Verb
from sidecar.wire.yaml_lines import Document

VERSION: Final = 1
Path = tuple[str | int, ...]
Compiled = TypeVar("Compiled", Template, Expression)
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_TOP: Final = ("version", "vars", "on", "routines")
_WHEN: Final = ("kind", "sender", "text", "matches", "payload", "if")
_KINDS: Final = (
    *("user", "message", "state_change", "watchdog", "checkup"),
    *("heartbeat", "preview", "approval", "budget"),
)


def read_script(text: str, name: str = "script") -> Script:
    """Raises ScriptInvalid with every finding and its line."""
    try:
        document = Document(text)
    except InvalidArguments as error:
        raise ScriptInvalid(
            f"{name} cannot be played: {error.args[0].splitlines()[0]}", error.findings
        ) from error
    reader = _Reader(document)
    script = reader.script(hashlib.sha256(text.encode(errors="replace")).hexdigest())
    if reader.findings:
        found = tuple(sorted(reader.findings, key=lambda finding: finding.line or 0))
        raise ScriptInvalid(f"{name} cannot be played:", found)
    return script


class _Reader:
    """Goes on after each finding, so that one correction suffices."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._routines: set[str] = set()
        self.findings: list[Finding] = []

    def script(self, digest: str) -> Script:
        top = self._mapping((), self._document.value, "a script")
        if "True" in top:
            top["on"] = top.pop("True")  # YAML 1.1 takes the word `on` for true
        self._only(top, (), _TOP)
        if top.get("version") != VERSION:
            self._found(("version",), f"expected version: {VERSION}, came {top.get('version')!r}")
        routines = self._mapping(("routines",), top.get("routines", {}), "routines")
        self._routines = set(routines)
        return Script(
            digest=digest,
            variables=self._variables(top.get("vars", {})),
            handlers=self._handlers(top.get("on")),
            routines={
                name: self._block(("routines", name), steps) for name, steps in routines.items()
            },
        )

    def _variables(self, given: Any) -> dict[str, Any]:
        variables = self._mapping(("vars",), given, "vars")
        for name in variables:
            self._name(("vars", name), name)
        return variables

    def _handlers(self, given: Any) -> tuple[Handler, ...]:
        if not isinstance(given, list) or not given:
            self._found(("on",), "expected a list of at least one handler ({when, do})")
            return ()
        return tuple(self._handler(("on", index), each) for index, each in enumerate(given))

    def _handler(self, path: Path, given: Any) -> Handler:
        handler = self._mapping(path, given, "a handler")
        self._only(handler, path, ("name", "when", "do"))
        when = self._mapping((*path, "when"), handler.get("when") or {}, "when")
        self._only(when, (*path, "when"), _WHEN)
        if "do" not in handler:
            self._found(path, "a handler needs `do`, a list of steps")
        return Handler(
            name=str(handler.get("name") or f"handler of line {self._document.line_of(path)}"),
            line=self._document.line_of(path),
            steps=self._block((*path, "do"), handler.get("do", [])),
            kind=self._kinds((*path, "when", "kind"), when.get("kind")),
            sender=self._word((*path, "when", "sender"), when.get("sender")),
            text=self._word((*path, "when", "text"), when.get("text")),
            matches=self._pattern((*path, "when", "matches"), when.get("matches")),
            payload=self._mapped((*path, "when", "payload"), when.get("payload") or {}),
            condition=self._compiled((*path, "when", "if"), when.get("if"), condition),
        )

    def _kinds(self, path: Path, given: Any) -> tuple[str, ...]:
        kinds = given if isinstance(given, list) else [] if given is None else [given]
        for kind in kinds:
            if kind not in _KINDS:
                self._found(path, f"expected one of {', '.join(_KINDS)}; came {kind!r}")
        return tuple(str(kind) for kind in kinds)

    def _word(self, path: Path, given: Any) -> str | None:
        if given is None or isinstance(given, str):
            return given
        self._found(path, f"expected a text, came {given!r}")
        return None

    def _pattern(self, path: Path, given: Any) -> str | None:
        text = self._word(path, given)
        try:
            re.compile(text or "")
        except re.error as error:
            self._found(path, f"no regular expression: {error}")
        return text

    def _block(self, path: Path, given: Any) -> tuple[Step, ...]:
        if not isinstance(given, list):
            self._found(path, f"expected a list of steps, came {_shown(given)}")
            return ()
        steps = (self._step((*path, index), each) for index, each in enumerate(given))
        return tuple(step for step in steps if step is not None)

    def _step(self, path: Path, given: Any) -> Step | None:
        verbs = [verb for verb in Verb if isinstance(given, dict) and verb.value in given]
        if len(verbs) != 1:
            came = f"with {' and '.join(verbs)}" if verbs else _shown(given)
            self._found(path, f"expected a step with one of {', '.join(Verb)}; came {came}")
            return None
        verb, shape = verbs[0], SHAPES[verbs[0]]
        self._shape(path, given, verb, shape)
        kinds = {verb.value: shape.main, **shape.needs, **shape.may}
        fields = {
            name: self._field((*path, name), kind, given[name])
            for name, kind in kinds.items()
            if name in given
        }
        blocks = {
            name: self._block((*path, name), given[name])
            for name in (*shape.needs_blocks, *shape.may_blocks)
            if name in given
        }
        self._judge(path, verb, given)
        line = self._document.line_of((*path, verb.value))
        return Step(verb=verb, line=line, fields=fields, blocks=blocks)

    def _shape(self, path: Path, given: dict[str, Any], verb: Verb, shape: Shape) -> None:
        needed = (*shape.needs, *shape.needs_blocks)
        allowed = (verb.value, *needed, *shape.may, *shape.may_blocks)
        self._only(given, path, allowed, f"`{verb}`")
        for name in needed:
            if name not in given:
                self._found(path, f"`{verb}` needs `{name}`")

    def _judge(self, path: Path, verb: Verb, given: dict[str, Any]) -> None:
        """What one field alone cannot show."""
        if verb is Verb.PLAY and str(given["play"]) not in self._routines:
            known = ", ".join(sorted(self._routines)) or "none"
            self._found((*path, "play"), f"no routine {given['play']!r}; there are: {known}")
        if verb is Verb.WRITE and ("content" in given) == ("verbatim" in given):
            self._found(path, "`write` needs either `content` or `verbatim`")
        if verb is Verb.CALL and given["call"] == "end_session":
            self._found((*path, "call"), "write `end: <summary>` instead: it ends the turn, too")
        if verb is Verb.PLAN and not isinstance(given["plan"], (list, str)):
            self._found((*path, "plan"), "expected a list of entries")

    def _field(self, path: Path, kind: Kind, given: Any) -> Any:  # noqa: PLR0911 - a table
        match kind:
            case Kind.TEXT:
                return self._compiled(path, self._text(path, given), Template)
            case Kind.VALUE:
                return self._tree(path, given)
            case Kind.MAPPING:
                return self._mapped(path, given)
            case Kind.EXPRESSION:
                source = given if isinstance(given, str) else str(given)
                return self._compiled(path, source, condition)
            case Kind.NOTHING:
                return None if given is None else self._compiled(path, str(given), Template)
            case Kind.NAME:
                return self._name(path, given)
            case _:
                if not _FITS[kind](given):
                    self._found(path, f"expected {kind}, came {_shown(given)}")
                return given

    def _text(self, path: Path, given: Any) -> str | None:
        if isinstance(given, bool):
            self._found(path, f"expected a text, came {_shown(given)}: put quotes around the word")
            return None
        if not isinstance(given, (str, int, float)):
            self._found(path, f"expected a text, came {_shown(given)}")
            return None
        return str(given)

    def _name(self, path: Path, given: Any) -> str:
        if not isinstance(given, str) or not _NAME.fullmatch(given):
            self._found(path, f"expected {Kind.NAME}, came {_shown(given)}")
        elif given in TAKEN:
            self._found(path, f"{given!r} is set by the player; choose another name")
        return str(given)

    def _tree(self, path: Path, given: Any) -> Any:
        match given:
            case str():
                return self._compiled(path, given, Template)
            case dict():
                return {str(key): self._tree((*path, key), each) for key, each in given.items()}
            case list():
                return [self._tree((*path, index), each) for index, each in enumerate(given)]
            case _:
                return given

    def _mapped(self, path: Path, given: Any) -> dict[str, Any]:
        mapping = self._mapping(path, given, path[-1])
        if path[-1] == "set":
            for name in mapping:
                self._name((*path, name), name)
        return self._tree(path, mapping)

    def _compiled(
        self, path: Path, source: str | None, make: Callable[[str], Compiled]
    ) -> Compiled | None:
        try:
            return None if source is None else make(source)
        except ValueError as error:
            self._found(path, str(error))
            return None

    def _mapping(self, path: Path, given: Any, what: str | int) -> dict[str, Any]:
        if isinstance(given, dict):
            return {str(key): value for key, value in given.items()}
        self._found(path, f"expected {what} to be a mapping, came {_shown(given)}")
        return {}

    def _only(
        self, given: Mapping[str, Any], path: Path, allowed: tuple[str, ...], what: str = "this"
    ) -> None:
        for name in given:
            if name not in allowed:
                self._found(
                    (*path, name), f"{what} has no `{name}`; there are: {', '.join(allowed)}"
                )

    def _found(self, path: Path, message: str) -> None:
        self.findings.append(self._document.finding(path, message))


def _is_number(given: Any, least: float, most: float) -> bool:
    is_number = isinstance(given, (int, float)) and not isinstance(given, bool)
    return is_number and least < given <= most


_FITS: Final[Mapping[Kind, Callable[[Any], bool]]] = {
    Kind.VERBATIM: lambda given: isinstance(given, str),
    Kind.TOOL: lambda given: isinstance(given, str) and bool(re.fullmatch(r"[\w.-]{1,100}", given)),
    Kind.FORMAT: lambda given: given in ("text", "json", "yaml"),
    Kind.FLAG: lambda given: isinstance(given, bool),
    Kind.SECONDS: lambda given: _is_number(given, 0, 3600),
    Kind.COUNT: lambda given: isinstance(given, int) and _is_number(given, 0, 1000),
}


def _shown(given: Any) -> str:
    text = repr(given)
    return text if len(text) <= 60 else f"{text[:57]}…"  # noqa: PLR2004 - one line of a finding
