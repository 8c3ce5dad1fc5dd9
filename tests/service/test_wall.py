"""The second wall: row-level security, asked directly with whatever statement, and the start that looks for it."""

import asyncio
import os
import random
import re
import sys
from collections.abc import AsyncIterator, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.dialects import postgresql

from services.intake.domain.cases import Consent, ConsentState
from services.intake.domain.meetings import Basis
from services.intake.domain.policy import Action, Caller, Disclosure, Hidden, Purpose, Record, decide
from services.intake.domain.sheet import FieldSet
from services.intake.handlers.access import judged
from services.intake.tables.cases import Wanted, find_cases
from shared.database import BY_COMMAND, BY_EVENT, NOBODY, Acting, begin, savepoint
from shared.service import wall
from shared.service.clock import wall_time
from shared.service.wall import StartRefused, missing_walls, refuse_without_wall
from tests.service import intake_counter
from tests.world import KAGOSHIMA, KIRISHIMA, MASTER_KEYS, ZAMA, Running, World, execute_as_admin

ROOT = Path(__file__).resolve().parents[2]
OF_A_CASE = (
    "case_consent",
    "screening",
    "timeline",
    "custody",
    "personal_value",
    "retention_notice",
    "referral_custody",
)
OF_A_SUBJECT = ("data_key", "access_log", "erasure", "erasure_order", "legal_hold")
OF_AN_AGENCY = ("draft", "custody_proof", "import_file")
WALLED = ("case_", *OF_A_CASE, *OF_A_SUBJECT, *OF_AN_AGENCY)

DESK = Acting("kagoshima-desk", {KAGOSHIMA})
NEIGHBOUR = Acting("kirishima-desk", {KIRISHIMA})
PREFECTURE = Acting("kagoshima-prefecture", {"prefecture:46"})


async def opened(intake: Running) -> UUID:
    consent = {"state": "given", "purposes": ["referral"], "recipients": ["career-center"]}
    return UUID(await intake_counter.opened(intake.as_(), person={"name": "架空 花子"}, consent=consent))


async def furnished(intake: Running) -> UUID:
    """A case with a row in every table that is walled."""
    case_id = await opened(intake)
    screened = await intake.as_().post(f"/v1/cases/{case_id}/screenings", {"outcome": "support"})
    assert screened.status_code == 201, screened.text
    assert (await intake.as_().post("/v1/drafts", {"person": {"name": "下書き"}})).status_code == 201
    for table in ("retention_notice", "erasure", "erasure_order", "legal_hold", "referral_custody"):
        await intake.rows(f"INSERT INTO {table} {INTO[table]}", case_id)
    await intake.rows("INSERT INTO custody_proof (agency, day, document) VALUES ('kagoshima-desk', '2026-11-01', '{}')")
    await intake.rows(
        "INSERT INTO import_file (id, kind, agency, content, report)"
        " VALUES (gen_random_uuid(), 'x', 'kagoshima-desk', '', '{}')"
    )
    return case_id


async def seen(intake: Running, acting: Acting) -> dict[str, int]:
    """How many rows of each table there are for somebody, whatever the statement asks for."""
    return {table: (await intake.rows_for(acting, f"SELECT count(*) FROM {table}"))[0][0] for table in WALLED}


# --- reading --------------------------------------------------------------------------------------------------------


async def test_of_another_municipality_there_is_not_one_row_in_any_table(intake: Running) -> None:
    await furnished(intake)
    assert min((await seen(intake, DESK)).values()) > 0
    assert set((await seen(intake, NEIGHBOUR)).values()) == {0}


