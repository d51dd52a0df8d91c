"""Where an activation's agent works: a locked directory of this machine, or what a pod's volume is for."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tasks.session.settings import FlowSettings
from tasks.session.workspace import held


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """As the agent sees it: `tree` holds its repositories, `state` its runtime's home."""

    tree: Path
    state: Path


@contextmanager
def taken(settings: FlowSettings, session_id: str) -> Generator[Place]:
    """A pod is its activation's own: nothing to lock, nobody's leftovers. Raises LeaseHeld on one machine."""
    if settings.agent_workspace is not None and settings.agent_state is not None:
        yield Place(tree=settings.agent_workspace, state=settings.agent_state)
        return
    assert settings.sessions_dir is not None
    with held(settings.sessions_dir, session_id, settings.sidecar_pid) as workspace:
        yield Place(tree=workspace.tree, state=workspace.state)
