"""`python -m sidecar.scripted` serves ACP on standard input and output; `… check FILE…` judges scripts."""

import asyncio
import os
import sys
from pathlib import Path

USAGE = "usage: python -m sidecar.scripted [check FILE…]\n"


def main(arguments: list[str]) -> int:
    match arguments:
        case []:
            return _serve()
        case ["check", *files] if files:
            return max(_check(Path(name)) for name in files)
        case _:
            sys.stderr.write(USAGE)
            return 2


def _serve() -> int:
    from sidecar.scripted.agent import Agent  # noqa: PLC0415 - `check` needs none

    script = os.environ.get("X1_SCRIPT")
    state = Path(os.environ.get("X1_SCRIPT_STATE") or "~/.x1-scripted").expanduser()
    try:
        asyncio.run(Agent(script=Path(script) if script else None, state=state).serve())
    except (KeyboardInterrupt, BrokenPipeError):
        return 1
    return 0


def _check(file: Path) -> int:
    from sidecar.scripted.errors import ScriptInvalid  # noqa: PLC0415
    from sidecar.scripted.reading import read_script  # noqa: PLC0415

    try:
        read_script(file.read_text(), str(file))
    except (ScriptInvalid, OSError, UnicodeDecodeError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{file}: can be played\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
