"""The sub-committee (分科会): its members, meetings, motions and votes, and the decisions that delegated seats rest on.

Facts only: nothing here is changed or deleted by the login role, not even by a fault of ours. What may be added is
looked at by the triggers of the next migration. `decision_in_force` is for whoever grants seats on a decision.
"""

from alembic import op

revision = "training_0005"
down_revision = "training_0004"
branch_labels = None
depends_on = None

_COMMITTEE = """
CREATE TABLE sub_committee (
    id            uuid PRIMARY KEY,
    prefecture    text NOT NULL UNIQUE CHECK (prefecture ~ '^[0-9]{2}$'),
    name          text NOT NULL,
    set_up_by     text NOT NULL,
    in_force_from date NOT NULL,
    recorded_by   text NOT NULL,
    recorded_at   timestamptz NOT NULL,
    version       integer NOT NULL DEFAULT 1,
    -- The newest moment of its record: whoever waited for the lock acts no earlier than what was done meanwhile.
    last_at       timestamptz NOT NULL
);
CREATE TABLE committee_rule (
    sub_committee_id   uuid NOT NULL REFERENCES sub_committee,
    version            integer NOT NULL CHECK (version > 0),
    in_force_from      date NOT NULL,
    quorum_parts       integer NOT NULL CHECK (quorum_parts > 0),
    quorum_of          integer NOT NULL CHECK (quorum_of BETWEEN quorum_parts AND 100),
    quorum_more_than   boolean NOT NULL CHECK (NOT quorum_more_than OR quorum_parts < quorum_of),
    majority_parts     integer NOT NULL CHECK (majority_parts > 0),
    majority_of        integer NOT NULL CHECK (majority_of BETWEEN majority_parts AND 100),
    majority_more_than boolean NOT NULL CHECK (NOT majority_more_than OR majority_parts < majority_of),
    chair_breaks_ties  boolean NOT NULL CHECK (NOT chair_breaks_ties OR majority_parts * 2 = majority_of),
    ratify_within      integer NOT NULL CHECK (ratify_within BETWEEN 1 AND 250),
    decided_by         text NOT NULL,
    recorded_by        text NOT NULL,
    recorded_at        timestamptz NOT NULL,
    PRIMARY KEY (sub_committee_id, version)
);
CREATE TABLE committee_member (
    id               uuid PRIMARY KEY,
    sub_committee_id uuid NOT NULL REFERENCES sub_committee,
    agency           text NOT NULL,
    office           text NOT NULL,
    voting           boolean NOT NULL,
    presides         boolean NOT NULL CHECK (voting OR NOT presides),
    from_on          date NOT NULL,
    recorded_by      text NOT NULL,
    recorded_at      timestamptz NOT NULL
);
CREATE TABLE committee_member_end (
    member_id   uuid PRIMARY KEY REFERENCES committee_member,
    until_on    date NOT NULL,
    recorded_by text NOT NULL,
    recorded_at timestamptz NOT NULL
)
"""

_MEETING = """
CREATE TABLE committee_meeting (
    id               uuid PRIMARY KEY,
    sub_committee_id uuid NOT NULL REFERENCES sub_committee,
    kind             text NOT NULL CHECK (kind IN ('meeting', 'written')),
    held_on          date,
    answers_by       timestamptz,
    recorded_by      text NOT NULL,
    recorded_at      timestamptz NOT NULL,
    UNIQUE (id, sub_committee_id),
    CHECK ((kind = 'meeting') = (held_on IS NOT NULL)),
    CHECK ((kind = 'written') = (answers_by IS NOT NULL))
);
CREATE TABLE meeting_step (
    meeting_id uuid NOT NULL REFERENCES committee_meeting,
    step       text NOT NULL CHECK (step IN ('convened', 'held', 'closed', 'cancelled')),
    at         timestamptz NOT NULL,
    by         text NOT NULL,
    PRIMARY KEY (meeting_id, step)
);
CREATE TABLE meeting_paper (
    id          uuid PRIMARY KEY,
    meeting_id  uuid NOT NULL REFERENCES committee_meeting,
    title       text NOT NULL,
    kind        text NOT NULL,
    reference   text NOT NULL,
    brought_by  text NOT NULL,
    recorded_by text NOT NULL,
    recorded_at timestamptz NOT NULL
);
CREATE TABLE meeting_roll (
    meeting_id uuid NOT NULL REFERENCES committee_meeting,
    member_id  uuid NOT NULL REFERENCES committee_member,
    voting     boolean NOT NULL,
    presides   boolean NOT NULL,
    present    boolean NOT NULL,
    PRIMARY KEY (meeting_id, member_id)
)
"""

