"""When pods end and when they are gone, as Kubernetes tells it while it happens."""

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from clusters import until
from workload_ground import RUN_LABEL

FLOW = "prefect-job"


@dataclass
class Endings:
    """Filled while it is watched: for each flow run's pod, seconds from the flow's end to the pod's absence.

    The container's end is told in whole seconds, so that up to one second too much is counted, never too little.
    """

    seconds: dict[str, float] = field(default_factory=dict)

    def of(self, run: str, patience_seconds: float = 120) -> float:
        return until(lambda: self.seconds.get(run), f"the absence of {run}'s pod", patience_seconds)

    def hear(self, event: dict[str, Any]) -> None:
        pod = event["object"]
        if event["type"] == "DELETED" and (finished_at := _finished_at(pod)) is not None:
            self.seconds[pod["metadata"]["labels"][RUN_LABEL]] = time.time() - finished_at


@contextmanager
def endings(namespace: str) -> Iterator[Endings]:
    """Watched from here on."""
    heard = Endings()
    path = (
        f"/api/v1/namespaces/{namespace}/pods?watch=1&labelSelector={RUN_LABEL.replace('/', '%2F')}"
    )
    with subprocess.Popen(["kubectl", "get", "--raw", path], stdout=subprocess.PIPE) as watch:
        listener = threading.Thread(target=_listen, args=(watch, heard), name="endings")
        listener.start()
        try:
            yield heard
        finally:
            watch.terminate()
            listener.join(30)


def _listen(watch: "subprocess.Popen[bytes]", heard: Endings) -> None:
    assert watch.stdout is not None
    for line in watch.stdout:
        heard.hear(json.loads(line))


def _finished_at(pod: dict[str, Any]) -> float | None:
    for each in pod["status"].get("containerStatuses", ()):
        over = each["state"].get("terminated")
        if each["name"] == FLOW and over is not None:
            return datetime.fromisoformat(over["finishedAt"]).timestamp()
    return None
