"""The living directory: desks and hours, capacity kept by the agency itself, and every version of every entry.

The stages of 0.1.0 are five; the ladder has seven. What stands here already becomes each entry's first kept version.
"""

from alembic import op

revision = "referral_0005"
down_revision = "referral_0004"
branch_labels = None
depends_on = None

_STAGES = "'outreach', 'drop_in', 'work_readiness', 'work_training', 'vocational_training', 'job', 'retention'"
_STAGES_OF_0004 = "'drop_in', 'work_readiness', 'work_training', 'vocational_training', 'job'"
_CONFIRMED = """
            confirmed_by   text NOT NULL,
            confirmed_on   date NOT NULL,
            version        integer NOT NULL DEFAULT 1"""


def upgrade() -> None:
    op.execute(
        """
        ALTER TABLE agency
            ADD COLUMN desks           jsonb NOT NULL DEFAULT '[]',
            ADD COLUMN opening_hours   jsonb NOT NULL DEFAULT '[]',
            ADD COLUMN closed_weekdays smallint[] NOT NULL DEFAULT '{5,6}'
                CHECK (closed_weekdays <@ '{0,1,2,3,4,5,6}'::smallint[]),
            ADD COLUMN closed_days     date[] NOT NULL DEFAULT '{}',
            ADD COLUMN contact_channel text CHECK (contact_channel IN ('account', 'email', 'letter')),
            ADD COLUMN contact_email   text,
            ADD CHECK (contact_channel IS DISTINCT FROM 'email' OR contact_email IS NOT NULL)
        """
    )
    # One truth, so that a day off is a version of its agency's entry like everything else that is said of it.
    op.execute("CREATE VIEW agency_closure AS SELECT agency_id, unnest(closed_days) AS day FROM agency")
    op.execute(
        f"""
        ALTER TABLE programme
            DROP CONSTRAINT programme_stage_check,
            ADD CONSTRAINT programme_stage_check CHECK (stage IN ({_STAGES})),
            ADD COLUMN for_whom       text[] NOT NULL DEFAULT '{{}}',
            ADD COLUMN conditions     jsonb NOT NULL DEFAULT '[]',
            ADD COLUMN legal_basis    text,
            ADD COLUMN starts_on      date,
            ADD COLUMN ends_on        date,
            ADD COLUMN confirmed_by   text,
            ADD COLUMN capacity_total integer CHECK (capacity_total >= 0),
            ADD COLUMN capacity_free  integer CHECK (capacity_free >= 0),
            ADD COLUMN capacity_confirmed_on date,
            ADD COLUMN acknowledge_days smallint CHECK (acknowledge_days BETWEEN 1 AND 60),
            ADD COLUMN contact_days   smallint CHECK (contact_days BETWEEN 1 AND 60),
            ADD COLUMN start_days     smallint CHECK (start_days BETWEEN 1 AND 250),
            ADD CHECK (capacity_free <= capacity_total),
            ADD CHECK (ends_on >= starts_on)
        """
    )
    op.execute("UPDATE programme SET capacity_confirmed_on = confirmed_on WHERE capacity_state <> 'unknown'")
    op.execute("CREATE INDEX programme_confirmed ON programme (confirmed_on, agency_id)")
    op.execute(
        """
        CREATE TABLE coordinator (
            municipality text PRIMARY KEY,
            agency_id    text NOT NULL REFERENCES agency,
            set_by       text NOT NULL,
            set_at       timestamptz NOT NULL,
            version      integer NOT NULL DEFAULT 1
        )
        """
    )
    op.execute(
        f"""
        CREATE TABLE professional (
            id             uuid PRIMARY KEY,
            agency_id      text NOT NULL REFERENCES agency,
            profession     text NOT NULL,
            count          integer NOT NULL CHECK (count >= 0),
            municipalities text[] NOT NULL DEFAULT '{{}}',
            {_CONFIRMED},
            UNIQUE (agency_id, profession)
        )
        """
    )
    op.execute(
        f"""
        CREATE TABLE host_workplace (
            id             uuid PRIMARY KEY,
            agency_id      text NOT NULL REFERENCES agency,
            workplace_code text NOT NULL,
            corporate_number text,
            name           text NOT NULL,
            municipality   text NOT NULL,
            industry       text NOT NULL,
            steps          jsonb NOT NULL DEFAULT '[]',
            {_CONFIRMED},
            UNIQUE (agency_id, workplace_code)
        )
        """
    )
    op.execute(
        f"""
        CREATE TABLE training_firm (
            id             uuid PRIMARY KEY,
            agency_id      text NOT NULL REFERENCES agency,
            firm_code      text NOT NULL,
            corporate_number text,
            name           text NOT NULL,
            municipality   text NOT NULL,
            industry       text NOT NULL,
            state          text NOT NULL CHECK (state IN ('interested', 'applying', 'certified', 'lapsed')),
            follow_up_on   date,
            certified_on   date,
            certified_by   text,
            {_CONFIRMED},
            UNIQUE (agency_id, firm_code),
            CHECK (state <> 'certified' OR (certified_on IS NOT NULL AND certified_by IS NOT NULL))
        )
        """
    )
    op.execute("CREATE INDEX training_firm_follow_up ON training_firm (agency_id, follow_up_on)")
    op.execute(
        """
        CREATE TABLE training_firm_step (
            firm_id uuid NOT NULL REFERENCES training_firm,
            version integer NOT NULL,
            was     text,
            state   text NOT NULL,
            by      text NOT NULL,
            at      timestamptz NOT NULL,
            PRIMARY KEY (firm_id, version)
        )
        """
    )
    op.execute(
        """
        CREATE TABLE directory_version (
            kind     text NOT NULL CHECK (kind IN
                     ('agency', 'programme', 'coordinator', 'professional', 'host_workplace', 'training_firm')),
            entry_id text NOT NULL,
            version  integer NOT NULL,
            entry    jsonb NOT NULL,
            by       text NOT NULL,
            at       timestamptz NOT NULL,
            PRIMARY KEY (kind, entry_id, version)
        )
        """
    )
    op.execute("CREATE INDEX directory_version_at ON directory_version (kind, at)")
    for kind, key in (("agency", "agency_id"), ("programme", "id::text")):
        op.execute(
            "INSERT INTO directory_version (kind, entry_id, version, entry, by, at)"  # noqa: S608 - our own names
            f" SELECT '{kind}', {key}, version, to_jsonb({kind}), 'tsunagu', now() FROM {kind}"
        )
    for table in ("training_firm_step", "directory_version"):
        op.execute(f"REVOKE UPDATE, DELETE ON {table} FROM tsunagu_referral")
    op.execute("REVOKE INSERT, UPDATE, DELETE ON agency_closure FROM tsunagu_referral")
    # An entry that referrals have pointed to stays; it ends by its period.
    for table in ("coordinator", "professional", "host_workplace", "training_firm"):
        op.execute(f"REVOKE DELETE ON {table} FROM tsunagu_referral")