async def test_a_transaction_that_says_nobody_sees_nothing(intake: Running) -> None:
    await furnished(intake)
    nothing = dict.fromkeys(WALLED, 0)
    assert await seen(intake, NOBODY) == nothing
    assert await seen(intake, Acting("", {""})) == nothing
    # A session of PostgreSQL remembers '' and not NULL after the transaction that said something has ended.
    async with intake.database.engine.connect() as connection:
        await connection.execute(text("SELECT set_config('tsunagu.door', 'sweep', true)"))
        assert (await connection.execute(text("SELECT count(*) FROM case_"))).scalar_one() == 1
        await connection.rollback()
        for table in WALLED:
            assert (await connection.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one() == 0


async def test_our_own_doors_see_everything(intake: Running) -> None:
    await furnished(intake)
    assert min((await seen(intake, BY_EVENT)).values()) > 0


async def test_what_an_agency_alone_keeps_is_not_its_prefectures(intake: Running) -> None:
    await furnished(intake)
    assert {table for table, rows in (await seen(intake, PREFECTURE)).items() if not rows} == set(OF_AN_AGENCY)


async def test_the_next_to_use_a_connection_is_not_taken_for_the_one_before(intake: Running) -> None:
    await opened(intake)
    async with intake.database.session(DESK) as session:
        await session.connection()  # told, and nothing begun
    async with intake.database.engine.connect() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM case_"))).scalar_one() == 0
    async with intake.database.session(DESK) as session:
        async with savepoint(session):
            assert (await session.execute(text("SELECT count(*) FROM case_"))).scalar_one() == 1
        await session.commit()
        connection = await session.connection()
        assert (await connection.execute(text("SELECT count(*) FROM case_"))).scalar_one() == 1


async def test_who_acts_is_told_in_the_message_that_begins_the_transaction(intake: Running) -> None:
    asked: list[str] = []
    async with intake.database.session(DESK) as session:
        driver = await begin(session)
        await session.rollback()
        session.info.pop("driver")
        with driver.query_logger(lambda query: asked.append(query.query)):
            await session.execute(text("SELECT 1"))
            await session.rollback()
    assert asked == [  # what is prepared isn't shown here
        "BEGIN; SET LOCAL tsunagu.agency = 'kagoshima-desk'; SET LOCAL tsunagu.municipalities = '462012';",
        "ROLLBACK;",
    ]


def test_no_name_can_say_more_than_a_name() -> None:
    assert Acting("x'; SET LOCAL tsunagu.door = 'y").settings == (
        " SET LOCAL tsunagu.agency = 'x''; SET LOCAL tsunagu.door = ''y';"
    )


class Overheard:
    """A session that takes a query down instead of running it."""

    query: Any = None

    async def execute(self, query: Any) -> list[Any]:
        self.query = query
        return []


async def test_a_list_goes_by_its_indexes_although_there_is_a_wall(intake: Running) -> None:
    """PostgreSQL lets only conditions that can't leak anything go before the wall; ours must be such."""
    overheard: Any = Overheard()
    served = ["462012", "prefecture:01"]
    await find_cases(overheard, Wanted(), agency="desk", municipalities=served, before=None, limit=9)
    query = overheard.query.compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True})  # type: ignore[no-untyped-call]
    async with intake.database.transaction(DESK) as session:
        await session.execute(text("SET LOCAL enable_seqscan = off"))
        await session.execute(text("SET LOCAL enable_indexscan = off"))
        plan = "\n".join(row[0] for row in await session.execute(text(f"EXPLAIN {query}")))
    for index in ("case_opened_by|case_opener_town", "case_holder_agency|case_holder_town", "case_municipality"):
        assert re.search(f"Bitmap Index Scan on (?:{index}) ", plan), plan


# --- writing --------------------------------------------------------------------------------------------------------

INTO = {
    "case_consent": "(case_id, version, state, purposes, recipients, recorded_by, at)"
    " VALUES ($1, 9, 'refused', '{}', '{}', 'x', now())",
    "screening": "(id, case_id, outcome, recorded_by, at) VALUES (gen_random_uuid(), $1, 'support', 'x', now())",
    "timeline": "(case_id, at, kind, service, codes) VALUES ($1, now(), 'x', 'x', '{}')",
    "custody": "(case_id, number, step, holder, by, at) VALUES ($1, 2, 'handed_over', 'x', 'x', now())",
    "referral_custody": "(referral_id, number, case_id, state, holder, sender, receiver, verb, at)"
    " VALUES ($1, 1, $1, 'sent', 'x', 'x', 'x', 'refer', now())",
    "personal_value": "(case_id, field, version, written_by, at) VALUES ($1, 'name', 9, 'x', now())",
    "disclosure": "(id, case_id, recipient, purpose, sets, basis, until, reason, made_by, at)"
    " VALUES (gen_random_uuid(), $1, 'x', 'support', '{story}', 'appi_69_2_3', now(), 'x', 'x', now())",
    "emergency_access": "(id, case_id, agency, actor, holder, reason, words, declared_at, ends_at, review_due_on)"
    " VALUES (gen_random_uuid(), $1, 'x', 'x', 'y', 'x', '', now(), now() + interval '60 minutes', now())",
    "retention_notice": "(case_id, custody_number, noticed_at, erase_on) VALUES ($1, 1, now(), '2031-11-29')",
    "erasure": "(subject_id, erased_by, reason) VALUES ($1, 'x', 'x')",
    "erasure_order": "(subject_id, agency, actor, reason) VALUES ($1, 'kagoshima-desk', 'x', 'x')",
    "legal_hold": "(subject_id, number, step, reason, agency, actor, at)"
    " VALUES ($1, 1, 'placed', 'x', 'kagoshima-desk', 'x', now())",
}


