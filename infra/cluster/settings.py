"""What an installation is told: a small YAML file and some options. All that is wrong is said at once."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificates
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    IPvAnyNetwork,
    ValidationError,
    model_validator,
)

from infra.cluster.open_networks import OpenNetwork, as_json
from infra.cluster.rendering import Wish
from infra.cluster.secrets import PULL, PULL_LOGIN
from infra.local.errors import WrongUsage
from sidecar.domain.workspace import DEFAULT, LONGEST, previews_namespace

PREFIX = "x1/"
TAG = "0.1.0"


def _url(text: str) -> str:
    if not text.startswith(("https://", "http://")) or not text.split("://", 1)[1].strip("/"):
        raise ValueError("expected a URL that begins with https:// or http://")
    return text.rstrip("/")


def _workspace(text: str) -> str:
    if len(text) > LONGEST or not re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", text):
        raise ValueError(
            f"expected at most {LONGEST} of a-z, 0-9 and, inside, hyphens, as "
            f"{previews_namespace('<name>')} is a namespace; came {text!r}"
        )
    return text


def _with_default(names: tuple[str, ...]) -> tuple[str, ...]:
    return (DEFAULT, *sorted({*names} - {DEFAULT}))


Url = Annotated[str, AfterValidator(_url)]
Host = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$")]
Namespace = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$")]
Workspaces = Annotated[
    tuple[Annotated[str, AfterValidator(_workspace)], ...], AfterValidator(_with_default)
]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Images(Strict):
    """`<prefix>control:<tag>` and its like."""

    prefix: str = PREFIX
    tag: str = TAG
    pull_secret_file: Path | None = None
    """Docker's config.json with a login for the registry that `prefix` names, when it asks for one."""

    def values(self) -> Mapping[str, str]:
        return {"pull-secret": PULL} if self.pull_secret_file else {}


class Forge(Strict):
    """GitHub or an Enterprise Server, as one's own App."""

    host: Host = "github.com"
    api_url: Url | None = None
    git_url: Url | None = None
    app_id: Annotated[str, Field(pattern=r"^\d+$", coerce_numbers_to_str=True)]
    key_file: Path

    def values(self) -> Mapping[str, str]:
        api = (
            "https://api.github.com" if self.host == "github.com" else f"https://{self.host}/api/v3"
        )
        return {
            "forge-host": self.host,
            "forge-api-url": self.api_url or api,
            "forge-git-url": self.git_url or f"https://{self.host}",
            "forge-app-id": self.app_id,
        }


class Postgres(Strict):
    host: Host
    port: int = Field(default=5432, ge=1, le=65535)
    user: Annotated[str, Field(pattern=r"^[A-Za-z_][\w-]*$")] = "x1"
    password_file: Path
    sslmode: Literal["disable", "require"] = "require"
    """`verify-full` needs a CA's certificate in the pods, which nothing here puts there yet."""
    networks: tuple[IPvAnyNetwork, ...] = ()
    """What its address is in: nothing else is reached at its port. Empty: it may be anywhere."""

    @property
    def address(self) -> str:
        return f"{self.user}@{self.host}:{self.port}"

    def values(self) -> Mapping[str, str]:
        return {
            "postgres-address": self.address,
            "postgres-sslmode": self.sslmode,
            "postgres-networks": " ".join(map(str, self.networks)),
        }


class Registry(Strict):
    """Of previews' images; it trusts the relay's tokens. `host` may have a port."""

    host: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*(:\d+)?$")]


