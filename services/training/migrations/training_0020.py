"""Who has the power to instruct is asked by the database too: a fact stands in the mode that was in force on its day.

Until now a paper of a free job placement was let in wherever the code said that the power was delegated.
"""

from alembic import op

revision = "training_0020"
down_revision = "training_0019"
branch_labels = None
depends_on = None

# As services/training/tables/facts.py has it (`authority_in`): of the person's prefecture, the newest word of a day.
_CHECK = """
CREATE FUNCTION check_authority() RETURNS trigger LANGUAGE plpgsql SET search_path = training, pg_temp AS $$
BEGIN
    IF NEW.authority <> coalesce((
        SELECT a.mode FROM region_authority a JOIN seat_request r ON a.prefecture = left(r.municipality, 2)
        WHERE r.id = NEW.seat_request_id AND a.in_force_from <= (NEW.at AT TIME ZONE 'Asia/Tokyo')::date
        ORDER BY a.in_force_from DESC, a.id DESC LIMIT 1
    ), 'current_law') THEN
        RAISE EXCEPTION 'another mode is in force there on that day' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$
"""
_FACTS = ("nomination", "countersignature", "instruction", "enrolment")


def upgrade() -> None:
    op.execute(_CHECK)
    op.execute("REVOKE ALL ON FUNCTION check_authority() FROM PUBLIC")
    for table in _FACTS:
        op.execute(
            f"CREATE TRIGGER check_authority BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION check_authority()"
        )


def downgrade() -> None:
    op.execute("DROP FUNCTION check_authority() CASCADE")
