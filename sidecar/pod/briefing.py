"""What every agent is told besides its own instructions: where its repositories are, whom it may hire."""

from sidecar.wire.claim import SessionBundle

_COMMON = """## Your place
You work in one directory with the repositories below. git needs no credentials here; what may be pushed is
decided per branch, and a refusal says why. Each message you get is one turn: end your turn when there is
nothing to do until the next message. Messages with `driverless: true` come from machines or other agents.
The MCP server `x1` has your other tools: {tools}.

## Repositories
{repositories}
"""


def standing_instructions(bundle: SessionBundle) -> str:
    parts = [bundle.runtime.instructions.strip(), _place(bundle), _family(bundle)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _place(bundle: SessionBundle) -> str:
    lines = [
        f"- {each.repo} at ./{each.mount_path}, on {each.branch}; "
        + (f"push to {', '.join(each.allow_branches)}" if each.allow_push else "read only")
        for each in bundle.attachments
    ]
    return _COMMON.format(
        tools=", ".join(bundle.tools), repositories="\n".join(lines) or "- none"
    ).strip()


def _family(bundle: SessionBundle) -> str:
    if not bundle.spawnable:
        return ""
    lines = [
        f"- `{each.id}` ({each.runtime}): {each.name}. {each.description}".rstrip()
        for each in bundle.spawnable
    ]
    return "## Agents you may spawn\n" + "\n".join(lines)
