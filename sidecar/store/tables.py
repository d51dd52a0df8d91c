"""The tables, as SQLAlchemy Core sees them. Migrations create them.

A column is named like the field of the aggregate it holds. Ids are text (uuid7: they sort by time), times are
`timestamptz`, nested values are JSONB.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Identity,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData()


def _columns(kind: type, names: str) -> list[Column[Any]]:
    made = DateTime(timezone=True) if kind is DateTime else kind
    return [Column(name, made) for name in names.split()]  # pyright: ignore[reportUnknownArgumentType]


sessions = Table(
    "sessions",
    metadata,
    Column("id", Text, primary_key=True),
    *_columns(
        Text,
        "workspace agent kind runtime root_session_id triggered_by model parent_session_id"
        " triggered_by_name status lease_holder branch brief item outcome summary cancel_reason"
        " quiet_reason status_text",
    ),
    *_columns(
        DateTime,
        "created_at lease_expires_at started_at last_event_at ended_at quiet_until watchdog_due_at",
    ),
    *_columns(Integer, "depth generation turns failures watchdog_level"),
    Column("last_sequence", BigInteger),
    *_columns(JSONB, "spec usage budget"),
)

activations = Table(
    "activations",
    metadata,
    Column("id", Text, primary_key=True),
    *_columns(Text, "session_id state flow_run_id holder end_reason queued_reason"),
    *_columns(DateTime, "requested_at not_before running_since claimed_at ended_at"),
    *_columns(Integer, "generation turns"),
)

wakes = Table(
    "wakes",
    metadata,
    Column("id", Text, primary_key=True),
    *_columns(Text, "session_id kind text sender from_session_id dedupe_key receipt"),
    *_columns(DateTime, "created_at delivered_at read_at done_at"),
    *_columns(Integer, "attempt interruptions"),
    Column("payload", JSONB),
)

session_events = Table(
    "session_events",
    metadata,
    Column("session_id", Text),
    Column("sequence", BigInteger),
    *_columns(Text, "id source type"),
    Column("generation", Integer),
    Column("source_sequence", BigInteger),
    Column("timestamp", DateTime(timezone=True)),
    Column("payload", JSONB),
    PrimaryKeyConstraint("session_id", "sequence"),
)

agents = Table(
    "agents", metadata, Column("slug", Text, primary_key=True), Column("definition", JSONB)
)

grants = Table(
    "grants",
    metadata,
    Column("id", Text, primary_key=True),
    *_columns(Text, "agent type target scope granted_by session_id"),
    *_columns(DateTime, "created_at revoked_at consumed_at"),
)

previews = Table(
    "previews",
    metadata,
    Column("id", Text, primary_key=True),
    *_columns(
        Text,
        "workspace repo branch revision owner_session_id root_session_id status url alias_url"
        " serving diagnosis",
    ),
    *_columns(DateTime, "created_at updated_at expires_at released_at"),
)

preview_names = Table(
    "preview_names",
    metadata,
    Column("url", Text, primary_key=True),
    Column("preview_id", Text),
)

preview_logs = Table(
    "preview_logs",
    metadata,
    Column("number", BigInteger, Identity(), primary_key=True),
    *_columns(Text, "preview_id source line"),
)

operations = Table(
    "operations",
    metadata,
    Column("id", Text, primary_key=True),
    *_columns(Text, "preview_id session_id kind state revision flow_run_id holder queued_reason"),
    *_columns(DateTime, "created_at lease_expires_at running_since ended_at"),
    *_columns(Integer, "attempt generation"),
    *_columns(JSONB, "arguments result"),
)

evidence = Table(
    "evidence",
    metadata,
    Column("id", Text, primary_key=True),
    *_columns(Text, "preview_id session_id repo branch revision"),
    Column("passed", Boolean),
    Column("results", JSONB),
    Column("created_at", DateTime(timezone=True)),
)

merges = Table(
    "merges",
    metadata,
    *_columns(
        Text,
        "repo head base expected_sha session_id evidence_id state base_before merge_sha reason",
    ),
    Column("created_at", DateTime(timezone=True)),
    PrimaryKeyConstraint("repo", "base", "expected_sha"),
)

effects = Table(
    "effects",
    metadata,
    *_columns(Text, "session_id key"),
    Column("answer", JSONB),
    PrimaryKeyConstraint("session_id", "key"),
)

snapshots = Table(
    "snapshots",
    metadata,
    Column("session_id", Text, primary_key=True),
    *_columns(Text, "digest kind"),
    *_columns(BigInteger, "size"),
    *_columns(Integer, "generation turn"),
    Column("created_at", DateTime(timezone=True)),
    Column("notes", JSONB),
)

requests = Table(
    "requests",
    metadata,
    Column("id", Text, primary_key=True),
    *_columns(Text, "session_id kind question answer answered_by"),
    *_columns(DateTime, "created_at answered_at"),
    Column("options", JSONB),
)

items = Table(
    "items",
    metadata,
    *_columns(Text, "workspace item holder"),
    Column("until", DateTime(timezone=True)),
    PrimaryKeyConstraint("workspace", "item"),
)

audit = Table(
    "audit",
    metadata,
    Column("number", BigInteger, Identity(), primary_key=True),
    Column("at", DateTime(timezone=True)),
    *_columns(Text, "actor action target reason"),
    Column("allowed", Boolean),
    Column("details", JSONB),
)

loops = Table(
    "loops",
    metadata,
    Column("name", Text, primary_key=True),
    Column("holder", Text),
    Column("expires_at", DateTime(timezone=True)),
)
