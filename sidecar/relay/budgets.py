"""Budgets: what a session may spend, what is left of it, and what a child may get out of it."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace

from sidecar.domain.agent import Agent, AgentKind
from sidecar.domain.budget import Budget
from sidecar.domain.errors import BudgetExhausted, Finding, InvalidArguments
from sidecar.domain.session import Session
from sidecar.relay.usage import dollars, tokens

NAMES = tuple(field.name for field in fields(Budget))


def session_budget(agent: Agent) -> Budget:
    """The agent's, and for a worker its deadline, whichever comes first."""
    if agent.kind is not AgentKind.WORKER:
        return agent.budget
    deadline = max(1, math.ceil(agent.limits.deadline_minutes))
    return replace(agent.budget, wall_minutes=_whole(_least(agent.budget.wall_minutes, deadline)))


def child_budget(agent: Agent, asked: Mapping[str, float] | None, caller: Session) -> Budget:
    """The least of what the child's agent has, what was asked for and what the caller has left.

    Raises InvalidArguments for a budget that does not exist and BudgetExhausted when nothing is left.
    """
    budget = session_budget(agent)
    wanted = _asked(asked or {})
    left = remaining(caller.budget, caller)
    for name in ("usd", "tokens"):
        if left.get(name, 1) <= 0:
            raise BudgetExhausted(f"this session has no {name} left to hire with")
    return replace(
        budget,
        usd=_least(budget.usd, wanted.get("usd"), left.get("usd")),
        tokens=_whole(_least(budget.tokens, wanted.get("tokens"), left.get("tokens"))),
        turns=_whole(_least(budget.turns, wanted.get("turns"))),
        wall_minutes=_whole(_least(budget.wall_minutes, wanted.get("wall_minutes"))),
    )


def limits(budget: Budget) -> dict[str, float]:
    """Only what is limited."""
    named = {name: getattr(budget, name) for name in NAMES}
    return {name: float(value) for name, value in named.items() if value is not None}


def remaining(budget: Budget, *sessions: Session) -> dict[str, float]:
    """Never below zero. The day's limits are left out: they span sessions."""
    spent = spending(sessions)
    return {
        name: max(0.0, limit - spent[name])
        for name, limit in limits(budget).items()
        if name in spent
    }


def spending(sessions: Iterable[Session]) -> dict[str, float]:
    rows = list(sessions)
    return {
        "usd": sum(dollars(row.usage) for row in rows),
        "tokens": float(sum(tokens(row.usage) for row in rows)),
        "turns": float(sum(row.turns for row in rows)),
    }


def _asked(asked: Mapping[str, float]) -> dict[str, float]:
    known = ("usd", "tokens", "turns", "wall_minutes")
    wrong = tuple(
        Finding(path=f"budget.{name}", message=f"expected a positive limit of {', '.join(known)}")
        for name, value in asked.items()
        if name not in known or not value > 0
    )
    if wrong:
        raise InvalidArguments("this budget is not acceptable:", wrong)
    return dict(asked)


def _least(*values: float | None) -> float | None:
    given = [value for value in values if value is not None]
    return min(given) if given else None


def _whole(value: float | None) -> int | None:
    return None if value is None else max(1, math.floor(value))
