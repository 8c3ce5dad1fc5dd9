"""A coordinator's boxes don't grow with what was closed; a case's hops are counted when something in it has changed."""

from alembic import op

revision = "referral_0018"
down_revision = "referral_0017"
branch_labels = None
depends_on = None

_BOXES = {"outbox": "sender", "there": "municipality", "coordinated": "coordinator"}
_MOVED = "(OLD.state, OLD.reason, OLD.sent_at) IS DISTINCT FROM (NEW.state, NEW.reason, NEW.sent_at)"
_CHANGES = (
    ("referral_sent_hops", "INSERT", "referral", "true"),
    ("referral_moved_hops", "UPDATE", "referral", _MOVED),
    # Of a closed case nothing is told; what it came to is looked at when it is open again.
    ("case_reopened_hops", "UPDATE", "case_fact", "OLD.closed_at IS NOT NULL AND NEW.closed_at IS NULL"),
)
"""By which trigger a case is noted in which something was sent or came back."""


def upgrade() -> None:
    # By state, newest first. Most of all referrals are closed one day, and are many enough to be found by the day.
    for name, column in _BOXES.items():
        op.execute(
            f"CREATE INDEX referral_{name} ON referral ({column}, state, sent_at DESC, id DESC) WHERE state <> 'closed'"
        )
    op.execute(
        "CREATE INDEX referral_taken_over ON referral (coordinator, sent_at DESC, id DESC)"
        " WHERE taken_over OR clock = 'place' AND waits_for = coordinator"
    )
    op.execute(
        """
        CREATE TABLE hops_due (
            case_id uuid NOT NULL,
            number  bigint GENERATED ALWAYS AS IDENTITY,
            PRIMARY KEY (case_id, number)
        )
        """
    )
    # By triggers, for the release before sends beside us, too. Each change is a row of its own: two that wrote the same
    # one would wait for one another, each with a referral in its hands that the other needs.
    op.execute(
        """
        CREATE FUNCTION note_hops_due() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
        BEGIN
            INSERT INTO hops_due (case_id) VALUES (NEW.case_id);
            RETURN NULL;
        END $$
        """
    )
    for name, event, table, when in _CHANGES:
        op.execute(
            f"CREATE TRIGGER {name} AFTER {event} ON {table} FOR EACH ROW WHEN ({when})"
            " EXECUTE FUNCTION note_hops_due()"
        )
    op.execute(
        "INSERT INTO hops_due (case_id) SELECT DISTINCT case_id FROM referral JOIN case_fact USING (case_id)"
        " WHERE closed_at IS NULL"
    )


def downgrade() -> None:
    for name, _, table, _ in _CHANGES:
        op.execute(f"DROP TRIGGER {name} ON {table}")
    op.execute("DROP FUNCTION note_hops_due()")
    op.execute("DROP TABLE hops_due")
    for name in (*_BOXES, "taken_over"):
        op.execute(f"DROP INDEX referral_{name}")