@pytest.mark.parametrize("table", INTO)
async def test_nobody_writes_into_a_case_of_another_municipality(intake: Running, table: str) -> None:
    case_id = await opened(intake)
    statement = f"INSERT INTO {table} {INTO[table]}"
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await intake.rows_for(NEIGHBOUR, statement, case_id)
    await intake.rows_for(DESK, statement, case_id)


async def test_a_case_of_another_municipality_is_not_changed_and_its_key_not_destroyed(intake: Running) -> None:
    case_id = await opened(intake)
    for statement in (
        "UPDATE case_ SET version = 9 WHERE id = $1 RETURNING 1",
        "DELETE FROM data_key WHERE subject_id = $1 RETURNING 1",
    ):
        assert await intake.rows_for(NEIGHBOUR, statement, case_id) == []
        assert len(await intake.rows_for(DESK, statement, case_id)) == 1


async def test_nobody_writes_into_the_log_in_anothers_name(intake: Running) -> None:
    statement = (
        "INSERT INTO access_log (subject_id, action, agency, actor, roles, purpose, basis, fields)"
        " VALUES ($1, 'read', 'kagoshima-desk', 'x', '{}', 'x', 'x', '{}')"
    )
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await intake.rows_for(PREFECTURE, statement, await opened(intake))


async def test_a_case_is_opened_in_any_municipality_and_in_nobody_elses_name(intake: Running) -> None:
    answer = await intake.as_().post("/v1/cases", {"municipality": ZAMA})
    assert answer.status_code == 201, answer.text
    columns = (
        "INSERT INTO case_ (id, number, municipality, opened_by, holder_agency, entrance, topics, needs, urgent,"
        " status, next_step_on, consent_state, consent_version, opened_at, version, sheet_version)"
        " VALUES (gen_random_uuid(), $1::text, '462012', $1::text, $2::text, 'walk_in', '{}', '{}', false, 'open',"
        " '2026-11-26', 'not_yet', 0, now(), 1, 0)"
    )
    for opener, holder in (("other-desk", "other-desk"), ("kagoshima-desk", "other-desk")):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await intake.rows_for(DESK, columns, opener, holder)


# --- against the pure policy ------------------------------------------------------------------------------------------

AGENCIES = [f"desk-{number}" for number in range(6)]
TOWNS = [KAGOSHIMA, KIRISHIMA, ZAMA, "131016"]
CALLERS = [
    Acting(agency, towns)
    for agency in AGENCIES
    for towns in (frozenset[str](), {KAGOSHIMA}, {ZAMA, KIRISHIMA}, {"prefecture:46"}, {"prefecture:14", "131016"})
]


