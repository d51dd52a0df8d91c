"""What a work pool makes of a flow run: the base job templates, filled for one installation.

On Kubernetes they are the files in `work_pools/`, on one machine Prefect's own with our command. A worker hands
all its Prefect settings to every Job in plain text; here each is named and unset, so that a Job has what the
file says and nothing of the worker's.
"""

import json
import shlex
import sys
from collections.abc import Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, Final, Literal

from prefect.settings import Settings
from prefect.settings.base import PrefectBaseSettings
from prefect.workers.process import ProcessWorker
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from sidecar.domain.workspace import DEFAULT

PoolType = Literal["kubernetes", "process"]
Template = dict[str, Any]

SESSIONS: Final = "x1-sessions"
PREVIEWS: Final = "x1-previews"
ENGINES: Final[Mapping[str, str]] = {SESSIONS: "flows.launch", PREVIEWS: "flows.forked"}
"""What starts a pool's flow runs."""
_FILES: Final = Path(__file__).resolve().parent / "work_pools"
_IMAGES: Final = {"image": "flow", "sidecar_image": "sidecar", "agent_image": "agent"}
_BUILDKIT: Final = "moby/buildkit:v0.34.2"


class PoolSettings(BaseSettings):
    """An image is `<image_prefix><name>:<image_tag>`; the pools' files explain what belongs to previews."""

    model_config = SettingsConfigDict(env_prefix="X1_", extra="ignore")

    image_prefix: str = "x1/"
    image_tag: str = "dev"
    session_namespace: str = "x1-sessions"
    session_dns: str = ""
    """Address of the sessions' own DNS; empty: their pods ask the cluster's, which knows the whole world."""
    session_runtime_class: str = ""
    session_node_selector: dict[str, str] = Field(default_factory=dict[str, str])
    session_tolerations: list[dict[str, Any]] = Field(default_factory=list[dict[str, Any]])
    """These two are JSON in the environment, as Kubernetes has them."""
    image_pull_secret: str = ""
    operations_namespace: str = "x1-operations"
    workspaces: list[str] = Field(default_factory=lambda: [DEFAULT])
    buildkit_image: str = ""
    """Empty: the version that we know, as root or rootless."""
    buildkit_is_rootless: bool = False
    registry_is_plain: bool = False
    preview_ingress: str = ""
    preview_route: Literal["gateway", "ingress"] = "gateway"
    ingress_class: str = ""
    ingress_annotations: dict[str, str] = {}

    @property
    def builder_image(self) -> str:
        return (
            self.buildkit_image or f"{_BUILDKIT}{'-rootless' if self.buildkit_is_rootless else ''}"
        )


def templates(kind: PoolType, settings: PoolSettings) -> dict[str, Template]:
    """Each pool's base job template."""
    if kind == "process":
        return {pool: _process(module) for pool, module in ENGINES.items()}
    return {pool: kubernetes_template(pool, settings) for pool in (SESSIONS, PREVIEWS)}


def kubernetes_template(pool: str, settings: PoolSettings) -> Template:
    template = read_template(pool)
    namespaces = {SESSIONS: settings.session_namespace, PREVIEWS: settings.operations_namespace}
    defaults = {
        "namespace": namespaces[pool],
        **(_session_defaults(settings) if pool == SESSIONS else {}),
        "image_pull_secrets": [{"name": each} for each in (settings.image_pull_secret,) if each],
        **_preview_defaults(settings),
        **{
            variable: f"{settings.image_prefix}{name}:{settings.image_tag}"
            for variable, name in _IMAGES.items()
        },
    }
    properties = template["variables"]["properties"]
    for variable, value in defaults.items():
        if variable in properties:
            properties[variable]["default"] = value
    template["job_configuration"]["env"] = dict.fromkeys(sorted(setting_names()))
    if pool == SESSIONS:
        _ask_names_of(template, settings.session_dns)
    return template


def _ask_names_of(template: Template, server: str) -> None:
    properties = template["variables"]["properties"]
    if server:
        properties["dns_server"]["default"] = server
        return
    del properties["dns_server"]
    pod = template["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]
    pod["dnsPolicy"] = "ClusterFirst"
    del pod["dnsConfig"]


def _session_defaults(settings: PoolSettings) -> dict[str, Any]:
    sandbox = settings.session_runtime_class
    return {
        **({"runtime_class_name": sandbox} if sandbox else {}),
        "node_selector": settings.session_node_selector,
        "tolerations": settings.session_tolerations,
    }


def _preview_defaults(settings: PoolSettings) -> dict[str, str]:
    """As variables' values, which are texts."""
    return {
        "workspaces": json.dumps(settings.workspaces),
        "buildkit_image": settings.builder_image,
        "buildkit_is_rootless": str(settings.buildkit_is_rootless).lower(),
        "registry_is_plain": str(settings.registry_is_plain).lower(),
        "preview_ingress": settings.preview_ingress,
        "preview_route": settings.preview_route,
        "ingress_class": settings.ingress_class,
        "ingress_annotations": json.dumps(settings.ingress_annotations),
    }


def read_template(pool: str) -> Template:
    return json.loads((_FILES / f"{pool}.json").read_text())


def setting_names(of: type[PrefectBaseSettings] = Settings) -> Iterator[str]:
    """The environment variable of every setting that this Prefect has, as its workers spell them."""
    prefix = str(of.model_config.get("env_prefix"))
    for name, field in of.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, PrefectBaseSettings):
            yield from setting_names(kind)
        else:
            yield f"{prefix}{name.upper()}"


def _process(module: str) -> Template:
    """An explicit command selects Prefect's short way to start: one Python and not two."""
    command = f"{shlex.quote(sys.executable)} -m {module}"
    template = deepcopy(ProcessWorker.get_default_base_job_template())
    template["variables"]["properties"]["command"]["default"] = command
    return template
