"""Agent files: one YAML document an agent, checked completely before anything is written.

`instructions` and `script` are text, or `{file: name}` beside the file. What `spawns`, `allow_push` and
`allow_merge` ask for are requests: applying the file is what grants them.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

from pydantic import ValidationError

from sidecar.domain.agent import Agent, AgentKind, Limits, McpServer, Schedule
from sidecar.domain.budget import Budget
from sidecar.domain.errors import Finding, InvalidArguments
from sidecar.domain.ids import AgentSlug
from sidecar.wire import validation
from sidecar.wire.agent_model import AgentFile
from sidecar.wire.yaml_lines import Document

ReadFile = Callable[[str], str]
"""The text of a file named by an agent file, relative to it. Raises OSError when there is none."""

TEXTS: Final = ("instructions", "script")


def parse_agent(text: str, path: str, read_file: ReadFile) -> Agent:
    """Raises InvalidArguments with every finding at once, each with its line in `path`."""
    document = _document(text, path)
    findings: list[Finding] = []
    model = _validated(document, findings)
    given = document.value if isinstance(document.value, dict) else {}
    texts = {field: _text(document, given, field, read_file, findings) for field in TEXTS}
    findings += [document.finding(place, message) for place, message in _faults(given)]
    if findings or model is None:
        raise _unusable(path, findings)
    return _agent(model, texts)


def _document(text: str, path: str) -> Document:
    try:
        return Document(text)
    except InvalidArguments as error:
        findings = list(error.findings) or [Finding(path="(document)", message=str(error), line=1)]
        raise _unusable(path, findings) from error


def _validated(document: Document, findings: list[Finding]) -> AgentFile | None:
    try:
        return AgentFile.model_validate(document.value if document.value is not None else {})
    except ValidationError as error:
        findings += _once_each(validation.findings(document, error))
        return None


def _once_each(findings: Iterator[Finding]) -> list[Finding]:
    """A union complains once for each of its members; a reader needs one place once."""
    first: dict[str, Finding] = {}
    for found in findings:
        place = found.path.removesuffix(".str").removesuffix(".FileModel")
        place = place.replace(".FileModel.", ".")
        first.setdefault(place, Finding(path=place, message=found.message, line=found.line))
    return list(first.values())


def _unusable(path: str, findings: list[Finding]) -> InvalidArguments:
    ordered = sorted(findings, key=lambda found: (found.line or 0, found.path))
    placed = (Finding(path=f"{path}: {f.path}", message=f.message, line=f.line) for f in ordered)
    return InvalidArguments(f"agent file {path} cannot be used", tuple(placed))


def _text(
    document: Document, given: dict[str, Any], field: str, read_file: ReadFile, found: list[Finding]
) -> str:
    value = given.get(field)
    if isinstance(value, str):
        return value
    name = value.get("file") if isinstance(value, dict) else None
    if not isinstance(name, str) or not name:
        return ""
    try:
        return read_file(name)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        message = f"cannot read {name!r}: {reason or 'there is no such file'}"
        found.append(document.finding((field, "file"), message))
        return ""


def _faults(given: dict[str, Any]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """What no single field can tell."""
    slug, spawns = given.get("slug"), given.get("spawns")
    if isinstance(spawns, list) and slug in spawns:
        yield ("spawns", spawns.index(slug)), "an agent cannot spawn itself"
    if given.get("runtime") == "scripted" and not given.get("script"):
        yield ("runtime",), "the runtime `scripted` plays a script: expected the field `script`"
    if given.get("script") and given.get("runtime") not in {"scripted", None}:
        yield ("script",), "only the runtime `scripted` plays a script"
    if given.get("kind") == AgentKind.SCHEDULED and not given.get("schedule"):
        yield ("kind",), "a scheduled agent needs the field `schedule`"
    yield from _repeated(given.get("repos"))


def _repeated(repos: object) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """One repository, or one place, attached twice has no single policy."""
    seen: set[str] = set()
    for index, each in enumerate(repos if isinstance(repos, list) else []):
        repo = each.get("repo") if isinstance(each, dict) else None
        if not isinstance(repo, str):
            continue
        mount = each.get("mount_path") or repo.rsplit("/", 1)[-1]
        for field, value in (("repo", repo), ("mount_path", mount)):
            if f"{field}={value}" in seen:
                yield ("repos", index, field), f"{value!r} is attached twice"
            seen.add(f"{field}={value}")


def _agent(model: AgentFile, texts: dict[str, str]) -> Agent:
    resources = {
        name: values
        for name, values in (
            ("requests", model.resources.requests),
            ("limits", model.resources.limits),
        )
        if values
    }
    extra = {"heartbeat": model.heartbeat} if model.heartbeat else {}
    return Agent(
        slug=AgentSlug(model.slug),
        name=model.name or model.slug,
        kind=model.kind,
        runtime=model.runtime,
        description=model.description,
        model=model.model,
        image=model.image,
        instructions=texts["instructions"],
        script=texts["script"] or None,
        repos=tuple(each.to_attachment() for each in model.repos),
        spawns=tuple(AgentSlug(slug) for slug in model.spawns),
        schedule=Schedule(**model.schedule.model_dump()) if model.schedule else None,
        requires_secrets=tuple(model.requires_secrets),
        budget=Budget(**model.budget.model_dump()),
        limits=Limits(**model.limits.model_dump()),
        resources=resources,
        mcp_servers=tuple(McpServer(name=s.name, url=s.url) for s in model.mcp_servers),
        allow_hosts=tuple(model.network.allow_hosts),
        workspace=model.workspace,
        **extra,
    )
