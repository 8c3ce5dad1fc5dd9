"""The map of a whole prefecture: 50 municipalities, 5,000 programmes, 200 course runs, 50,000 open cases; from nothing.

Measured inside the service (load, decide, hide), with the statements and the decision told apart, and over HTTP as the
sub-committee's file of one stage.
"""

import json
import random
import time
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from rich.progress import Progress

from bench import stage
from bench.report import Figure, Report, at_most, holds, median, only_told
from bench.wire import Wire
from services.referral.domain.function_map import draw
from services.referral.domain.map_supply import Thresholds
from services.referral.domain.map_views import see
from services.referral.tables.function_map import look
from shared.auth import Role
from shared.codes import is_municipality_code
from shared.database import connect
from shared.service import day_in_japan
from shared.service.clock import wall_time

MUNICIPALITIES, FUNCTIONS, STAGES, PROGRAMMES, OPEN_CASES, CLOSED_CASES, REFERRALS = (
    50,
    40,
    7,
    5_000,
    50_000,
    100_000,
    40_000,
)
COURSE_RUNS, CLOSED_RUNS, POOLS, COURSE_REFERRALS = 200, 600, 2, 5_000
"""Course runs that one may apply for, older ones, pools of each of them, and referrals to them."""
TARGET = 2.0
_LADDER = ("outreach", "drop_in", "work_readiness", "work_training", "vocational_training", "job", "retention")
_SYSTEMS = (
    "public_in_house",
    "public_commissioned",
    "commissioned_disability",
    "disability_school",
    "job_seeker_basic",
    "job_seeker_practical",
)
_NEEDS = [*(f"need_{need}" for need in range(20)), "housing", "debt"]
"""No programme answers the last two, and no course."""
_SEATS = (
    ("received", "seat_waiting", "wait_for_seat", None),
    ("received", "seat_held", "hold_seat", None),
    ("accepted", "enrolled", "enrol", None),
    ("declined", "seat_refused", "refuse_seat", "no_seats_for_you"),
    ("declined", "seat_released", "release_seat", "withdrawn"),
)
_STATES = ("sent", "received", "accepted", "in_service", "waiting", "declined", "closed")


async def measure(progress: Progress, *, rounds: int) -> Report:
    """Each function in one strand, as it is in life; then in all six at once, as it never is."""
    task = progress.add_task("地図 / map", total=2 * (1 + rounds) + 1)
    raw: dict[str, Any] = {}
    figures: list[Figure] = []
    async with AsyncExitStack() as stack:
        within = stack.enter_context(stage.folder())
        server = stack.enter_context(stage.postgres(within))
        for name, strands in (("plain", 1), ("all_strands", 6)):
            await stage.make_database(server, name, ["referral"])
            await _fill(server, name, strands)
            progress.advance(task)
            url = server.url(user="tsunagu_referral", database=name)
            rounds_found = []
            for _ in range(rounds):
                rounds_found.append(await _draw(url))
                progress.advance(task)
            raw[name] = rounds_found
            figures.append(_figure(strands, rounds_found))
        own = within / "served"
        own.mkdir()
        service = stage.served("referral", Role.PLANNER, server=server, database="plain", within=own)
        served = await stack.enter_async_context(service)
        seconds, wrong = await _over_http(served)
        progress.advance(task)
    figures.append(only_told("the file of one stage over HTTP", f"{seconds:.2f} s"))
    figures.append(holds("every answer", wrong, beside="as asked"))
    return Report("支援機能の地図 / the map of functions", figures, raw)


def _figure(strands: int, found: list[dict[str, float]]) -> Figure:
    # `busy` is this process's own time on a core: what the rest of a busy machine takes is not in it.
    names = ("load", "decide", "hide", "busy")
    parts = ", ".join(f"{part} {median([each[part] for each in found]):.2f} s" for part in names)
    whole = median([each["load"] + each["decide"] + each["hide"] for each in found])
    name = f"a prefecture, {int(found[0]['cells']):,} cells"
    if strands == 1:
        return at_most(name, whole, TARGET, unit=" s", beside=parts)
    return only_told(f"{name}, every function in {strands} strands at once", f"{whole:.2f} s ({parts})")


