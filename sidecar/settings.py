"""Everything the services read from the environment, once, at their start. Secrets come as files."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class PodSettings(BaseSettings):
    """One activation's sidecar. `control_socket` is created by it; the lifeline is an inherited descriptor."""

    model_config = SettingsConfigDict(env_prefix="X1_", extra="ignore")

    relay_url: str
    control_socket: Path
    lifeline_fd: int | None = None
    loopback_port: int = 0
    """Where MCP and git are served to the agent; 0 picks a free one."""
    log_level: str = "INFO"


class RelaySettings(BaseSettings):
    """One relay. Every `*_file` holds one secret and is readable by the relay's user alone."""

    model_config = SettingsConfigDict(env_prefix="X1_", extra="ignore")

    host: str = "127.0.0.1"
    port: int = 8700
    public_url: str = "http://127.0.0.1:8700"
    database_url: str
    """SQLAlchemy URL, `postgresql+psycopg://…`."""
    bus_url: str
    bus_account_seed_file: Path
    """The NATS account's signing seed: mints users limited to one session."""
    bus_creds_file: Path
    """The relay's own NATS user, a .creds file."""
    prefect_api_url: str
    prefect_auth_file: Path
    """`user:password` of Prefect's API."""
    prefect_ui_url: str = ""
    operator_token_file: Path
    activation_token_file: Path
    session_key_file: Path
    """Ed25519 private key, PEM: signs session and operation tokens."""
    forge_host: str = "github.com"
    """The name agents use in remotes: `https://<forge_host>/<owner>/<repo>`."""
    forge_api_url: str = "https://api.github.com"
    forge_git_url: str = "https://github.com"
    forge_app_id: str
    forge_key_file: Path
    """The forge App's RSA private key, PEM."""
    secrets_dir: Path
    """One file a secret; names are what agents may ask about."""
    preview_url_template: str = "http://{label}.localhost:8800"
    preview_kinds: tuple[str, ...] = ("process",)
    preview_ttl_hours: float = 72
    watchdog_first_seconds: float = 180
    log_level: str = "INFO"
    loops: bool = Field(default=True, description="False serves routes only: for tests of routes.")
