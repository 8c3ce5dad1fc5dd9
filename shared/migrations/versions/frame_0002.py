"""The vault's tables: keys of cases, tombstones of erased ones, and the access log with its seals."""

from alembic import op

revision = "frame_0002"
down_revision = "frame_0001"
branch_labels = None
depends_on = None

_TABLES = (
    """
    CREATE TABLE data_key (
        subject_id     uuid PRIMARY KEY,
        master_version integer NOT NULL CHECK (master_version >= 1),
        wrapped        bytea NOT NULL CHECK (octet_length(wrapped) = 60),
        made_at        timestamptz NOT NULL DEFAULT clock_timestamp()
    )
    """,
    """
    CREATE TABLE erasure (
        subject_id uuid PRIMARY KEY,
        erased_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
        erased_by  text NOT NULL,
        reason     text NOT NULL
    )
    """,
    """
    CREATE TABLE access_log (
        id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        at         timestamptz NOT NULL DEFAULT clock_timestamp(),
        subject_id uuid NOT NULL,
        action     text NOT NULL CHECK (action IN ('read', 'write', 'search', 'export', 'erase')),
        agency     text NOT NULL CHECK (agency <> ''),
        actor      text NOT NULL CHECK (actor <> ''),
        roles      text[] NOT NULL,
        purpose    text NOT NULL CHECK (purpose <> ''),
        basis      text NOT NULL CHECK (basis <> ''),
        fields     text[] NOT NULL,
        request_id text
    )
    """,
    "CREATE INDEX access_log_subject ON access_log (subject_id, id)",
    # A queue beside the log, as the outbox is: a position in the log would pass by transactions that commit late.
    "CREATE TABLE access_unsealed (log_id bigint PRIMARY KEY)",
    """
    CREATE TABLE access_seal (
        number  bigint PRIMARY KEY CHECK (number >= 1),
        entries bigint[] NOT NULL,
        digest  bytea NOT NULL CHECK (octet_length(digest) = 32),
        at      timestamptz NOT NULL DEFAULT clock_timestamp()
    )
    """,
    "CREATE INDEX data_key_master_version ON data_key (master_version, subject_id)",
)


def upgrade() -> None:
    for statement in _TABLES:
        op.execute(statement)
    schema = op.get_bind().exec_driver_sql("SELECT current_schema()").scalar_one()
    # Only added to: what was read stays on record, and a tombstone stays.
    op.execute(f"REVOKE UPDATE, DELETE ON access_log, access_seal, erasure FROM tsunagu_{schema}")
    op.execute(f"REVOKE UPDATE ON access_unsealed FROM tsunagu_{schema}")


def downgrade() -> None:
    for table in ("access_seal", "access_unsealed", "access_log", "erasure", "data_key"):
        op.execute(f"DROP TABLE {table}")
