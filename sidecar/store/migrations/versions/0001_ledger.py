"""The ledger: sessions, activations, wakes, events, agents, grants, previews, merges, audit."""

from alembic import op

revision = "0001"
down_revision = None

TABLES = """
CREATE TABLE sessions (
    id text PRIMARY KEY, workspace text NOT NULL, agent text NOT NULL, kind text NOT NULL,
    runtime text NOT NULL, model text, root_session_id text NOT NULL,
    parent_session_id text REFERENCES sessions (id), depth integer NOT NULL,
    triggered_by text NOT NULL, triggered_by_name text,
    status text NOT NULL CHECK (status IN ('pending', 'running', 'parked', 'complete', 'failed', 'cancelled')),
    generation integer NOT NULL, lease_holder text, lease_expires_at timestamptz,
    spec jsonb, branch text, brief text, item text,
    created_at timestamptz NOT NULL, started_at timestamptz, last_event_at timestamptz, ended_at timestamptz,
    outcome text, summary text, usage jsonb NOT NULL, budget jsonb NOT NULL,
    last_sequence bigint NOT NULL, turns integer NOT NULL, failures integer NOT NULL,
    cancel_reason text, quiet_until timestamptz, quiet_reason text,
    watchdog_due_at timestamptz, watchdog_level integer NOT NULL, status_text text
);
CREATE UNIQUE INDEX sessions_one_live ON sessions (workspace, agent)
    WHERE kind IN ('orchestrator', 'scheduled') AND status NOT IN ('complete', 'failed', 'cancelled');
CREATE INDEX sessions_by_parent ON sessions (parent_session_id);
CREATE INDEX sessions_by_root ON sessions (root_session_id);
CREATE INDEX sessions_live ON sessions (status) WHERE status NOT IN ('complete', 'failed', 'cancelled');

CREATE FUNCTION sessions_ended_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.last_sequence := GREATEST(NEW.last_sequence, OLD.last_sequence);
    IF OLD.status IN ('complete', 'failed', 'cancelled')
       AND to_jsonb(NEW) - 'last_sequence' - 'last_event_at'
           <> to_jsonb(OLD) - 'last_sequence' - 'last_event_at' THEN
        RAISE EXCEPTION 'session % is %, and that never changes', OLD.id, OLD.status
            USING ERRCODE = 'check_violation', CONSTRAINT = 'sessions_ended_stay';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER sessions_ended_stay BEFORE UPDATE ON sessions FOR EACH ROW EXECUTE FUNCTION sessions_ended_stay();

CREATE TABLE activations (
    id text PRIMARY KEY, session_id text NOT NULL REFERENCES sessions (id),
    state text NOT NULL CHECK (state IN ('requested', 'running', 'ended')),
    generation integer, flow_run_id text, holder text,
    requested_at timestamptz NOT NULL, not_before timestamptz, running_since timestamptz,
    claimed_at timestamptz, ended_at timestamptz, end_reason text, queued_reason text, turns integer NOT NULL
);
CREATE UNIQUE INDEX activations_one_open ON activations (session_id) WHERE state <> 'ended';
CREATE INDEX activations_by_flow_run ON activations (flow_run_id);
CREATE INDEX activations_by_session ON activations (session_id);

CREATE TABLE wakes (
    id text PRIMARY KEY, session_id text NOT NULL REFERENCES sessions (id), kind text NOT NULL,
    text text NOT NULL, payload jsonb NOT NULL, sender text NOT NULL, from_session_id text, dedupe_key text,
    receipt text NOT NULL CHECK (receipt IN ('accepted', 'delivered', 'read', 'done', 'undeliverable')),
    attempt integer NOT NULL, interruptions integer NOT NULL,
    created_at timestamptz NOT NULL, delivered_at timestamptz, read_at timestamptz, done_at timestamptz
);
CREATE UNIQUE INDEX wakes_once ON wakes (session_id, dedupe_key);
CREATE INDEX wakes_undone ON wakes (session_id, created_at) WHERE receipt IN ('accepted', 'delivered', 'read');
CREATE INDEX wakes_by_session ON wakes (session_id, created_at);

CREATE TABLE session_events (
    session_id text NOT NULL REFERENCES sessions (id), sequence bigint NOT NULL, id text NOT NULL,
    generation integer NOT NULL, source text NOT NULL, source_sequence bigint,
    timestamp timestamptz NOT NULL, type text NOT NULL, payload jsonb NOT NULL,
    PRIMARY KEY (session_id, sequence)
);
CREATE UNIQUE INDEX session_events_once ON session_events (session_id, generation, source, source_sequence);
CREATE UNIQUE INDEX session_events_by_id ON session_events (id);

CREATE TABLE agents (slug text PRIMARY KEY, definition jsonb NOT NULL);

CREATE TABLE grants (
    id text PRIMARY KEY, agent text NOT NULL, type text NOT NULL, target text NOT NULL, scope text NOT NULL,
    granted_by text NOT NULL, session_id text, created_at timestamptz NOT NULL,
    revoked_at timestamptz, consumed_at timestamptz
);
CREATE INDEX grants_active ON grants (agent) WHERE revoked_at IS NULL AND consumed_at IS NULL;

CREATE TABLE previews (
    id text PRIMARY KEY, workspace text NOT NULL, repo text NOT NULL, branch text NOT NULL, revision text NOT NULL,
    owner_session_id text NOT NULL, root_session_id text NOT NULL, status text NOT NULL,
    url text NOT NULL, alias_url text NOT NULL, serving text, diagnosis text,
    created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL,
    expires_at timestamptz, released_at timestamptz
);
CREATE UNIQUE INDEX previews_identity ON previews (workspace, repo, branch);
CREATE UNIQUE INDEX previews_url ON previews (url);

CREATE TABLE preview_logs (
    number bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    preview_id text NOT NULL REFERENCES previews (id), source text NOT NULL, line text NOT NULL
);
CREATE INDEX preview_logs_tail ON preview_logs (preview_id, source, number);

CREATE TABLE operations (
    id text PRIMARY KEY, preview_id text NOT NULL REFERENCES previews (id), session_id text NOT NULL,
    kind text NOT NULL, state text NOT NULL, revision text NOT NULL,
    arguments jsonb NOT NULL, result jsonb NOT NULL,
    attempt integer NOT NULL, generation integer NOT NULL, flow_run_id text, holder text,
    created_at timestamptz NOT NULL, lease_expires_at timestamptz, running_since timestamptz, ended_at timestamptz
);
CREATE INDEX operations_open ON operations (id) WHERE state NOT IN ('succeeded', 'failed');
CREATE INDEX operations_by_preview ON operations (preview_id);

CREATE TABLE evidence (
    id text PRIMARY KEY, preview_id text NOT NULL, session_id text NOT NULL, repo text NOT NULL,
    branch text NOT NULL, revision text NOT NULL, passed boolean NOT NULL, results jsonb NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE INDEX evidence_by_revision ON evidence (repo, revision);

CREATE TABLE merges (
    repo text NOT NULL, head text NOT NULL, base text NOT NULL, expected_sha text NOT NULL,
    session_id text NOT NULL, evidence_id text NOT NULL, state text NOT NULL, base_before text, merge_sha text,
    reason text,
    created_at timestamptz NOT NULL, PRIMARY KEY (repo, base, expected_sha)
);

CREATE TABLE effects (
    session_id text NOT NULL REFERENCES sessions (id), key text NOT NULL, answer jsonb NOT NULL,
    PRIMARY KEY (session_id, key)
);

CREATE TABLE requests (
    id text PRIMARY KEY, session_id text NOT NULL REFERENCES sessions (id), kind text NOT NULL,
    question text NOT NULL, options jsonb NOT NULL, created_at timestamptz NOT NULL,
    answer text, answered_by text, answered_at timestamptz
);

CREATE TABLE items (
    workspace text NOT NULL, item text NOT NULL, holder text NOT NULL, until timestamptz NOT NULL,
    PRIMARY KEY (workspace, item)
);

CREATE TABLE audit (
    number bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, at timestamptz NOT NULL, actor text NOT NULL,
    action text NOT NULL, target text NOT NULL, allowed boolean NOT NULL, reason text NOT NULL,
    details jsonb NOT NULL
);

CREATE TABLE loops (name text PRIMARY KEY, holder text NOT NULL, expires_at timestamptz NOT NULL);
"""


def upgrade() -> None:
    op.execute(TABLES)


def downgrade() -> None:
    raise NotImplementedError("the ledger is never taken down by a migration; restore a backup")
