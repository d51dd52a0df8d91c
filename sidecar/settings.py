"""Everything the services read from the environment, once, at their start. Secrets come as files."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class PodSettings(BaseSettings):
    """One activation's sidecar. `control_socket` is created by it; the lifeline is an inherited descriptor."""

    model_config = SettingsConfigDict(env_prefix="X1_", extra="ignore")

    relay_url: str
    control_socket: Path
    control_socket_mode: str = Field(default="0600", pattern="^0?6[06]0$")
    """Octal. In a pod 0660: the flow has another user, and the volume's group in common."""
    bridge_socket: Path | None = None
    """Where the bridge of the agent's container listens; None: the agent's zone is on this machine."""
    state_dir: Path | None = None
    """What is the sidecar's own (its journal, say); None: beside the agent's, which one machine allows."""
    canary_address: str | None = Field(default=None, pattern=r".+:\d{1,5}")
    """`host:port` that answers elsewhere and that this pod's network policy refuses; None: not looked at."""
    egress_url: str | None = Field(default=None, pattern=r"^http://[^/]+:\d{1,5}/?$")
    """The egress proxy, through which this pod reaches the outside; None: it reaches it as its machine does."""
    authorities_file: Path | None = None
    """Certificates, PEM, of whom the forge may be signed by beside the public authorities."""
    lifeline_fd: int | None = None
    loopback_port: int = 0
    """Where MCP and git are served to the agent; 0 picks a free one."""
    log_level: str = "INFO"

    @model_validator(mode="after")
    def _has_a_place_of_its_own(self) -> Self:
        if self.bridge_socket is not None and self.state_dir is None:
            raise ValueError(
                "a bridge needs X1_STATE_DIR too: the agent's paths are not the sidecar's"
            )
        return self


class RelaySettings(BaseSettings):
    """One relay. Every `*_file` holds one secret and is readable by the relay's user alone."""

    model_config = SettingsConfigDict(env_prefix="X1_", extra="ignore")

    host: str = "127.0.0.1"
    port: int = 8700
    public_url: str = "http://127.0.0.1:8700"
    database_url: str
    """SQLAlchemy URL, `postgresql+psycopg://…`."""
    database_password_file: Path | None = None
    """Where the URL has none and libpq's own password file, which must be its reader's alone, will not do."""
    bus_url: str
    bus_account_seed_file: Path
    """A signing seed of the NATS account's, and the account's id: mints users limited to one session."""
    bus_creds_file: Path
    """The relay's own NATS user, a .creds file."""
    bus_replicas: int = Field(default=1, ge=1, le=5)
    """On how many NATS servers each stream lives: 3 of a cluster of three."""
    prefect_api_url: str
    prefect_auth_file: Path
    """`user:password` of Prefect's API."""
    prefect_ui_url: str = ""
    operator_token_file: Path
    claim_by: Literal["file", "tokenreview"] = "file"
    """How a flow proves that it may claim: by the token in `activation_token_file`, or by its pod's own."""
    activation_token_file: Path | None = None
    session_namespace: str = "x1-sessions"
    operations_namespace: str = "x1-operations"
    """Where the pods of sessions and those of operations on previews run."""
    session_account: str = "x1-sessions:session"
    preview_account: str = "x1-operations:preview"
    """The service accounts, `namespace:name`, of the pods that claim sessions and operations on previews."""
    kubernetes_url: str = "https://kubernetes.default.svc"
    kubernetes_dir: Path = Path("/var/run/secrets/kubernetes.io/serviceaccount")
    """Where the kubelet puts this pod's token and the API server's CA."""
    session_key_file: Path
    """Ed25519 private key, PEM: signs session and operation tokens. More of it: `sidecar.relay.keyring`."""
    forge_host: str = "github.com"
    """The name agents use in remotes: `https://<forge_host>/<owner>/<repo>`."""
    forge_api_url: str = "https://api.github.com"
    forge_git_url: str = "https://github.com"
    forge_app_id: str
    forge_key_file: Path
    """The forge App's RSA private key, PEM."""
    authorities_file: Path | None = None
    """Certificates, PEM, of whom the forge may be signed by beside the public authorities."""
    registry_host: str = ""
    """`host:port` that images of previews are named by; empty where previews are no images."""
    registry_key_file: Path | None = None
    """EC P-256 private key, PEM: signs the registry's tokens."""
    registry_cert_file: Path | None = None
    """Its certificate, which the registry trusts."""
    secrets_dir: Path
    """One file a secret; names are what agents may ask about."""
    state_cap_bytes: int = Field(default=512 << 20, gt=0)
    """What one session's saved state may come to; more of it is not saved, and the session's page says so."""
    state_retention_days: float = Field(default=7, ge=0)
    """How long it is kept after the session's end, and a preview's log after its release."""
    artifacts_max_bytes: int = Field(default=4 << 30, gt=0)
    """All saved states together; they share a disk with the bus, which reserves it."""
    watched_disk: Path | None = None
    """A directory on the disk that ledger, bus and workspaces share on one machine; None: each has its own."""
    least_free_bytes: int = Field(default=512 << 20, ge=0)
    """With less than this free there, no new work begins."""
    workspaces: tuple[str, ...] = ()
    """Those whose previews have a place; empty: whichever agents name, as on one machine."""
    preview_target: Literal["local", "kubernetes"] = "local"
    preview_url_template: str = "http://{label}.localhost:8800"
    """As `https://{label}.previews.example.com`: a label becomes the first of a preview's host name."""
    preview_most: dict[str, str] = {"cpu": "2", "memory": "4Gi", "ephemeral-storage": "10Gi"}
    """What one container of a preview on Kubernetes may ask for; the namespace's LimitRange says the same."""
    preview_secrets: tuple[str, ...] = ()
    """As `owner/name:SECRET`: which named secrets previews of a repository may hold, on Kubernetes."""
    preview_ttl_hours: float = 72
    preview_merged_ttl_hours: float = 24
    """What is left of it at most once a session has merged the preview's branch."""
    watchdog_first_seconds: float = 180
    log_level: str = "INFO"
    loops: bool = Field(default=True, description="False serves routes only: for tests of routes.")

    def has_workspace(self, name: str) -> bool:
        return not self.workspaces or name in self.workspaces

    @model_validator(mode="after")
    def _can_tell_a_flow(self) -> Self:
        if self.claim_by == "file" and self.activation_token_file is None:
            raise ValueError("X1_CLAIM_BY=file needs X1_ACTIVATION_TOKEN_FILE")
        return self

    @model_validator(mode="after")
    def _has_all_of_a_registry(self) -> Self:
        given = (self.registry_host, self.registry_key_file, self.registry_cert_file)
        if any(given) and not all(given):
            raise ValueError(
                "a registry needs X1_REGISTRY_HOST, X1_REGISTRY_KEY_FILE and X1_REGISTRY_CERT_FILE"
            )
        return self
