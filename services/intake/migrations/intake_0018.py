"""Who answers for each referral: a second book, kept from what is told, for the daily proof."""

from alembic import op

revision = "intake_0018"
down_revision = "intake_0017"
branch_labels = None
depends_on = None

_DOOR = "(SELECT acting_door()) IS NOT NULL"
_ME = "(SELECT acting_agency())"
_OF_CASE = "EXISTS (SELECT FROM case_ k WHERE k.id = case_id)"
_TABLE = """
    CREATE TABLE referral_custody (
        referral_id uuid NOT NULL,
        number      integer NOT NULL CHECK (number >= 1),
        case_id     uuid NOT NULL,
        state       text NOT NULL,
        holder      text NOT NULL,
        sender      text NOT NULL,
        receiver    text NOT NULL,
        coordinator text,
        verb        text NOT NULL,
        ended       text,
        at          timestamptz NOT NULL,
        PRIMARY KEY (referral_id, number),
        CONSTRAINT referral_custody_has_a_party CHECK (holder IN (sender, receiver, coalesce(coordinator, sender)))
    )
"""
# What 0.1.0 told stands in the timeline: how each referral was sent, and what was told of it last.
_SENT = """
    INSERT INTO referral_custody (referral_id, number, case_id, state, holder, sender, receiver, verb, at)
    SELECT DISTINCT ON (codes->>'referral_id') (codes->>'referral_id')::uuid, 1, case_id, 'sent', codes->>'sender',
        codes->>'sender', codes->>'receiver', 'transfer', clock_timestamp()
    FROM timeline WHERE kind = 'referral_sent' ORDER BY codes->>'referral_id', at
"""
_LAST = """
    INSERT INTO referral_custody (referral_id, number, case_id, state, holder, sender, receiver, verb, ended, at)
    SELECT DISTINCT ON (r.referral_id) r.referral_id, 2, r.case_id, t.state,
        CASE t.state WHEN 'accepted' THEN r.receiver ELSE r.sender END, r.sender, r.receiver, r.verb,
        CASE WHEN t.state IN ('declined', 'withdrawn') THEN coalesce(t.codes->>'reason', t.state) END,
        clock_timestamp()
    FROM referral_custody r JOIN (
        SELECT case_id, codes, at, substr(kind, 10) AS state FROM timeline
        WHERE kind IN ('referral_received', 'referral_accepted', 'referral_declined', 'referral_withdrawn')
    ) t ON t.case_id = r.case_id AND t.codes->>'referral_id' = r.referral_id::text
    ORDER BY r.referral_id, t.state <> 'received' DESC, t.at DESC
"""


def upgrade() -> None:
    op.execute(_TABLE)
    op.execute("CREATE INDEX referral_custody_holder ON referral_custody (holder, referral_id)")
    op.execute("CREATE INDEX referral_custody_case ON referral_custody (case_id)")
    op.execute(_SENT)
    op.execute(_LAST)
    op.execute("REVOKE UPDATE, DELETE ON referral_custody FROM tsunagu_intake")
    # Its parties know of it by the referral itself, wherever their town is.
    policy = f"{_DOOR} OR {_OF_CASE} OR sender = {_ME} OR receiver = {_ME} OR coordinator = {_ME}"
    written = f"{_DOOR} OR {_OF_CASE}"
    op.execute(f"CREATE POLICY concerned ON referral_custody USING ({policy}) WITH CHECK ({written})")
    op.execute("ALTER TABLE referral_custody ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")


def downgrade() -> None:
    op.execute("DROP TABLE referral_custody")
