"""`python -m sidecar relay | pod | bridge | egress | stamps`. A service is imported only when it is asked for."""

import sys

USAGE = "usage: python -m sidecar relay | pod | bridge | egress | stamps"


def main(argv: list[str]) -> int:
    match argv:
        case ["relay"]:
            from sidecar.relay.main import run  # noqa: PLC0415 - a pod must not import the relay
        case ["pod"]:
            from sidecar.pod.main import run  # noqa: PLC0415 - a relay has no use for the pod's
        case ["bridge"]:
            from sidecar.bridge.main import run  # noqa: PLC0415 - it imports next to nothing
        case ["egress"]:
            from sidecar.egress.main import run  # noqa: PLC0415 - it needs no session's parts
        case ["stamps"]:
            from sidecar.stamps.main import run  # noqa: PLC0415 - it has one key and no session
        case _:
            sys.stderr.write(USAGE + "\n")
            return 2
    return run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
