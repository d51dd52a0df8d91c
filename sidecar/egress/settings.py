"""What the egress proxy reads from its environment, once."""

from ipaddress import IPv4Network, IPv6Network

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class EgressSettings(BaseSettings):
    """`X1_RELAY_URL` and `X1_EGRESS_…`; networks are JSON lists, `["10.1.2.0/24"]`."""

    model_config = SettingsConfigDict(env_prefix="X1_EGRESS_", extra="ignore")

    relay_url: str = Field(validation_alias="X1_RELAY_URL")
    host: str = "127.0.0.1"
    port: int = 3128
    open_networks: tuple[IPv4Network | IPv6Network, ...] = ()
    """Internal networks that agents may reach when their allow_hosts lead there, such as a package mirror's."""
    closed_networks: tuple[IPv4Network | IPv6Network, ...] = ()
    """Public ones that they may not: a cluster's own, where it has such addresses."""
    connections: int = Field(default=1000, gt=0)
    connections_per_session: int = Field(default=64, gt=0)
    idle_seconds: float = Field(default=300, gt=0)
    life_seconds: float = Field(default=3600, gt=0)
    max_bytes: int = Field(default=8 << 30, gt=0)
    """Of one connection, both directions together."""
    grace_seconds: float = Field(default=15, ge=0)
    """After SIGTERM, for connections to end by themselves."""
    log_level: str = Field(default="INFO", validation_alias="X1_LOG_LEVEL")
