"""The bundle an activation runs on, and the parts of it that each renewal replaces."""

from collections.abc import Iterable

from sidecar.domain.agent import Agent
from sidecar.domain.attachment import Attachment
from sidecar.domain.ids import SessionId
from sidecar.domain.lease import TOKEN_LIFETIME
from sidecar.domain.session import Activation, Session
from sidecar.relay.egress import direct_domains, egress_access
from sidecar.relay.rights import Rights, rights_of, spawnable_agents
from sidecar.relay.services import Services
from sidecar.store.port import Transaction
from sidecar.wire.claim import (
    AttachmentModel,
    BusAccess,
    RuntimeModel,
    SessionBundle,
    SpawnableAgent,
)
from sidecar.wire.subjects import inbox_prefix

TOKEN_SECONDS = TOKEN_LIFETIME.total_seconds()


async def bundle_of(
    tx: Transaction, services: Services, session: Session, activation: Activation
) -> SessionBundle:
    rights = await rights_of(tx, session)
    token = services.tokens.mint_session(session.id, activation.id, session.generation)
    return SessionBundle(
        session_id=session.id,
        activation_id=activation.id,
        agent=session.agent,
        kind=session.kind.value,
        workspace=session.workspace,
        generation=session.generation,
        parent_session_id=session.parent_session_id,
        root_session_id=session.root_session_id,
        token=token,
        token_seconds=TOKEN_SECONDS,
        bus=bus_access(services, session.id),
        egress=egress_access(services, rights),
        direct_domains=direct_domains(services.settings),
        attachments=attachment_models(rights.attachments()),
        runtime=_runtime(session, rights),
        tools=rights.tools(),
        spawnable=[_spawnable(agent) for agent in await spawnable_agents(tx, rights)],
        idle_minutes=rights.agent.limits.idle_minutes,
        turns_done=session.turns,
        page_url=page_url(services, session.id),
        forge_host=services.settings.forge_host,
    )


def page_url(services: Services, session_id: SessionId) -> str:
    return f"{services.settings.public_url.rstrip('/')}/sessions/{session_id}"


def bus_access(services: Services, session_id: SessionId) -> BusAccess:
    """A bus user limited to this session, which expires with the token."""
    user = services.bus_users.mint(session_id, TOKEN_LIFETIME)
    return BusAccess(
        url=services.settings.bus_url,
        user_jwt=user.jwt,
        user_seed=user.seed,
        inbox_prefix=inbox_prefix(session_id),
    )


def attachment_models(attachments: Iterable[Attachment]) -> list[AttachmentModel]:
    return [
        AttachmentModel(
            repo=each.repo,
            branch=each.branch,
            mount_path=each.mount_path,
            allow_push=each.allow_push,
            allow_branches=list(each.allow_branches),
            protected_paths=list(each.protected_paths),
            max_pack_bytes=each.max_pack_bytes,
        )
        for each in attachments
    ]


def _runtime(session: Session, rights: Rights) -> RuntimeModel:
    agent = rights.agent
    return RuntimeModel(
        name=session.runtime,
        model=session.model,
        instructions=agent.instructions,
        script=agent.script,
        mcp_servers=[{"name": each.name, "url": each.url} for each in agent.mcp_servers],
    )


def _spawnable(agent: Agent) -> SpawnableAgent:
    return SpawnableAgent(
        id=agent.slug,
        slug=agent.slug,
        name=agent.name,
        runtime=agent.runtime,
        model=agent.model,
        description=agent.description,
    )
