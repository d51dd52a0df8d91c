"""The manifests of a preview of kind `manifest`: read, judged as a whole, and every finding told at once.

The URL leads to the one Service that has `runtime.port`, as its port or as its targetPort.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sidecar.domain.errors import Finding, InvalidArguments, SpecInvalid
from sidecar.wire.manifest_rules import (
    SPECS,
    Amounts,
    Image,
    Path,
    Reference,
    Rule,
    leaves,
    rule_of,
)
from sidecar.wire.preview_abilities import Abilities, beyond
from sidecar.wire.yaml_lines import Document

MAX_OBJECTS: Final = 50
MAX_PODS: Final = 20
"""Of one preview: what a workspace may have is shared by all of its previews."""
WORKLOADS: Final = ("Deployment", "StatefulSet")
UNBOUND: Final = Abilities(kinds=("manifest",))
_SEPARATOR: Final = re.compile(r"^---(?=\s|$).*$", re.MULTILINE)
"""At the beginning of a line it is never content: https://yaml.org/spec/1.2.2/#document-markers"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifests:
    """`objects` as they were written; `service` and `port` are where the URL leads to."""

    objects: tuple[Mapping[str, Any], ...]
    service: str
    port: int


@dataclass(frozen=True, slots=True)
class _Written:
    """One object, and where it stands."""

    file: str
    document: Document

    @property
    def value(self) -> Any:
        return self.document.value

    @property
    def kind(self) -> str:
        return str(self.value.get("kind")) if isinstance(self.value, Mapping) else ""

    @property
    def name(self) -> str:
        metadata = self.value.get("metadata")
        return str(metadata.get("name") or "") if isinstance(metadata, Mapping) else ""

    def finding(self, path: Path, message: str) -> Finding:
        found = self.document.finding(path, message)
        return Finding(path=f"{self.file}: {found.path}", message=message, line=found.line)


def read_manifests(
    files: Mapping[str, str], port: int, abilities: Abilities = UNBOUND
) -> Manifests:
    """`files` are texts by their path. Raises SpecInvalid with every finding, each with file, path and line."""
    written, findings = _read(files)
    findings += [each for one in written for each in _judged(one, written, abilities)]
    findings += _as_a_whole(written)
    entries = _entries(written, port)
    if not findings and len(entries) != 1:
        found = ", ".join(name for name, _ in entries) or "none"
        message = f"expected one Service with runtime.port {port}, found {found}"
        findings.append(Finding(path=next(iter(files), "entrypoint.path"), message=message))
    if findings:
        raise SpecInvalid("the manifests cannot be used:", tuple(findings))
    ((service, service_port),) = entries
    return Manifests(
        objects=tuple(each.value for each in written), service=service, port=service_port
    )


def _read(files: Mapping[str, str]) -> tuple[list[_Written], list[Finding]]:
    written: list[_Written] = []
    findings: list[Finding] = []
    for file, text in files.items():
        for line, part in _parts(text):
            try:
                document = Document(part, first_line=line)
            except InvalidArguments as error:
                findings += [
                    Finding(path=f"{file}: {each.path}", message=each.message, line=each.line)
                    for each in error.findings or (Finding(path="(document)", message=str(error)),)
                ]
                continue
            if document.value is not None:
                written.append(_Written(file, document))
    return written, findings


def _parts(text: str) -> Iterator[tuple[int, str]]:
    """Each document of a file, with its first line."""
    begin, line = 0, 1
    for mark in _SEPARATOR.finditer(text):
        yield line, text[begin : mark.start()]
        line = text.count("\n", 0, mark.end()) + 1
        begin = mark.end()
    yield line, text[begin:]


def _judged(
    one: _Written, all_of_them: Sequence[_Written], abilities: Abilities
) -> Iterator[Finding]:
    if one.kind not in SPECS:
        kinds = ", ".join(SPECS)
        yield one.finding(("kind",), f"{one.kind or 'no kind'}: a preview may have {kinds}")
        return
    for path, value, rule in leaves(one.value, rule_of(one.kind)):
        for message in _complaints(value, rule, all_of_them, abilities):
            yield one.finding(path, f"{path[-1] if path else ''} {message}".strip())
    yield from _absent(one)


def _complaints(
    value: Any, rule: Rule, all_of_them: Sequence[_Written], abilities: Abilities
) -> Iterator[str]:
    if isinstance(rule, Reference):
        if all((each.kind, each.name) != (rule.kind, value) for each in all_of_them):
            yield f"{value!r}: these manifests have no {rule.kind} of that name"
    elif isinstance(rule, Amounts):
        amounts = value if isinstance(value, Mapping) else {}
        for name, asked in amounts.items():
            if reason := beyond(abilities.most, str(name), asked):
                yield reason
    elif isinstance(rule, Image):
        if reason := abilities.foreign(str(value)):
            yield reason
    elif callable(rule) and (message := rule(value)):
        yield message


def _absent(one: _Written) -> Iterator[Finding]:
    """What must be there for the rest to make sense."""
    if not one.name:
        yield one.finding(("metadata",), "metadata.name is missing")
    wanted: tuple[Path, ...] = ()
    if one.kind in WORKLOADS:
        wanted = (("spec", "selector", "matchLabels"), ("spec", "template", "spec", "containers"))
    elif one.kind == "Service":
        wanted = (("spec", "selector"), ("spec", "ports"))
    for path in wanted:
        if not _at(one.value, path):
            yield one.finding(path, f"{'.'.join(map(str, path))} is missing")


def _as_a_whole(written: Sequence[_Written]) -> list[Finding]:
    findings: list[Finding] = []
    seen: set[tuple[str, str]] = set()
    for each in written:
        if (each.kind, each.name) in seen:
            findings.append(each.finding(("metadata", "name"), f"a second {each.kind} {each.name}"))
        seen.add((each.kind, each.name))
    if written and not any(each.kind in WORKLOADS for each in written):
        findings.append(written[0].finding((), f"expected a {' or '.join(WORKLOADS)}"))
    pods = sum(map(_pods, written))
    if pods > MAX_PODS:
        findings.append(written[0].finding((), f"{pods} pods, of at most {MAX_PODS} in a preview"))
    if len(written) > MAX_OBJECTS:
        findings.append(written[MAX_OBJECTS].finding((), f"more than {MAX_OBJECTS} objects"))
    return findings


def _pods(one: _Written) -> int:
    """How many it asks for."""
    replicas = _at(one.value, ("spec", "replicas"))
    wanted = replicas if isinstance(replicas, int) else 1
    return wanted if one.kind in WORKLOADS else 0


def _entries(written: Sequence[_Written], port: int) -> list[tuple[str, int]]:
    """Services that the URL may lead to, each with its port."""
    return [
        (each.name, int(ports["port"]))
        for each in written
        if each.kind == "Service"
        for ports in _at(each.value, ("spec", "ports")) or ()
        if isinstance(ports, Mapping)
        and isinstance(ports.get("port"), int)
        and port in (ports["port"], ports.get("targetPort"))
    ]


def _at(value: Any, path: Path) -> Any:
    for part in path:
        value = value.get(part) if isinstance(value, Mapping) else None
    return value
