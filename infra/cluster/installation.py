"""Installing and upgrading: STEPS, one after another, each of which may be repeated and says what it changed."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from infra.cluster import (
    certificates,
    inventory,
    jobs,
    registry_realm,
    routes,
    secrets,
    workspaces,
)
from infra.cluster.applying import applied
from infra.cluster.kubectl import Kubectl
from infra.cluster.readiness import Say, await_ready
from infra.cluster.rendering import VALUES, Wish, installed, render
from infra.cluster.stamps import TEMPLATED, digest, stamped, standing
from infra.local.errors import WrongUsage

FIRST: Final = ("Namespace", "PriorityClass")


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """`objects` are the overlay's, as rendered."""

    kubectl: Kubectl
    wish: Wish
    given: Mapping[str, str]
    """Secrets that somebody else made, by their names in the whole."""
    objects: tuple[dict[str, Any], ...]
    say: Say

    def of_kind(self, *kinds: str) -> list[dict[str, Any]]:
        return [each for each in self.objects if each["kind"] in kinds]

    @property
    def values(self) -> Mapping[str, str]:
        """The overlay's x1-values, with what was wished over them."""
        return next(
            each["data"] for each in self.of_kind("ConfigMap") if each["metadata"]["name"] == VALUES
        )

    def but_of_kind(self, *kinds: str) -> list[dict[str, Any]]:
        return [each for each in self.objects if each["kind"] not in kinds]


Step = Callable[[Installation], Iterator[str]]
"""Yields a word for each thing that it made or changed."""


def install(
    kubectl: Kubectl, wish: Wish, say: Say, given: Mapping[str, str] | None = None
) -> list[str]:
    """What stands as wished is left. Returns what was made or changed.

    Raises WrongUsage as `before` does, and when a workspace that is left out holds previews: nothing is changed.
    """
    before(kubectl, wish)
    workspaces.require_none_left(kubectl, wish.workspaces)
    installation = Installation(
        kubectl=kubectl,
        wish=wish,
        given=given or {},
        objects=tuple(render(kubectl, wish)),
        say=say,
    )
    changes: list[str] = []
    for step in STEPS:
        for change in step(installation):
            say(f"changed: {change}")
            changes.append(change)
    return changes


def before(kubectl: Kubectl, wish: Wish) -> Wish | None:
    """What is installed already. Raises WrongUsage when it is of another overlay than the wished one.

    One over the other would mix two: a database of one's own beside a forge that nobody knows.
    """
    found = installed(kubectl)
    if found is not None and found.overlay != wish.overlay:
        raise WrongUsage(
            expected=f"the overlay {found.overlay}, which {kubectl.place()} has",
            came=f"the overlay {wish.overlay}; nothing was changed",
            then="x1 cluster upgrade, which keeps what was decided, or --settings FILE with overlay: "
            f"{found.overlay}; x1 cluster uninstall removes it with all its data",
        )
    return found


def _foundations(installation: Installation) -> Iterator[str]:
    yield from applied(installation.kubectl, installation.of_kind(*FIRST))


def _inventory(installation: Installation) -> Iterator[str]:
    inventory.begin(installation.kubectl, installation.objects)
    yield from ()


def _secrets(installation: Installation) -> Iterator[str]:
    told = {secrets.WORKSPACES: " ".join(installation.wish.workspaces)}
    yield from secrets.ensure(installation.kubectl, {**installation.given, **told})


def _manifests(installation: Installation) -> Iterator[str]:
    objects = installation.but_of_kind(*FIRST, *TEMPLATED, "Job")
    yield from applied(installation.kubectl, objects)


def _certificates(installation: Installation) -> Iterator[str]:
    values = installation.values
    if values["previews-certificate"] == "local":
        yield from certificates.ensure(installation.kubectl, values["previews-domain"])


def _registry(installation: Installation) -> Iterator[str]:
    """Its pod waits for this: what it says is the address of a Service that the manifests make."""
    if any(each["metadata"]["name"] == "registry" for each in installation.of_kind(*TEMPLATED)):
        yield from registry_realm.ensure(installation.kubectl)


def _workloads(installation: Installation) -> Iterator[str]:
    known = standing(installation.kubectl)
    objects = [stamped(each, known) for each in installation.of_kind(*TEMPLATED)]
    yield from applied(installation.kubectl, objects)


def _readiness(installation: Installation) -> Iterator[str]:
    await_ready(installation.kubectl, installation.objects, installation.say)
    yield from ()


def _workspaces(installation: Installation) -> Iterator[str]:
    """By now the relay takes no deploy for one that is left out, and no sweep looks there."""
    yield from workspaces.remove_departed(installation.kubectl, installation.wish.workspaces)


def _leftovers(installation: Installation) -> Iterator[str]:
    """When what replaces them is ready."""
    yield from inventory.finish(installation.kubectl, installation.objects)


def _routes(installation: Installation) -> Iterator[str]:
    wish = installation.wish
    yield from routes.remove_others(installation.kubectl, wish.route, wish.workspaces)


def _jobs(installation: Installation) -> Iterator[str]:
    """Work pools and the product's deployments, which are in Prefect's database, by services' addresses."""
    services = installation.kubectl.listing("service", "-n", secrets.SYSTEM)
    addresses = {each["metadata"]["name"]: each["spec"].get("clusterIP") for each in services}
    # By which Secret a Job logs in is no part of what it does: a rotation is no reason to do it again.
    told = {key: text for key, text in standing(installation.kubectl).items() if key[0] != "Secret"}
    for job in installation.of_kind("Job"):
        reads = digest(job["spec"]["template"]["spec"], secrets.SYSTEM, told)
        does = [reads, dict(installation.values), addresses]
        if jobs.ensure(installation.kubectl, job, does, installation.say):
            yield f"Job/{job['metadata']['name']}"


STEPS: Final[tuple[Step, ...]] = (
    _foundations,
    _inventory,
    _secrets,
    _certificates,
    _manifests,
    _registry,
    _workloads,
    _readiness,
    _leftovers,
    _routes,
    _jobs,
    _workspaces,
)
"""Workloads come when all that they read is there, and is stamped on them; the Jobs need Prefect's server."""
