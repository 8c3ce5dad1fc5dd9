"""What the database keeps of the deliberation: it refuses SQL past the code, and reckons as the domain does."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from services.training.domain.decisions import Allotment, Decision, Selector, decide, state_at
from tests.service.deliberation_room import CHAIR, CITY, JEED, KIRISHIMA, SCHOOL, VOTERS, WORK, Room, done, line
from tests.world import KAGOSHIMA, World

FACTS = (
    "committee_rule",
    "committee_member",
    "committee_member_end",
    "committee_meeting",
    "meeting_step",
    "meeting_paper",
    "meeting_roll",
    "meeting_agenda",
    "motion",
    "motion_version",
    "motion_withdrawal",
    "ballot",
    "vote",
    "ballot_end",
    "decision",
    "decision_allotment",
    "decision_supersedes",
    "ratification",
    "decision_told",
)


@pytest.fixture
async def room(world: World) -> Room:
    return await Room(world.service("training")).set_up()


async def refused(room: Room, sql: str, *values: Any) -> str:
    """As the service's own role, past all code: what the database says to it."""
    with pytest.raises(asyncpg.PostgresError) as error:
        await room.training.rows(sql, *values)
    assert isinstance(error.value, asyncpg.IntegrityConstraintViolationError | asyncpg.InsufficientPrivilegeError)
    return str(error.value)


