"""Applying agent files: what they would change, and the change with the grants that they ask for.

The operator who applies a file is who grants what it asks for. Applying twice changes nothing the second
time; what a file no longer asks for is shown and left standing, as a human may have given it by hand.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, fields

from sidecar.domain.agent import Agent
from sidecar.domain.audit import AuditEntry
from sidecar.domain.errors import AgentUnknown, Finding, InvalidArguments
from sidecar.domain.grant import Grant, GrantScope, GrantType
from sidecar.domain.ids import AgentSlug, GrantId, new_id
from sidecar.domain.workspace import unknown
from sidecar.relay.services import Services
from sidecar.scripted.errors import ScriptInvalid
from sidecar.scripted.reading import read_script
from sidecar.settings import RelaySettings
from sidecar.store.port import Transaction
from sidecar.wire.agent_file import parse_agent
from sidecar.wire.operator import AgentChange, AgentFiles, GrantAsked, PlanAnswer, UnknownSpawn

Right = tuple[GrantType, str]
REQUESTABLE = (GrantType.SPAWN, GrantType.PUSH, GrantType.MERGE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Between a file and what stands."""

    agent: Agent
    is_new: bool
    fields: tuple[str, ...]
    missing: tuple[Right, ...]
    unasked: tuple[Right, ...]

    @property
    def action(self) -> str:
        if self.is_new:
            return "create"
        if self.fields:
            return "update"
        return "grant" if self.missing else "keep"


async def plan(services: Services, files: AgentFiles) -> PlanAnswer:
    """Raises InvalidArguments with the findings of all files at once."""
    agents = read_all(files, services.settings)
    async with services.store.transaction() as tx:
        differences = [await _difference(tx, agent) for agent in agents]
        known = {each.slug for each in [*await tx.agents.list_all(), *agents]}
    return _answer(differences, known, applied=False)


async def apply(services: Services, files: AgentFiles, operator: str) -> PlanAnswer:
    """The same, and does it: all files or none."""
    agents = read_all(files, services.settings)
    async with services.store.transaction() as tx:
        differences = [await _difference(tx, agent) for agent in agents]
        for each in differences:
            await _write(tx, services, each, f"operator:{operator}")
        known = {each.slug for each in await tx.agents.list_all()}
    return _answer(differences, known, applied=True)


def read_all(files: AgentFiles, settings: RelaySettings) -> list[Agent]:
    agents: dict[AgentSlug, Agent] = {}
    findings: list[Finding] = []
    read_file = _reader(files)
    for each in files.files:
        if each.path in files.unreadable:
            findings.append(Finding(path=each.path, message=files.unreadable[each.path]))
            continue
        try:
            agent = parse_agent(each.text, each.path, read_file)
        except InvalidArguments as error:
            findings += error.findings
            continue
        if agent.slug in agents:
            findings.append(Finding(path=f"{each.path}: slug", message=f"{agent.slug!r} twice"))
        findings += _of_script(agent, each.path)
        if not settings.has_workspace(agent.workspace):
            place = f"{each.path}: workspace"
            findings.append(Finding(path=place, message=unknown(agent.workspace)))
        agents[agent.slug] = agent
    if findings:
        raise InvalidArguments("these agent files cannot be used", tuple(findings))
    return list(agents.values())


def _of_script(agent: Agent, path: str) -> Iterator[Finding]:
    """What its runtime would refuse to play; lines are the script's own."""
    if agent.script is None:
        return
    try:
        read_script(agent.script)
    except ScriptInvalid as error:
        for each in error.findings:
            yield Finding(path=f"{path}: script: {each.path}", message=each.message, line=each.line)


def _reader(files: AgentFiles) -> Callable[[str], str]:
    def read_file(name: str) -> str:
        plain = name.removeprefix("./")
        if plain in files.unreadable:
            raise ValueError(files.unreadable[plain])
        if plain not in files.texts:
            raise FileNotFoundError(2, "no text file of that name is beside the agent's")
        return files.texts[plain]

    return read_file


def asked(agent: Agent) -> list[Right]:
    """What the file asks a human for, in its order."""
    wanted: list[Right] = [(GrantType.SPAWN, slug) for slug in agent.spawns]
    for each in agent.repos:
        wanted += [(GrantType.PUSH, each.repo)] if each.allow_push else []
        wanted += [(GrantType.MERGE, each.repo)] if each.allow_merge else []
    return list(dict.fromkeys(wanted))


async def _difference(tx: Transaction, agent: Agent) -> Difference:
    try:
        stored = await tx.agents.get(agent.slug)
    except AgentUnknown:
        stored = None
    standing = {
        (grant.type, grant.target)
        for grant in await tx.grants.of_agent(agent.slug)
        if grant.scope is GrantScope.PERSISTENT
    }
    wanted = asked(agent)
    unasked = {right for right in standing if right[0] in REQUESTABLE} - set(wanted)
    return Difference(
        agent=agent,
        is_new=stored is None,
        fields=_changed(stored, agent),
        missing=tuple(right for right in wanted if right not in standing),
        unasked=tuple(sorted(unasked)),
    )


def _changed(stored: Agent | None, agent: Agent) -> tuple[str, ...]:
    return tuple(
        field.name
        for field in fields(Agent)
        if getattr(stored, field.name, None) != getattr(agent, field.name)
    )


async def _write(tx: Transaction, services: Services, found: Difference, actor: str) -> None:
    if found.action == "keep":
        return
    if found.is_new or found.fields:
        await tx.agents.put(found.agent)
    for kind, target in found.missing:
        await tx.grants.insert(
            Grant(
                id=GrantId(new_id()),
                agent=found.agent.slug,
                type=kind,
                target=target,
                scope=GrantScope.PERSISTENT,
                granted_by=actor,
                created_at=services.now(),
            )
        )
    await tx.audit.record(
        AuditEntry(
            at=services.now(),
            actor=actor,
            action="apply agent",
            target=found.agent.slug,
            allowed=True,
            reason=f"the operator applied its file: {found.action}",
            details={
                "fields": list(found.fields),
                "grants": [f"{kind} {target}" for kind, target in found.missing],
            },
        )
    )


def _answer(
    differences: Sequence[Difference], known: Collection[AgentSlug], *, applied: bool
) -> PlanAnswer:
    return PlanAnswer(
        applied=applied,
        changes=[_change(each) for each in differences if each.action != "keep"],
        unchanged=[each.agent.slug for each in differences if each.action == "keep"],
        unknown=[
            UnknownSpawn(agent=each.agent.slug, target=slug)
            for each in differences
            for slug in each.agent.spawns
            if slug not in known
        ],
    )


def _change(found: Difference) -> AgentChange:
    return AgentChange.model_validate(
        {
            "agent": found.agent.slug,
            "action": found.action,
            "fields": list(found.fields),
            "grants": [GrantAsked(type=kind, target=target) for kind, target in found.missing],
            "unasked": [GrantAsked(type=kind, target=target) for kind, target in found.unasked],
        }
    )
