"""The file `.x1agent/preview.yaml` as it is written: the whole schema of v1, whatever a target can do of it."""

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from sidecar.wire.model import StrictModel

Text = Annotated[str, Field(min_length=1, max_length=8192, pattern=r"^[^\x00]*$")]
EnvName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")]
Inside = Annotated[str, Field(max_length=1024)]


class Metadata(StrictModel):
    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    description: str = Field(default="", max_length=2000)


class Entrypoint(StrictModel):
    kind: Literal["dockerfile", "manifest", "kustomize", "helm", "compose", "process"]
    path: Inside = "."
    build_context: Inside | None = Field(default=None, alias="buildContext")
    args: dict[str, Text] = Field(default_factory=dict, max_length=100)
    build: list[Text] = Field(default_factory=list, max_length=100)
    run: list[Text] = Field(default_factory=list, max_length=100)

    @field_validator("path", "build_context")
    @classmethod
    def _stays_inside(cls, value: str | None) -> str | None:
        if value is not None and (
            value.startswith(("/", "~")) or ".." in value.split("/") or "\0" in value
        ):
            raise ValueError("expected a path below the repository's root, without `..`")
        return value

    @model_validator(mode="after")
    def _process_runs(self) -> Self:
        if self.kind == "process" and not self.run:
            raise ValueError("kind process needs `run`: the command and its arguments, as a list")
        if self.kind != "process" and (self.build or self.run):
            raise ValueError(f"`build` and `run` belong to kind process, not to {self.kind}")
        return self


class Healthcheck(StrictModel):
    path: str = Field(default="/", pattern=r"^/[^\s\x00]*$", max_length=2048)
    initial_delay: float = Field(default=15, ge=0, le=300, alias="initialDelaySeconds")
    period: float = Field(default=10, gt=0, le=300, alias="periodSeconds")
    timeout: float = Field(default=3, gt=0, le=60, alias="timeoutSeconds")
    failure_threshold: int = Field(default=3, ge=1, le=30, alias="failureThreshold")


class Runtime(StrictModel):
    port: int = Field(default=8080, ge=1024, le=65535)
    protocol: Literal["http", "http2", "tcp"] = "http"
    path: str = Field(default="/", pattern=r"^/", max_length=2048)
    healthcheck: Healthcheck = Healthcheck()


class Dependency(StrictModel):
    kind: Literal["postgres", "redis", "mcp"]
    shared: bool = False
    name: str | None = Field(default=None, max_length=64)
    required: bool = True
    provides: list[EnvName] = Field(default_factory=list, max_length=20)


class EnvEntry(StrictModel):
    name: EnvName
    source: str = Field(
        default="literal",
        alias="from",
        pattern=r"^(literal|secret:[A-Za-z0-9_.-]+|preview\.self_url|preview\.share_base_url|"
        r"dep:\d+\.[A-Za-z_]+)$",
    )
    value: str | None = Field(default=None, max_length=32 * 1024, pattern=r"^[^\x00]*$")

    @model_validator(mode="after")
    def _literals_have_values(self) -> Self:
        if (self.source == "literal") != (self.value is not None):
            raise ValueError("`value` belongs to `from: literal`, and to nothing else")
        return self


class Volume(StrictModel):
    name: str = Field(pattern=r"^[a-z0-9-]{1,63}$")
    path: str = Field(pattern=r"^/", max_length=1024)
    kind: Literal["emptyDir", "tmpfs"] = "emptyDir"


class Ingress(StrictModel):
    strip_path: bool = Field(default=False, alias="stripPath")
    additional_headers: dict[str, Text] = Field(
        default_factory=dict, alias="additionalHeaders", max_length=20
    )


Quantity = Annotated[
    str,
    Field(
        pattern=r"^[0-9]{1,6}(\.[0-9]{1,3})?(m|k|M|G|Ki|Mi|Gi)?$", description="As 250m or 512Mi."
    ),
]
Amounts = dict[Literal["cpu", "memory", "ephemeral-storage"], Quantity]


class Resources(StrictModel):
    requests: Amounts = Field(default_factory=dict)
    limits: Amounts = Field(default_factory=dict)


class Body(StrictModel):
    entrypoint: Entrypoint
    runtime: Runtime = Runtime()
    dependencies: list[Dependency] = Field(default_factory=list, max_length=10)
    env: list[EnvEntry] = Field(default_factory=list, max_length=100)
    resources: Resources = Field(default_factory=Resources)
    volumes: list[Volume] = Field(default_factory=list, max_length=10)
    ingress: Ingress = Ingress()


class PreviewFile(StrictModel):
    api_version: Literal["x1agent.io/v1"] = Field(alias="apiVersion")
    kind: Literal["PreviewSpec"]
    metadata: Metadata
    spec: Body
