"""Agent blocks as the relay takes agents: read from Prefect's API, checked, and made into agent files.

The check is the relay's own, made here too, so that what is wrong is told by the block's name and field; a
line of a file that nobody has seen would help nobody.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import httpx

from blocks.agent_file import BLOCK_TYPE, agent_file
from infra.local import secrets
from infra.local.cli import agentfiles
from infra.local.errors import AskedFailed, NotThere, StackNotUp, WrongUsage
from infra.local.stack import running
from infra.local.state import StateDir
from sidecar.domain.errors import Finding, InvalidArguments
from sidecar.wire.agent_file import parse_agent

ANSWER_SECONDS = 30.0
PAGE = 200
"""The most that Prefect's API answers at once."""


def request(state: StateDir, slugs: Sequence[str]) -> dict[str, Any]:
    """As `agentfiles.request`; all blocks when no slug is named.

    Raises WrongUsage for a name without a block, AskedFailed with all that is wrong in all the blocks asked for.
    """
    texts = {slug: agent_file(slug, data) for slug, data in _chosen(read(state), slugs).items()}
    findings = [found for slug, text in texts.items() for found in _findings(slug, text)]
    if findings:
        raise AskedFailed(
            expected="Agent blocks that can be used as they stand",
            came="\n    ".join(["these cannot:", *map(str, findings)]),
            then="correct them in Prefect's UI, under Blocks",
        )
    files = [{"path": f"block {slug}", "text": text} for slug, text in texts.items()]
    return {"files": files, "texts": {}}


def read(state: StateDir) -> dict[str, Mapping[str, Any]]:
    """The data of every Agent block by its name. Raises NotThere when Prefect does not answer."""
    stack = running(state)
    if stack is None:
        raise StackNotUp(state.root)
    user, _, password = secrets.read(state, "prefect-auth").partition(":")
    client = httpx.Client(
        base_url=stack.prefect_api_url,
        auth=(user, password),
        timeout=ANSWER_SECONDS,
        trust_env=False,
    )
    with client:
        try:
            return {document["name"]: document["data"] for document in _documents(client)}
        except httpx.HTTPError as error:
            raise NotThere(
                expected=f"Prefect's blocks at {stack.prefect_api_url}",
                came=str(error) or type(error).__name__,
                then="x1 status, x1 logs prefect",
            ) from error


async def register(state: StateDir, body: Mapping[str, Any]) -> None:
    """Deployments of exactly what was applied; the blocks stay, whatever was edited since."""
    with tempfile.TemporaryDirectory(prefix="x1-agents-") as directory:
        paths = [Path(directory) / f"{index}.yaml" for index in range(len(body["files"]))]
        for path, file in zip(paths, body["files"], strict=True):
            path.write_text(file["text"])
        await agentfiles.register(state, paths, keeps_blocks=True)


def _documents(client: httpx.Client) -> Iterator[dict[str, Any]]:
    for offset in count(step=PAGE):
        query = {
            "block_types": {"slug": {"any_": [BLOCK_TYPE]}},
            "block_documents": {"is_anonymous": {"eq_": False}},
            "offset": offset,
            "limit": PAGE,
        }
        found = client.post("/block_documents/filter", json=query).raise_for_status().json()
        yield from found
        if len(found) < PAGE:
            return


def _chosen(
    blocks: Mapping[str, Mapping[str, Any]], slugs: Sequence[str]
) -> dict[str, Mapping[str, Any]]:
    unknown = [slug for slug in slugs if slug not in blocks]
    if unknown or not blocks:
        raise WrongUsage(
            expected=f"Agent blocks: {', '.join(sorted(blocks)) or 'there is none yet'}",
            came=f"no Agent block {', '.join(unknown)}".rstrip(),
            then="x1 agents apply PATH makes a block for each agent",
        )
    return {slug: blocks[slug] for slug in slugs or sorted(blocks)}


def _findings(slug: str, text: str) -> list[Finding]:
    try:
        parse_agent(text, f"block {slug}", _nothing_beside)
    except InvalidArguments as error:
        return [Finding(path=found.path, message=found.message) for found in error.findings]
    return []


def _nothing_beside(_: str) -> str:
    raise FileNotFoundError(2, "a block has no files beside it; write the text itself")
