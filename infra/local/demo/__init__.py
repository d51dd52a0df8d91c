"""The demo: the whole arc on one machine, from nothing to a table, told as it happens.

It only does what an operator could: `x1 up`, repositories at the forge, `x1 agents apply`, a start; then it
reads streams. What the agents claim is checked at the end against the forge and the proxy.
"""

from pathlib import Path


def run(app: str, state_dir: Path | None, keep: bool) -> int:  # noqa: FBT001 - as `x1 demo` calls it
    """Plays the arc. 0 only when the forge and the preview show what they should. Blocks until then."""
    from infra.local.demo.staging import play  # noqa: PLC0415 - help must come at once

    return play(app, state_dir, is_kept=keep)
