"""Support records: entries that are only added, their words sealed with the case's key."""

from alembic import op

revision = "intake_0006"
down_revision = "intake_0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE support_record (
            id        uuid PRIMARY KEY,
            case_id   uuid NOT NULL REFERENCES case_,
            on_day    date NOT NULL,
            way       text NOT NULL,
            with_whom text[] NOT NULL,
            minutes   integer NOT NULL CHECK (minutes BETWEEN 0 AND 1440),
            needs     text[] NOT NULL,
            sealed    bytea NOT NULL,
            corrects  uuid UNIQUE,
            agency    text NOT NULL,
            author    text NOT NULL,
            at        timestamptz NOT NULL,
            UNIQUE (id, case_id),
            FOREIGN KEY (corrects, case_id) REFERENCES support_record (id, case_id)
        )
        """
    )
    op.execute("CREATE INDEX support_record_case ON support_record (case_id, on_day, id)")
    # A correction is another entry; what was written stays.
    op.execute("REVOKE UPDATE, DELETE ON support_record FROM tsunagu_intake")


def downgrade() -> None:
    op.execute("DROP TABLE support_record")
