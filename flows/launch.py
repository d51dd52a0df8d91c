"""`python -m flows.launch`: a session flow's entry on one machine, the command of work pool `x1-sessions`.

Starts the sidecar first and Prefect's engine second, so that the sidecar listens before the flow's first
line. The engine runs in a child of the fork server when there is one (X1_FORK_SERVER), else in this process.
"""

import os

from flows.forked import engine
from tasks.session.pod import start_pod


def main() -> int:
    """Returns the engine's exit code; an engine in this process exits by itself."""
    pod = start_pod()
    os.environ["X1_CONTROL_SOCKET"] = str(pod.socket)
    os.environ["X1_SIDECAR_PID"] = str(pod.process.pid)
    try:
        return engine()
    finally:
        pod.close()


if __name__ == "__main__":
    raise SystemExit(main())
