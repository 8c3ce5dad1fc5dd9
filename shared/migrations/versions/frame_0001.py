"""The frame's tables: outbox, inbox, parked events and kept answers."""

from alembic import op

revision = "frame_0001"
down_revision = None
branch_labels = ("frame",)
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE outbox (
            seq        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            id         uuid NOT NULL,
            topic      text NOT NULL,
            key        text NOT NULL,
            type       text NOT NULL,
            value      bytea NOT NULL CHECK (octet_length(value) <= 262144),
            created_at timestamptz NOT NULL DEFAULT clock_timestamp()
        ) WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000)
        """
    )
    op.execute(
        """
        CREATE TABLE inbox (
            event_id uuid PRIMARY KEY,
            at       timestamptz NOT NULL DEFAULT clock_timestamp()
        )
        """
    )
    op.execute("CREATE INDEX inbox_at ON inbox USING brin (at)")
    op.execute(
        """
        CREATE TABLE parked (
            id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            event_id       uuid,
            topic          text NOT NULL,
            partition      integer NOT NULL,
            log_offset     bigint NOT NULL,
            key            text NOT NULL,
            type           text,
            value          bytea NOT NULL,
            headers        jsonb NOT NULL,
            reason         text NOT NULL,
            error          text,
            attempts       integer NOT NULL DEFAULT 0,
            parked_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
            dropped_at     timestamptz,
            dropped_by     text,
            dropped_reason text,
            UNIQUE (topic, partition, log_offset)
        )
        """
    )
    op.execute("CREATE INDEX parked_waiting ON parked (key, id) WHERE dropped_at IS NULL")
    op.execute(
        """
        CREATE TABLE idempotency (
            caller      text NOT NULL,
            route       text NOT NULL,
            key         text NOT NULL,
            fingerprint bytea NOT NULL,
            authority   text[] NOT NULL,
            status      integer,
            headers     jsonb,
            body        bytea,
            created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
            PRIMARY KEY (caller, route, key)
        ) WITH (fillfactor = 70)
        """
    )
    op.execute(
        """
        CREATE TABLE import_file (
            id           uuid PRIMARY KEY,
            kind         text NOT NULL,
            agency       text NOT NULL,
            content      bytea NOT NULL,
            report       jsonb NOT NULL,
            created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
            committed_at timestamptz
        )
        """
    )
    op.execute("CREATE INDEX idempotency_created_at ON idempotency USING brin (created_at)")


def downgrade() -> None:
    for table in ("import_file", "idempotency", "parked", "inbox", "outbox"):
        op.execute(f"DROP TABLE {table}")
