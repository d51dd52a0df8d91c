"""`python -m infra.local STATE_DIR [COMPONENT…]`: the supervisor, as `x1 up` starts it in the background."""

import asyncio
import json
import sys
from pathlib import Path

from infra.local.errors import LocalError
from infra.local.files import write_whole
from infra.local.state import StateDir
from infra.local.status import FAILURE
from infra.local.supervisor import supervise


def main(argv: list[str]) -> int:
    """Returns the exit code of the error that ended it."""
    directory, *only = argv
    state = StateDir(root=Path(directory))
    try:
        asyncio.run(supervise(state, only))
    except LocalError as error:
        sys.stderr.write(f"{error}\n")
        write_whole(state.run(FAILURE), json.dumps(error.as_json()))
        return error.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
