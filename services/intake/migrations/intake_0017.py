"""A case always has an anchor: who was named, who acts, or the agency itself; and drafts of support records."""

from alembic import op

revision = "intake_0017"
down_revision = "intake_0016"
branch_labels = None
depends_on = None


def _move_custody(anchor: str) -> str:
    """The function of `intake_0003`, which alone moves a case; with who is its anchor after the step."""
    return f"""
    CREATE OR REPLACE FUNCTION move_custody() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = intake, pg_temp AS $$
    BEGIN
        UPDATE case_
        SET holder_agency = NEW.holder, custody_number = NEW.number, ended = NEW.ended,
            status = CASE NEW.step WHEN 'closed' THEN 'closed' ELSE 'open' END,
            anchor = {anchor},
            hand_off_open = hand_off_open AND NEW.step NOT IN ('closed', 'handed_over')
        WHERE id = NEW.case_id AND custody_number = NEW.number - 1
            AND (NEW.step = 'opened' OR (status = 'open') = (NEW.step IN ('handed_over', 'closed')))
            AND (NEW.step <> 'closed' OR holder_agency = NEW.holder);
        IF NOT FOUND THEN
            RAISE EXCEPTION 'this step does not follow on how the case is held' USING ERRCODE = 'check_violation';
        END IF;
        RETURN NULL;
    END $$
    """  # noqa: S608 - our own expression


_KEPT = "CASE WHEN holder_agency = NEW.holder THEN anchor END"
# An issuer's name of a person may be longer than one that a counsellor writes.
_LENGTH = "ADD CONSTRAINT case__anchor_check CHECK (length(anchor) BETWEEN 1 AND {}) NOT VALID"


# What a draft of a support record is about; a half-typed sheet is about nothing yet.
_ABOUT = """
    ALTER TABLE draft ADD COLUMN about uuid REFERENCES case_,
        ADD CONSTRAINT draft_becomes_what_it_is_about CHECK (about IS NULL OR case_id IS NULL OR case_id = about)
"""


def upgrade() -> None:
    op.execute(_ABOUT)
    op.execute("CREATE INDEX draft_about ON draft (about) WHERE about IS NOT NULL")
    op.execute("ALTER TABLE case_ DROP CONSTRAINT case__anchor_check")
    op.execute(f"ALTER TABLE case_ {_LENGTH.format(255)}")
    op.execute(_move_custody(f"coalesce({_KEPT}, NEW.holder)"))
    op.execute("UPDATE case_ SET anchor = holder_agency WHERE anchor IS NULL")
    # From its first step of custody on; the row itself comes a moment before.
    op.execute("ALTER TABLE case_ ADD CONSTRAINT case__anchored CHECK (custody_number = 0 OR anchor IS NOT NULL)")


def downgrade() -> None:
    op.execute("DROP INDEX draft_about")
    op.execute("ALTER TABLE draft DROP COLUMN about")
    op.execute("ALTER TABLE case_ DROP CONSTRAINT case__anchored")
    op.execute(_move_custody(_KEPT))
    op.execute("ALTER TABLE case_ DROP CONSTRAINT case__anchor_check")
    op.execute(f"ALTER TABLE case_ {_LENGTH.format(60)}")
