"""Routing: rules as data, proposals with their facts, needs that nobody answers, neighbours, directory changes."""

import json
from datetime import UTC, date, datetime

from alembic import op
from sqlalchemy import text

revision = "referral_0006"
down_revision = "referral_0005"
branch_labels = None
depends_on = None

_RULES = {
    "weights": {
        "answers_need": 10, "serves_municipality": 3, "neighbour_municipality": 1, "same_municipality": 3,
        "within_reach": 1, "has_room": 6, "ask_first": 3, "waiting_list": 2, "capacity_unknown": 1, "full": 0,
        "own_pool_free": 8, "general_pool_free": 6, "seat_waiting_line": 2, "seats_unknown": 1, "urgent_and_room": 4,
        "declined_before": -8, "stale_entry": 0, "next_rung": 0, "rung_skipped": 0,
    },
    "early": {"drop_in": 15, "work_readiness": 15, "work_training": 8},
    "neighbours": True,
    "stale_after_days": 180,
    "exclusions": [
        {"code": "answers_no_need", "looks_at": "needs", "on": True, "values": []},
        {"code": "ended", "looks_at": "period", "on": True, "values": []},
        {"code": "full", "looks_at": "capacity", "on": False, "values": []},
        {"code": "for_others", "looks_at": "for_whom", "on": False, "values": ["withdrawal"]},
        {"code": "consent", "looks_at": "consent", "on": False, "values": []},
    ],
}  # fmt: skip
"""What held before rules were data; a copy, since the code's own may grow."""

_TABLES = (
    """
    CREATE TABLE routing_rule (
        version        integer PRIMARY KEY CHECK (version >= 1),
        effective_from date NOT NULL,
        rules          jsonb NOT NULL,
        decided_by     text NOT NULL,
        decided_on     date NOT NULL,
        published_by   text NOT NULL,
        published_at   timestamptz NOT NULL
    )
    """,
    # By its content's address: what was offered to a thousand cases is kept once.
    "CREATE TABLE option_seen (digest bytea PRIMARY KEY, option jsonb NOT NULL)",
    """
    CREATE TABLE proposal (
        id             uuid PRIMARY KEY,
        case_id        uuid NOT NULL REFERENCES case_fact,
        municipality   text NOT NULL,
        at             timestamptz NOT NULL,
        on_day         date NOT NULL,
        rule_version   integer NOT NULL REFERENCES routing_rule,
        facts          jsonb NOT NULL,
        option_digests bytea[] NOT NULL,
        answer         jsonb NOT NULL,
        candidates     integer NOT NULL,
        digest         bytea NOT NULL,
        UNIQUE (case_id, on_day, digest)
    )
    """,
    "CREATE INDEX proposal_case ON proposal (case_id, id DESC)",
    """
    CREATE TABLE need_unmet (
        id           uuid PRIMARY KEY,
        case_id      uuid NOT NULL REFERENCES case_fact,
        municipality text NOT NULL,
        need         text,
        since        timestamptz NOT NULL,
        coordinator  text NOT NULL,
        stage        text,
        state        text NOT NULL CHECK (state IN ('open', 'met', 'ended')),
        ended_at     timestamptz,
        reason       text,
        CHECK ((state = 'open') = (ended_at IS NULL)),
        CHECK ((state = 'open') = (reason IS NULL))
    )
    """,
    "CREATE UNIQUE INDEX need_unmet_open ON need_unmet (case_id, need) NULLS NOT DISTINCT WHERE state = 'open'",
    "CREATE INDEX need_unmet_municipality ON need_unmet (municipality, id DESC)",
    "CREATE INDEX need_unmet_coordinator ON need_unmet (coordinator, id DESC)",
    """
    CREATE TABLE neighbour (
        municipality text NOT NULL,
        neighbour    text NOT NULL CHECK (neighbour <> municipality),
        set_by       text NOT NULL,
        set_at       timestamptz NOT NULL,
        PRIMARY KEY (municipality, neighbour)
    )
    """,
    """
    ALTER TABLE case_fact
        ADD COLUMN holder text,
        ADD COLUMN closed_at timestamptz,
        ADD COLUMN needs_looked_at timestamptz
    """,
    """
    CREATE INDEX case_fact_needs_looked_at ON case_fact (needs_looked_at NULLS FIRST)
        WHERE municipality IS NOT NULL AND closed_at IS NULL
    """,
    "UPDATE case_fact SET holder = opened_by",
    "REVOKE UPDATE, DELETE ON routing_rule, option_seen, proposal FROM tsunagu_referral",
    "REVOKE DELETE ON need_unmet FROM tsunagu_referral",
)
_WATCHED = {
    "agency": ("agency", "agency_id"),
    "programme": ("programme", "id"),
    "course_option": ("course", "course_run_id"),
    "course_pool": ("course", "course_run_id"),
    "neighbour": ("neighbour", "municipality"),
}
"""Tables that routing keeps in memory: what is told of a changed row."""

_NOTE = """
    CREATE FUNCTION note_directory_change() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
    BEGIN
        EXECUTE format(
            'INSERT INTO directory_change (kind, id) SELECT DISTINCT %L, %I::text FROM changed ON CONFLICT DO NOTHING',
            TG_ARGV[0], TG_ARGV[1]
        );
        RETURN NULL;
    END $$
    """


def upgrade() -> None:
    for statement in _TABLES:
        op.execute(statement)
    # By transaction, not by a number of its own: transactions end in another order than numbers are drawn, and a reader
    # who remembers the last number would miss who was slower. A snapshot says exactly who was still at work.
    op.execute(
        """
        CREATE TABLE directory_change (
            xid  xid8 NOT NULL DEFAULT pg_current_xact_id(),
            kind text NOT NULL,
            id   text NOT NULL,
            at   timestamptz NOT NULL DEFAULT clock_timestamp(),
            PRIMARY KEY (xid, kind, id)
        )
        """
    )
    op.execute("CREATE INDEX directory_change_at ON directory_change (at)")
    op.execute("REVOKE UPDATE ON directory_change FROM tsunagu_referral")
    op.execute(_NOTE)
    for table, (kind, column) in _WATCHED.items():
        for event, named in (("INSERT", "NEW"), ("UPDATE", "NEW"), ("DELETE", "OLD")):
            op.execute(
                f"CREATE TRIGGER {table}_told_{event.lower()} AFTER {event} ON {table}"
                f" REFERENCING {named} TABLE AS changed FOR EACH STATEMENT"
                f" EXECUTE FUNCTION note_directory_change('{kind}', '{column}')"
            )
    long_ago = date(2000, 1, 1)
    op.get_bind().execute(
        text(
            "INSERT INTO routing_rule VALUES"
            " (1, :long_ago, CAST(:rules AS jsonb), 'tsunagu', :long_ago, 'tsunagu', :published_at)"
        ),
        {"long_ago": long_ago, "rules": json.dumps(_RULES), "published_at": datetime(2000, 1, 1, tzinfo=UTC)},
    )


def downgrade() -> None:
    for table in _WATCHED:
        for event in ("insert", "update", "delete"):
            op.execute(f"DROP TRIGGER {table}_told_{event} ON {table}")
    op.execute("DROP FUNCTION note_directory_change")
    op.execute("ALTER TABLE case_fact DROP COLUMN needs_looked_at, DROP COLUMN closed_at, DROP COLUMN holder")
    for table in ("directory_change", "neighbour", "need_unmet", "proposal", "option_seen", "routing_rule"):
        op.execute(f"DROP TABLE {table}")
