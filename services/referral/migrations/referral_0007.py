"""The whole way of a referral: drafts, review of declines, parts, rerouting, outcomes, and clocks for what waits."""

from alembic import op

revision = "referral_0007"
down_revision = "referral_0006"
branch_labels = None
depends_on = None

_STATES = (
    "'draft', 'sent', 'received', 'returned', 'waiting', 'decline_pending', 'accepted', 'contact_made', 'in_service',"
    " 'no_show', 'on_hold', 'outcome_set', 'closed', 'declined', 'rerouted', 'withdrawn', 'expired'"
)
_REASON = "((state IN ('declined', 'withdrawn')) = (reason IS NOT NULL))"


def upgrade() -> None:
    op.execute(
        """
        ALTER TABLE case_fact ADD COLUMN holder_version bigint,
            ADD COLUMN consent_categories text[] NOT NULL DEFAULT '{}'
        """
    )
    op.execute(
        """
        CREATE TABLE referral_group (
            id           uuid PRIMARY KEY,
            case_id      uuid NOT NULL REFERENCES case_fact,
            municipality text NOT NULL,
            sender       text NOT NULL,
            mode         text NOT NULL CHECK (mode IN ('parts', 'first')),
            sent_at      timestamptz NOT NULL,
            winner       uuid,
            CHECK (mode = 'first' OR winner IS NULL)
        )
        """
    )
    op.execute("ALTER TABLE referral DROP CONSTRAINT referral_state_check")
    op.execute("ALTER TABLE referral DROP CONSTRAINT referral_check1")
    op.execute("ALTER TABLE referral DROP CONSTRAINT referral_check2")
    op.execute(
        f"""
        ALTER TABLE referral
            ADD COLUMN verb          text NOT NULL DEFAULT 'transfer' CHECK (verb IN ('refer', 'transfer', 'request')),
            ADD COLUMN coordinator   text,
            ADD COLUMN group_id      uuid REFERENCES referral_group,
            ADD COLUMN rerouted_from uuid REFERENCES referral,
            ADD COLUMN task_id       uuid,
            ADD COLUMN before_hold   text,
            ADD COLUMN outcome       text,
            ADD COLUMN missing       text[] NOT NULL DEFAULT '{{}}',
            ADD COLUMN review_on     date,
            ADD COLUMN since         timestamptz,
            ADD COLUMN waits_for     text,
            ADD COLUMN clock         text,
            ADD COLUMN clock_since   date,
            ADD COLUMN due_on        date,
            ADD COLUMN tier          text CHECK (tier IN ('remind', 'second', 'take_over')),
            ADD COLUMN tier_on       date,
            ADD COLUMN proposed_programme_id  uuid,
            ADD COLUMN proposed_course_run_id uuid,
            ADD CONSTRAINT referral_state_check CHECK (state IN ({_STATES})),
            ADD CONSTRAINT referral_reason_check
                CHECK (state NOT IN ('declined', 'withdrawn', 'decline_pending') OR reason IS NOT NULL),
            ADD CONSTRAINT referral_hold_check CHECK ((state = 'on_hold') = (before_hold IS NOT NULL)),
            ADD CONSTRAINT referral_waits_check CHECK (num_nonnulls(waits_for, clock, clock_since, due_on) IN (0, 4)),
            ADD CONSTRAINT referral_ring_check CHECK (num_nonnulls(tier, tier_on) IN (0, 2)
                                                      AND (tier IS NULL OR clock IS NOT NULL)),
            ADD CONSTRAINT referral_outcome_check
                CHECK (state NOT IN ('outcome_set', 'closed') OR outcome IS NOT NULL)
        """
    )
    op.execute("UPDATE referral SET coordinator = sender, since = sent_at")
    op.execute(
        """
        ALTER TABLE referral
            ADD CONSTRAINT referral_responsible_check
                CHECK (responsible_agency IN (sender, receiver, coordinator)
                       AND (state NOT IN ('draft', 'sent', 'received', 'returned', 'waiting', 'decline_pending')
                            OR responsible_agency = sender)
                       AND (state NOT IN ('accepted', 'contact_made', 'in_service', 'no_show', 'on_hold',
                                          'outcome_set', 'closed')
                            OR responsible_agency IN
                               (coordinator, CASE WHEN verb = 'refer' THEN sender ELSE receiver END)))
        """
    )
    op.execute("DROP INDEX referral_open_programme_id")
    # By the day it was sent and not by id, or the planner walks the primary key past everybody else's.
    for column in ("sender", "receiver", "municipality", "case_id"):
        op.execute(f"DROP INDEX referral_{column}")
        op.execute(f"CREATE INDEX referral_{column} ON referral ({column}, sent_at DESC, id DESC)")
    op.execute("CREATE INDEX referral_inbox ON referral (receiver, state, sent_at DESC, id DESC)")
    op.execute("CREATE INDEX referral_coordinator ON referral (coordinator, sent_at DESC, id DESC)")
    op.execute("CREATE INDEX referral_waits ON referral (waits_for, due_on, id) WHERE waits_for IS NOT NULL")
    op.execute("CREATE INDEX referral_waits_there ON referral (municipality, due_on, id) WHERE waits_for IS NOT NULL")
    op.execute("CREATE INDEX referral_tier_on ON referral (tier_on, id) WHERE tier_on IS NOT NULL")
    # What stands here already, and what the release before writes beside us, gets its clock from a sweep.
    op.execute(
        """
        CREATE INDEX referral_clockless ON referral (id) WHERE clock IS NULL
            AND state IN ('sent', 'received') AND (state = 'sent' OR course_run_id IS NULL)
        """
    )
    op.execute("CREATE INDEX referral_group_of ON referral (group_id) WHERE group_id IS NOT NULL")
    op.execute("CREATE INDEX referral_rerouted ON referral (rerouted_from) WHERE rerouted_from IS NOT NULL")
    op.execute(
        """
        CREATE TABLE referral_outcome (
            referral_id uuid NOT NULL REFERENCES referral,
            number      integer NOT NULL,
            outcome     text NOT NULL,
            by          text NOT NULL,
            at          timestamptz NOT NULL,
            PRIMARY KEY (referral_id, number)
        )
        """
    )
    op.execute("REVOKE UPDATE, DELETE ON referral_outcome FROM tsunagu_referral")
    op.execute("REVOKE DELETE ON referral_group FROM tsunagu_referral")


