"""An agent as a form in Prefect's UI.

The relay's table decides; an edited block takes effect when a human applies it (`x1 agents apply --from-blocks`),
and what was applied before stands until then. Prefect's server does not validate an edit: applying does.
"""

from typing import Self

from prefect.blocks.core import Block
from pydantic import Field, TypeAdapter

from blocks.agent_file import BLOCK_TYPE
from sidecar.domain.agent import Agent, AgentKind, Limits, McpServer, Schedule
from sidecar.domain.attachment import Attachment
from sidecar.domain.budget import Budget

_AGENT: TypeAdapter[Agent] = TypeAdapter(Agent)


class AgentBlock(Block):
    """One agent. The block's own name is the agent's slug."""

    _block_type_name = "x1 Agent"
    _block_type_slug = BLOCK_TYPE
    _description = "Who is hired: runtime, repositories, grants asked for, budget and limits."

    name: str = Field(description="As people read it.")
    kind: AgentKind = Field(default=AgentKind.WORKER, description="Decides lifetime only.")
    runtime: str = Field(description="The coding agent's CLI, e.g. claude-code, codex, scripted.")
    description: str = ""
    model: str | None = None
    image: str | None = None
    instructions: str = ""
    script: str | None = Field(default=None, description="Only for the scripted runtime: its YAML.")
    repos: list[Attachment] = []
    spawns: list[str] = Field(default=[], description="Agents it asks to be allowed to hire.")
    schedule: Schedule | None = None
    heartbeat: str = "Heartbeat: look at your state and go on."
    requires_secrets: list[str] = Field(default=[], description="Names only.")
    budget: Budget = Budget()
    limits: Limits = Limits()
    resources: dict[str, dict[str, str]] = {}
    mcp_servers: list[McpServer] = []
    allow_hosts: list[str] = []
    workspace: str = "default"

    @classmethod
    def of(cls, agent: Agent) -> Self:
        fields = _AGENT.dump_python(agent, mode="json")
        del fields["slug"]
        return cls.model_validate(fields)
