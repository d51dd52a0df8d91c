"""Names that travel between people, agents and git, and what they may look like."""

import re
from typing import Final

RUNTIMES: Final = (
    "claude-code",
    "codex",
    "gemini",
    "goose",
    "kimi",
    "opencode",
    "qwen",
    "scripted",
)
"""Every runtime with a profile in `sidecar/pod/acp/profiles`."""

_FORBIDDEN: Final = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(/|$)")


def is_valid_ref(ref: str) -> bool:
    """As git-check-ref-format(1) has it, for whole names below refs/; and nothing that a terminal would obey."""
    return (
        ref.startswith("refs/")
        and ref.isprintable()
        and not ref.endswith(("/", "."))
        and _FORBIDDEN.search(ref) is None
        and not any(part.startswith(("-", ".")) for part in ref.split("/"))
    )


def is_valid_branch(branch: str) -> bool:
    return is_valid_ref(f"refs/heads/{branch}")
