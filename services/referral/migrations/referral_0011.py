"""Nothing waits unseen: what clocks said is kept, unmet needs have a day, a coordinator has days to find a place."""

from alembic import op

revision = "referral_0011"
down_revision = "referral_0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE clock_step (
            id          uuid PRIMARY KEY,
            referral_id uuid NOT NULL REFERENCES referral,
            version     integer NOT NULL,
            step        text NOT NULL CHECK (step IN ('remind', 'second', 'placed')),
            by          text NOT NULL,
            waits_for   text NOT NULL,
            reason      text NOT NULL,
            at          timestamptz NOT NULL
        )
        """
    )
    op.execute("CREATE INDEX clock_step_of ON clock_step (referral_id, id)")
    op.execute("REVOKE UPDATE, DELETE ON clock_step FROM tsunagu_referral")
    # What is on record already is looked at a month from now, however long it has stood there.
    op.execute(
        """
        ALTER TABLE need_unmet
            ADD COLUMN review_on date NOT NULL DEFAULT ((now() AT TIME ZONE 'Asia/Tokyo')::date + 28),
            ADD COLUMN said_by text
        """
    )
    op.execute("CREATE INDEX need_unmet_waits ON need_unmet (coordinator, review_on, id) WHERE state = 'open'")
    op.execute("CREATE INDEX need_unmet_waits_there ON need_unmet (municipality, review_on, id) WHERE state = 'open'")
    op.execute("ALTER TABLE coordinator ADD COLUMN place_days smallint CHECK (place_days BETWEEN 1 AND 60)")


def downgrade() -> None:
    # The release before has no word for these clocks: what is open begins a clock of its own there.
    op.execute(
        "UPDATE referral SET waits_for = NULL, clock = NULL, clock_since = NULL, due_on = NULL, tier = NULL,"
        " tier_on = NULL WHERE clock IN ('place', 'seat', 'deliver')"
    )
    op.execute("ALTER TABLE coordinator DROP COLUMN place_days")
    op.execute("ALTER TABLE need_unmet DROP COLUMN review_on, DROP COLUMN said_by")
    op.execute("DROP TABLE clock_step")