async def test_no_fact_is_changed_or_deleted(room: Room) -> None:
    await room.decide()
    done_ = []
    for table in FACTS:
        (column, *_) = await room.training.rows(
            "SELECT column_name FROM information_schema.columns WHERE table_name = $1 ORDER BY ordinal_position", table
        )
        name = column["column_name"]
        for sql in (f"UPDATE {table} SET {name} = {name}", f"DELETE FROM {table}", f"TRUNCATE {table}"):
            try:
                await room.training.rows(sql)
            except asyncpg.InsufficientPrivilegeError:
                continue
            done_.append(sql)
    assert done_ == []
    for sql in (
        "UPDATE sub_committee SET name = 'x'",
        "UPDATE sub_committee SET prefecture = '14'",
        "DELETE FROM sub_committee",
        "INSERT INTO decision_supersedes SELECT id, id FROM decision",
        "INSERT INTO decision_allotment SELECT * FROM decision_allotment",
        "ALTER TABLE decision DISABLE TRIGGER ALL",
        "DROP TRIGGER decision_content ON decision",
        "DROP FUNCTION decision_in_force(uuid, timestamptz)",
        "CREATE OR REPLACE VIEW decision_life AS SELECT 1",
        "SET session_replication_role = 'replica'",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await room.training.rows(sql)


_DECIDE = (
    "INSERT INTO decision (id, sub_committee_id, fiscal_year, serial, version, motion_id, motion_version, ballot_id,"
    " decided_by_member, decided_at, effective_at, ratify_before, recorded_by)"
    " VALUES ($1, $2, 2026, 99, 1, $3, 1, $4, $5, now(), now(), $6, 'nobody')"
)


async def test_there_is_no_decision_without_a_vote_that_passed(room: Room) -> None:
    motion = await room.table()
    concluded = await room.voted(motion, dict.fromkeys(VOTERS, "against"))
    assert concluded["outcome"] == "rejected"
    (ballot,) = await room.training.rows("SELECT id FROM ballot")
    ids = (uuid4(), UUID(room.id), UUID(motion))
    soon = await room.now() + timedelta(days=3)
    assert "a vote that passed" in await refused(room, _DECIDE, *ids, ballot["id"], None, None)
    assert "only the chair" in await refused(room, _DECIDE, *ids, None, None, None)
    assert "only the chair" in await refused(room, _DECIDE, *ids, None, UUID(room.seats[CHAIR]), soon)
    fresh = (uuid4(), UUID(room.id), UUID(await room.table()))
    assert "only the chair" in await refused(room, _DECIDE, *fresh, None, UUID(room.seats[CITY]), soon)
    assert "a vote that passed" in await refused(room, _DECIDE, *fresh, ballot["id"], None, None)
    assert await room.training.rows("SELECT FROM decision_allotment") == []


_VOTE = (
    "INSERT INTO vote (ballot_id, member_id, meeting_id, choice, at, recorded_by)"
    " SELECT id, $2, meeting_id, 'for', now(), 'nobody' FROM ballot WHERE motion_id = $1"
)
_END = (
    "INSERT INTO ballot_end (ballot_id, outcome, entitled, present, fors, againsts, abstentions, at, by)"
    " SELECT id, $2, $3, $4, $5, $6, $7, now(), 'nobody' FROM ballot WHERE motion_id = $1"
)


async def test_who_has_no_vote_does_not_vote_and_nobody_votes_twice(room: Room) -> None:
    motion = await room.table()
    await done(room.put(motion, await room.meet(motion, present=[CHAIR, CITY, JEED, SCHOOL])))
    await done(room.vote(motion, CHAIR), 201)
    late = UUID(await room.seat("late-body"))
    about = UUID(motion)
    assert "nobody_votes_twice" in await refused(room, _VOTE, about, UUID(room.seats[CHAIR]))
    assert "only voting members" in await refused(room, _VOTE, about, UUID(room.seats[SCHOOL]))
    assert "only voting members" in await refused(room, _VOTE, about, UUID(room.seats[WORK]))
    assert "only_members_vote" in await refused(room, _VOTE, about, late)
    for agency in (CITY, JEED):
        await done(room.vote(motion, agency), 201)
    await done(room.conclude(motion))
    assert "this vote is closed" in await refused(room, _VOTE, about, UUID(room.seats[WORK]))


@pytest.mark.parametrize(
    "counts",
    [
        ("passed", 4, 4, 2, 2, 0),
        ("passed", 4, 4, 3, 1, 0),
        ("passed", 3, 4, 2, 2, 0),
        ("no_quorum", 4, 4, 2, 2, 0),
        ("withdrawn", 4, 4, 2, 2, 0),
        ("rejected", 4, 4, 1, 3, 0),
    ],
)
async def test_votes_are_not_counted_otherwise(room: Room, counts: tuple[Any, ...]) -> None:
    motion = await room.table()
    await done(room.put(motion, await room.meet(motion)))
    for agency, choice in {CHAIR: "for", CITY: "for", JEED: "against"}.items():
        await done(room.vote(motion, agency, choice), 201)
    assert "votes are missing" in await refused(room, _END, UUID(motion), "rejected", 4, 4, 2, 1, 0)
    await done(room.vote(motion, WORK, "against"), 201)
    assert "counted otherwise" in await refused(room, _END, UUID(motion), *counts)
    assert (await done(room.conclude(motion)))["outcome"] == "rejected"


_AMEND = (
    "INSERT INTO motion_version (motion_id, version, title, effective_from, content, recorded_by, recorded_at)"
    " VALUES ($1, 2, 'x', '2026-04-01', '{}', 'nobody', now())"
)


async def test_nothing_is_edited_once_it_is_under_vote_or_decided(room: Room) -> None:
    motion = await room.table()
    meeting = await room.meet(motion)
    await done(room.put(motion, meeting))
    assert "nothing is edited" in await refused(room, _AMEND, UUID(motion))
    for agency in VOTERS:
        await done(room.vote(motion, agency), 201)
    await done(room.conclude(motion))
    assert "nothing is edited" in await refused(room, _AMEND, UUID(motion))
    withdraw = "INSERT INTO motion_withdrawal VALUES ($1, now(), 'nobody')"
    assert "can not be withdrawn" in await refused(room, withdraw, UUID(motion))
    again = (
        "INSERT INTO ballot (id, sub_committee_id, meeting_id, motion_id, motion_version, rule_version, purpose,"
        " opened_at, opened_by) SELECT $2, sub_committee_id, meeting_id, motion_id, 1, 1, 'ratify', now(), 'nobody'"
        " FROM ballot WHERE motion_id = $1"
    )
    assert "can not be put to the vote" in await refused(room, again, UUID(motion), uuid4())
    urgent = await room.table(allotments=[line(1, [KIRISHIMA])])
    await done(room.decide_urgently(urgent))
    assert "nothing is edited" in await refused(room, _AMEND, UUID(urgent))


async def test_a_roll_is_the_list_of_members_and_is_written_once(room: Room) -> None:
    meeting = UUID(await room.plan([await room.table()]))
    await done(room.keeper.post(f"{room.path}/meetings/{meeting}/convene", {}))
    add = (
        "INSERT INTO meeting_roll SELECT $1, id, $3, presides, true FROM committee_member"
        " WHERE id = ANY(CAST($2 AS uuid[]))"
    )
    hold = "INSERT INTO meeting_step VALUES ($1, 'held', now(), 'nobody')"
    adviser = [UUID(room.seats[SCHOOL])]
    assert "as what they are" in await refused(room, add, meeting, adviser, True)
    # A roll without those who would be against: the quorum would be theirs who are there.
    await room.training.rows(add, meeting, [UUID(room.seats[CHAIR])], True)
    assert "not the list of members" in await refused(room, hold, meeting)
    await room.training.rows(add, meeting, [UUID(room.seats[agency]) for agency in VOTERS[1:]], True)
    await room.training.rows(add, meeting, adviser, False)
    await room.training.rows(hold, meeting)
    late = [UUID(await room.seat("late-body"))]
    assert "roll of this meeting is closed" in await refused(room, add, meeting, late, True)


async def test_a_ratification_comes_by_a_vote_and_in_time(room: Room) -> None:
    motion = await room.table()
    urgent = UUID((await done(room.decide_urgently(motion)))["decision_id"])
    await done(room.put(motion, await room.meet(motion)))
    (ballot,) = await room.training.rows("SELECT id FROM ballot")
    ratify = "INSERT INTO ratification VALUES ($1, $2, 'ratified', $3)"
    now = await room.now()
    assert "by a vote, in time" in await refused(room, ratify, urgent, ballot["id"], now)
    for agency in VOTERS:
        await done(room.vote(motion, agency), 201)
    limit = (await room.training.rows("SELECT ratify_before FROM decision"))[0]["ratify_before"]
    end = _END.replace("now()", "CAST($8 AS timestamptz)")
    await room.training.rows(end, UUID(motion), "passed", 4, 4, 4, 0, 0, limit)
    assert "by a vote, in time" in await refused(room, ratify, urgent, ballot["id"], limit)
    await room.training.rows(ratify, urgent, ballot["id"], limit - timedelta(seconds=1))


async def test_what_contradicts_is_refused_by_the_database_as_well(room: Room) -> None:
    await room.decide()
    motion = await room.table(allotments=[line(9)])
    soon = await room.now() + timedelta(days=3)
    ids = (uuid4(), UUID(room.id), UUID(motion))
    assert "contradicts decision" in await refused(room, _DECIDE, *ids, None, UUID(room.seats[CHAIR]), soon)


async def test_a_temporary_table_deceives_nobody(room: Room) -> None:
    motion = await room.table()
    await done(room.decide_urgently(motion))
    async with room.training.database.engine.begin() as connection:
        raw = await connection.get_raw_connection()
        driver = raw.driver_connection
        assert driver is not None
        async with driver.transaction():
            await driver.execute("CREATE TEMPORARY TABLE decision ON COMMIT DROP AS TABLE training.decision")
            await driver.execute("UPDATE pg_temp.decision SET effective_at = 'infinity'")
            found = await driver.fetch(
                "SELECT decision_in_force(id, now() + interval '1 second') FROM decision_allotment"
            )
    assert [tuple(row) for row in found] == [(True,)]


# --- the database reckons as the domain does --------------------------------------------------------------------------

NOON = datetime(2026, 9, 1, 3, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
COMMITTEE = UUID(int=0xC0)


@pytest.fixture
async def past_all_rules(world: World) -> AsyncIterator[asyncpg.Connection]:
    """A superuser, to write books that no rule has looked at."""
    world.service("training")
    connection = await asyncpg.connect(
        user="postgres", database=world.database_name, host=str(world.postgres.socket_folder)
    )
    await connection.execute("SET search_path = training")
    await connection.execute("ALTER TABLE decision DISABLE TRIGGER guard_decision")
    yield connection
    await connection.close()


def a_selector(random: Random) -> Selector:
    if random.random() < 0.3:
        return Selector(course_number=random.choice(["1", "2"]))
    return Selector(
        None,
        random.choice([None, "basic", "practical"]),
        random.choice([None, "it", "care"]),
        random.choice([None, 1, 2]),
        random.choice([2026, 2027]),
    )


def a_decision(random: Random, number: int, ids: list[UUID]) -> tuple[Decision, datetime]:
    """Any decision at all, also one that could never come to be; and when it was decided."""
    decided_at = NOON + random.randrange(12) * HOUR
    effective_at = decided_at + random.choice([0, 0, 1, 3, 6]) * HOUR
    limit = random.choice([None, decided_at + random.randrange(1, 6) * HOUR])
    fate = random.choice([None, "ratified", "refused"]) if limit else None
    voted_at = decided_at + random.randrange(7) * HOUR
    return (
        Decision(
            UUID(int=number),
            "delegated_quota",
            str(number),
            effective_at,
            random.choice([None, None, effective_at + random.randrange(1, 8) * HOUR]),
            limit,
            supersedes=frozenset(random.sample(ids, random.randrange(min(3, len(ids) + 1)))),
            allotments=tuple(
                Allotment(frozenset(random.sample([KAGOSHIMA, KIRISHIMA], random.randrange(1, 3))), a_selector(random))
                for _ in range(random.randrange(1, 3))
            ),
            ratified_at=voted_at if fate == "ratified" else None,
            refused_at=voted_at if fate == "refused" else None,
        ),
        decided_at,
    )


async def write(connection: asyncpg.Connection, made: Decision, decided_at: datetime, *, whole: bool = True) -> None:
    """The rows of a decision; `whole`: also what the database copies by itself where it is asked to decide."""
    member = None if made.ratify_before is None else uuid4()
    ballot = uuid4() if made.ratify_before is None else None
    content = {
        "allotments": [
            {
                "municipalities": sorted(each.municipalities),
                "course_number": each.selector.course_number,
                "system": each.selector.system,
                "field": each.selector.field,
                "quarter": each.selector.quarter,
                "fiscal_year": each.selector.fiscal_year,
                "seats": 1,
                "cut_off_on": "2027-01-01",
                "returns_percent": 100,
                "lendable": False,
            }
            for each in made.allotments
        ]
    }
    number = made.id.int
    await connection.execute("SET LOCAL session_replication_role = replica")
    await connection.execute(
        "INSERT INTO motion VALUES ($1, $2, 'delegated_quota', 'x', 'x', now())", made.id, COMMITTEE
    )
    await connection.execute(
        "INSERT INTO motion_version VALUES ($1, 1, 'x', '2026-04-01', NULL, $2, $3, 'x', now())",
        made.id,
        sorted(made.supersedes),
        json.dumps(content),
    )
    for table, id_, column in (("ballot", ballot, 1), ("committee_member", member, 2)):
        if id_ is None:
            continue
        if column == 1:
            await connection.execute(
                f"INSERT INTO {table} VALUES ($1, $2, $1, $3, 1, 1, 'decide', now(), 'x')", id_, COMMITTEE, made.id
            )
        else:
            await connection.execute(
                f"INSERT INTO {table} VALUES ($1, $2, 'x', 'x', true, true, '2020-01-01', 'x', now())", id_, COMMITTEE
            )
    if not whole:
        await connection.execute("SET LOCAL session_replication_role = origin")
    await connection.execute(
        "INSERT INTO decision VALUES ($1, $2, 2026, $3, 1, $1, 1, $4, $5, $6, $7, $8, $9, 'x')",
        made.id,
        COMMITTEE,
        number,
        ballot,
        member,
        decided_at,
        made.effective_at,
        made.ends_at,
        made.ratify_before,
    )
    if not whole:
        return
    for old in made.supersedes:
        await connection.execute("INSERT INTO decision_supersedes VALUES ($1, $2)", made.id, old)
    for place, each in enumerate(content["allotments"], start=1):
        await connection.execute(
            "INSERT INTO decision_allotment (decision_id, number, municipalities, course_number, system, field,"
            " quarter, fiscal_year, seats, cut_off_on, returns_percent, lendable)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 1, '2027-01-01', 100, false)",
            made.id,
            place,
            *(each[name] for name in ("municipalities", "course_number", "system", "field", "quarter", "fiscal_year")),
        )
    for outcome, at in (("ratified", made.ratified_at), ("refused", made.refused_at)):
        if at is not None:
            await connection.execute("INSERT INTO ratification VALUES ($1, $2, $3, $4)", made.id, uuid4(), outcome, at)


async def begin_book(connection: asyncpg.Connection) -> None:
    await connection.execute(
        "INSERT INTO sub_committee VALUES ($1, '46', 'x', 'x', '2020-01-01', 'x', now(), 1, now())", COMMITTEE
    )


async def test_the_database_says_what_the_domain_says_about_every_moment(
    past_all_rules: asyncpg.Connection,
) -> None:
    random, seen = Random(46), set()
    for _ in range(60):
        book: dict[UUID, Decision] = {}
        transaction = past_all_rules.transaction()
        await transaction.start()
        await begin_book(past_all_rules)
        for number in range(1, random.randrange(2, 7)):
            made, decided_at = a_decision(random, number, list(book))
            book[made.id] = made
            await write(past_all_rules, made, decided_at)
        for half_hours in range(0, 50, 1):
            at = NOON + half_hours * HOUR / 2
            rows = await past_all_rules.fetch(
                "SELECT d.id, decision_state(d.id, $1) AS state, bool_or(decision_in_force(a.id, $1)) AS granted,"
                " bool_and(decision_in_force(a.id, $1)) AS all_granted"
                " FROM decision d JOIN decision_allotment a ON a.decision_id = d.id GROUP BY d.id",
                at,
            )
            expected = {each: state_at(book, each, at).value for each in book}
            assert {row["id"]: row["state"] for row in rows} == expected, (book, at)
            assert all(row["granted"] == row["all_granted"] == (row["state"] == "in_force") for row in rows)
            seen |= set(expected.values())
        await transaction.rollback()
    assert seen == {"not_yet_in_force", "in_force", "superseded", "lapsed", "ended"}


async def test_the_database_lets_in_what_the_domain_lets_in(past_all_rules: asyncpg.Connection) -> None:
    random, seen = Random(20260401), {"let in": 0, "refused": 0}
    for _ in range(400):
        book: dict[UUID, Decision] = {}
        transaction = past_all_rules.transaction()
        await transaction.start()
        await begin_book(past_all_rules)
        for number in range(1, random.randrange(2, 5)):
            made, decided_at = a_decision(random, number, list(book))
            book[made.id] = made
            await write(past_all_rules, made, decided_at)
        new, decided_at = a_decision(random, 99, list(book))
        denied = decide(new, book, now=decided_at)
        try:
            await write(past_all_rules, new, decided_at, whole=False)
            let_in = True
        except asyncpg.CheckViolationError:
            let_in = False
        assert let_in == (denied is None), (denied, new, decided_at, book)
        seen["let in" if let_in else "refused"] += 1
        await transaction.rollback()
    assert min(seen.values()) > 60, seen
