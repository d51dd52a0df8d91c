"""Where each session's saved state is."""

from alembic import op

revision = "0002"
down_revision = "0001"

TABLES = """
CREATE TABLE snapshots (
    session_id text PRIMARY KEY REFERENCES sessions (id),
    digest text NOT NULL CHECK (digest ~ '^[0-9a-f]{64}$'), size bigint NOT NULL,
    generation integer NOT NULL, turn integer NOT NULL,
    kind text NOT NULL CHECK (kind IN ('turn', 'park', 'stop')),
    created_at timestamptz NOT NULL, notes jsonb NOT NULL
);
CREATE INDEX snapshots_by_digest ON snapshots (digest);
CREATE INDEX sessions_by_end ON sessions (ended_at) WHERE ended_at IS NOT NULL;
"""


def upgrade() -> None:
    op.execute(TABLES)


def downgrade() -> None:
    raise NotImplementedError("the ledger is never taken down by a migration; restore a backup")
