"""An agency without an account: one-time links, the mail that carries them, and a count of wrong ones.

Of a secret only its digest lies here. A link has one secret for each mail that may have gone out.
"""

from alembic import op

revision = "referral_0008"
down_revision = "referral_0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE answer_link (
            id          uuid PRIMARY KEY,
            referral_id uuid NOT NULL REFERENCES referral,
            agency_id   text NOT NULL,
            channel     text NOT NULL CHECK (channel IN ('email', 'letter')),
            made_at     timestamptz NOT NULL,
            expires_at  timestamptz NOT NULL CHECK (expires_at > made_at),
            printed_at  timestamptz,
            answered_at timestamptz,
            revoked_at  timestamptz,
            CHECK (num_nonnulls(answered_at, revoked_at) <= 1)
        )
        """
    )
    op.execute(
        "CREATE UNIQUE INDEX answer_link_live ON answer_link (referral_id)"
        " WHERE answered_at IS NULL AND revoked_at IS NULL"
    )
    op.execute("CREATE INDEX answer_link_of ON answer_link (referral_id, id)")
    op.execute(
        """
        CREATE TABLE answer_secret (
            digest  bytea PRIMARY KEY CHECK (length(digest) = 32),
            link_id uuid NOT NULL REFERENCES answer_link,
            made_at timestamptz NOT NULL
        )
        """
    )
    op.execute(
        """
        CREATE TABLE link_step (
            referral_id uuid NOT NULL,
            version     integer NOT NULL,
            link_id     uuid NOT NULL REFERENCES answer_link,
            PRIMARY KEY (referral_id, version),
            FOREIGN KEY (referral_id, version) REFERENCES referral_step
        )
        """
    )
    op.execute(
        """
        CREATE TABLE mail_out (
            link_id     uuid PRIMARY KEY REFERENCES answer_link,
            referral_id uuid NOT NULL REFERENCES referral,
            to_agency   text NOT NULL,
            state       text NOT NULL CHECK (state IN ('queued', 'sent', 'failed', 'dropped')),
            round       integer NOT NULL DEFAULT 1,
            queued_at   timestamptz NOT NULL,
            tries       integer NOT NULL DEFAULT 0,
            try_at      timestamptz NOT NULL,
            last_error  text,
            sent_at     timestamptz
        )
        """
    )
    op.execute("CREATE INDEX mail_out_due ON mail_out (try_at, link_id) WHERE state = 'queued'")
    # 65,536 buckets of addresses and one for all codes: no address is kept, and nobody can make it grow.
    op.execute(
        """
        CREATE TABLE wrong_link (
            bucket    integer PRIMARY KEY CHECK (bucket BETWEEN -1 AND 65535),
            since     timestamptz NOT NULL,
            failures  integer NOT NULL
        ) WITH (fillfactor = 50)
        """
    )
    op.execute("REVOKE DELETE ON answer_link, mail_out, wrong_link FROM tsunagu_referral")
    op.execute("REVOKE UPDATE, DELETE ON answer_secret, link_step FROM tsunagu_referral")


def downgrade() -> None:
    for table in ("wrong_link", "mail_out", "link_step", "answer_secret", "answer_link"):
        op.execute(f"DROP TABLE {table}")
