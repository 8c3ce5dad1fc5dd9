"""The wall looks at each rating's own case, and shows a case to whoever rated it, wherever that agency serves now."""

from alembic import op

revision = "assessment_0008"
down_revision = "assessment_0007"
branch_labels = None
depends_on = None

_DOOR = "(SELECT acting_door()) IS NOT NULL"
_ME = "(SELECT acting_agency())"
_SERVED = "ANY ((SELECT acting_municipalities())::text[])"
# Where 0004 was run in its first form, a bare `case_id` in here was the case's own, equal to itself: whoever saw any
# case saw every rating. The wall of tasks is mended by 0006.
_RATING = f"{_DOOR} OR EXISTS (SELECT FROM case_fact k WHERE k.case_id = assessment.case_id)"
_CASE = (
    f"{_DOOR} OR coalesce(holder, opened_by) = {_ME} OR opened_by = {_ME}"
    f" OR municipality = {_SERVED} OR 'prefecture:' || left(municipality, 2) = {_SERVED}"
    f" OR (consent_state = 'given' AND {_ME} = ANY (consent_recipients)) OR case_is_lent(case_id)"
)
# Each agency reads what it rated itself. A door of its own, for the two walls would ask for one another in a circle.
_HAS_RATED = """
    CREATE FUNCTION has_rated(rated uuid) RETURNS boolean LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = assessment, pg_temp AS $$
    DECLARE
        told CONSTANT text := coalesce(current_setting('tsunagu.door', true), '');
        found boolean;
    BEGIN
        PERFORM set_config('tsunagu.door', 'wall', true);
        found := EXISTS (SELECT FROM assessment a WHERE a.case_id = rated AND a.rated_by = acting_agency());
        PERFORM set_config('tsunagu.door', told, true);
        RETURN found;
    END $$
    """


def upgrade() -> None:
    op.execute(_HAS_RATED)
    op.execute("REVOKE ALL ON FUNCTION has_rated(uuid) FROM PUBLIC")
    op.execute("GRANT EXECUTE ON FUNCTION has_rated(uuid) TO tsunagu_assessment")
    # Last, for it costs most; of two policies the database would choose itself which it asks first.
    op.execute(f"ALTER POLICY concerned ON case_fact USING ({_CASE} OR has_rated(case_id))")
    op.execute(f"ALTER POLICY concerned ON assessment USING ({_RATING})")


def downgrade() -> None:
    # What 0004 says of ratings now is the same.
    op.execute(f"ALTER POLICY concerned ON case_fact USING ({_CASE})")
    op.execute("DROP FUNCTION has_rated(uuid)")
