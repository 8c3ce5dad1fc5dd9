"""The PostgreSQL transport's log: partitions, records, and how far each group has read."""

from alembic import op

revision = "bus_0001"
down_revision = None
branch_labels = ("bus",)
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE part (
            topic    text NOT NULL,
            p        integer NOT NULL,
            next_off bigint NOT NULL DEFAULT 0,
            PRIMARY KEY (topic, p)
        ) WITH (fillfactor = 50)
        """
    )
    op.execute(
        """
        CREATE TABLE log (
            topic   text NOT NULL,
            p       integer NOT NULL,
            off     bigint NOT NULL,
            key     text NOT NULL,
            value   bytea NOT NULL,
            headers text NOT NULL,
            at      timestamptz NOT NULL DEFAULT clock_timestamp(),
            PRIMARY KEY (topic, p, off)
        )
        """
    )
    op.execute("CREATE INDEX log_at ON log USING brin (at)")
    op.execute(
        """
        CREATE TABLE grp (
            grp   text NOT NULL,
            topic text NOT NULL,
            p     integer NOT NULL,
            off   bigint NOT NULL DEFAULT 0,
            PRIMARY KEY (grp, topic, p)
        ) WITH (fillfactor = 50)
        """
    )


def downgrade() -> None:
    for table in ("grp", "log", "part"):
        op.execute(f"DROP TABLE {table}")
