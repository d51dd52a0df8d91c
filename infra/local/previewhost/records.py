"""What the host must know after it was killed: one JSON file, replaced whole."""

import json
from pathlib import Path

from pydantic import BaseModel, Field


class Revision(BaseModel):
    """`pid` leads a process group of that number; `create_time` tells it from a later owner of the number."""

    revision: str
    argv: list[str]
    cwd: str
    env: dict[str, str] = Field(default_factory=dict)
    port_env: str = "PORT"
    alias_host: str
    health_path: str = "/"
    port: int = 0
    pid: int = 0
    create_time: float = 0.0
    number: int = 0
    """Rises with each start of any revision of the app: the newest is the last that was asked for."""


class App(BaseModel):
    preview_id: str
    url_host: str
    serving: str | None = None
    revisions: dict[str, Revision] = Field(default_factory=dict)


class Records(BaseModel):
    apps: dict[str, App] = Field(default_factory=dict)


class RecordFile:
    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> Records:
        """An unreadable file is put aside: previews are deployed again sooner than the host stays down."""
        if not self._path.exists():
            return Records()
        try:
            return Records.model_validate_json(self._path.read_text())
        except ValueError:
            self._path.replace(self._path.with_suffix(".unreadable"))
            return Records()

    def save(self, records: Records) -> None:
        draft = self._path.with_suffix(".draft")
        draft.write_text(json.dumps(records.model_dump(), indent=1))
        draft.replace(self._path)
