"""Directory, facts heard from the others, referrals and their steps."""

from alembic import op

revision = "referral_0001"
down_revision = None
branch_labels = ("referral",)
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE agency (
            agency_id            text PRIMARY KEY,
            corporate_number     text,
            name                 text NOT NULL,
            kana                 text NOT NULL,
            kind                 text NOT NULL,
            municipality         text NOT NULL,
            municipalities_served text[] NOT NULL,
            phone                text,
            confirmed_by         text NOT NULL,
            confirmed_on         date NOT NULL,
            version              integer NOT NULL DEFAULT 1
        )
        """
    )
    op.execute(
        """
        CREATE TABLE programme (
            id             uuid PRIMARY KEY,
            agency_id      text NOT NULL REFERENCES agency,
            programme_code text NOT NULL,
            name           text NOT NULL,
            function       text NOT NULL,
            strand         smallint NOT NULL CHECK (strand BETWEEN 1 AND 6),
            stage          text NOT NULL CHECK (stage IN
                           ('drop_in', 'work_readiness', 'work_training', 'vocational_training', 'job')),
            municipalities text[] NOT NULL,
            needs          text[] NOT NULL,
            capacity_state text NOT NULL CHECK (capacity_state IN
                           ('has_room', 'full', 'waiting_list', 'ask_first', 'unknown')),
            confirmed_on   date NOT NULL,
            version        integer NOT NULL DEFAULT 1,
            UNIQUE (agency_id, programme_code)
        )
        """
    )
    op.execute(
        """
        CREATE TABLE course_option (
            course_run_id         uuid PRIMARY KEY,
            course_number         text NOT NULL,
            provider              text NOT NULL,
            field                 text NOT NULL,
            system                text NOT NULL,
            site_municipality     text NOT NULL,
            prefecture            text NOT NULL,
            starts_on             date NOT NULL,
            ends_on               date NOT NULL,
            applications_close_at timestamptz NOT NULL,
            capacity              integer NOT NULL,
            sequence              bigint NOT NULL
        )
        """
    )
    op.execute("CREATE INDEX course_option_region ON course_option (left(site_municipality, 2), applications_close_at)")
    op.execute(
        """
        CREATE TABLE course_pool (
            pool_id       uuid PRIMARY KEY,
            course_run_id uuid NOT NULL,
            kind          text NOT NULL,
            municipality  text,
            granted       integer NOT NULL,
            held          integer NOT NULL,
            filled        integer NOT NULL,
            waiting       integer NOT NULL,
            sequence      bigint NOT NULL
        )
        """
    )
    op.execute("CREATE INDEX course_pool_course_run ON course_pool (course_run_id)")
    op.execute("CREATE INDEX course_pool_municipality ON course_pool (municipality) WHERE municipality IS NOT NULL")
    # Every column but the key may be missing: facts of one case arrive from several topics, in any order.
    op.execute(
        """
        CREATE TABLE case_fact (
            case_id             uuid PRIMARY KEY,
            municipality        text,
            opened_by           text,
            topics              text[] NOT NULL DEFAULT '{}',
            needs               text[] NOT NULL DEFAULT '{}',
            urgent              boolean NOT NULL DEFAULT false,
            consent_state       text,
            consent_version     integer,
            consent_purposes    text[] NOT NULL DEFAULT '{}',
            consent_recipients  text[] NOT NULL DEFAULT '{}',
            consent_valid_until date,
            assessment_number   integer,
            levels              jsonb,
            prolongation_risk   text
        )
        """
    )
    op.execute(
        """
        CREATE TABLE referral (
            id                 uuid PRIMARY KEY,
            case_id            uuid NOT NULL REFERENCES case_fact,
            municipality       text NOT NULL,
            sender             text NOT NULL,
            receiver           text NOT NULL,
            programme_id       uuid REFERENCES programme,
            course_run_id      uuid,
            seat_request_id    uuid,
            state              text NOT NULL CHECK (state IN
                               ('sent', 'received', 'accepted', 'declined', 'withdrawn')),
            responsible_agency text NOT NULL,
            progress           text,
            reason             text,
            sent_at            timestamptz NOT NULL,
            version            integer NOT NULL CHECK (version >= 1),
            CHECK (num_nonnulls(programme_id, course_run_id) = 1),
            CHECK ((state IN ('declined', 'withdrawn')) = (reason IS NOT NULL)),
            CHECK (responsible_agency = CASE WHEN state = 'accepted' THEN receiver ELSE sender END)
        )
        """
    )
    for target in ("programme_id", "course_run_id"):
        op.execute(
            f"CREATE UNIQUE INDEX referral_open_{target} ON referral (case_id, {target})"
            " WHERE state IN ('sent', 'received')"
        )
    for column in ("sender", "receiver", "municipality", "case_id"):
        op.execute(f"CREATE INDEX referral_{column} ON referral ({column}, id DESC)")
    op.execute(
        """
        CREATE TABLE referral_step (
            referral_id uuid NOT NULL REFERENCES referral,
            version     integer NOT NULL,
            step        text NOT NULL,
            by          text NOT NULL,
            reason      text,
            at          timestamptz NOT NULL,
            PRIMARY KEY (referral_id, version)
        )
        """
    )
    # History is added to, never rewritten: not even by this service.
    op.execute("REVOKE UPDATE, DELETE ON referral_step FROM tsunagu_referral")


def downgrade() -> None:
    for table in ("referral_step", "referral", "case_fact", "course_pool", "course_option", "programme", "agency"):
        op.execute(f"DROP TABLE {table}")
