"""What keeps a pod's containers from running: init containers, native sidecars and main ones alike."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sidecar.domain.pod_events import Event, after_colon, newest_message, of_container

LAST_WORDS: Final = 500
"""Characters shown of a termination message."""

_PULL: Final = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "ImageInspectError",
    }
)
_CREATE: Final = frozenset(
    {
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
        "PostStartHookError",
    }
)
_HOPELESS_PULL: Final = (
    "not found",
    "manifest unknown",
    "does not exist",
    "denied",
    "unauthorized",
    "authorization failed",
    "InvalidImageName",
    "ErrImageNeverPull",
    "invalid reference format",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    text: str
    is_temporary: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Container:
    """One container's status beside its spec. `events` are its own, newest first."""

    status: Mapping[str, Any]
    spec: Mapping[str, Any]
    events: Sequence[Event]

    @property
    def name(self) -> str:
        return f"container {self.status.get('name')}"

    @property
    def waiting(self) -> Mapping[str, Any]:
        return (self.status.get("state") or {}).get("waiting") or {}

    @property
    def ended(self) -> Mapping[str, Any]:
        """How it ended, the last time it did."""
        now = (self.status.get("state") or {}).get("terminated")
        return now or (self.status.get("lastState") or {}).get("terminated") or {}

    @property
    def is_out_of_memory(self) -> bool:
        states = (self.status.get("state") or {}, self.status.get("lastState") or {})
        return any((each.get("terminated") or {}).get("reason") == "OOMKilled" for each in states)

    @property
    def is_over(self) -> bool:
        return bool((self.status.get("state") or {}).get("terminated"))

    @property
    def is_running(self) -> bool:
        return bool((self.status.get("state") or {}).get("running"))

    @property
    def is_sidecar(self) -> bool:
        return self.spec.get("restartPolicy") == "Always"


def diagnose_containers(pod: Mapping[str, Any], events: Sequence[Event]) -> Sequence[Trouble]:
    """In the pod's own order; `events` newest first. Empty when none is known to be in trouble."""
    look = _look_back if (pod.get("status") or {}).get("phase") == "Failed" else _trouble
    found = (look(each) for each in _containers(pod, events))
    return [each for each in found if each is not None]


def _containers(pod: Mapping[str, Any], events: Sequence[Event]) -> Iterator[_Container]:
    status, spec = pod.get("status") or {}, pod.get("spec") or {}
    for statuses, specs in (
        ("initContainerStatuses", "initContainers"),
        ("containerStatuses", "containers"),
    ):
        known = {each.get("name"): each for each in spec.get(specs) or ()}
        for each in status.get(statuses) or ():
            name = str(each.get("name"))
            yield _Container(
                status=each, spec=known.get(name) or {}, events=of_container(events, name)
            )


def _look_back(one: _Container) -> Trouble | None:
    """At a pod that failed: its sidecars were told to end after that, unless memory ran out before."""
    if one.is_sidecar:
        return _out_of_memory(one) if one.is_out_of_memory else None
    return _trouble(one)


def _trouble(one: _Container) -> Trouble | None:
    reason = str(one.waiting.get("reason") or "")
    if reason in _PULL:
        return _pull(one, reason)
    if reason in _CREATE:
        return _creation(one, reason)
    if reason == "CrashLoopBackOff" or (one.is_over and one.ended.get("exitCode")):
        return _crash(one)
    return None if one.is_over or one.status.get("ready") else _unready(one)


def _pull(one: _Container, reason: str) -> Trouble:
    """Older clusters' back-off message does not say why; the event of the last failed pull does."""
    words = str(one.waiting.get("message") or "")
    if ": " not in words:
        words = newest_message(one.events, ("Failed",), "Failed to pull") or words
    image = one.spec.get("image") or one.status.get("image")
    text = f"{one.name}: image {image} cannot be pulled ({reason}){after_colon(words)}"
    is_hopeless = any(each in f"{reason} {words}" for each in _HOPELESS_PULL)
    return Trouble(text=text, is_temporary=not is_hopeless)


def _creation(one: _Container, reason: str) -> Trouble:
    said = one.waiting.get("message") or newest_message(one.events, ("Failed",))
    text = f"{one.name} cannot be created ({reason}){after_colon(said)}"
    return Trouble(text=text, is_temporary=False)


def _crash(one: _Container) -> Trouble:
    if one.is_out_of_memory:
        return _out_of_memory(one)
    text = f"{one.name} {_exit(one.ended)}{_again(one)}{_last_words(one.ended)}{_liveness(one)}"
    return Trouble(text=text, is_temporary=False)


def _out_of_memory(one: _Container) -> Trouble:
    limit = ((one.spec.get("resources") or {}).get("limits") or {}).get("memory")
    than = f"its limit of {limit}" if limit else "there was"
    text = f"{one.name} was killed for using more memory than {than} (OOMKilled){_again(one)}"
    return Trouble(text=text, is_temporary=False)


def _again(one: _Container) -> str:
    count = int(one.status.get("restartCount") or 0) + int(not one.is_running)
    return f", {count} times" if count > 1 else ""


def _exit(ended: Mapping[str, Any]) -> str:
    if not ended:
        return "keeps ending as soon as it starts"
    reason = ended.get("reason")
    shown = f" ({reason})" if reason and reason != "Error" else ""
    if ended.get("signal"):
        return f"was ended by signal {ended['signal']}{shown}"
    return f"exited with code {ended.get('exitCode')}{shown}"


def _last_words(ended: Mapping[str, Any]) -> str:
    message = str(ended.get("message") or "").strip()
    return f", saying: {message[-LAST_WORDS:]}" if message else ""


def _liveness(one: _Container) -> str:
    """A restart that the kubelet wanted looks like a crash; the probe's event tells them apart."""
    told = (newest_message(one.events, ("Unhealthy",), each) for each in ("Liveness", "Startup"))
    said = next((each for each in told if each), None)
    return f"; the kubelet restarts it: {said}" if said else ""


def _unready(one: _Container) -> Trouble | None:
    """Runs, and a probe says no; or it has just come back from a death that says more."""
    if not one.is_running:
        return None
    said = newest_message(one.events, ("Unhealthy",))
    if one.ended.get("exitCode") and (said is None or one.is_out_of_memory):
        return _crash(one)
    if said is None:
        return None
    return Trouble(text=f"{one.name} runs, but is not ready: {said}", is_temporary=False)
