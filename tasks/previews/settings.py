"""What a preview flow reads from its environment. Only flows hold the activation token."""

from pathlib import Path
from typing import Literal
from uuid import uuid4

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from sidecar.domain.workspace import DEFAULT


class PreviewSettings(BaseSettings):
    """`builds_dir` and `preview_host_socket` belong to the local target, what follows them to Kubernetes'."""

    model_config = SettingsConfigDict(env_prefix="X1_", extra="ignore")

    relay_url: str
    activation_token_file: Path
    pod_uid: str = ""
    preview_target: Literal["local", "kubernetes"] = "local"
    builds_dir: Path = Path("builds")
    preview_host_socket: Path = Path("previewhost.sock")
    kubernetes_url: str = "https://kubernetes.default.svc"
    kubernetes_dir: Path = Path("/var/run/secrets/kubernetes.io/serviceaccount")
    workspaces: tuple[str, ...] = (DEFAULT,)
    """Those whose previews have a namespace."""
    builds_namespace: str = "x1-builds"
    buildkit_image: str = "moby/buildkit:v0.34.2"
    buildkit_is_rootless: bool = False
    agent_image: str = "x1/agent:dev"
    """Has git: it fetches the revision in a build's pod."""
    registry_is_plain: bool = False
    """It speaks http: one beside the rest, in the cluster."""
    authorities_file: Path | None = None
    """Certificates, PEM, of whom the registry may be signed by beside the public authorities."""
    preview_route: Literal["gateway", "ingress"] = "gateway"
    """By what visitors are led: HTTPRoutes of the Gateway, or Ingresses."""
    gateway_name: str = "previews"
    gateway_namespace: str = "x1-gateway"
    ingress_class: str = ""
    """Of the Ingresses; empty: the cluster's default."""
    ingress_annotations: dict[str, str] = {}
    """On each of them, for their controller."""
    stamp_keys_file: Path = Path("/run/x1/stamps/keys")
    """Of the namespace's stamp service, which an Ingress needs."""
    preview_ingress: str = ""
    """The ingress controller as `host:port`, where the previews' names are not resolved in the flow's own pod."""
    preview_ca_file: Path | None = None
    """Of the previews' certificate; a public authority's when there is no such file."""

    def activation_token(self) -> SecretStr:
        """Read at each use: on Kubernetes the kubelet replaces the file before it expires."""
        return SecretStr(self.activation_token_file.read_text().strip())

    def nonce(self) -> str:
        """Which process of a flow run claims: a pod is asked for by its uid, which its token proves."""
        return self.pod_uid or uuid4().hex
