"""Several eyes: joint ratings, hidden by the wall too until all are in; vignettes; and pairs for counting agreement."""

from alembic import op

revision = "assessment_0005"
down_revision = "assessment_0004"
branch_labels = None
depends_on = None

_TABLES = (
    """
    CREATE TABLE joint_rating (
        id            uuid PRIMARY KEY,
        case_id       uuid NOT NULL REFERENCES case_fact,
        conference_id uuid,
        lane          text NOT NULL CHECK (lane IN ('consent', 'shien_kaigi_art9')),
        instrument    text NOT NULL,
        rubric        text NOT NULL REFERENCES instrument_version,
        chair         text NOT NULL CHECK (chair <> ''),
        state         text NOT NULL CHECK (state IN ('rating', 'side_by_side', 'agreed')),
        agreed        jsonb,
        agreed_unseen text[] NOT NULL DEFAULT '{}',
        begun_at      timestamptz NOT NULL,
        closed_at     timestamptz,
        agreed_at     timestamptz,
        CHECK ((state = 'rating') = (closed_at IS NULL)),
        CHECK ((state = 'agreed') = (agreed_at IS NOT NULL)),
        CHECK ((state = 'agreed') = (agreed IS NOT NULL))
    )
    """,
    "CREATE INDEX joint_rating_case ON joint_rating (case_id, id)",
    """
    CREATE TABLE joint_seat (
        joint_id   uuid NOT NULL REFERENCES joint_rating,
        agency     text NOT NULL CHECK (agency <> ''),
        profession text NOT NULL,
        given_at   timestamptz,
        PRIMARY KEY (joint_id, agency, profession)
    )
    """,
    "CREATE INDEX joint_seat_agency ON joint_seat (agency, joint_id)",
    """
    CREATE TABLE joint_eye (
        joint_id     uuid NOT NULL,
        agency       text NOT NULL,
        profession   text NOT NULL,
        rater        text,
        levels       jsonb NOT NULL,
        not_observed text[] NOT NULL DEFAULT '{}',
        at           timestamptz NOT NULL,
        PRIMARY KEY (joint_id, agency, profession),
        FOREIGN KEY (joint_id, agency, profession) REFERENCES joint_seat
    )
    """,
    """
    CREATE TABLE joint_reason (
        joint_id   uuid NOT NULL,
        agency     text NOT NULL,
        profession text NOT NULL,
        item       text NOT NULL,
        sealed     bytea NOT NULL,
        PRIMARY KEY (joint_id, agency, profession, item),
        FOREIGN KEY (joint_id, agency, profession) REFERENCES joint_eye
    )
    """,
    # Invented people. Nothing of them is anybody's.
    """
    CREATE TABLE vignette (
        id           uuid PRIMARY KEY,
        instrument   text NOT NULL,
        title        text NOT NULL,
        title_ja     text NOT NULL,
        story        text NOT NULL,
        story_ja     text NOT NULL,
        published_by text NOT NULL,
        published_at timestamptz NOT NULL
    )
    """,
    """
    CREATE TABLE vignette_rating (
        vignette_id  uuid NOT NULL REFERENCES vignette,
        agency       text NOT NULL,
        quarter      date NOT NULL,
        rubric       text NOT NULL REFERENCES instrument_version,
        levels       jsonb NOT NULL,
        not_observed text[] NOT NULL DEFAULT '{}',
        at           timestamptz NOT NULL,
        PRIMARY KEY (vignette_id, quarter, agency)
    )
    """,
    # Two agencies that looked at the same: levels in the order of the items' codes, null where not observed. No case
    # and no worker stands here, and it is read as counts only.
    """
    CREATE TABLE co_rating (
        source_id  uuid NOT NULL,
        seat_a     text NOT NULL,
        seat_b     text NOT NULL,
        vignette   boolean NOT NULL,
        instrument text NOT NULL,
        quarter    date NOT NULL,
        agency_a   text NOT NULL,
        agency_b   text NOT NULL CHECK (agency_a < agency_b),
        levels_a   smallint[] NOT NULL,
        levels_b   smallint[] NOT NULL,
        PRIMARY KEY (source_id, quarter, agency_a, seat_a, agency_b, seat_b)
    )
    """,
    "CREATE INDEX co_rating_of ON co_rating (instrument, vignette, quarter)",
)
_APPEND_ONLY = ("joint_eye", "joint_reason", "vignette", "vignette_rating", "co_rating")

# Who sits in a joint rating sees whose case it is.
_IS_LENT = """
    CREATE OR REPLACE FUNCTION case_is_lent(lent uuid) RETURNS boolean LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = assessment, pg_temp AS $$
    DECLARE
        told CONSTANT text := coalesce(current_setting('tsunagu.door', true), '');
        found boolean;
    BEGIN
        PERFORM set_config('tsunagu.door', 'wall', true);
        found := {found};
        PERFORM set_config('tsunagu.door', told, true);
        RETURN found;
    END $$
    """
_TASK = (
    "EXISTS (SELECT FROM task t WHERE t.case_id = lent AND t.owner = acting_agency())"
    " OR EXISTS (SELECT FROM assessment a WHERE a.case_id = lent AND a.rated_by = acting_agency())"
)
_SEAT = (
    "EXISTS (SELECT FROM joint_seat s JOIN joint_rating j ON j.id = s.joint_id"
    " WHERE j.case_id = lent AND s.agency = acting_agency())"
)
_DOOR = "(SELECT acting_door()) IS NOT NULL"
_ME = "(SELECT acting_agency())"
_JOINT = "EXISTS (SELECT FROM joint_rating j WHERE j.id = joint_id{also})"
_SHOWN = _JOINT.format(also=" AND j.state <> 'rating'")
_POLICIES = {
    "joint_rating": f"{_DOOR} OR EXISTS (SELECT FROM case_fact k WHERE k.case_id = joint_rating.case_id)",
    "joint_seat": f"{_DOOR} OR {_JOINT.format(also='')}",
    # Another's levels and reasons are not there, for any statement, until they may be seen.
    "joint_eye": f"{_DOOR} OR agency = {_ME} OR {_SHOWN}",
    "joint_reason": f"{_DOOR} OR agency = {_ME} OR {_SHOWN}",
    "vignette_rating": f"{_DOOR} OR agency = {_ME}",
    "co_rating": _DOOR,
}


def upgrade() -> None:
    for statement in _TABLES:
        op.execute(statement)
    op.execute("ALTER TABLE assessment ADD FOREIGN KEY (joint_id) REFERENCES joint_rating")
    op.execute(_IS_LENT.format(found=f"{_TASK} OR {_SEAT}"))
    op.execute(f"REVOKE UPDATE, DELETE ON {', '.join(_APPEND_ONLY)} FROM tsunagu_assessment")
    op.execute("REVOKE DELETE ON joint_rating, joint_seat FROM tsunagu_assessment")
    for table, policy in _POLICIES.items():
        op.execute(f"CREATE POLICY concerned ON {table} USING ({policy})")
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")


def downgrade() -> None:
    op.execute(_IS_LENT.format(found=_TASK))
    op.execute("ALTER TABLE assessment DROP CONSTRAINT assessment_joint_id_fkey")
    for table in (
        "co_rating",
        "vignette_rating",
        "vignette",
        "joint_reason",
        "joint_eye",
        "joint_seat",
        "joint_rating",
    ):
        op.execute(f"DROP TABLE {table}")
