"""What is played: the example's agents and repositories, in the variant of one app."""

import shutil
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

DEPLOYMENTS: Final = Path(__file__).resolve().parents[3] / "deployments"
LEAD: Final = "hirer-orchestrator"
OWN: Final = "hirer-co/orchestrator"
APP: Final = "hirer-co/app"
SHIPPED: Final = ("R-1", "R-2")
BLOCKED: Final = "R-3"


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """`repositories` are the directories, laid over one another, that each one's first commit is made of."""

    agents: Path
    repositories: Mapping[str, tuple[Path, ...]]
    minutes: float
    needs_node: bool = False


def example_of(app: str) -> Example:
    """What one machine can serve. Raises KeyError for an app there is no example of."""
    return {
        "python": _example(minutes=20),
        "astro": _example("astro", minutes=20, needs_node=True),
    }[app]


def container_example() -> Example:
    """The Python app, built as an image: for a cluster."""
    return _example("container", minutes=20)


def _example(variant: str = "", *, minutes: float, needs_node: bool = False) -> Example:
    """`variant` names another roadmap, laid over the orchestrator's repository."""
    examples = DEPLOYMENTS / "examples"
    own = (examples / "hirer-orchestrator",)
    if variant:
        own += (examples / f"hirer-orchestrator-{variant}",)
    return Example(
        agents=DEPLOYMENTS / "agents",
        repositories={OWN: own, APP: (examples / "hirer-app",)},
        minutes=minutes,
        needs_node=needs_node,
    )


@contextmanager
def laid_out(layers: tuple[Path, ...], added: Mapping[str, str]) -> Generator[Path]:
    """One directory with all layers, later ones over earlier ones, and the texts by path."""
    with tempfile.TemporaryDirectory(prefix="x1-example-") as scratch:
        tree = Path(scratch) / "tree"
        for layer in layers:
            shutil.copytree(layer, tree, dirs_exist_ok=True)
        for path, text in added.items():
            (tree / path).write_text(text)
        yield tree