async def _draw(url: str) -> dict[str, float]:
    """One drawing, on a connection that is warm."""
    database, now = connect(url, schema="referral"), wall_time()
    async with database.transaction() as session:
        await look(session, "46", now=now, today=day_in_japan(now), since=now)
        began, busy = time.perf_counter(), time.process_time()
        picture = await look(session, "46", now=now, today=day_in_japan(now), since=now - timedelta(days=365))
        loaded = time.perf_counter()
        cells = draw(picture, Thresholds())
        decided = time.perf_counter()
        seen = [see(cell, own=lambda _: False) for cell in cells.values()]
        hidden, busy = time.perf_counter(), time.process_time() - busy
    await database.dispose()
    return {
        "load": loaded - began,
        "decide": decided - loaded,
        "hide": hidden - decided,
        "busy": busy,
        "cells": len(seen),
    }


async def _over_http(served: stage.Served) -> tuple[float, list[str]]:
    wire = await Wire.to(served.port, served.token)
    first = await wire.ask("GET", "/v1/function-map?prefecture=46&stage=drop_in&limit=500")
    answer = await wire.ask("GET", "/v1/function-map.csv?prefecture=46&stage=drop_in&encoding=utf-8")
    wire.close()
    wrong = [f"{each.status}" for each in (first, answer) if each.status != 200]
    if not wrong and (not json.loads(first.body)["items"] or answer.body.count(b"\r\n") < MUNICIPALITIES):
        wrong.append("cells are missing")
    return answer.seconds, wrong


async def _fill(server: Any, database: str, strands: int) -> None:
    """Everything straight into the tables; the dice are the same each time."""
    dice = random.Random(46)
    connection = await stage.admin(server, database)
    await connection.execute("SET search_path = referral; SET session_replication_role = replica")
    towns = _towns()
    now = wall_time()
    today = now.date()
    agencies = [(f"agency-{n}", "npo", dice.choice(towns), dice.sample(towns, 3), today, 1) for n in range(500)]
    await connection.executemany(
        "INSERT INTO agency (agency_id, name, kana, kind, municipality, municipalities_served, confirmed_by,"
        " confirmed_on, version) VALUES ($1, $1, $1, $2, $3, $4, 'bench', $5, $6)",
        agencies,
    )
    programmes = [_programme(dice, number, strands, towns, today) for number in range(PROGRAMMES)]
    await connection.executemany(
        "INSERT INTO programme (id, agency_id, programme_code, name, function, strand, stage, municipalities, needs,"
        " capacity_state, capacity_free, capacity_confirmed_on, confirmed_on, version)"
        " VALUES ($1, $2, $3, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11, 1)",
        programmes,
    )
    cases = [_case(dice, number, towns, now) for number in range(OPEN_CASES + CLOSED_CASES)]
    await connection.copy_records_to_table(
        "case_fact",
        records=cases,
        columns=["case_id", "municipality", "opened_by", "needs", "topics", "closed_at"],
        schema_name="referral",
    )
    await _fill_referrals(connection, dice, cases, programmes, now)
    await _fill_courses(connection, dice, cases, towns, now)
    await connection.execute("VACUUM ANALYZE")
    await connection.close()


async def _fill_referrals(
    connection: Any, dice: random.Random, cases: list[Any], programmes: list[Any], now: datetime
) -> None:
    rows: list[Any] = []
    steps: list[Any] = []
    for number in range(REFERRALS):
        state = dice.choice(_STATES)
        reason = "no_capacity" if state == "declined" else None
        case, programme = cases[dice.randrange(OPEN_CASES)], programmes[dice.randrange(PROGRAMMES)][0]
        referral, sent = UUID(int=number + 1), now - timedelta(days=dice.randrange(500))
        taken, outcome = state in {"accepted", "in_service", "closed"}, "completed" if state == "closed" else None
        parties = ("desk", "npo", programme, state, "npo" if taken else "desk")
        rows.append((referral, case[0], case[1], *parties, reason, sent, 1, "desk", outcome))
        steps.append((referral, 1, "send", "desk", None, sent))
        if reason is not None:
            steps.append((referral, 2, "decline", "npo", reason, sent))
    columns = ["id", "case_id", "municipality", "sender", "receiver", "programme_id", "state", "responsible_agency",
               "reason", "sent_at", "version", "coordinator", "outcome"]  # fmt: skip
    await connection.copy_records_to_table("referral", records=rows, columns=columns, schema_name="referral")
    columns = ["referral_id", "version", "step", "by", "reason", "at"]
    await connection.copy_records_to_table("referral_step", records=steps, columns=columns, schema_name="referral")


