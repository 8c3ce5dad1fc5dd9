"""The catalogue: what sources say of courses, what was decided where they differ, and what therefore stands."""

from alembic import op

revision = "training_0008"
down_revision = "training_0007"
branch_labels = None
depends_on = None

# What stands is reckoned from statements and settlements; beside it, what people search by.
_COURSE = """
CREATE TABLE catalogue_course (
    id            uuid PRIMARY KEY,
    course_number text NOT NULL UNIQUE,
    version       integer NOT NULL DEFAULT 1,
    record        jsonb NOT NULL DEFAULT '{}',
    differences   text[] NOT NULL DEFAULT '{}',
    system        text,
    field         text,
    municipality  text CHECK (municipality ~ '^[0-9]{6}$'),
    -- Of an unknown first day the last that there is, so that it stands at the end.
    begins_on     date NOT NULL DEFAULT '9999-12-31',
    opens_at      timestamptz,
    closes_at     timestamptz,
    delivery      text[] NOT NULL DEFAULT '{}',
    status        text,
    searched      text NOT NULL DEFAULT ''
)
"""
_STATEMENT = """
CREATE TABLE catalogue_statement (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    course_id  uuid NOT NULL REFERENCES catalogue_course,
    source     text NOT NULL,
    checked_on date NOT NULL,
    words      jsonb NOT NULL,
    told_by    text NOT NULL,
    told_at    timestamptz NOT NULL
)
"""
_SETTLEMENT = """
CREATE TABLE catalogue_settlement (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    course_id uuid NOT NULL REFERENCES catalogue_course,
    field     text NOT NULL,
    source    text NOT NULL,
    value     jsonb NOT NULL,
    heard     jsonb NOT NULL,
    reason    text,
    by        text NOT NULL,
    at        timestamptz NOT NULL
)
"""
_INDEXES = (
    "CREATE INDEX catalogue_course_by_day ON catalogue_course (begins_on, id)",
    "CREATE INDEX catalogue_course_by_field ON catalogue_course (field, begins_on, id)",
    "CREATE INDEX catalogue_course_by_place ON catalogue_course (municipality, begins_on, id)",
    "CREATE INDEX catalogue_course_differing ON catalogue_course (id) WHERE differences <> '{}'",
    "CREATE INDEX catalogue_statement_of_course ON catalogue_statement (course_id, id)",
    "CREATE INDEX catalogue_settlement_of_course ON catalogue_settlement (course_id, id)",
)


def upgrade() -> None:
    for statement in (_COURSE, _STATEMENT, _SETTLEMENT, *_INDEXES):
        op.execute(statement)
    op.execute("REVOKE UPDATE, DELETE ON catalogue_statement, catalogue_settlement FROM tsunagu_training")
    op.execute("REVOKE DELETE ON catalogue_course FROM tsunagu_training")


def downgrade() -> None:
    for table in ("catalogue_settlement", "catalogue_statement", "catalogue_course"):
        op.execute(f"DROP TABLE {table}")
