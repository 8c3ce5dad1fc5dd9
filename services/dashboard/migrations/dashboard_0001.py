"""The feed and its counter, and the three projections that the figures are read from."""

from alembic import op

revision = "dashboard_0001"
down_revision = None
branch_labels = ("dashboard",)
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE feed (
            seq      bigint PRIMARY KEY,
            event_id uuid NOT NULL UNIQUE,
            type     text NOT NULL,
            subject  text NOT NULL,
            value    bytea NOT NULL,
            told_at  timestamptz NOT NULL,
            at       timestamptz NOT NULL
        )
        """
    )
    # Lines are added at the end and forgotten at the beginning; nobody changes one.
    op.execute("REVOKE UPDATE ON feed FROM tsunagu_dashboard")
    op.execute(
        """
        CREATE TABLE feed_counter (
            single boolean PRIMARY KEY DEFAULT true CHECK (single),
            last bigint NOT NULL DEFAULT 0 CHECK (last >= 0)
        ) WITH (fillfactor = 10)
        """
    )
    op.execute("INSERT INTO feed_counter DEFAULT VALUES")
    op.execute("REVOKE INSERT, DELETE ON feed_counter FROM tsunagu_dashboard")
    op.execute(
        """
        CREATE TABLE case_progress (
            case_id       uuid PRIMARY KEY,
            municipality  text,
            opened_at     timestamptz,
            consented_at  timestamptz,
            assessed_at   timestamptz,
            referred_at   timestamptz,
            accepted_at   timestamptz,
            seat_held_at  timestamptz,
            instructed_at timestamptz,
            enrolled_at   timestamptz
        ) WITH (fillfactor = 70)
        """
    )
    op.execute(
        """
        CREATE TABLE course_run (
            course_run_id         uuid PRIMARY KEY,
            sequence              bigint NOT NULL,
            course_number         text NOT NULL,
            field                 text NOT NULL,
            starts_on             date NOT NULL,
            ends_on               date NOT NULL,
            applications_close_at timestamptz NOT NULL,
            provider              text NOT NULL
        )
        """
    )
    op.execute(
        """
        CREATE TABLE pool (
            pool_id       uuid PRIMARY KEY,
            sequence      bigint NOT NULL,
            course_run_id uuid NOT NULL,
            kind          text NOT NULL,
            municipality  text,
            granted       integer NOT NULL,
            held          integer NOT NULL,
            filled        integer NOT NULL,
            waiting       integer NOT NULL
        ) WITH (fillfactor = 70)
        """
    )


def downgrade() -> None:
    for table in ("pool", "course_run", "case_progress", "feed_counter", "feed"):
        op.execute(f"DROP TABLE {table}")