def downgrade() -> None:
    op.execute("DROP VIEW agency_closure")
    for table in (
        "directory_version", "training_firm_step", "training_firm", "host_workplace", "professional", "coordinator",
    ):  # fmt: skip
        op.execute(f"DROP TABLE {table}")
    op.execute("DROP INDEX programme_confirmed")
    op.execute("UPDATE programme SET stage = 'drop_in' WHERE stage = 'outreach'")
    op.execute("UPDATE programme SET stage = 'job' WHERE stage = 'retention'")
    op.execute(
        f"""
        ALTER TABLE programme
            DROP CONSTRAINT programme_stage_check,
            ADD CONSTRAINT programme_stage_check CHECK (stage IN ({_STAGES_OF_0004})),
            DROP COLUMN for_whom, DROP COLUMN conditions, DROP COLUMN legal_basis, DROP COLUMN starts_on,
            DROP COLUMN ends_on, DROP COLUMN confirmed_by, DROP COLUMN capacity_total, DROP COLUMN capacity_free,
            DROP COLUMN capacity_confirmed_on, DROP COLUMN acknowledge_days, DROP COLUMN contact_days,
            DROP COLUMN start_days
        """
    )
    op.execute(
        """
        ALTER TABLE agency
            DROP COLUMN desks, DROP COLUMN opening_hours, DROP COLUMN closed_weekdays, DROP COLUMN closed_days,
            DROP COLUMN contact_channel, DROP COLUMN contact_email
        """
    )
