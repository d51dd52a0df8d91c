"""Agent files as the relay takes them: each YAML with the text files that it names beside it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from infra.local.cli import output
from infra.local.errors import StackNotUp, WrongUsage
from infra.local.registration import run_register
from infra.local.stack import running
from infra.local.state import StateDir

BESIDE = (".md", ".txt", ".yaml", ".yml")
LARGEST_BYTES = 1 << 20


def files(path: Path) -> list[Path]:
    """The agent files at a path. Raises WrongUsage when there is none."""
    found = sorted([*path.glob("*.yaml"), *path.glob("*.yml")]) if path.is_dir() else [path]
    if not found or not all(file.is_file() for file in found):
        raise WrongUsage(
            expected="an agent file, or a directory with *.yaml",
            came=f"nothing at {path}",
            then="x1 agents apply PATH",
        )
    return found


def request(path: Path) -> dict[str, Any]:
    """`files` are the agents; `texts` what they may name, by its path from the file's directory.

    What is no text is `unreadable`, with the reason: the relay says it beside its other findings.
    """
    agents = files(path)
    root = agents[0].parent
    beside = [
        file
        for file in sorted(root.rglob("*"))
        if file.suffix in BESIDE and file.is_file() and file.stat().st_size <= LARGEST_BYTES
    ]
    texts: dict[str, str] = {}
    unreadable: dict[str, str] = {}
    for file in dict.fromkeys([*agents, *beside]):
        name = str(file.relative_to(root))
        try:
            texts[name] = file.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            unreadable[name] = f"expected UTF-8 text; byte {error.start} is none: save it as UTF-8"
    told = {"unreadable": unreadable} if unreadable else {}
    named = [{"path": file.name, "text": texts.get(file.name, "")} for file in agents]
    return {"files": named, "texts": texts, **told}


def show(answer: Mapping[str, Any]) -> None:
    """`answer` is of /api/agents/plan or …/apply."""
    for change in answer["changes"]:
        output.line(output.plain(f"{change['action']:<7} {change['agent']}"))
        if change["fields"] and change["action"] == "update":
            output.line(output.plain(f"        changes {', '.join(change['fields'])}"))
        for grant in change["grants"]:
            output.line(output.plain(f"        grants {grant['type']} {grant['target']}"))
        for grant in change["unasked"]:
            said = "stands, no longer asked for; x1 grants revoke takes it back"
            output.line(output.plain(f"        {grant['type']} {grant['target']}: {said}"))
    if answer["unchanged"]:
        output.line(output.plain(f"unchanged: {', '.join(answer['unchanged'])}"))
    if not answer["changes"]:
        output.line("nothing to change")
    for each in answer.get("unknown", []):
        said = "which is no agent so far: apply its file too, or mend the name"
        output.line(output.plain(f"{each['agent']} may spawn {each['target']}, {said}"))


async def register(state: StateDir, paths: Sequence[Path], *, keeps_blocks: bool = False) -> None:
    """Prefect's half: a block and a deployment for each agent. Takes seconds, and says so."""
    stack = running(state)
    if stack is None:
        raise StackNotUp(state.root)
    output.progress("registering the deployments in Prefect…")
    options = ["--keep-blocks"] if keeps_blocks else []
    await run_register(stack, ["agents", *options, *(str(path.absolute()) for path in paths)])
