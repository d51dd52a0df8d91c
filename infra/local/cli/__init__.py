"""The `x1` command. This file and `app` import nothing heavy: help must come at once."""

import sys


def main() -> None:
    """Runs the command and exits: 0 done, 1 the thing asked for failed, 2 wrong usage, 3 not there."""
    from infra.local.cli.app import app  # noqa: PLC0415 - `import infra.local.cli` stays free
    from infra.local.errors import LocalError, of_system  # noqa: PLC0415

    try:
        app(prog_name="x1")
    except (LocalError, OSError) as failed:
        error = failed if isinstance(failed, LocalError) else of_system(failed)
        sys.stderr.write(f"x1: {error}\n")
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