_MOTION = """
CREATE TABLE motion (
    id               uuid PRIMARY KEY,
    sub_committee_id uuid NOT NULL REFERENCES sub_committee,
    about            text NOT NULL CHECK (about IN ('delegated_quota', 'training_content')),
    proposed_by      text NOT NULL,
    recorded_by      text NOT NULL,
    recorded_at      timestamptz NOT NULL,
    UNIQUE (id, sub_committee_id)
);
CREATE TABLE motion_version (
    motion_id      uuid NOT NULL REFERENCES motion,
    version        integer NOT NULL CHECK (version > 0),
    title          text NOT NULL,
    effective_from date NOT NULL,
    ends_on        date CHECK (ends_on >= effective_from),
    supersedes     uuid[] NOT NULL DEFAULT '{}',
    content        jsonb NOT NULL,
    recorded_by    text NOT NULL,
    recorded_at    timestamptz NOT NULL,
    PRIMARY KEY (motion_id, version)
);
CREATE TABLE motion_withdrawal (
    motion_id uuid PRIMARY KEY REFERENCES motion,
    at        timestamptz NOT NULL,
    by        text NOT NULL
);
CREATE TABLE meeting_agenda (
    meeting_id uuid NOT NULL REFERENCES committee_meeting,
    number     integer NOT NULL CHECK (number > 0),
    title      text NOT NULL,
    motion_id  uuid REFERENCES motion,
    PRIMARY KEY (meeting_id, number),
    UNIQUE (meeting_id, motion_id)
);
CREATE TABLE ballot (
    id               uuid PRIMARY KEY,
    sub_committee_id uuid NOT NULL,
    meeting_id       uuid NOT NULL,
    motion_id        uuid NOT NULL,
    motion_version   integer NOT NULL,
    rule_version     integer NOT NULL,
    purpose          text NOT NULL CHECK (purpose IN ('decide', 'ratify')),
    opened_at        timestamptz NOT NULL,
    opened_by        text NOT NULL,
    UNIQUE (id, meeting_id),
    UNIQUE (meeting_id, motion_id, purpose),
    FOREIGN KEY (meeting_id, sub_committee_id) REFERENCES committee_meeting (id, sub_committee_id),
    FOREIGN KEY (motion_id, sub_committee_id) REFERENCES motion (id, sub_committee_id),
    FOREIGN KEY (motion_id, motion_version) REFERENCES motion_version,
    FOREIGN KEY (meeting_id, motion_id) REFERENCES meeting_agenda (meeting_id, motion_id),
    FOREIGN KEY (sub_committee_id, rule_version) REFERENCES committee_rule
);
CREATE TABLE vote (
    ballot_id   uuid NOT NULL,
    member_id   uuid NOT NULL,
    meeting_id  uuid NOT NULL,
    choice      text NOT NULL CHECK (choice IN ('for', 'against', 'abstain')),
    dissent     text,
    at          timestamptz NOT NULL,
    recorded_by text NOT NULL,
    CONSTRAINT nobody_votes_twice PRIMARY KEY (ballot_id, member_id),
    FOREIGN KEY (ballot_id, meeting_id) REFERENCES ballot (id, meeting_id),
    CONSTRAINT only_members_vote FOREIGN KEY (meeting_id, member_id) REFERENCES meeting_roll
);
CREATE TABLE ballot_end (
    ballot_id   uuid PRIMARY KEY REFERENCES ballot,
    outcome     text NOT NULL CHECK (outcome IN ('passed', 'rejected', 'no_quorum', 'withdrawn')),
    entitled    integer NOT NULL,
    present     integer NOT NULL,
    fors        integer NOT NULL,
    againsts    integer NOT NULL,
    abstentions integer NOT NULL,
    at          timestamptz NOT NULL,
    by          text NOT NULL
)
"""

