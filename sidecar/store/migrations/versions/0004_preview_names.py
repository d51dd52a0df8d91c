"""Whose an address is, for good; what is looked for every second found by an index.

Of revisions before the current one the addresses are not known: they are given again, to their own preview first.
"""

from alembic import op

revision = "0004"
down_revision = "0003"

CHANGES = """
CREATE TABLE preview_names (
    url text PRIMARY KEY,
    preview_id text NOT NULL REFERENCES previews (id) DEFERRABLE INITIALLY DEFERRED
);
INSERT INTO preview_names SELECT url, id FROM previews;
INSERT INTO preview_names SELECT alias_url, id FROM previews ORDER BY id ON CONFLICT DO NOTHING;
CREATE INDEX previews_expiring ON previews (expires_at) WHERE status NOT IN ('released', 'expired');
CREATE INDEX operations_leased ON operations (lease_expires_at) WHERE lease_expires_at IS NOT NULL;
"""


def upgrade() -> None:
    op.execute(CHANGES)


def downgrade() -> None:
    raise NotImplementedError("the ledger is never taken down by a migration; restore a backup")
