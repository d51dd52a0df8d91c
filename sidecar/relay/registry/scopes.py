"""Scopes of the registry's token protocol, and what a login covers of them.

https://distribution.github.io/distribution/spec/auth/scope/
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

PULL: Final = "pull"
PUSH: Final = "push"
_REPOSITORY: Final = "repository"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Actions on one image repository, as `ws/default/acme-app-…`."""

    name: str
    actions: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What a login may do: these actions on one image repository."""

    name: str
    actions: tuple[str, ...]

    def within(self, scope: Scope) -> Scope | None:
        """As much of the scope as this covers; None for nothing."""
        actions = tuple(each for each in scope.actions if each in self.actions)
        if not actions or scope.name != self.name:
            return None
        return Scope(name=scope.name, actions=actions)


def parse_scopes(texts: Iterable[str]) -> Sequence[Scope]:
    """From `scope` parameters, each of which may hold several; other things than repositories are left out."""
    words = (word for text in texts for word in text.split())
    return tuple(scope for scope in map(_scope, words) if scope is not None)


def _scope(word: str) -> Scope | None:
    kind, _, rest = word.partition(":")
    name, _, actions = rest.rpartition(":")
    if kind != _REPOSITORY or not name:
        return None
    return Scope(name=name, actions=tuple(each for each in actions.split(",") if each))
