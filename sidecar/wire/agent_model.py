"""An agent file as it is written: every field, its bounds and its defaults. Nothing is allowed by default."""

from datetime import UTC, datetime
from typing import Annotated
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator, Field, field_validator, model_validator

from sidecar.domain.agent import AgentKind
from sidecar.domain.attachment import Attachment
from sidecar.domain.egress import is_host_pattern
from sidecar.domain.ids import Repository
from sidecar.wire.model import BranchName, RuntimeName, StrictModel

SLUG = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
REPOSITORY = r"^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$"
CRON_FIELDS = 5

Slug = Annotated[str, Field(pattern=SLUG)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Amount = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(gt=0)]


class FileModel(StrictModel):
    file: Annotated[str, Field(min_length=1, max_length=512)]


class AttachmentModel(StrictModel):
    repo: str = Field(pattern=REPOSITORY)
    branch: BranchName = "main"
    mount_path: str | None = None
    """The repository's name unless it is given."""
    allow_push: bool = False
    allow_branches: list[Name] = Field(default=["feat/*"], min_length=1, max_length=50)
    allow_merge: bool = False
    protected_paths: list[Name] = [".github/workflows/**"]
    max_pack_bytes: Annotated[int, Field(gt=0, le=1 << 34)] = 1 << 30

    @field_validator("mount_path")
    @classmethod
    def _stays_inside(cls, value: str | None) -> str | None:
        parts = (value or "x").split("/")
        if any(part in {"", ".", "..", ".git"} for part in parts):
            raise ValueError("expected a relative path below the workspace, without . or ..")
        return value

    def to_attachment(self) -> Attachment:
        return Attachment(
            repo=Repository(self.repo),
            branch=self.branch,
            mount_path=self.mount_path or self.repo.rsplit("/", 1)[-1],
            allow_push=self.allow_push,
            allow_branches=tuple(self.allow_branches),
            allow_merge=self.allow_merge,
            protected_paths=tuple(self.protected_paths),
            max_pack_bytes=self.max_pack_bytes,
        )


class ScheduleModel(StrictModel):
    cron: str | None = None
    interval_seconds: Annotated[float, Field(ge=1)] | None = None
    timezone: str = "UTC"

    @field_validator("cron")
    @classmethod
    def _is_cron(cls, value: str | None) -> str | None:
        if value is None:
            return value
        if len(value.split()) != CRON_FIELDS:
            raise ValueError("expected the five fields of cron")
        try:
            CronSim(value, datetime.now(UTC))
        except CronSimError as error:
            raise ValueError(f"{error}: expected five fields like 0 9 * * mon-fri") from error
        return value

    @field_validator("timezone")
    @classmethod
    def _is_known(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError("expected a time zone's name, like Europe/Berlin") from error
        return value

    @model_validator(mode="after")
    def _is_one_of_two(self) -> "ScheduleModel":
        if (self.cron is None) == (self.interval_seconds is None):
            raise ValueError("expected either cron or interval_seconds")
        return self


class BudgetModel(StrictModel):
    usd: Amount | None = None
    tokens: Count | None = None
    turns: Count | None = None
    wall_minutes: Count | None = None
    usd_per_day: Amount | None = None
    tokens_per_day: Count | None = None


class LimitsModel(StrictModel):
    children: Annotated[int, Field(ge=0, le=1000)] = 8
    depth: Annotated[int, Field(ge=0, le=16)] = 3
    idle_minutes: Amount = 10.0
    deadline_minutes: Amount = 240.0


class ResourcesModel(StrictModel):
    requests: dict[str, str] = Field(default_factory=dict)
    limits: dict[str, str] = Field(default_factory=dict)


class McpServerModel(StrictModel):
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    url: Annotated[str, Field(pattern=r"^https?://\S+$")]


def _host_pattern(value: str) -> str:
    if not is_host_pattern(value):
        raise ValueError("expected a host's name in lower case, or `*.` and a domain of two labels")
    return value


class NetworkModel(StrictModel):
    """Hosts on the ports 80 and 443, where pods reach the outside through the egress proxy alone."""

    allow_hosts: list[Annotated[Name, AfterValidator(_host_pattern)]] = Field(
        default_factory=list, max_length=200
    )


class AgentFile(StrictModel):
    """The file as it is written."""

    slug: Slug
    name: Name | None = None
    kind: AgentKind
    runtime: RuntimeName
    description: Annotated[str, Field(max_length=4000)] = ""
    model: Name | None = None
    image: Name | None = None
    instructions: str | FileModel = ""
    script: str | FileModel | None = None
    repos: list[AttachmentModel] = Field(default_factory=list[AttachmentModel], max_length=50)
    spawns: list[Slug] = Field(default_factory=list, max_length=100)
    schedule: ScheduleModel | None = None
    heartbeat: Annotated[str, Field(min_length=1, max_length=8000)] | None = None
    requires_secrets: list[Name] = Field(default_factory=list, max_length=100)
    budget: BudgetModel = BudgetModel()
    limits: LimitsModel = LimitsModel()
    resources: ResourcesModel = ResourcesModel()
    mcp_servers: list[McpServerModel] = Field(default_factory=list[McpServerModel], max_length=50)
    network: NetworkModel = NetworkModel()
    workspace: Slug = "default"