def downgrade() -> None:
    op.execute("DROP TABLE referral_outcome")
    for name in (
        "inbox", "coordinator", "clockless", "waits", "waits_there", "tier_on", "group_of", "rerouted",
    ):  # fmt: skip
        op.execute(f"DROP INDEX referral_{name}")
    for column in ("sender", "receiver", "municipality", "case_id"):
        op.execute(f"DROP INDEX referral_{column}")
        op.execute(f"CREATE INDEX referral_{column} ON referral ({column}, id DESC)")
    # What 0.1.0 has no word for stands as what it knows: nobody's referral is lost, its finer state is.
    op.execute("DELETE FROM referral_step WHERE referral_id IN (SELECT id FROM referral WHERE state = 'draft')")
    op.execute("DELETE FROM referral WHERE state = 'draft'")
    op.execute(
        """
        ALTER TABLE referral
            DROP CONSTRAINT referral_state_check, DROP CONSTRAINT referral_reason_check,
            DROP CONSTRAINT referral_hold_check, DROP CONSTRAINT referral_waits_check,
            DROP CONSTRAINT referral_ring_check, DROP CONSTRAINT referral_outcome_check,
            DROP CONSTRAINT referral_responsible_check
        """
    )
    op.execute(
        """
        UPDATE referral SET
            reason = CASE WHEN state IN ('decline_pending', 'declined', 'rerouted', 'expired', 'withdrawn')
                          THEN coalesce(reason, 'other') END,
            state = CASE
                WHEN state IN ('sent', 'received', 'withdrawn') THEN state
                WHEN state IN ('returned', 'waiting') THEN 'received'
                WHEN state IN ('decline_pending', 'declined', 'rerouted', 'expired') THEN 'declined'
                ELSE 'accepted' END
        """
    )
    op.execute("UPDATE referral SET responsible_agency = CASE WHEN state = 'accepted' THEN receiver ELSE sender END")
    op.execute(
        f"""
        ALTER TABLE referral
            DROP COLUMN verb, DROP COLUMN coordinator, DROP COLUMN group_id, DROP COLUMN rerouted_from,
            DROP COLUMN task_id, DROP COLUMN before_hold, DROP COLUMN outcome, DROP COLUMN missing,
            DROP COLUMN review_on, DROP COLUMN since, DROP COLUMN waits_for, DROP COLUMN clock,
            DROP COLUMN clock_since, DROP COLUMN due_on, DROP COLUMN tier, DROP COLUMN tier_on,
            DROP COLUMN proposed_programme_id, DROP COLUMN proposed_course_run_id,
            ADD CONSTRAINT referral_state_check
                CHECK (state IN ('sent', 'received', 'accepted', 'declined', 'withdrawn')),
            ADD CONSTRAINT referral_check1 CHECK {_REASON},
            ADD CONSTRAINT referral_check2
                CHECK (responsible_agency = CASE WHEN state = 'accepted' THEN receiver ELSE sender END)
        """
    )
    op.execute("DROP TABLE referral_group")
    op.execute(
        "CREATE UNIQUE INDEX referral_open_programme_id ON referral (case_id, programme_id)"
        " WHERE state IN ('sent', 'received')"
    )
    op.execute("ALTER TABLE case_fact DROP COLUMN holder_version, DROP COLUMN consent_categories")
