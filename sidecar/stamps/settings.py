"""What the stamp service reads from its environment, once."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class StampSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="X1_STAMP_", extra="ignore")

    keys_file: Path
    """A key a line, the newest first."""
    host: str = "127.0.0.1"
    port: int = Field(default=8702, ge=1, le=65535)
    log_level: str = Field(default="INFO", validation_alias="X1_LOG_LEVEL")