_DECISION = """
CREATE TABLE decision (
    id                uuid PRIMARY KEY,
    sub_committee_id  uuid NOT NULL,
    fiscal_year       integer NOT NULL,
    serial            integer NOT NULL CHECK (serial > 0),
    version           integer NOT NULL CHECK (version > 0),
    motion_id         uuid NOT NULL UNIQUE,
    motion_version    integer NOT NULL,
    ballot_id         uuid UNIQUE REFERENCES ballot,
    decided_by_member uuid REFERENCES committee_member,
    decided_at        timestamptz NOT NULL,
    effective_at      timestamptz NOT NULL,
    ends_at           timestamptz,
    ratify_before     timestamptz,
    recorded_by       text NOT NULL,
    UNIQUE (sub_committee_id, fiscal_year, serial),
    FOREIGN KEY (motion_id, sub_committee_id) REFERENCES motion (id, sub_committee_id),
    FOREIGN KEY (motion_id, motion_version) REFERENCES motion_version,
    CONSTRAINT decision_by_vote_or_urgent CHECK (
        (ballot_id IS NOT NULL AND decided_by_member IS NULL AND ratify_before IS NULL)
        OR (ballot_id IS NULL AND decided_by_member IS NOT NULL AND ratify_before > decided_at)
    ),
    CHECK (effective_at >= decided_at),
    CHECK (ends_at > effective_at)
);
CREATE TABLE decision_allotment (
    id              uuid PRIMARY KEY DEFAULT uuidv7(),
    decision_id     uuid NOT NULL REFERENCES decision,
    number          integer NOT NULL,
    municipalities  text[] NOT NULL CHECK (cardinality(municipalities) > 0),
    course_number   text,
    system          text,
    field           text,
    quarter         integer CHECK (quarter BETWEEN 1 AND 4),
    fiscal_year     integer,
    seats           integer NOT NULL CHECK (seats > 0),
    cut_off_on      date NOT NULL,
    returns_percent integer NOT NULL CHECK (returns_percent BETWEEN 1 AND 100),
    lendable        boolean NOT NULL,
    UNIQUE (decision_id, number),
    CHECK (CASE WHEN course_number IS NULL THEN fiscal_year IS NOT NULL
           ELSE num_nonnulls(system, field, quarter, fiscal_year) = 0 END)
);
CREATE TABLE decision_supersedes (
    decision_id   uuid NOT NULL REFERENCES decision,
    superseded_id uuid NOT NULL REFERENCES decision,
    PRIMARY KEY (decision_id, superseded_id)
);
CREATE TABLE ratification (
    decision_id uuid PRIMARY KEY REFERENCES decision,
    ballot_id   uuid NOT NULL UNIQUE REFERENCES ballot,
    outcome     text NOT NULL CHECK (outcome IN ('ratified', 'refused')),
    at          timestamptz NOT NULL
);
CREATE TABLE decision_told (
    decision_id uuid NOT NULL REFERENCES decision,
    number      integer NOT NULL CHECK (number > 0),
    news        text NOT NULL CHECK (news IN ('decided', 'ratified', 'lapsed', 'superseded')),
    by_decision uuid REFERENCES decision,
    at          timestamptz NOT NULL,
    PRIMARY KEY (decision_id, number),
    CONSTRAINT told_once UNIQUE NULLS NOT DISTINCT (decision_id, news, by_decision)
)
"""

_INDEXES = (
    "CREATE INDEX committee_member_of ON committee_member (sub_committee_id, id)",
    "CREATE INDEX committee_meeting_of ON committee_meeting (sub_committee_id, id)",
    "CREATE INDEX meeting_paper_of ON meeting_paper (meeting_id, id)",
    "CREATE INDEX motion_of ON motion (sub_committee_id, id)",
    "CREATE INDEX ballot_of_motion ON ballot (motion_id, id)",
    "CREATE INDEX decision_to_ratify ON decision (ratify_before) WHERE ratify_before IS NOT NULL",
    "CREATE INDEX decision_allotment_for ON decision_allotment USING gin (municipalities)",
    "CREATE INDEX decision_superseded_by ON decision_supersedes (superseded_id)",
)

# --- when a decision is in force, as services/training/domain/decisions.py has it -------------------------------------