def drawn(luck: random.Random, today: date) -> dict[str, Any]:
    """A case as it may stand."""
    state = luck.choice([None, *[ConsentState.GIVEN] * 4, *ConsentState])
    valid_until = luck.choice([None, today, today - timedelta(days=1), today + timedelta(days=1)])
    purposes = frozenset(luck.sample(["assessment", "case_conference", "referral", "training"], luck.randint(1, 4)))
    recipients = frozenset(luck.sample(AGENCIES, luck.randint(0, 2)))
    valid_from = luck.choice([None, None, today, today + timedelta(days=1)]) if valid_until is None else None
    until = luck.choice([today, today - timedelta(days=1)])
    said = None if state is None else Consent(state, purposes, recipients, valid_until, valid_from=valid_from)
    basis, purpose = (Basis.OTHER_DUTY, Purpose.SUPPORT) if luck.random() < 0.5 else (Basis.CONSENT, Purpose.REFERRAL)
    lent = Disclosure(luck.choice(AGENCIES), purpose, frozenset({FieldSet.STORY}), basis, until)
    on_consent = said is not None and basis is Basis.CONSENT
    taken_back = said is not None and (
        said.state is not ConsentState.GIVEN
        or "referral" not in said.purposes
        or bool(said.recipients and lent.recipient not in said.recipients)
    )
    return {
        "id": uuid4(),
        "municipality": luck.choice(TOWNS),
        "opened_by": luck.choice(AGENCIES),
        "holder": luck.choice(AGENCIES),
        "consent": said,
        "disclosure": luck.choice([None, lent]) if on_consent or basis is not Basis.CONSENT else None,
        "ended": luck.random() < 0.3 or (on_consent and taken_back),
        "superseded": luck.random() < 0.3 or on_consent,
    }


def is_there(case: Mapping[str, Any], acting: Acting, today: date) -> bool:
    """Whether the pure policy lets the caller know of the case for any purpose."""
    serves = case["municipality"] in acting.municipalities or (
        f"prefecture:{case['municipality'][:2]}" in acting.municipalities
    )
    caller = Caller(acting.agency, serves=serves, roles=frozenset({"counsellor"}))
    lent = case["disclosure"] if not case["ended"] else None
    for purpose in Purpose:
        record = Record(
            case["holder"],
            case["opened_by"],
            violence=False,
            consent=judged(case["consent"], acting.agency, purpose=purpose, today=today),
            disclosures=() if lent is None else (lent,),
        )
        decision = decide(caller, Action.READ, record, purpose=purpose, today=today, now=wall_time())
        if not isinstance(decision, Hidden):
            return True
    return False


async def stored(intake: Running, case: Mapping[str, Any]) -> None:
    """The case in every table of a case; an older consent, to everybody, lies under the one that stands."""
    consent: Consent | None = case["consent"]
    facts: list[Consent] = [] if consent is None else [consent]
    if consent is not None and case["superseded"]:
        facts.insert(0, Consent(ConsentState.GIVEN, frozenset({"referral"}), frozenset(AGENCIES)))
    async with intake.database.transaction(BY_COMMAND) as session:
        driver = await begin(session)
        await driver.execute(
            "INSERT INTO case_ (id, number, municipality, opened_by, holder_agency, entrance, topics, needs, urgent,"
            " status, next_step_on, consent_state, consent_version, opened_at, version, sheet_version)"
            " VALUES ($1::uuid, $1::uuid::text, $2, $3, $3, 'walk_in', '{}', '{}', false, 'open', '2026-11-26', $4,"
            " $5, now(), 1, 0)",
            case["id"], case["municipality"], case["opened_by"], str(consent.state) if consent else "not_yet",
            len(facts),
        )  # fmt: skip
        await driver.execute(
            "INSERT INTO custody (case_id, number, step, holder, by, at) VALUES ($1, 1, 'opened', $2, $2, now())",
            case["id"], case["opened_by"],
        )  # fmt: skip
        await driver.execute(
            "INSERT INTO custody (case_id, number, step, holder, by, at) VALUES ($1, 2, 'handed_over', $2, $2, now())",
            case["id"], case["holder"],
        )  # fmt: skip
        for version, fact in enumerate(facts, 1):
            await driver.execute(
                "INSERT INTO case_consent (case_id, version, state, purposes, recipients, valid_until, valid_from,"
                " recorded_by, at) VALUES ($1, $2, $3, $4, $5, $6, $7, 'x', now())",
                case["id"], version, str(fact.state), sorted(fact.purposes), sorted(fact.recipients), fact.valid_until,
                fact.valid_from,
            )  # fmt: skip
        if case["disclosure"] is not None:
            await driver.execute(
                "INSERT INTO disclosure (id, case_id, recipient, purpose, sets, basis, consent_version, until, reason,"
                " made_by, at) VALUES ($1, $1, $2, $3, '{story}', $4, $5, $6, 'x', 'x', now())",
                case["id"], case["disclosure"].recipient, case["disclosure"].purpose.value,
                case["disclosure"].basis.value, 1 if case["disclosure"].basis is Basis.CONSENT else None,
                case["disclosure"].until,
            )  # fmt: skip
            if case["ended"]:
                await driver.execute("INSERT INTO disclosure_end VALUES ($1, 'x', now())", case["id"])
        for table in (
            "screening",
            "timeline",
            "personal_value",
            "retention_notice",
            "referral_custody",
            "erasure",
            "erasure_order",
            "legal_hold",
        ):
            await driver.execute(f"INSERT INTO {table} {INTO[table]}", case["id"])
        await driver.execute(
            "INSERT INTO data_key (subject_id, master_version, wrapped)"
            " VALUES ($1, 1, decode(repeat('00', 60), 'hex'))",
            case["id"],
        )
        await driver.execute(
            "INSERT INTO access_log (subject_id, action, agency, actor, roles, purpose, basis, fields)"
            " VALUES ($1, 'read', 'nobody-else', 'x', '{}', 'x', 'x', '{}')",
            case["id"],
        )


