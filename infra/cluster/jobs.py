"""Jobs that an installation runs and waits for, when something of what they do has changed.

A Job's pods cannot be changed, so it is made anew. One that has completed with the same stamp is left.
"""

import hashlib
import json
import time
from collections.abc import Mapping
from typing import Any, Final

from infra.cluster.kubectl import Kubectl
from infra.cluster.readiness import Say
from infra.local.errors import AskedFailed

JOB_SECONDS: Final = 600.0
POLL_SECONDS: Final = 1.0
STAMP: Final = "x1flows.io/done"


def ensure(kubectl: Kubectl, job: Mapping[str, Any], does: object, say: Say) -> bool:
    """Whether it had to run. `does` is all that its work depends on beside its manifest, as JSON has it.

    Raises AskedFailed with the Job's last words.
    """
    metadata = job["metadata"]
    stamp = _stamp([job["spec"], does])
    found = kubectl.get("job", metadata["name"], metadata["namespace"])
    if _is_done(found, stamp):
        return False
    annotations = {**metadata.get("annotations", {}), STAMP: stamp}
    _run(kubectl, {**job, "metadata": {**metadata, "annotations": annotations}}, say)
    return True


def _stamp(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _is_done(found: Mapping[str, Any] | None, stamp: str) -> bool:
    annotations = (found or {}).get("metadata", {}).get("annotations", {})
    return annotations.get(STAMP) == stamp and "Complete" in _conditions(found)


def _run(kubectl: Kubectl, job: Mapping[str, Any], say: Say) -> None:
    name, namespace = job["metadata"]["name"], job["metadata"]["namespace"]
    kubectl.must("delete", "job", name, "-n", namespace, "--ignore-not-found", "--wait=true")
    kubectl.apply(json.dumps(job))
    say(f"the job {name} runs")
    deadline = time.monotonic() + JOB_SECONDS
    while time.monotonic() < deadline:
        ended = _conditions(kubectl.get("job", name, namespace))
        if "Complete" in ended:
            return
        if "Failed" in ended:
            break
        time.sleep(POLL_SECONDS)
    raise AskedFailed(
        expected=f"the job {name} to complete within {JOB_SECONDS:g} s",
        came=_last_words(kubectl, namespace, f"job/{name}"),
        then=f"kubectl -n {namespace} logs job/{name}; kubectl -n {namespace} get pods",
    )


def _conditions(found: Mapping[str, Any] | None) -> set[str]:
    stated = (found or {}).get("status", {}).get("conditions", ())
    return {each["type"] for each in stated if each["status"] == "True"}


def _last_words(kubectl: Kubectl, namespace: str, what: str) -> str:
    done = kubectl.run("logs", "-n", namespace, what, "--tail", "15")
    return (done.stdout or done.stderr).strip()[-1500:] or "no output"
