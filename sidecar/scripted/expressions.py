"""`${...}` in scripts: Jinja's expressions, sandboxed, without its statements.

Values are data: what a template yields is never read as a template again. In a `run` every value is quoted
for the shell, so that no text an agent was sent becomes a command; `| raw` is for what the author vouches for.
"""

import json
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from functools import cache
from typing import Any, Final

import yaml
from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from sidecar.domain.errors import InvalidArguments
from sidecar.scripted.errors import StepFailed
from sidecar.wire.yaml_lines import Document

Names = Mapping[str, Any]
_FAULTS: Final = (
    TemplateError,
    ArithmeticError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
    re.error,
)
_FRONT_MATTER: Final = re.compile(r"^---[ \t]*\n(.*?)\n---[ \t]*$", re.DOTALL | re.MULTILINE)


class Raw(str):
    """Text that goes to the shell as it stands."""

    __slots__ = ()


class Expression:
    """One Jinja expression. Raises ValueError, in words for a reader, when it is none."""

    def __init__(self, source: str) -> None:
        self._source = source.strip()
        try:
            self._compiled = _environment().compile_expression(
                self._source, undefined_to_none=False
            )
        except TemplateSyntaxError as error:
            raise ValueError(f"{error.message} in ${{{self._source}}}") from error

    def value(self, names: Names) -> Any:
        """JSON-like: generators become lists. Raises StepFailed."""
        try:
            found = self._compiled(**names)
            if isinstance(found, Undefined):
                str(found)  # raises, in Jinja's own words
            return plain(found)
        except _FAULTS as error:
            raise StepFailed("expression", f"${{{self._source}}}: {error}") from error


class Template:
    """Text with `${...}` in it; `$${` stands for a literal `${`. Raises ValueError when malformed."""

    def __init__(self, source: str) -> None:
        self._parts = tuple(_parts(source))

    def value(self, names: Names) -> Any:
        """A text, or, when the whole is one `${...}`, the value itself."""
        if len(self._parts) == 1 and isinstance(self._parts[0], Expression):
            return self._parts[0].value(names)
        return self._joined(names, _shown)

    def text(self, names: Names) -> str:
        return self._joined(names, _shown)

    def command(self, names: Names) -> str:
        """For a shell: every value is one quoted word."""
        return self._joined(names, _quoted)

    def _joined(self, names: Names, show: Callable[[Any], str]) -> str:
        return "".join(
            part if isinstance(part, str) else show(part.value(names)) for part in self._parts
        )


def condition(source: str) -> Expression:
    """`${x > 1}` and `x > 1` alike."""
    text = source.strip()
    is_wrapped = text.startswith("${") and text.endswith("}")
    return Expression(text[2:-1] if is_wrapped else text)


def plain(value: Any) -> Any:
    """What state can keep. Raises TypeError for what is no data."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case date():
            return value.isoformat()
        case Mapping():
            return {str(key): plain(each) for key, each in value.items()}
        case list() | tuple() | set() | Iterator():
            return [plain(each) for each in value]
        case range():
            return list(value)
        case _:
            raise TypeError(f"a {type(value).__name__} is no data")


def _parts(source: str) -> Iterator[str | Expression]:
    text, place = "", 0
    while (found := source.find("${", place)) >= 0:
        if found > 0 and source[found - 1] == "$":
            text += source[place : found - 1] + "${"
            place = found + 2
            continue
        text += source[place:found]
        end = _end(source, found + 2)
        if text:
            yield text
        yield Expression(source[found + 2 : end])
        text, place = "", end + 1
    if text + source[place:] or not source:
        yield text + source[place:]


def _end(source: str, start: int) -> int:
    """Where the brace closes that opened before `start`; braces in quotes and pairs are passed over."""
    depth, quote = 0, ""
    for place in range(start, len(source)):
        letter = source[place]
        if quote:
            quote = "" if letter == quote and source[place - 1] != "\\" else quote
        elif letter in "'\"":
            quote = letter
        elif letter == "{":
            depth += 1
        elif letter == "}":
            if depth == 0:
                return place
            depth -= 1
    raise ValueError(
        f"${{ without its closing brace: {source[start - 2 : start + 40]!r} (write $${{ for a literal ${{)"
    )


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _quoted(value: Any) -> str:
    return str(value) if isinstance(value, Raw) else shlex.quote(_shown(value))


class _Environment(ImmutableSandboxedEnvironment):
    def getattr(self, obj: Any, attribute: str) -> Any:
        """`roadmap.items` is the entry, never the dict's method."""
        if isinstance(obj, Mapping):
            return obj[attribute] if attribute in obj else self.undefined(obj=obj, name=attribute)
        return super().getattr(obj, attribute)


@cache
def _environment() -> _Environment:
    environment = _Environment(undefined=StrictUndefined)
    own: dict[str, Any] = {
        "raw": lambda value: Raw(_shown(value)),
        "json": lambda value: json.dumps(plain(value), ensure_ascii=False),
        "yaml": _to_yaml,
        "from_json": json.loads,
        "from_yaml": _from_yaml,
        "front_matter": _front_matter,
        "find": _find,
    }
    environment.filters.update(own)
    return environment


def _to_yaml(value: Any) -> str:
    return yaml.safe_dump(plain(value), sort_keys=False, allow_unicode=True, width=100).rstrip()


def _from_yaml(text: str) -> Any:
    try:
        return Document(str(text)).value
    except InvalidArguments as error:
        raise ValueError(str(error)) from error


def _front_matter(text: str) -> Any:
    """The first YAML front matter anywhere in a text; an empty mapping when there is none."""
    found = _FRONT_MATTER.search(str(text))
    return (_from_yaml(found[1]) or {}) if found else {}


def _find(text: str, pattern: str) -> str:
    """What a regular expression finds: its first group, or all of it; empty when nothing."""
    found = re.search(pattern, str(text))
    if found is None:
        return ""
    return (found[1] if found.re.groups else found[0]) or ""
