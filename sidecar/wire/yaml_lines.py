"""Reading YAML that people and agents write by hand: safe, bounded, and every error with its line.

Duplicate keys are errors (PyYAML would silently keep the last), and aliases are refused: hostile documents
use them to grow beyond all bounds, and nobody needs them in a page of configuration. What a document ought to
hold is `validation`'s matter: the scripted runtime reads its scripts here, and starts without pydantic.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import yaml
from yaml.composer import ComposerError

from sidecar.domain.errors import Finding, InvalidArguments

MAX_BYTES = 256 * 1024
MAX_DEPTH = 40

Path = tuple[str | int, ...]


class Document:
    """A parsed document that knows where each of its values stands."""

    def __init__(self, text: str, *, first_line: int = 1) -> None:
        """Raises InvalidArguments. `first_line` is the line of the file at which `text` begins."""
        self._first = first_line
        self.lines: dict[Path, int] = {(): first_line}
        self.value: Any = None
        if len(text.encode(errors="replace")) > MAX_BYTES:
            raise InvalidArguments(f"a document of more than {MAX_BYTES // 1024} KiB")
        try:
            node = yaml.compose(text, Loader=_WithoutAliases)
        except yaml.YAMLError as error:
            raise InvalidArguments("not YAML", (self._fault(error),)) from error
        if node is not None:
            repeats = tuple(self._walk(node, ()))
            if repeats:
                raise InvalidArguments("not usable as it stands", repeats)
            self.value = self._construct(node)

    def line_of(self, path: Path) -> int:
        """The line of the value at `path`, or of the nearest that is there."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, self._first)

    def finding(self, path: Path, message: str) -> Finding:
        return Finding(path=dotted(path), message=message, line=self.line_of(path))

    def _walk(self, node: yaml.Node, path: Path) -> Iterator[Finding]:
        self.lines[path] = node.start_mark.line + self._first
        if len(path) > MAX_DEPTH:
            yield self.finding(path, "nested too deeply")
        elif isinstance(node, yaml.MappingNode):
            yield from self._walk_mapping(node, path)
        elif isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                yield from self._walk(item, (*path, index))

    def _walk_mapping(self, node: yaml.MappingNode, path: Path) -> Iterator[Finding]:
        seen: set[str] = set()
        for key_node, value_node in node.value:
            key = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else "?"
            if key in seen:
                line = key_node.start_mark.line + self._first
                yield Finding(path=dotted((*path, key)), message="given twice", line=line)
            seen.add(key)
            yield from self._walk(value_node, (*path, key))

    def _construct(self, node: yaml.Node) -> Any:
        loader = yaml.SafeLoader("")
        try:
            return loader.construct_document(node)
        except (yaml.YAMLError, ValueError, OverflowError) as error:
            fault = self._fault(error) if isinstance(error, yaml.YAMLError) else None
            found = fault or Finding(path=dotted(()), message=str(error), line=self._first)
            raise InvalidArguments("not YAML", (found,)) from error
        finally:
            loader.dispose()

    def _fault(self, error: yaml.YAMLError) -> Finding:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error)
        return self._fault_at(mark, str(problem))

    def _fault_at(self, mark: Any, problem: str) -> Finding:
        """`mark` is PyYAML's, which counts lines from 0; None when it did not say where."""
        line = mark.line + self._first if mark is not None else self._first
        return Finding(path=dotted(()), message=problem, line=line)


class _WithoutAliases(yaml.SafeLoader):
    """Refuses them as it reads: to look for them first would be to read every document twice."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark
            raise ComposerError(problem="aliases are refused", problem_mark=mark)
        return super().compose_node(parent, index)


def dotted(path: Sequence[str | int]) -> str:
    """`repos[0].branch`, as a reader writes it."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text or "(document)"
