"""What a preview target can do, and what a spec asks for beyond it: refused before anything is built."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from sidecar.domain.quantity import amount
from sidecar.wire.preview_file import Body, Dependency, EnvEntry

CONTAINERS: Final = ("dockerfile", "manifest")
PROVIDED: Final = ("postgres", "redis")
DEPENDENCY_FIELDS: Final = ("url", "host", "port", "user", "password", "database")
RESERVED_NAMES: Final = ("PATH", "HOME", "PORT", "HOST", "LANG")
RESERVED_PREFIXES: Final = ("X1_", "PREFECT_", "LD_", "DYLD_", "GIT_")

Place = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Abilities:
    """`secrets` are those that this repository's previews may hold; `most` is what one container may ask for.

    None for `secrets`: the target hands none out. An empty `most` is no bound. `registry`, `host:port`, holds what
    is built here; of that, this repository's previews may run `image` alone, a repository's last part there.
    """

    kinds: tuple[str, ...]
    secrets: frozenset[str] | None = None
    most: Mapping[str, str] = field(default_factory=dict[str, str])
    registry: str = ""
    image: str = ""

    @property
    def has_containers(self) -> bool:
        return not {*self.kinds}.isdisjoint(CONTAINERS)

    def foreign(self, image: str) -> str | None:
        """Why it may not be run: it was built from another repository, which its agents may be kept from."""
        host, _, rest = image.partition("/")
        if not self.registry or host.lower() != self.registry.lower():
            return None
        name = rest.partition("@")[0].rpartition("/")[2].partition(":")[0]
        return None if name == self.image else f"{image}: built from another repository"


LOCAL: Final = Abilities(kinds=("process",))


def refusals(spec: Body, abilities: Abilities) -> Iterator[tuple[Place, str]]:
    """Every place in the spec that asks for too much, with the reason."""
    yield from _of_entrypoint(spec, abilities)
    if spec.runtime.protocol != "http":
        yield ("runtime", "protocol"), f"{spec.runtime.protocol} is not proxied here; use http"
    yield from _of_paths(spec)
    yield from _of_dependencies(spec, abilities)
    for index, entry in enumerate(spec.env):
        if reason := _of_variable(entry, spec, abilities):
            yield ("env", index), reason
    for half, amounts in (
        ("requests", spec.resources.requests),
        ("limits", spec.resources.limits),
    ):
        for name, asked in amounts.items():
            if reason := beyond(abilities.most, name, asked):
                yield ("resources", half, name), reason


def beyond(most: Mapping[str, str], name: str, asked: str | float) -> str | None:
    """Why a container may not have so much of it."""
    bound = most.get(name)
    try:
        if bound is None or amount(asked) <= amount(bound):
            return None
    except ValueError as error:
        return str(error)
    return f"{asked} of {name} is more than a preview's container may have: {bound}"


def is_provided(dependency: Dependency, abilities: Abilities) -> bool:
    """One that is not, and need not be, is left out, and with it the variables that ask for it."""
    return abilities.has_containers and dependency.kind in PROVIDED and not dependency.shared


def name_of(dependency: Dependency, index: int) -> str:
    return dependency.name or f"{dependency.kind}-{index}"


def dependency_field(source: str) -> tuple[int, str]:
    """`dep:0.url` is (0, "url")."""
    index, _, name = source.removeprefix("dep:").partition(".")
    return int(index), name


def _of_entrypoint(spec: Body, abilities: Abilities) -> Iterator[tuple[Place, str]]:
    kind = spec.entrypoint.kind
    if kind not in abilities.kinds:
        can = ", ".join(abilities.kinds)
        yield ("entrypoint", "kind"), f"{kind} cannot be built here; this target does {can}"
    if kind != "manifest":
        return
    if spec.resources.requests or spec.resources.limits:
        yield ("resources",), "with kind manifest resources stand in the manifests"
    if spec.volumes:
        yield ("volumes",), "with kind manifest volumes stand in the manifests"


def _of_paths(spec: Body) -> Iterator[tuple[Place, str]]:
    """Each preview has a host of its own, and what the app answers is passed on as it is."""
    if spec.runtime.path != "/":
        yield (
            ("runtime", "path"),
            "the URL leads to /: a preview has a host of its own; let it be /",
        )
    if spec.ingress.strip_path:
        yield ("ingress", "stripPath"), "there is no path to strip: a preview has a host of its own"
    if spec.ingress.additional_headers:
        reason = "headers are not added here; let the app send them"
        yield ("ingress", "additionalHeaders"), reason


def _of_dependencies(spec: Body, abilities: Abilities) -> Iterator[tuple[Place, str]]:
    names = [name_of(each, index) for index, each in enumerate(spec.dependencies)]
    for index, dependency in enumerate(spec.dependencies):
        if reason := _of_dependency(dependency, abilities):
            yield ("dependencies", index), reason
        if names[index] in names[:index]:
            reason = f"a second dependency named {names[index]}: each needs a name of its own"
            yield ("dependencies", index, "name"), reason


def _of_dependency(dependency: Dependency, abilities: Abilities) -> str | None:
    if not dependency.required or is_provided(dependency, abilities):
        return None
    if dependency.shared and abilities.has_containers:
        return "shared dependencies are not provided here; each preview has its own"
    return f"{dependency.kind} is not provided here; bring your own, or say `required: false`"


def _of_variable(entry: EnvEntry, spec: Body, abilities: Abilities) -> str | None:
    if entry.name in RESERVED_NAMES or entry.name.startswith(RESERVED_PREFIXES):
        return f"{entry.name} is set by the target or reserved"
    if entry.source == "preview.share_base_url":
        return "previews are not shared from here yet; the preview's own URL is preview.self_url"
    if entry.source.startswith("secret:"):
        return _of_secret(entry.source, abilities)
    if entry.source.startswith("dep:"):
        return _of_field(entry.source, spec)
    return None


def _of_secret(source: str, abilities: Abilities) -> str | None:
    if abilities.secrets is None:
        return f"{source}: this target hands no secrets to previews"
    if source.removeprefix("secret:") not in abilities.secrets:
        return f"{source}: no operator has declared it for previews of this repository"
    return None


def _of_field(source: str, spec: Body) -> str | None:
    index, name = dependency_field(source)
    if index >= len(spec.dependencies):
        return f"{source}: there are {len(spec.dependencies)} dependencies, counted from 0"
    if name not in DEPENDENCY_FIELDS:
        return f"{source}: expected one of {', '.join(DEPENDENCY_FIELDS)}"
    return None