# `closes_at`: the latest moment until which it can be in force, as far as is certain; ratified is what was in time.
_LIFE = (
    """
CREATE VIEW decision_life AS
SELECT d.id, d.sub_committee_id, d.effective_at, d.ends_at,
       CASE WHEN r.outcome = 'refused' THEN r.at
            WHEN r.outcome = 'ratified' AND r.at < d.ratify_before THEN NULL
            ELSE d.ratify_before END AS lapses_at
FROM decision d LEFT JOIN ratification r ON r.decision_id = d.id
""",
    """
CREATE FUNCTION decision_state(decision_id uuid, at timestamptz) RETURNS text LANGUAGE sql STABLE
SET search_path = training, pg_temp AS $$
SELECT coalesce(
    (
        SELECT ended.state
        FROM (
            SELECT d.lapses_at AS ended_at, 1 AS rank, 'lapsed' AS state
            UNION ALL SELECT d.ends_at, 3, 'ended'
            UNION ALL SELECT newer.effective_at, 2, 'superseded'
            FROM decision_supersedes s JOIN decision_life newer ON newer.id = s.decision_id
            WHERE s.superseded_id = d.id AND (newer.lapses_at IS NULL OR newer.lapses_at > $2)
        ) AS ended
        WHERE ended.ended_at <= $2 ORDER BY ended.ended_at, ended.rank LIMIT 1
    ),
    CASE WHEN d.effective_at <= $2 THEN 'in_force' ELSE 'not_yet_in_force' END
)
FROM decision_life d WHERE d.id = $1
$$
""",
    """
CREATE FUNCTION decision_in_force(decision_allotment_id uuid, at timestamptz) RETURNS boolean LANGUAGE sql STABLE
SET search_path = training, pg_temp AS $$
SELECT coalesce(
    (SELECT decision_state(a.decision_id, $2) = 'in_force' FROM decision_allotment a WHERE a.id = $1), false
)
$$
""",
    """
CREATE FUNCTION decision_closes_at(decision_id uuid, at timestamptz) RETURNS timestamptz LANGUAGE sql STABLE
SET search_path = training, pg_temp AS $$
SELECT LEAST(
    coalesce(d.ends_at, 'infinity'),
    CASE WHEN d.lapses_at <= $2 THEN d.lapses_at ELSE 'infinity' END,
    (SELECT min(newer.effective_at) FROM decision_supersedes s JOIN decision_life newer ON newer.id = s.decision_id
     WHERE s.superseded_id = d.id AND newer.lapses_at IS NULL)
)
FROM decision_life d WHERE d.id = $1
$$
""",
    """
CREATE FUNCTION allotments_overlap(a decision_allotment, b decision_allotment) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
SELECT a.municipalities && b.municipalities AND CASE
    WHEN a.course_number IS NOT NULL OR b.course_number IS NOT NULL
        THEN a.course_number IS NOT DISTINCT FROM b.course_number
    ELSE a.fiscal_year = b.fiscal_year
        AND coalesce(a.system = b.system, true)
        AND coalesce(a.field = b.field, true)
        AND coalesce(a.quarter = b.quarter, true)
END
$$
""",
    """
CREATE FUNCTION share_reached(count integer, total integer, parts integer, whole integer, more_than boolean)
RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
SELECT total > 0 AND CASE WHEN more_than THEN count * whole > total * parts ELSE count * whole >= total * parts END
$$
""",
)

_FACTS = (
    "committee_rule, committee_member, committee_member_end, committee_meeting, meeting_step, meeting_paper,"
    " meeting_roll, motion, motion_version, motion_withdrawal, meeting_agenda, ballot, vote, ballot_end, decision,"
    " decision_allotment, decision_supersedes, ratification, decision_told"
)


def upgrade() -> None:
    for tables in (_COMMITTEE, _MEETING, _MOTION, _DECISION):
        for table in tables.split(";"):
            op.execute(table)
    for statement in (*_INDEXES, *_LIFE):
        op.execute(statement)
    op.execute(f"REVOKE UPDATE, DELETE ON {_FACTS} FROM tsunagu_training")
    op.execute("REVOKE INSERT ON decision_allotment, decision_supersedes FROM tsunagu_training")
    op.execute("REVOKE UPDATE, DELETE ON sub_committee FROM tsunagu_training")
    op.execute("GRANT UPDATE (version, last_at) ON sub_committee TO tsunagu_training")
    op.execute("REVOKE INSERT, UPDATE, DELETE ON decision_life FROM tsunagu_training")


def downgrade() -> None:
    op.execute("DROP FUNCTION decision_in_force(uuid, timestamptz), decision_state(uuid, timestamptz)")
    op.execute("DROP FUNCTION decision_closes_at(uuid, timestamptz)")
    op.execute("DROP FUNCTION allotments_overlap(decision_allotment, decision_allotment)")
    op.execute("DROP VIEW decision_life")
    op.execute(f"DROP TABLE sub_committee, {_FACTS}")
    op.execute("DROP FUNCTION share_reached(integer, integer, integer, integer, boolean)")
