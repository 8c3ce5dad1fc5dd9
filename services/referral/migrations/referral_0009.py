"""The map's snapshots by month, walls between schemes that people ran into, and alarms about hops."""

from alembic import op

revision = "referral_0009"
down_revision = "referral_0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE map_snapshot (
            prefecture text NOT NULL,
            month      date NOT NULL CHECK (extract(day FROM month) = 1),
            drawn_at   timestamptz NOT NULL,
            thresholds jsonb NOT NULL,
            PRIMARY KEY (prefecture, month)
        )
        """
    )
    op.execute(
        """
        CREATE TABLE map_snapshot_cell (
            prefecture   text NOT NULL,
            month        date NOT NULL,
            function     text NOT NULL,
            stage        text NOT NULL,
            strand       smallint NOT NULL,
            municipality text NOT NULL,
            state        text NOT NULL CHECK (state IN ('covered', 'thin', 'missing', 'unused')),
            why          text NOT NULL,
            proposal     text NOT NULL CHECK (proposal IN ('none', 'extend', 'borrow', 'create')),
            lenders      text[] NOT NULL,
            programmes   integer NOT NULL,
            with_room    integer NOT NULL,
            stale        integer NOT NULL,
            unknown      integer NOT NULL,
            places       integer NOT NULL,
            open_needs   integer NOT NULL,
            waiting      integer NOT NULL,
            unmet        integer NOT NULL,
            wanting      integer NOT NULL,
            turned_away  integer NOT NULL,
            PRIMARY KEY (prefecture, month, function, stage, strand, municipality),
            FOREIGN KEY (prefecture, month) REFERENCES map_snapshot
        )
        """
    )
    op.execute(
        """
        CREATE TABLE friction (
            id           uuid PRIMARY KEY,
            case_id      uuid NOT NULL REFERENCES case_fact,
            municipality text NOT NULL,
            boundary     text NOT NULL,
            programme_id uuid REFERENCES programme,
            agency_id    text NOT NULL,
            recorded_on  date NOT NULL,
            at           timestamptz NOT NULL,
            UNIQUE (case_id, boundary, recorded_on)
        )
        """
    )
    op.execute("CREATE INDEX friction_municipality ON friction (municipality, recorded_on)")
    op.execute(
        """
        CREATE TABLE hops_alarm (
            case_id   uuid NOT NULL REFERENCES case_fact,
            threshold integer NOT NULL CHECK (threshold > 2),
            hops      integer NOT NULL CHECK (hops >= threshold),
            raised_at timestamptz NOT NULL,
            PRIMARY KEY (case_id, threshold)
        )
        """
    )
    # What is known of a month, of a wall or of an alarm is added to and never rewritten.
    for table in ("map_snapshot", "map_snapshot_cell", "friction", "hops_alarm"):
        op.execute(f"REVOKE UPDATE, DELETE ON {table} FROM tsunagu_referral")
    op.execute("CREATE INDEX case_fact_open ON case_fact (municipality) WHERE closed_at IS NULL")
    op.execute("CREATE INDEX referral_sent_at ON referral (sent_at)")
    op.execute("CREATE INDEX referral_step_declined ON referral_step (at) WHERE step = 'decline'")


def downgrade() -> None:
    for index in ("referral_step_declined", "referral_sent_at", "case_fact_open"):
        op.execute(f"DROP INDEX {index}")
    for table in ("hops_alarm", "friction", "map_snapshot_cell", "map_snapshot"):
        op.execute(f"DROP TABLE {table}")
