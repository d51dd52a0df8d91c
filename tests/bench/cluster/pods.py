"""When each pod of a namespace came to what, by this machine's clock: Kubernetes itself tells whole seconds."""

import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any

from tests.support.clusters import until

Seen = dict[str, float]
"""Of one pod: seconds since the epoch by `created`, `scheduled`, `running`, `ended` (its main container), `gone`."""


class Pods:
    def __init__(self) -> None:
        self._seen: dict[str, Seen] = {}
        self._labels: dict[str, dict[str, str]] = {}

    @classmethod
    @contextmanager
    def watched(cls, namespace: str) -> Iterator["Pods"]:
        words = ("-n", namespace, "--watch", "--output-watch-events", "-o", "json")
        pods = cls()
        with subprocess.Popen(["kubectl", "get", "pods", *words], stdout=subprocess.PIPE) as watch:
            assert watch.stdout is not None
            reader = threading.Thread(target=pods._read, args=(watch.stdout,), daemon=True)
            reader.start()
            try:
                yield pods
            finally:
                watch.terminate()
                reader.join(10)

    def find(self, label: str, value: str) -> Seen | None:
        for name, labels in list(self._labels.items()):
            if labels.get(label) == value:
                return self._seen[name]
        return None

    def await_moment(self, label: str, value: str, moment: str) -> Seen:
        def reached() -> Seen | None:
            seen = self.find(label, value)
            return seen if seen and moment in seen else None

        return until(reached, f"{moment} of the pod of {value}")

    def _read(self, stream: IO[bytes]) -> None:
        """With its kind, each event is one line of JSON."""
        for line in stream:
            event = json.loads(line)
            now, pod = time.time(), event["object"]
            name = pod["metadata"]["name"]
            self._labels[name] = pod["metadata"].get("labels", {})
            seen = self._seen.setdefault(name, {})
            for moment, is_reached in MOMENTS.items():
                if is_reached(event["type"], pod):
                    seen.setdefault(moment, now)


def _main(pod: dict[str, Any]) -> dict[str, Any]:
    statuses = pod["status"].get("containerStatuses") or [{"state": {}}]
    return statuses[0]["state"]


MOMENTS: dict[str, Callable[[str, dict[str, Any]], bool]] = {
    "created": lambda _, __: True,
    "scheduled": lambda _, pod: "nodeName" in pod["spec"],
    "running": lambda _, pod: "running" in _main(pod),
    "ended": lambda _, pod: "terminated" in _main(pod),
    "gone": lambda kind, _: kind == "DELETED",
}