async def test_a_row_is_there_exactly_where_the_policy_does_not_hide_it(intake: Running) -> None:
    luck = random.Random(20261129)
    today = (await intake.rows("SELECT (clock_timestamp() AT TIME ZONE 'Asia/Tokyo')::date"))[0][0]
    cases = [drawn(luck, today) for _ in range(150)]
    for case in cases:
        await stored(intake, case)
    lent = 0
    for acting in CALLERS:
        expected = {case["id"] for case in cases if is_there(case, acting, today)}
        lent += sum(
            case["id"] in expected and acting.agency not in {case["holder"], case["opened_by"]} for case in cases
        )
        for table, column in (
            ("case_", "id"),
            *((table, "case_id") for table in OF_A_CASE),
            *((table, "subject_id") for table in OF_A_SUBJECT),
        ):
            rows = await intake.rows_for(acting, f"SELECT DISTINCT {column} FROM {table}")
            there = {row[0] for row in rows}
            if table == "case_consent":
                assert there == {case["id"] for case in cases if case["id"] in expected and case["consent"]}
            else:
                assert there == expected, (table, acting)
    assert lent > 100, "consent and municipality made cases known, too"


GIVEN = {"state": "given", "purposes": ["referral"]}


@pytest.mark.parametrize(("first", "last", "lent"), [(0, 0, True), (-9, -1, False), (1, 9, False)])
async def test_what_was_disclosed_on_consent_is_lent_on_its_days_alone(
    intake: Running, first: int, last: int, lent: bool
) -> None:
    case_id = UUID((await intake_counter.with_sheet(intake.as_()))[-36:])
    days = [f"(clock_timestamp() AT TIME ZONE 'Asia/Tokyo')::date + {days}" for days in (first, last)]
    await intake.rows(
        "INSERT INTO case_consent (case_id, version, state, purposes, recipients, valid_from, valid_until, recorded_by,"
        f" at) VALUES ($1, 1, 'given', '{{referral}}', '{{}}', {days[0]}, {days[1]}, 'x', now())",
        case_id,
    )
    await intake.rows("UPDATE case_ SET consent_state = 'given', consent_version = 1 WHERE id = $1", case_id)
    await intake.rows(
        "INSERT INTO disclosure (id, case_id, recipient, purpose, sets, basis, consent_version, until, reason, made_by,"
        " at) VALUES ($1, $1, $2, 'referral', '{story}', 'consent', 1, now() + interval '30 days', 'x', 'x', now())",
        case_id,
        NEIGHBOUR.agency,
    )
    assert bool(await intake.rows_for(NEIGHBOUR, "SELECT 1 FROM case_ WHERE id = $1", case_id)) is lent


