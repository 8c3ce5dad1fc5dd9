"""Cases, consents, screenings and the timeline."""

from alembic import op

revision = "intake_0001"
down_revision = None
branch_labels = ("intake",)
depends_on = None


def upgrade() -> None:
    op.execute("CREATE SEQUENCE case_running_number")
    op.execute(
        """
        CREATE TABLE case_ (
            id                uuid PRIMARY KEY,
            number            text NOT NULL UNIQUE,
            municipality      text NOT NULL CHECK (municipality ~ '^[0-9]{6}$'),
            opened_by         text NOT NULL,
            holder_agency     text NOT NULL,
            entrance          text NOT NULL,
            topics            text[] NOT NULL,
            needs             text[] NOT NULL,
            urgent            boolean NOT NULL,
            status            text NOT NULL CHECK (status IN ('open', 'closed')),
            next_step         text NOT NULL CHECK (next_step <> ''),
            next_step_on      date NOT NULL,
            consent_state     text NOT NULL CHECK (consent_state IN ('given', 'not_yet', 'refused', 'withdrawn')),
            consent_version   integer NOT NULL CHECK (consent_version >= 0),
            screening_outcome text,
            opened_at         timestamptz NOT NULL,
            version           integer NOT NULL CHECK (version >= 1)
        )
        """
    )
    op.execute("CREATE INDEX case_municipality ON case_ (municipality, id)")
    op.execute("CREATE INDEX case_prefecture ON case_ (left(municipality, 2), id)")
    op.execute("CREATE INDEX case_holder_agency ON case_ (holder_agency, id)")
    op.execute("CREATE INDEX case_opened_by ON case_ (opened_by, id)")
    op.execute(
        """
        CREATE TABLE case_consent (
            case_id      uuid NOT NULL REFERENCES case_,
            version      integer NOT NULL CHECK (version >= 1),
            state        text NOT NULL CHECK (state IN ('given', 'not_yet', 'refused', 'withdrawn')),
            purposes     text[] NOT NULL,
            recipients   text[] NOT NULL,
            valid_until  date,
            text_version text,
            recorded_by  text NOT NULL,
            at           timestamptz NOT NULL,
            PRIMARY KEY (case_id, version),
            CHECK (state <> 'given' OR cardinality(purposes) > 0)
        )
        """
    )
    op.execute(
        """
        CREATE TABLE screening (
            id          uuid PRIMARY KEY,
            case_id     uuid NOT NULL REFERENCES case_,
            outcome     text NOT NULL,
            recorded_by text NOT NULL,
            at          timestamptz NOT NULL
        )
        """
    )
    op.execute("CREATE INDEX screening_case ON screening (case_id, id)")
    # No foreign key: what another service tells about a case is kept even if this database was set back to a backup.
    op.execute(
        """
        CREATE TABLE timeline (
            id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            case_id  uuid NOT NULL,
            at       timestamptz NOT NULL,
            kind     text NOT NULL,
            service  text NOT NULL,
            codes    jsonb NOT NULL,
            event_id uuid UNIQUE
        )
        """
    )
    op.execute("CREATE INDEX timeline_case ON timeline (case_id, at, id)")
    # Facts are added, never edited.
    op.execute("REVOKE UPDATE, DELETE ON case_consent, screening, timeline FROM tsunagu_intake")
    op.execute("REVOKE DELETE ON case_ FROM tsunagu_intake")


def downgrade() -> None:
    for table in ("timeline", "screening", "case_consent", "case_"):
        op.execute(f"DROP TABLE {table}")
    op.execute("DROP SEQUENCE case_running_number")
