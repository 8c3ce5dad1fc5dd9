"""Cases as far as they are known here, and their assessments."""

from alembic import op

revision = "assessment_0001"
down_revision = None
branch_labels = ("assessment",)
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE case_fact (
            case_id      uuid PRIMARY KEY,
            municipality text NOT NULL,
            opened_by    text NOT NULL,
            known_at     timestamptz NOT NULL,
            closed       boolean NOT NULL,
            assessments  integer NOT NULL CHECK (assessments >= 0)
        )
        """
    )
    op.execute(
        """
        CREATE TABLE assessment (
            id                uuid PRIMARY KEY,
            case_id           uuid NOT NULL REFERENCES case_fact,
            number            integer NOT NULL CHECK (number >= 1),
            rubric            text NOT NULL,
            setting           text NOT NULL CHECK (setting IN ('solo', 'joint_conference')),
            interpersonal     smallint CHECK (interpersonal BETWEEN 1 AND 5),
            mental            smallint CHECK (mental BETWEEN 1 AND 5),
            stress            smallint CHECK (stress BETWEEN 1 AND 5),
            thinking          smallint CHECK (thinking BETWEEN 1 AND 5),
            environment       smallint CHECK (environment BETWEEN 1 AND 5),
            raters            text[] NOT NULL,
            rated_by          text NOT NULL,
            rated_at          timestamptz NOT NULL,
            recorded_at       timestamptz NOT NULL CHECK (recorded_at >= rated_at),
            prolongation_risk text NOT NULL CHECK (prolongation_risk IN ('true', 'false', 'undetermined')),
            corrects_id       uuid UNIQUE REFERENCES assessment,
            UNIQUE (case_id, number)
        )
        """
    )
    # A rating is never edited: a mistake is put right by another rating that names it.
    op.execute("REVOKE UPDATE, DELETE ON assessment FROM tsunagu_assessment")
    op.execute("REVOKE DELETE ON case_fact FROM tsunagu_assessment")


def downgrade() -> None:
    op.execute("DROP TABLE assessment")
    op.execute("DROP TABLE case_fact")
