"""`.x1agent/preview.yaml` (v1): how one revision of a repository is built and served.

The whole schema of v1 is read, so that a file written for another target says here exactly what this target
cannot do, instead of failing halfway through a build. Every fault is reported at once, with its line.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sidecar.domain.errors import Finding, InvalidArguments, SpecInvalid
from sidecar.wire.preview_abilities import (
    LOCAL,
    Abilities,
    dependency_field,
    is_provided,
    name_of,
    refusals,
)
from sidecar.wire.preview_file import Body, Entrypoint, PreviewFile
from sidecar.wire.validation import validated
from sidecar.wire.yaml_lines import Document

PATH: Final = ".x1agent/preview.yaml"
EXAMPLE: Final = f"""Commit {PATH}, for example:
apiVersion: x1agent.io/v1
kind: PreviewSpec
metadata: {{name: app}}
spec:
  entrypoint:
    kind: process
    build: [sh, -c, "python -m venv .venv && .venv/bin/pip install -r requirements.txt"]
    run: [sh, -c, "exec .venv/bin/python -m app --port $PORT"]
  runtime: {{healthcheck: {{path: /}}}}"""

MIN_STARTUP_SECONDS: Final = 60.0
"""A busy machine starts things late; what answers sooner is served sooner."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DependencySpec:
    """A server beside the preview. `provides` are the variables that hold its URL."""

    kind: str
    name: str
    provides: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewSpec:
    """`directory`, `build` and `run` are for kind process; `build` may be empty.

    `directory`, `dockerfile` and `context` are below the repository's root. `dependencies` are those that the
    target provides. `env` has the literals, `self_url_names` the variables that hold the preview's own URL,
    `dependency_env` those that hold a field of a dependency: (name, index, field), `secret_env` those that hold a
    secret: (name, secret). For kind manifest `directory` is the file or directory of manifests.
    """

    name: str
    kind: str
    directory: str
    build: tuple[str, ...]
    run: tuple[str, ...]
    health_path: str
    startup_seconds: float
    dockerfile: str = ""
    context: str = "."
    args: Mapping[str, str] = field(default_factory=dict[str, str])
    port: int = 8080
    health_period_seconds: float = 10
    health_timeout_seconds: float = 3
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    self_url_names: tuple[str, ...] = ()
    dependencies: tuple[DependencySpec, ...] = ()
    dependency_env: tuple[tuple[str, int, str], ...] = ()
    secret_env: tuple[tuple[str, str], ...] = ()
    volumes: tuple[tuple[str, str, bool], ...] = ()
    """(name, path, whether it is memory)."""
    resources: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])


def parse_preview(text: str, path: str = PATH, abilities: Abilities = LOCAL) -> PreviewSpec:
    """Raises SpecInvalid with every finding: those of the schema, else those of this target."""
    try:
        document = Document(text)
        model = validated(document, PreviewFile, path)
    except InvalidArguments as error:
        raise SpecInvalid(f"{path} cannot be used:", error.findings) from error
    found = tuple(
        document.finding(("spec", *place), message)
        for place, message in refusals(model.spec, abilities)
    )
    if found:
        raise SpecInvalid(f"{path} asks for what this preview target cannot do:", found)
    return _spec(model, abilities)


def missing(path: str = PATH) -> SpecInvalid:
    """What to answer when the file is not there: how to write one."""
    finding = Finding(path=path, message=f"there is no such file at this revision. {EXAMPLE}")
    return SpecInvalid("the revision does not say how it is previewed:", (finding,))


def schema() -> dict[str, Any]:
    """The JSON Schema that is committed beside this file, for editors."""
    return PreviewFile.model_json_schema(by_alias=True)


def _spec(model: PreviewFile, abilities: Abilities) -> PreviewSpec:
    body, entrypoint = model.spec, model.spec.entrypoint
    provided = {
        index: DependencySpec(
            kind=each.kind, name=name_of(each, index), provides=tuple(each.provides)
        )
        for index, each in enumerate(body.dependencies)
        if is_provided(each, abilities)
    }
    health = body.runtime.healthcheck
    return PreviewSpec(
        name=model.metadata.name,
        kind=entrypoint.kind,
        directory=entrypoint.path,
        build=tuple(entrypoint.build),
        run=tuple(entrypoint.run),
        dockerfile=_dockerfile(entrypoint),
        context=entrypoint.build_context or ".",
        args=dict(entrypoint.args),
        port=body.runtime.port,
        health_path=health.path,
        health_period_seconds=health.period,
        health_timeout_seconds=health.timeout,
        startup_seconds=max(
            MIN_STARTUP_SECONDS, health.initial_delay + health.period * health.failure_threshold
        ),
        env={each.name: each.value for each in body.env if each.value is not None},
        self_url_names=tuple(each.name for each in body.env if each.source == "preview.self_url"),
        dependencies=tuple(provided.values()),
        dependency_env=tuple(_dependency_env(body, [*provided])),
        secret_env=tuple(
            (each.name, each.source.removeprefix("secret:"))
            for each in body.env
            if each.source.startswith("secret:")
        ),
        volumes=tuple((each.name, each.path, each.kind == "tmpfs") for each in body.volumes),
        resources={
            "requests": {str(name): each for name, each in body.resources.requests.items()},
            "limits": {str(name): each for name, each in body.resources.limits.items()},
        },
    )


def _dependency_env(body: Body, provided: Sequence[int]) -> Iterator[tuple[str, int, str]]:
    """Counted among those that are provided, as they are in the file."""
    for each in body.env:
        if each.source.startswith("dep:"):
            index, name = dependency_field(each.source)
            if index in provided:
                yield each.name, provided.index(index), name


def _dockerfile(entrypoint: Entrypoint) -> str:
    """`path` names the file, or the directory that has one."""
    path = entrypoint.path.removeprefix("./").rstrip("/")
    name = path.rpartition("/")[2]
    if "dockerfile" in name.lower() or "containerfile" in name.lower():
        return path
    return "Dockerfile" if path in ("", ".") else f"{path}/Dockerfile"