@pytest.mark.parametrize(
    "said",
    [
        {"state": "withdrawn"},
        GIVEN | {"recipients": ["kagoshima-npo"]},
        GIVEN | {"purposes": ["training"]},
        GIVEN | {"categories": ["contact"]},
    ],
    ids=["withdrawn", "for another", "for another purpose", "for something else"],
)
async def test_what_was_disclosed_on_consent_is_lent_until_the_person_takes_it_back(
    intake: Running, said: dict[str, Any]
) -> None:
    case = await intake_counter.with_sheet(intake.as_(), consent=GIVEN)
    asked = ("SELECT 1 FROM case_ WHERE id = $1", UUID(case[-36:]))
    body = {"recipient": NEIGHBOUR.agency, "purpose": "referral", "sets": ["story"], "basis": "consent"}
    until = {"until": intake_counter.today(intake, 9), "reason": "support_together"}
    assert (await intake.as_().post(f"{case}/disclosures", body | until)).status_code == 201
    assert await intake.rows_for(NEIGHBOUR, *asked) != []
    for now_said in (said, GIVEN):  # what was ended does not rise again
        assert (await intake.as_().post(f"{case}/consents", now_said)).status_code == 201
        assert await intake.rows_for(NEIGHBOUR, *asked) == []
    ended = await intake.rows("SELECT ended_by FROM disclosure_end")
    assert [row["ended_by"] for row in ended] == ["kagoshima-desk"]
    kinds = [entry["kind"] for entry in await intake.as_().whole(f"{case}/timeline")]
    assert kinds.count("disclosure_ended") == 1


MEETING = (
    "INSERT INTO meeting (id, municipality, kind, held_on, topic, convened_by, at)"
    " VALUES ($1, '462012', 'shien_kaigi', (clock_timestamp() AT TIME ZONE 'Asia/Tokyo')::date + $2::int, 'debt',"
    " 'kagoshima-desk', now())"
)
OF_A_MEETING = ("meeting", "meeting_member", "meeting_case", "meeting_note")


@pytest.mark.parametrize(("days", "lent"), [(0, True), (1, False), (-1, False)])
async def test_a_meeting_is_its_members_and_lends_its_cases_on_its_day(intake: Running, days: int, lent: bool) -> None:
    case_id, meeting = await opened(intake), uuid4()
    await intake.rows_for(DESK, MEETING, meeting, days)
    members = "INSERT INTO meeting_member (meeting_id, agency) VALUES ($1, 'kagoshima-desk'), ($1, 'kirishima-desk')"
    await intake.rows_for(DESK, members, meeting)
    put = "INSERT INTO meeting_case (meeting_id, case_id, put_by, at) VALUES ($1, $2, 'kagoshima-desk', now())"
    await intake.rows_for(DESK, put, meeting, case_id)
    note = (
        "INSERT INTO meeting_note (id, meeting_id, case_id, sealed, written_by, at)"
        " VALUES (gen_random_uuid(), $1, $2, '', 'kirishima-desk', now())"
    )
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await intake.rows_for(PREFECTURE, note, meeting, case_id)
    await intake.rows_for(NEIGHBOUR, note, meeting, case_id)
    for table in OF_A_MEETING:
        assert await intake.rows_for(PREFECTURE, f"SELECT 1 FROM {table}") == []
        assert await intake.rows_for(NEIGHBOUR, f"SELECT 1 FROM {table}") != []
    there = await intake.rows_for(NEIGHBOUR, "SELECT 1 FROM case_ WHERE id = $1", case_id)
    assert (there != []) is lent


async def test_nobody_convenes_a_meeting_in_anothers_name(intake: Running) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await intake.rows_for(NEIGHBOUR, MEETING, uuid4(), 0)


# --- the start ------------------------------------------------------------------------------------------------------

BREACHES = {
    "not forced": "ALTER TABLE intake.timeline NO FORCE ROW LEVEL SECURITY",
    "not enabled": "ALTER TABLE intake.personal_value DISABLE ROW LEVEL SECURITY",
    "a table that was forgotten": "CREATE TABLE intake.note_ (case_id uuid, words text)",
    "a view that reads as its owner": "CREATE VIEW intake.everybody AS SELECT * FROM intake.case_",
    "a copy": "CREATE MATERIALIZED VIEW intake.everybody AS SELECT * FROM intake.case_",
    "a policy for everybody": "CREATE POLICY handy ON intake.case_ USING (true)",
    "a policy for the service": "CREATE POLICY handy ON intake.screening TO tsunagu_intake USING (true)",
    "TRUNCATE": "GRANT TRUNCATE ON intake.draft TO tsunagu_intake",
    "TRIGGER": "GRANT TRIGGER ON intake.draft TO tsunagu_intake",
    "the service owns a table": "ALTER TABLE intake.access_log OWNER TO tsunagu_intake",
    "a superuser owns a table": "ALTER TABLE intake.custody OWNER TO postgres",
}


