"""Which secrets a human has configured: names only, never values. One file a secret."""

import re
from collections.abc import Iterable
from pathlib import Path

from sidecar.wire.sessions import PreconditionsAnswer

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")


def sort_out(secrets_dir: Path, names: Iterable[str]) -> PreconditionsAnswer:
    """An empty file is no secret; a name that cannot be one is missing, whatever the directory holds."""
    configured: list[str] = []
    missing: list[str] = []
    for name in dict.fromkeys(names):
        (configured if _is_configured(secrets_dir, name) else missing).append(name)
    return PreconditionsAnswer(configured=configured, missing=missing)


def declared_for_previews(secrets_dir: Path, declared: Iterable[str], repo: str) -> frozenset[str]:
    """Of `owner/name:SECRET` those of this repository, as far as they are configured."""
    names = (name for place, _, name in (each.partition(":") for each in declared) if place == repo)
    return frozenset(sort_out(secrets_dir, names).configured)


def _is_configured(secrets_dir: Path, name: str) -> bool:
    if _NAME.fullmatch(name) is None:
        return False
    try:
        return (secrets_dir / name).stat().st_size > 0
    except OSError:
        return False
