"""Boxes among many referrals of which most were closed: a page costs the same, however many those are."""

import re
from copy import copy
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from embedded.postgres import EmbeddedPostgres
from services.referral.handlers import looking
from services.referral.handlers.looking import Box
from services.referral.tables import referrals
from shared.auth import Role
from shared.database import Hot, begin
from tests.service.referral_region import Region
from tests.world import KAGOSHIMA, Caller, Running, World, execute_as_admin

TOWNS = [KAGOSHIMA, "462187", "462039", "462047"]
PAGE = 20
READ = 200
"""Blocks of 8 kB. Each of four ways of being concerned reads a page of its own, a block a row at the worst."""
_MANY = """
    WITH fact AS (
        INSERT INTO case_fact (case_id, municipality, opened_by, holder, topics, needs, urgent, consent_purposes,
            consent_recipients, consent_categories, closed_at)
        SELECT gen_random_uuid(), ($2::text[])[1 + n % 4], 'desk-' || n % 8, 'desk-' || n % 8, '{}', '{}', false, '{}',
            '{}', '{}', now()
        FROM generate_series(1, 40000) AS n RETURNING case_id, municipality, opened_by
    ), sent AS (
        SELECT *, 'city-' || municipality AS city, 'npo-' || n % 20 AS npo, n % 5 = 0 AND n % 20 <> 0 AS by_city,
            (ARRAY['decline_pending', 'in_service', 'declined', 'declined', 'declined', 'sent'])[1 + n % 500] AS state
        FROM (SELECT *, abs(hashint8(row_number() OVER ())) AS n FROM fact) AS numbered
    )
    INSERT INTO referral (id, case_id, municipality, sender, receiver, coordinator, programme_id, state, reason,
        outcome, responsible_agency, sent_at, version, since, taken_over, clock, waits_for, clock_since, due_on)
    SELECT gen_random_uuid(), case_id, municipality, CASE WHEN by_city THEN city ELSE opened_by END, npo, city, $1,
        coalesce(state, 'closed'), CASE WHEN state LIKE 'decline%' THEN 'other' END,
        CASE WHEN state IS NULL THEN 'completed' END,
        CASE WHEN state IS NULL THEN npo WHEN state = 'in_service' OR by_city THEN city ELSE opened_by END,
        now() - n % 500000 * interval '1 minute', 1, now(), coalesce(state = 'in_service', false),
        CASE WHEN state = 'declined' AND n % 3 = 0 THEN 'place' END,
        CASE WHEN state = 'declined' AND n % 3 = 0 THEN city END,
        CASE WHEN state = 'declined' AND n % 3 = 0 THEN current_date END,
        CASE WHEN state = 'declined' AND n % 3 = 0 THEN current_date END
    FROM sent
"""
CITY = f"city-{KAGOSHIMA}"


async def filled(world: World) -> Running:
    region = await Region(world.service("referral")).ready()
    await region.running.rows(_MANY, UUID(region.programmes["sakura-npo/ibasho"]), TOWNS)
    return region.running


async def asked(running: Running, monkeypatch: pytest.MonkeyPatch, **page: Any) -> tuple[Hot, dict[str, Any]]:
    """The statement of a list, and what it is given."""
    overheard: list[tuple[Hot, dict[str, Any]]] = []

    async def listen(_: Any, listing: Hot, **values: Any) -> list[Any]:
        overheard.append((listing, values))
        return []

    actor: Any = SimpleNamespace(agency=CITY, municipalities=frozenset({KAGOSHIMA}))
    page = {"box": None, "state": None, "case_id": None, "group_id": None, "before": None, "limit": PAGE + 1} | page
    with monkeypatch.context() as patched:
        patched.setattr(referrals, "list_referrals", listen)
        async with running.database.transaction() as session:
            await looking.list_referrals(session, actor, **page)
    return overheard[0]


async def test_a_page_of_any_box_reads_as_little_however_many_were_closed(
    world: World, postgres: EmbeddedPostgres, database_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also by a plan that is made once: it is not known then which state is asked for."""
    running = await filled(world)
    await execute_as_admin(postgres, "ANALYZE referral.referral", database_name)
    boxes: list[tuple[Box | None, str | None]] = [("review", None), ("taken_over", None), ("out", "declined")]
    boxes += [("in", "sent"), ("out", None), (None, None)]
    boxes += [(None, state) for state in ("sent", "decline_pending", "declined", "closed")]
    for box, state in boxes:
        listing, values = await asked(running, monkeypatch, box=box, state=state)
        for mode in ("force_custom_plan", "force_generic_plan"):
            async with running.database.transaction() as session:
                await (await begin(session)).execute(f"SET LOCAL plan_cache_mode = {mode}")
                explained = copy(listing)
                explained._sql = f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF) {listing._sql}"
                plan = "\n".join(row[0] for row in await explained.rows(session, values))
            hit, read = re.search(r"Buffers: shared(?: hit=(\d+))?(?: read=(\d+))?", plan).groups()  # type: ignore[union-attr]
            assert int(hit or 0) + int(read or 0) < READ, (box, state, mode, plan)


async def test_everything_of_the_municipality_is_there_once_and_newest_first_page_by_page(world: World) -> None:
    """What concerns the caller in several ways is put together from lists of its own for each."""
    running = await filled(world)
    caller = running.as_(CITY, Role.COUNSELLOR, municipalities=TOWNS[:2])
    for state in ("declined", "decline_pending"):
        there = await running.rows(
            "SELECT id FROM referral WHERE state = $2 AND (sender = $1 OR receiver = $1 OR coordinator = $1"
            " OR municipality = ANY($3)) ORDER BY sent_at DESC, id DESC",
            *(CITY, state, TOWNS[:2]),
        )
        assert len(there) > PAGE
        assert await listed(caller, state=state, limit=PAGE) == [str(row["id"]) for row in there]


async def listed(caller: Caller, **wanted: Any) -> list[str]:
    return [each["referral_id"] for each in await caller.whole("/v1/referrals", **wanted)]