async def test_the_wall_stands_whole_after_migrating(intake: Running) -> None:
    await refuse_without_wall(intake.database, "intake")


@pytest.mark.parametrize("breach", BREACHES)
async def test_a_start_is_refused_where_the_wall_has_a_hole(world: World, intake: Running, breach: str) -> None:
    await execute_as_admin(world.postgres, BREACHES[breach], world.database_name)
    with pytest.raises(StartRefused, match="row-level security"):
        await refuse_without_wall(intake.database, "intake")
    with pytest.raises(StartRefused):
        async with intake.app.router.lifespan_context(intake.app):
            pass


async def test_a_view_that_reads_as_its_reader_is_no_hole(world: World, intake: Running) -> None:
    view = "CREATE VIEW intake.everybody WITH (security_invoker = true) AS SELECT * FROM intake.case_"
    await execute_as_admin(world.postgres, view, world.database_name)
    await refuse_without_wall(intake.database, "intake")


@pytest.fixture
async def passing(world: World) -> AsyncIterator[list[str]]:
    """Login roles that pass the wall, or may come to."""
    name = f"passing_{uuid4().hex[:8]}"
    roles = {
        f"{name}_a": "LOGIN BYPASSRLS IN ROLE tsunagu_intake",
        f"{name}_b": "LOGIN IN ROLE tsunagu_intake, tsunagu_intake_owner",
        f"{name}_c": f"LOGIN IN ROLE tsunagu_intake, {name}_a",
    }
    for role, kind in roles.items():
        await execute_as_admin(world.postgres, f"CREATE ROLE {role} {kind}")
    yield [*roles, "postgres"]
    for role in roles:
        await execute_as_admin(world.postgres, f"DROP ROLE {role}")


async def test_a_start_is_refused_to_a_role_that_passes_the_wall(world: World, passing: list[str]) -> None:
    declared = world.service("intake").service
    for role in passing:
        running = Running(declared, world.settings("intake", database_url=world.url(role)))
        with pytest.raises(StartRefused):
            await refuse_without_wall(running.database, "intake")
        await running.close()


async def test_a_start_is_refused_where_nothing_was_migrated(world: World) -> None:
    running = Running(world.service("intake").service, world.settings("intake", database_url=world.url("tsunagu_bus")))
    async with running.database.transaction(BY_COMMAND) as session:
        assert await missing_walls(session, "no_such_schema")
    await running.close()


async def test_a_database_that_is_away_is_waited_for_and_then_named(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wall, "PATIENCE", timedelta())
    settings = world.settings("intake", database_url="postgresql+asyncpg://tsunagu_intake@127.0.0.1:1/nowhere")
    running = Running(world.service("intake").service, settings)
    with pytest.raises(StartRefused, match="can't be reached"):
        await refuse_without_wall(running.database, "intake")
    await running.close()


async def test_a_refused_start_ends_with_two_and_words_in_both_languages(world: World, tmp_path: Path) -> None:
    await execute_as_admin(world.postgres, BREACHES["not forced"], world.database_name)
    (tmp_path / "keys").write_text(MASTER_KEYS, encoding="ascii")
    settings = {
        "TSUNAGU_SERVICE": "intake",
        "TSUNAGU_DATABASE_URL": world.url("tsunagu_intake"),
        "TSUNAGU_MASTER_KEYS_FILE": str(tmp_path / "keys"),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "shared.service", "run", "--port", "0",
        cwd=ROOT, env=dict(os.environ) | settings, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    told = (await process.communicate())[0].decode()
    assert process.returncode == 2, told
    assert "起動しません" in told
    assert "✗ timeline: " in told
    assert "Traceback" not in told


async def test_a_service_that_keeps_no_persons_asks_for_no_wall(world: World) -> None:
    training = world.service("training")
    await training.app.state.inspect()