async def _fill_courses(
    connection: Any, dice: random.Random, cases: list[Any], towns: list[str], now: datetime
) -> None:
    """Course runs with a general and a delegated pool each, and referrals in each state that training tells of."""
    runs: list[Any] = []
    pools: list[Any] = []
    for number in range(COURSE_RUNS + CLOSED_RUNS):
        run, days = UUID(int=(1 << 64) + number), dice.randrange(1, 60)
        closes = now + timedelta(days=days) if number < COURSE_RUNS else now - timedelta(days=10 * days)
        days_of = (closes.date() + timedelta(days=30), closes.date() + timedelta(days=120))
        runs.append(
            (run, f"5-46-{number}", "school", "care", dice.choice(_SYSTEMS), dice.choice(towns), *days_of, closes, 1)
        )
        for pool in range(POOLS):
            counts = (12 if pool == 0 else 3, dice.randrange(3), dice.randrange(8) if pool == 0 else 0, 0, 1)
            own = None if pool == 0 else dice.choice(towns)
            pools.append((UUID(int=(1 << 65) + number * POOLS + pool), run, own, *counts))
    await connection.copy_records_to_table(
        "course_option",
        records=runs,
        columns=["course_run_id", "course_number", "provider", "field", "system", "site_municipality", "starts_on",
                 "ends_on", "applications_close_at", "sequence"],
        schema_name="referral",
    )  # fmt: skip
    columns = ["pool_id", "course_run_id", "municipality", "granted", "held", "filled", "waiting", "sequence"]
    await connection.copy_records_to_table("course_pool", records=pools, columns=columns, schema_name="referral")
    rows: list[Any] = []
    steps: list[Any] = []
    for number in range(COURSE_REFERRALS):
        state, progress, step, reason = dice.choice(_SEATS)
        case, run = cases[number * 7 % OPEN_CASES], dice.choice(runs)[0]
        referral, sent = UUID(int=(1 << 66) + number), now - timedelta(days=dice.randrange(500))
        parties = ("desk", "school", run, state, progress, "school" if state == "accepted" else "desk")
        rows.append((referral, case[0], case[1], *parties, reason, sent, 2, "desk"))
        steps += [(referral, 1, "send", "desk", None, sent), (referral, 2, step, "training", reason, sent)]
    await connection.copy_records_to_table(
        "referral",
        records=rows,
        columns=["id", "case_id", "municipality", "sender", "receiver", "course_run_id", "state", "progress",
                 "responsible_agency", "reason", "sent_at", "version", "coordinator"],
        schema_name="referral",
    )  # fmt: skip
    columns = ["referral_id", "version", "step", "by", "reason", "at"]
    await connection.copy_records_to_table("referral_step", records=steps, columns=columns, schema_name="referral")


def _towns() -> list[str]:
    codes = (f"46{number}{digit}" for number in range(201, 201 + MUNICIPALITIES) for digit in range(10))
    return [code for code in codes if is_municipality_code(code)]


def _programme(dice: random.Random, number: int, strands: int, towns: list[str], today: Any) -> tuple[Any, ...]:
    function = number % FUNCTIONS
    room = dice.choice(("has_room", "has_room", "full", "waiting_list", "unknown"))
    strand = 1 + (function % 6 if strands == 1 else dice.randrange(6))
    return (
        UUID(int=number + 1), f"agency-{dice.randrange(500)}", f"programme-{number}", f"function_{function}", strand,
        _LADDER[(number // FUNCTIONS) % STAGES], dice.sample(towns, dice.randint(1, 5)),
        dice.sample(_NEEDS[:-2], 2), room,
        dice.choice([None, 0, 3, 10]) if room == "has_room" else None, today - timedelta(days=dice.randrange(250)),
    )  # fmt: skip


def _case(dice: random.Random, number: int, towns: list[str], now: datetime) -> tuple[Any, ...]:
    needs = dice.sample(_NEEDS, dice.randint(1, 4))
    closed = None if number < OPEN_CASES else now
    return (UUID(int=number + 1), dice.choice(towns), "desk", needs, [], closed)
