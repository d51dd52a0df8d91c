"""How a build ended, read from its pod."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from tasks.builders import buildkit_scripts as scripts
from tasks.builders.buildkit_log import BuildLog
from tasks.builders.errors import BuildFailed, BuildLost, FetchFailed
from tasks.builders.image_registry import DIGEST

Object = Mapping[str, Any]

OUT_OF_MEMORY: Final = "OOMKilled"


def digest_of(pod: Object, log: BuildLog, repo: str) -> str | None:
    """`sha256:…`, None while it goes on. Raises FetchFailed, BuildFailed, BuildLost."""
    ended = {name: status["state"]["terminated"] for name, status in _ended(pod)}
    if (fetch := ended.get("fetch", {})).get("exitCode"):
        raise _fetch_failure(pod, fetch, log, repo)
    if "build" in ended:
        return _digest(pod, ended["build"], log)
    if pod["status"].get("phase") == "Failed" or "deletionTimestamp" in pod["metadata"]:
        raise _lost(pod["status"], log)
    return None


def is_over(pod: Object, container: str) -> bool:
    return any(name == container for name, _ in _ended(pod))


def has_begun(pod: Object, container: str) -> bool:
    return any(
        status["name"] == container and "waiting" not in status["state"] for status in _all(pod)
    )


def _all(pod: Object) -> Iterator[Object]:
    status = pod["status"]
    for each in (
        *status.get("initContainerStatuses", ()),
        *status.get("containerStatuses", ()),
    ):
        yield {"state": {"waiting": {}}, **each}


def _ended(pod: Object) -> Iterator[tuple[str, Object]]:
    return ((each["name"], each) for each in _all(pod) if "terminated" in each["state"])


def _fetch_failure(pod: Object, terminated: Object, log: BuildLog, repo: str) -> Exception:
    said = str(terminated.get("message", "")).strip()
    if terminated.get("reason") == OUT_OF_MEMORY:
        return BuildFailed(
            f"to fetch {repo} needs more memory than {_memory(pod, 'fetch')}", log.tail
        )
    if _is_taken_away(pod):
        return _lost(pod["status"], log)
    match terminated["exitCode"]:
        case scripts.NO_REVISION:
            return FetchFailed(f"git could not fetch {repo}: {said}", log.tail)
        case scripts.NO_CONTEXT:
            return BuildFailed(said, log.tail)
        case scripts.NO_TREE:
            return BuildFailed(f"git could not check {repo} out: {said}", log.tail)
        case code:
            return BuildLost(f"the fetch ended with exit code {code}", log.tail)


def _digest(pod: Object, terminated: Object, log: BuildLog) -> str:
    said = str(terminated.get("message", "")).strip()
    if terminated["exitCode"] == 0 and DIGEST.match(said):
        return said
    if _is_taken_away(pod):
        raise _lost(pod["status"], log)
    if (short := _out_of_memory(pod)) is not None:
        raise BuildFailed(f"the build needs more memory than {_memory(pod, short)}", log.tail)
    if terminated["exitCode"] == 0:
        raise BuildFailed("BuildKit told no digest of what it pushed", log.tail)
    if terminated["exitCode"] == scripts.NO_BUILDER or log.is_builder_gone:
        raise BuildLost("BuildKit was not there to the end", log.tail)
    if log.asked_in_vain:
        raise BuildLost(f"could not {log.asked_in_vain}: a registry was away, or refused", log.tail)
    where = f"the step {log.failing_step} failed" if log.failing_step else "the build failed"
    raise BuildFailed(where, log.tail)


def _lost(status: Object, log: BuildLog) -> Exception:
    """Evicted for what it used itself, it would be again."""
    message = str(status.get("message", ""))
    if "exceed" in message:
        return BuildFailed(f"the build needed more disk than it may have: {message}", log.tail)
    said = f"the build's pod was taken away: {status.get('reason', 'deleted')} {message}"
    return BuildLost(said.strip(), log.tail)


def _is_taken_away(pod: Object) -> bool:
    return "deletionTimestamp" in pod["metadata"] or pod["status"].get("reason") == "Evicted"


def _out_of_memory(pod: Object) -> str | None:
    """The container that the kernel killed for it; one that was begun again says it of its last run."""
    for each in _all(pod):
        states = (each["state"], each.get("lastState", {}))
        if any(state.get("terminated", {}).get("reason") == OUT_OF_MEMORY for state in states):
            return each["name"]
    return None


def _memory(pod: Object, container: str) -> str:
    """Its limit, as `4Gi`."""
    both = (*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"])
    limits = {each["name"]: each["resources"]["limits"]["memory"] for each in both}
    return f"the {limits[container]} that {container} may have"
