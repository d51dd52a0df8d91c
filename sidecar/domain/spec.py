"""A session spec: the contract that is committed before anybody is hired."""

from dataclasses import dataclass

from sidecar.domain.check import Check
from sidecar.domain.ids import AgentSlug, Repository


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSpec:
    """`acceptance` is never empty: merging asks for passed evidence of every one of its checks."""

    child: AgentSlug
    repo: Repository
    branch: str
    acceptance: tuple[Check, ...]
    scope_in: tuple[str, ...] = ()
    scope_out: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    self_verification: tuple[str, ...] = ()
    body: str = ""