class Previews(Strict):
    """`domain` gets a wildcard name and certificate. `route` says by what it is served: a Gateway of
    `gateway_class`, or Ingresses of `ingress_class`; either way the controller is behind `gateway_service`.
    """

    domain: Host | None = None
    route: Literal["gateway", "ingress"] | None = None
    ingress_class: str | None = None
    ingress_annotations: dict[str, str] | None = None
    """On each Ingress, for its controller."""
    gateway_class: str | None = None
    gateway_service: (
        Annotated[str, Field(pattern=r"^[a-z0-9-]+\.[a-z0-9-]+\.svc\.[a-z0-9.-]+$")] | None
    ) = None
    """Before the gateway's pods, by its whole name: sessions are led to it, and let into its namespace."""
    gateway_port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """Of the Gateway's listener: 443, but for classes such as Traefik's, whose pods' own port it must be."""
    certificate: Literal["local", "brought"] | None = None
    """local: an authority of the installation's own. brought: Secret previews-tls in x1-gateway, by others."""
    certificate_issuer: str | None = None
    """A ClusterIssuer of cert-manager's, which then brings it."""
    secrets: tuple[Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+:[A-Za-z_]\w*$")], ...] = ()
    """`owner/name:SECRET`: which keys of the Secret x1-named previews of which repository may be given."""

    @model_validator(mode="after")
    def _says_one_route(self) -> Self:
        of_gateway = {"gateway_class": self.gateway_class, "gateway_port": self.gateway_port}
        of_ingress = {
            "ingress_class": self.ingress_class,
            "ingress_annotations": self.ingress_annotations,
        }
        others = of_gateway if self.route == "ingress" else of_ingress
        if told := [name for name, value in others.items() if value is not None]:
            route = self.route or "gateway"
            raise ValueError(f"{', '.join(told)}: not with the route {route}")
        return self

    def values(self) -> Mapping[str, str | None]:
        service, annotations = self.gateway_service, self.ingress_annotations
        return {
            "previews-domain": self.domain,
            "previews-route": self.route,
            "ingress-class": self.ingress_class,
            "ingress-annotations": None if annotations is None else json.dumps(annotations),
            "gateway-class": self.gateway_class,
            "gateway-service": service,
            "gateway-namespace": service.split(".")[1] if service else None,
            "gateway-port": str(self.gateway_port) if self.gateway_port else None,
            "previews-certificate": self.certificate,
            "certificate-issuer": self.certificate_issuer,
            "preview-secrets": json.dumps(self.secrets) if self.secrets else None,
        }


class Toleration(Strict):
    """As Kubernetes has it."""

    key: str | None = None
    operator: Literal["Exists", "Equal"] | None = None
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None


class Sessions(Strict):
    """Where session pods run, and how much room all of them have: `quota` goes over the ResourceQuota's."""

    runtime_class: Host | None = None
    """A sandbox that the cluster has, such as gvisor."""
    node_selector: Mapping[str, str] = {}
    tolerations: tuple[Toleration, ...] = ()
    quota: Mapping[str, Annotated[str, Field(coerce_numbers_to_str=True)]] = {}

    def values(self) -> Mapping[str, str | None]:
        tolerations = [each.model_dump(exclude_none=True) for each in self.tolerations]
        return {
            "session-runtime-class": self.runtime_class,
            "session-node-selector": _json(self.node_selector),
            "session-tolerations": _json(tolerations),
            "session-quota": _json(self.quota),
        }


class Builds(Strict):
    """`buildkitd_file` is BuildKit's own configuration: mirrors of registries, say. Read when it is asked for."""

    buildkitd_file: Path | None = None
    buildkit_image: str | None = None
    """Another version than ours, or a mirror's name of it."""
    rootless: bool = False
    """BuildKit without root's rights, where nodes allow user namespaces; it has another image then."""


class Settings(Strict):
    overlay: str = "local"
    images: Images = Images()
    public_url: Url | None = None
    prefect_url: Url | None = None
    pages_from: Namespace | None = None
    """Where the controller that both URLs lead to runs: it is let in to the relay and to Prefect."""
    node_networks: tuple[IPvAnyNetwork, ...] = ()
    """What kubelets come from. Each may reach what runs on its own node; these may reach the relay on any."""
    open_networks: tuple[OpenNetwork, ...] = ()
    """Internal ones that hold a registry, a package mirror or the forge. The internet needs no word."""
    authorities_file: Path | None = None
    """Certificates, PEM, of whom signed the forge's and the registry's where that is no public authority."""
    forge: Forge | None = None
    postgres: Postgres | None = None
    registry: Registry | None = None
    workspaces: Workspaces = (DEFAULT,)
    """Tenants, as agents name them: each has a namespace for its previews. `default` is always among them."""
    previews: Previews = Previews()
    sessions: Sessions = Sessions()
    builds: Builds = Builds()
    cluster_domain: Host | None = None
    storage_class: str = ""

    @model_validator(mode="after")
    def _says_what_production_needs(self) -> Self:
        if self.overlay != "production":
            return self
        needed = {
            "forge": self.forge,
            "postgres": self.postgres,
            "public_url": self.public_url,
            "registry": self.registry,
        }
        missing = [name for name, value in needed.items() if value is None]
        if missing:
            raise ValueError(f"the overlay production needs {', '.join(missing)}")
        return self

    def wish(self, beside: Path = Path()) -> Wish:
        """Files are named relative to `beside`. Raises WrongUsage."""
        values = {
            "buildkitd": _text(self.builds.buildkitd_file, beside, "builds.buildkitd_file"),
            "buildkit-image": self.builds.buildkit_image,
            "buildkit-is-rootless": "true" if self.builds.rootless else None,
            "authorities": _certificates(self.authorities_file, beside),
            "public-url": self.public_url,
            "prefect-url": self.prefect_url,
            "pages-from": self.pages_from,
            "node-networks": " ".join(map(str, self.node_networks)),
            "workspaces": None if self.workspaces == (DEFAULT,) else json.dumps(self.workspaces),
            **self.images.values(),
            "open-networks": as_json(self.open_networks),
            **self.previews.values(),
            **self.sessions.values(),
            "cluster-domain": self.cluster_domain,
            "registry-host": self.registry.host if self.registry else None,
            "storage-class": self.storage_class,
            **(self.forge.values() if self.forge else {}),
            **(self.postgres.values() if self.postgres else {}),
        }
        return Wish(
            overlay=self.overlay,
            prefix=self.images.prefix,
            tag=self.images.tag,
            values={key: value for key, value in values.items() if value},
        )

    def secrets(self, beside: Path) -> dict[str, str]:
        """What somebody else made, read from the files that are named relative to `beside`. Raises WrongUsage."""
        files = {
            "images.pull_secret_file": (PULL_LOGIN, self.images.pull_secret_file),
            "forge.key_file": ("forge-key.pem", self.forge.key_file if self.forge else None),
            "postgres.password_file": (
                "postgres-password",
                self.postgres.password_file if self.postgres else None,
            ),
        }
        found: dict[str, str] = {}
        faults: list[str] = []
        for field, (name, path) in files.items():
            if path is None:
                continue
            try:
                found[name] = _said(name, beside / path)
            except (OSError, ValueError) as error:
                faults.append(f"{field}: {error}")
        if faults:
            raise _wrong(faults)
        if self.postgres:
            found["postgres-address"] = self.postgres.address
        return found


def read(file: Path | None, **options: Any) -> Settings:
    """`options` win, where they are not None; a dotted name is written `images__tag`. Raises WrongUsage."""
    content = _content(file)
    for name, value in options.items():
        if value is not None:
            _put(content, name.split("__"), value)
    try:
        return Settings.model_validate(content)
    except ValidationError as error:
        raise _wrong(list(_faults(error))) from error


def _content(file: Path | None) -> dict[str, Any]:
    if file is None:
        return {}
    try:
        content = yaml.safe_load(file.read_text()) or {}
    except (OSError, yaml.YAMLError) as error:
        raise _wrong([f"{file}: {error}"]) from error
    if not isinstance(content, dict):
        raise _wrong([f"{file}: expected fields and their values"])
    return content


def _put(content: dict[str, Any], path: list[str], value: Any) -> None:
    for name in path[:-1]:
        inner = content.setdefault(name, {})
        if not isinstance(inner, dict):
            return  # validation says what is wrong with it
        content = inner
    content[path[-1]] = value


def _json(content: Mapping[str, str] | list[dict[str, str]]) -> str | None:
    """As a value, which is a text; none for what is empty."""
    return (
        json.dumps(dict(content) if isinstance(content, Mapping) else content) if content else None
    )


def _text(file: Path | None, beside: Path, field: str) -> str | None:
    try:
        return (beside / file).read_text() if file else None
    except (OSError, ValueError) as error:
        raise _wrong([f"{field}: {error}"]) from error


def _certificates(file: Path | None, beside: Path) -> str | None:
    """A file's certificates and nothing else of it: everybody may read them there, and a key must not be."""
    text = _text(file, beside, "authorities_file")
    if text is None:
        return None
    try:
        found = load_pem_x509_certificates(text.encode())
    except ValueError as error:
        raise _wrong([f"authorities_file: {file} holds no certificates in PEM"]) from error
    return "".join(each.public_bytes(Encoding.PEM).decode() for each in found)


def _said(name: str, path: Path) -> str:
    text = path.read_text().strip()
    if not text:
        raise ValueError(f"{path} is empty")
    if name.endswith(".pem") and "PRIVATE KEY-----" not in text:
        raise ValueError(f"{path} holds no private key in PEM")
    if name == PULL_LOGIN and "auths" not in json.loads(text):
        raise ValueError(f"{path} holds no `auths`, as Docker's config.json does")
    return text + "\n"


def _faults(error: ValidationError) -> Iterator[str]:
    for each in error.errors(include_input=False, include_url=False):
        place = ".".join(map(str, each["loc"]))
        yield f"{place}: {each['msg']}" if place else each["msg"]


def _wrong(faults: list[str]) -> WrongUsage:
    return WrongUsage(
        expected="settings as in infra/k8s/overlays/production/settings.example.yaml",
        came="\n  ".join(["the settings do not say what is needed:", *faults]),
        then="mend them and try again; nothing was changed",
    )
