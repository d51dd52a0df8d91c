"""What an operation's flow run waits for, and whose a flow run is."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.execute("ALTER TABLE operations ADD COLUMN queued_reason text")
    op.execute("CREATE INDEX operations_by_flow_run ON operations (flow_run_id)")


def downgrade() -> None:
    raise NotImplementedError("the ledger is never taken down by a migration; restore a backup")
