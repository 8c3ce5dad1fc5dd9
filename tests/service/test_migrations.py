"""Schemas through time: code of the last release goes on beside this one's tables, and every step can be taken back."""

from collections.abc import AsyncIterator, Mapping
from itertools import pairwise
from uuid import uuid4

import asyncpg
import pytest

from embedded.postgres import EmbeddedPostgres
from shared.database import migrate, provision
from tests.world import SERVICES, execute_as_admin

RELEASED: Mapping[str, tuple[str, ...]] = {
    "bus": ("bus_0001",),
    **{service: ("frame_0001", f"{service}_0001") for service in SERVICES},
}
"""Where the schemas of the last release (0.1.0) stand; a release brings this up to date."""
LET_GO: frozenset[str] = frozenset()
"""Columns (`table.column`) that the last release neither reads nor writes any more: they may be dropped."""


@pytest.fixture
async def empty(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    """A database without any schema."""
    name = f"empty_{uuid4().hex[:12]}"
    await execute_as_admin(postgres, f"CREATE DATABASE {name}")
    yield name
    await execute_as_admin(postgres, f"DROP DATABASE {name} WITH (FORCE)")


async def columns(postgres: EmbeddedPostgres, database: str, schema: str) -> dict[str, asyncpg.Record]:
    connection = await asyncpg.connect(user="postgres", database=database, host=str(postgres.socket_folder))
    rows = await connection.fetch(
        "SELECT table_name || '.' || column_name AS name, udt_name AS type, is_nullable = 'YES' AS may_be_empty,"
        " column_default IS NOT NULL OR is_identity = 'YES' OR is_generated = 'ALWAYS' AS fills_itself"
        " FROM information_schema.columns WHERE table_schema = $1",
        schema,
    )
    await connection.close()
    return {row["name"]: row for row in rows}


def table_of(column: str) -> str:
    return column.partition(".")[0]


@pytest.mark.parametrize("schema", RELEASED)
async def test_the_code_of_the_last_release_goes_on_beside_this_schema(
    postgres: EmbeddedPostgres, empty: str, schema: str
) -> None:
    """It finds every column that it reads, of the type it knows, and its rows without the new ones are taken."""
    admin = postgres.url(database=empty)
    await provision(admin, schema=schema, password=None, admin_password=None)
    for revision in RELEASED[schema]:
        await migrate(admin, schema=schema, revision=revision)
    before = await columns(postgres, empty, schema)
    await migrate(admin, schema=schema)
    now = await columns(postgres, empty, schema)

    types = {name: (row["type"], now[name]["type"] if name in now else "gone") for name, row in before.items()}
    assert {name: pair for name, pair in types.items() if pair[0] != pair[1] and name not in LET_GO} == {}
    stricter = [name for name in before.keys() & now if before[name]["may_be_empty"] and not now[name]["may_be_empty"]]
    assert stricter == []
    known = {table_of(name) for name in before}
    needed = [
        name
        for name in now.keys() - before
        if table_of(name) in known and not (now[name]["may_be_empty"] or now[name]["fills_itself"])
    ]
    assert needed == []


@pytest.mark.parametrize("schema", RELEASED)
async def test_every_migration_can_be_taken_back_and_made_again(
    postgres: EmbeddedPostgres, database_name: str, schema: str
) -> None:
    admin = postgres.url(database=database_name)
    before = await columns(postgres, database_name, schema)
    await migrate(admin, schema=schema, revision="base")
    assert set(map(table_of, await columns(postgres, database_name, schema))) == {"alembic_version"}
    await migrate(admin, schema=schema)
    assert await columns(postgres, database_name, schema) == before


_BEFORE_0015 = """
    SET search_path = intake;
    INSERT INTO case_ (id, number, municipality, opened_by, holder_agency, entrance, topics, needs, urgent, status,
        next_step_on, consent_state, consent_version, opened_at, version, sheet_version)
    SELECT id, id::text, '462012', 'desk', 'desk', 'walk_in', '{}', '{}', false, 'open', now(), 'given', 2, now(), 1, 0
    FROM unnest(ARRAY[uuidv7(), uuidv7(), uuidv7(), uuidv7()]) AS id;
    INSERT INTO case_consent (case_id, version, state, purposes, recipients, recorded_by, at)
    SELECT id, 1, 'given', '{referral}', '{}', 'desk', now() - interval '2 days' FROM case_;
    INSERT INTO case_consent (case_id, version, state, purposes, recipients, recorded_by, at)
    SELECT id, 2, said.state, said.purposes, said.recipients, 'npo', now() - interval '1 day'
    FROM (SELECT id, row_number() OVER (ORDER BY id) AS number FROM case_) AS numbered
    JOIN (VALUES (1, 'withdrawn', '{}'::text[], '{}'::text[]), (2, 'given', '{training}', '{}'),
        (3, 'given', '{referral}', '{school}'), (4, 'given', '{referral,training}', '{}'))
        AS said (number, state, purposes, recipients) USING (number);
    INSERT INTO disclosure (id, case_id, recipient, purpose, sets, basis, consent_version, until, reason, made_by, at)
    SELECT id, id, 'far', 'referral', '{story}', 'consent', 1, now(), 'x', 'desk', now() FROM case_
"""


async def test_what_consent_ended_before_is_written_down_and_who_recorded_it(
    postgres: EmbeddedPostgres, empty: str
) -> None:
    admin = postgres.url(database=empty)
    await provision(admin, schema="intake", password=None, admin_password=None)
    for revision in ("frame_0003", "intake_0013"):
        await migrate(admin, schema="intake", revision=revision)
    connection = await asyncpg.connect(user="postgres", database=empty, host=str(postgres.socket_folder))
    await connection.execute(_BEFORE_0015)
    await migrate(admin, schema="intake")
    ended = await connection.fetch(
        "SELECT k.consent_by, e.ended_by, e.at < now() - interval '23 hours' AS then FROM intake.case_ k"
        " LEFT JOIN intake.disclosure_end e ON e.disclosure_id = k.id ORDER BY k.id"
    )
    anchors = await connection.fetch("SELECT DISTINCT anchor FROM intake.case_")
    await connection.close()
    assert [tuple(row) for row in anchors] == [("desk",)], "no case is left without one"
    assert [tuple(row) for row in ended] == [("npo", "npo", True)] * 3 + [("npo", None, None)]


async def test_what_a_coordinator_has_taken_over_and_has_open_still_is_known_as_that(
    postgres: EmbeddedPostgres, empty: str
) -> None:
    admin = postgres.url(database=empty)
    await provision(admin, schema="intake", password=None, admin_password=None)
    for revision in ("frame_0003", "intake_0018"):
        await migrate(admin, schema="intake", revision=revision)
    connection = await asyncpg.connect(user="postgres", database=empty, host=str(postgres.socket_folder))
    await connection.execute(_TAKEN_OVER_BEFORE)
    await migrate(admin, schema="intake")
    rows = await connection.fetch("SELECT state, number, taken_over FROM intake.referral_custody ORDER BY 1, 2")
    await connection.close()
    assert [tuple(row) for row in rows] == [
        ("accepted", 1, False), ("expired", 2, False), ("in_service", 2, True), ("sent", 1, False), ("sent", 1, False),
    ]  # fmt: skip


_TAKEN_OVER_BEFORE = """
    SET search_path = intake;
    CREATE TEMPORARY TABLE made AS SELECT uuidv7() AS id, state FROM unnest(ARRAY['in_service', 'expired']) AS state;
    INSERT INTO referral_custody (referral_id, number, case_id, state, holder, sender, receiver, coordinator, verb, at)
    SELECT id, 1, id, 'sent', 'city', 'city', 'npo', 'city', 'refer', now() FROM made
    UNION ALL SELECT uuidv7(), 1, uuidv7(), 'accepted', 'city', 'city', 'npo', 'city', 'refer', now();
    INSERT INTO referral_custody (referral_id, number, case_id, state, holder, sender, receiver, coordinator, verb,
        ended, at)
    SELECT id, 2, id, state, 'city', 'city', 'npo', 'city', 'refer', nullif(state, 'in_service'), now() FROM made;
    INSERT INTO timeline (case_id, at, kind, service, codes)
    SELECT id, now(), 'referral_taken_over', 'referral', jsonb_build_object('referral_id', id) FROM made
"""


async def test_whose_word_about_room_it_is_comes_from_the_kept_versions(postgres: EmbeddedPostgres, empty: str) -> None:
    """Told by the agency in its second version and not touched in the third: its own. By a file alone: the keeper's."""
    admin = postgres.url(database=empty)
    await provision(admin, schema="referral", password=None, admin_password=None)
    await migrate(admin, schema="referral", revision="referral_0009")
    connection = await asyncpg.connect(user="postgres", database=empty, host=str(postgres.socket_folder))
    try:
        await connection.execute("SET search_path TO referral")
        await connection.execute(_PROGRAMMES_OF_BEFORE)
        await migrate(admin, schema="referral")
        rows = await connection.fetch("SELECT programme_code, capacity_said_by FROM programme ORDER BY 1")
        assert [tuple(row) for row in rows] == [("own", "npo"), ("theirs", "keeper")]
    finally:
        await connection.close()


_PROGRAMMES_OF_BEFORE = """
    INSERT INTO agency (agency_id, name, kana, kind, municipality, municipalities_served, confirmed_by, confirmed_on)
        VALUES ('npo', 'x', 'x', 'npo', '462012', ARRAY['462012'], 'x', '2026-11-01');
    INSERT INTO programme (id, agency_id, programme_code, name, function, strand, stage, municipalities, needs,
        capacity_state, capacity_confirmed_on, confirmed_on)
        SELECT uuidv7(), 'npo', code, 'x', 'drop_in_space', 4, 'drop_in', '{}', '{}', 'full', '2026-11-02', '2026-11-01'
        FROM unnest(ARRAY['own', 'theirs']) AS code;
    INSERT INTO directory_version (kind, entry_id, version, entry, by, at)
        SELECT 'programme', id::text, told.version, to_jsonb(programme) || changed, told.by, now()
        FROM programme, (VALUES
            ('own', 11, '{"capacity_state": "has_room"}'::jsonb, 'keeper'), ('own', 12, '{}', 'npo'),
            ('own', 13, '{"name": "y"}', 'keeper'),
            ('theirs', 11, '{}', 'keeper'), ('theirs', 12, '{"name": "y"}', 'npo')
        ) AS told (code, version, changed, by) WHERE code = programme_code;
"""


_BEFORE_TWO_SIDES = """
    SET search_path = training;
    INSERT INTO course_run (id, course_number, title, provider_agency, prefecture, site_municipality, system, field,
        starts_on, ends_on, applications_close_at, capacity, source, checked_on)
    SELECT uuidv7(), 'c', 'x', 'school', '46', '462012', 'job_seeker_basic', 'basic', now(), now(), now(), 5, 'x',
        now();
    INSERT INTO pool (id, course_run_id, kind) SELECT uuidv7(), id, 'general' FROM course_run;
    INSERT INTO seat_entry (pool_id, course_run_id, kind, granted_delta, at)
    SELECT id, course_run_id, 'grant', 4, now() FROM pool;
    INSERT INTO seat_request (id, course_run_id, pool_id, case_id, municipality, requested_by, state, expires_at,
        requested_at, released_reason, version)
    SELECT uuidv7(), course_run_id, id, uuidv7(), '462012', 'desk', said.state, said.expires_at, now(), said.reason,
        said.version
    FROM pool CROSS JOIN (
        VALUES ('held', now(), NULL, 2), ('released', NULL, 'expired', 3), ('enrolled', NULL, NULL, 5)
    ) AS said (state, expires_at, reason, version);
    INSERT INTO seat_entry (pool_id, course_run_id, kind, held_delta, seat_request_id, at)
    SELECT pool_id, course_run_id, 'hold', 1, id, now() FROM seat_request;
    INSERT INTO seat_entry (pool_id, course_run_id, kind, held_delta, filled_delta, seat_request_id, at)
    SELECT pool_id, course_run_id, CASE state WHEN 'released' THEN 'expire' ELSE 'enrol' END, -1,
        CASE state WHEN 'released' THEN 0 ELSE 1 END, id, now() FROM seat_request WHERE state <> 'held'
"""
_BY_THE_LAST_RELEASE = """
    SET ROLE tsunagu_training;
    SET search_path = training;
    UPDATE course_run SET capacity = 6, version = version + 1;
    INSERT INTO seat_entry (pool_id, course_run_id, kind, granted_delta, at)
    SELECT id, course_run_id, 'grant', 2, now() FROM pool;
    INSERT INTO seat_entry (pool_id, course_run_id, kind, held_delta, seat_request_id, at)
    SELECT pool_id, course_run_id, 'release', -1, id, now() FROM seat_request WHERE state = 'held';
    RESET ROLE
"""
_ACCOUNTS = "SELECT account, sum(seats)::integer AS seats FROM training.seat_leg GROUP BY 1"
_COUNTERS = (
    "SELECT capacity - c.granted AS run, p.granted - held - filled AS free, held, filled"
    " FROM training.course_run c JOIN training.pool p ON p.course_run_id = c.id"
)


async def test_the_ledger_of_seats_gets_its_second_side_and_the_last_release_goes_on_with_it(
    postgres: EmbeddedPostgres, empty: str
) -> None:
    admin = postgres.url(database=empty)
    await provision(admin, schema="training", password=None, admin_password=None)
    for revision in ("frame_0001", "training_0003"):
        await migrate(admin, schema="training", revision=revision)
    connection = await asyncpg.connect(user="postgres", database=empty, host=str(postgres.socket_folder))
    await connection.execute(_BEFORE_TWO_SIDES)
    await migrate(admin, schema="training")

    async def accounts() -> dict[str, int]:
        found = {row["account"]: row["seats"] for row in await connection.fetch(_ACCOUNTS)}
        counted = dict(await connection.fetchrow(_COUNTERS) or {})
        assert {name: found.get(name, 0) for name in counted} == counted
        assert sum(found.values()) == 0
        return found

    assert await accounts() == {"outside": -5, "run": 1, "free": 2, "held": 1, "filled": 1}
    await connection.execute(_BY_THE_LAST_RELEASE)
    assert await accounts() == {"outside": -6, "run": 0, "free": 5, "held": 0, "filled": 1}
    await connection.close()


_WORDS = """
SELECT 'function ' || p.proname AS name, pg_get_functiondef(p.oid) AS words FROM pg_proc p
WHERE p.pronamespace = 'training'::regnamespace AND p.prokind = 'f'
UNION ALL SELECT 'trigger ' || tgname || ' ' || tgrelid::regclass, pg_get_triggerdef(oid) FROM pg_trigger
WHERE NOT tgisinternal AND tgrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'training'::regnamespace)
UNION ALL SELECT 'constraint ' || conname || ' ' || conrelid::regclass, pg_get_constraintdef(oid) FROM pg_constraint
WHERE connamespace = 'training'::regnamespace
UNION ALL SELECT 'view ' || relname, pg_get_viewdef(oid) FROM pg_class
WHERE relkind = 'v' AND relnamespace = 'training'::regnamespace
"""


async def words_of_training(postgres: EmbeddedPostgres, database: str) -> dict[str, str]:
    connection = await asyncpg.connect(user="postgres", database=database, host=str(postgres.socket_folder))
    rows = await connection.fetch(_WORDS)
    await connection.close()
    # Spaces come and go where a view or a check is read and written again.
    return {row["name"]: " ".join(row["words"].split()) for row in rows}


def differing(now: dict[str, str], before: dict[str, str]) -> dict[str, tuple[str | None, str | None]]:
    names = sorted(now.keys() | before.keys())
    return {name: (now.get(name), before.get(name)) for name in names if now.get(name) != before.get(name)}


async def test_a_step_of_training_that_is_taken_back_leaves_the_words_of_before_and_made_again_its_own(
    postgres: EmbeddedPostgres, empty: str
) -> None:
    """Several steps write the same functions anew, one with the words of another: none may lose what another said."""
    admin, steps = postgres.url(database=empty), ("0011", "0012", "0013", "0013_guards", "0014", "0015", "0016")
    await provision(admin, schema="training", password=None, admin_password=None)
    await migrate(admin, schema="training", revision="frame_0001")
    said = {}
    for step in steps:
        await migrate(admin, schema="training", revision=f"training_{step}")
        said[step] = await words_of_training(postgres, empty)
    for before, step in reversed(list(pairwise(steps))):
        await migrate(admin, schema="training", revision="training@-1")
        assert differing(await words_of_training(postgres, empty), said[before]) == {}, f"training_{step} taken back"
        await migrate(admin, schema="training", revision=f"training_{step}")
        assert differing(await words_of_training(postgres, empty), said[step]) == {}, f"training_{step} made again"
        await migrate(admin, schema="training", revision="training@-1")
    last = said[steps[-1]]["function count_seat_entry"]
    assert "'return', 'course_cancelled'" in last, "what a cancellation added is there beside what moves brought"
