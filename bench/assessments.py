"""Rating a case with what follows from it, reading a case's whole history, and agreement over a hundred thousand pairs.

A rating with evidence stands beside the same one without: what sealing words and the access log cost in one run. A fact
of the frame's, the emptiest request there is, stands beside both.
"""

import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from uuid import UUID

import asyncpg
from rich.progress import Progress

from bench import stage
from bench.report import Figure, Report, at_most, holds, median, only_told, percentile
from bench.wire import Answer, Wire
from embedded.postgres import EmbeddedPostgres
from shared.auth import Role
from shared.vault import new_master_keys

CASES = 20_000
CO_RATINGS = 100_000
AGENCIES = 30
RATINGS, CONFERENCES = 50, 5
CLIENTS = 8
_SEED = 20_261_129
_AXES = ("interpersonal", "mental", "stress", "thinking", "environment")
_EVIDENCE = {"mental": "架空の話:夜、眠れていない。" * 10, "stress": "架空の話:人の多い場所を避けている。" * 10}


@dataclass(slots=True)
class Taken:
    """What came back: how long each kind of request took, round by round, and what was wrong."""

    port: int
    token: str
    waits: dict[str, list[list[float]]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def begin(self, kind: str) -> None:
        """A round of requests of one kind."""
        self.waits.setdefault(kind, []).append([])

    def take(self, kind: str, answer: Answer) -> Answer:
        """Keep how long it took."""
        if answer.status not in {200, 201}:
            self.wrong.append(f"{kind}: {answer.status}")
        self.waits[kind][-1].append(answer.seconds)
        return answer

    def p(self, share: float, kind: str) -> float:
        """In milliseconds: the middle one of the rounds'."""
        return median([percentile(waits, share) for waits in self.waits[kind]]) * 1000

    def beside(self, kind: str) -> str:
        """For people who want to know more."""
        return f"p50 {self.p(0.5, kind):.1f} ms, n = {sum(map(len, self.waits[kind])):,}"


async def measure(progress: Progress, *, rounds: int, seconds: float) -> Report:
    """Alone and together, with words and without, in turns; then what is read."""
    task = progress.add_task("アセスメント / assessments", total=2 + rounds)
    async with AsyncExitStack() as stack:
        within = stack.enter_context(stage.folder())
        server = stack.enter_context(stage.postgres(within))
        await stage.make_database(server, "rated", ["assessment"])
        cases = await _fill(await stage.admin(server, "rated"))
        (within / "masters").write_text(new_master_keys(), encoding="ascii")
        served = await stack.enter_async_context(
            stage.served(
                "assessment", Role.COUNSELLOR, Role.RULES, server=server, database="rated", within=within,
                master_keys_file=within / "masters",
            )
        )  # fmt: skip
        taken = Taken(served.port, served.token)
        await _warm(taken, cases)
        progress.advance(task)
        for _ in range(rounds):
            await _rate(taken, cases, seconds)
            await _read(taken, cases[0])
            progress.advance(task)
        await _agree(taken)
        progress.advance(task)
        wrong = taken.wrong + await _strays(server, taken)
    return _report(taken, wrong, rounds=rounds, seconds=seconds)


def _report(taken: Taken, wrong: Sequence[str], *, rounds: int, seconds: float) -> Report:
    alone, plain = taken.p(0.95, "alone"), taken.p(0.95, "without words")
    whole = f"a case's history ({RATINGS} ratings, {CONFERENCES} conferences, as many joint ratings, tasks): p95"
    figures: list[Figure] = [
        at_most(
            "a rating with evidence, rule, duties and events: p95", alone, 40, unit=" ms", beside=taken.beside("alone")
        ),
        only_told("the same without evidence, ratio", f"{alone / plain:.2f}  ({plain:.1f} ms)"),
        only_told("the emptiest request, p95", f"{taken.p(0.95, 'empty'):.1f} ms"),
        only_told(
            f"the same rating, {CLIENTS} clients at once, p95",
            f"{taken.p(0.95, 'together'):.1f} ms  ({taken.beside('together')})",
        ),
        at_most(whole, taken.p(0.95, "history"), 50, unit=" ms", beside=taken.beside("history")),
        *(
            at_most(f"{name} over {CO_RATINGS:,} co-ratings, slowest", max(taken.waits[kind][-1]), 2, unit=" s")
            for name, kind in (("every pair's agreement", "agreement"), ("the drift of an agency", "drift"))
        ),
        holds("every answer", wrong, beside="as asked; as many ratings and events as answers"),
    ]
    raw = {
        kind: {"p50_ms": round(taken.p(0.5, kind), 2), "p95_ms": [round(percentile(w, 0.95) * 1000, 2) for w in waits]}
        for kind, waits in taken.waits.items()
    }
    notes = (f"{rounds} rounds, {seconds:g} s each for a kind of rating; {CASES:,} cases, over HTTP",)
    return Report("アセスメント / ratings, a case's history, agreement", figures, raw, notes)


# --- requests -------------------------------------------------------------------------------------------------------


async def _warm(taken: Taken, cases: Sequence[UUID]) -> None:
    # Statements prepared, caches read; and the history that is to be read later.
    unkept = Taken(taken.port, taken.token)
    await _for(unkept, "warm", lambda wire: _rating(wire, random.Random(1), cases, words=True), 1)
    taken.wrong += unkept.wrong


async def _rate(taken: Taken, cases: Sequence[UUID], seconds: float) -> None:
    """In turns: alone with words and without, the emptiest request, and many at once."""
    chance = random.Random(_SEED + len(taken.waits))
    await _for(taken, "alone", lambda wire: _rating(wire, chance, cases, words=True), seconds)
    await _for(taken, "without words", lambda wire: _rating(wire, chance, cases, words=False), seconds)
    await _for(taken, "empty", lambda wire: wire.ask("GET", "/health/live"), min(seconds, 1))
    await _for(taken, "together", lambda wire: _rating(wire, chance, cases, words=True), seconds, clients=CLIENTS)


async def _for(
    taken: Taken, kind: str, ask: Callable[[Wire], Awaitable[Answer]], seconds: float, clients: int = 1
) -> None:
    taken.begin(kind)
    ends = time.perf_counter() + seconds

    async def client() -> None:
        wire = await Wire.to(taken.port, taken.token)
        while time.perf_counter() < ends:
            taken.take(kind, await ask(wire))
        wire.close()

    await asyncio.gather(*(client() for _ in range(clients)))


async def _rating(wire: Wire, chance: random.Random, cases: Sequence[UUID], *, words: bool) -> Answer:
    """A case that was rated five times before; half of the ratings change what is due."""
    levels = dict(zip(_AXES, chance.choices((1, 2, 3, 4, 5), k=5), strict=True))
    body = {"levels": levels, "raters": [{"code": "counsellor-07", "profession": "career_consultant"}]}
    path = f"/v1/cases/{chance.choice(cases[1:])}/assessments"
    return await wire.ask("POST", path, body | {"evidence": _EVIDENCE} if words else body)


async def _read(taken: Taken, case_id: UUID, times: int = 60) -> None:
    taken.begin("history")
    wire = await Wire.to(taken.port, taken.token)
    for _ in range(times):
        answer = taken.take("history", await wire.ask("GET", f"/v1/cases/{case_id}/history?limit=500"))
        kinds = [each["kind"] for each in json.loads(answer.body)["items"]]
        there = [kinds.count(kind) for kind in ("assessment", "task", "conference", "joint_rating", "plan")]
        if there != [RATINGS, RATINGS, CONFERENCES, CONFERENCES, 1]:
            taken.wrong.append(f"entries: {there}")
    wire.close()


async def _agree(taken: Taken, times: int = 5) -> None:
    wire = await Wire.to(taken.port, taken.token)
    pairs = AGENCIES * (AGENCIES - 1) // 2
    for kind, path, key, most in (
        ("agreement", "/v1/agreement", "pairs", (1 + pairs) * len(_AXES)),
        ("drift", "/v1/agreement/drift", "quarters", 8 * len(_AXES)),
    ):
        taken.begin(kind)
        for _ in range(times):
            found = json.loads(taken.take(kind, await wire.ask("GET", path)).body)[key]
            counted = [each for each in found if each["agreement"]["n"]]
            if (len(found), len(counted)) != (most, most):
                taken.wrong.append(f"{kind}: {len(counted)} of {most}")
    wire.close()


async def _strays(server: EmbeddedPostgres, taken: Taken) -> list[str]:
    """Every rating that was answered is there once, with its words, and was told."""
    connection = await stage.admin(server, "rated")
    there = await connection.fetchrow(
        "SELECT (SELECT count(*) FROM assessment.assessment WHERE raters = '{counsellor-07}') AS rated,"
        " (SELECT count(DISTINCT assessment_id) FROM assessment.evidence) AS with_words,"
        " (SELECT count(*) FROM assessment.access_log WHERE action = 'write') AS logged"
    )
    await connection.close()
    with_words = sum(len(waits) for kind in ("alone", "together") for waits in taken.waits[kind])
    without = sum(map(len, taken.waits["without words"]))
    warm = there["rated"] - with_words - without
    fits = warm > 0 and there["with_words"] == there["logged"] == with_words + warm
    return [] if fits else [f"{dict(there)} beside {with_words} + {without} answers"]


# --- what is there already ------------------------------------------------------------------------------------------

_CASES = f"""
    INSERT INTO case_fact (case_id, municipality, opened_by, holder, opened_at, assessments, version, consent_state,
        consent_purposes)
    SELECT {{case}}, CASE n % 3 WHEN 0 THEN '462012' ELSE '462039' END,
        CASE WHEN n % 30 = 0 THEN 'kagoshima-desk' WHEN n % 3 = 0 THEN 'kagoshima-npo' ELSE 'kanoya-desk' END,
        CASE WHEN n % 30 = 0 THEN 'kagoshima-desk' WHEN n % 3 = 0 THEN 'kagoshima-npo' ELSE 'kanoya-desk' END,
        '2026-04-01', {{ratings}}, 5 * {{ratings}}, 'given', '{{{{assessment}}}}'
    FROM generate_series(0, {CASES - 1}) n
"""  # noqa: S608 - numbers of this file's own
_RATED = f"""
    INSERT INTO assessment (id, case_id, number, rubric, setting, interpersonal, mental, stress, thinking, environment,
        raters, professions, rated_by, rated_at, recorded_at, prolongation_risk, rule_version)
    SELECT gen_random_uuid(), {{case}}, r, 'fdp-sample-1', 'solo', 3, 2, 4, 3, 3, '{{{{counsellor-01}}}}',
        '{{{{career_consultant}}}}', 'kagoshima-desk', timestamptz '2026-04-01' + r * interval '3 days',
        timestamptz '2026-04-01' + r * interval '3 days', 'true', 1
    FROM generate_series(0, {CASES - 1}) n CROSS JOIN LATERAL generate_series(1, {{ratings}}) r
"""  # noqa: S608 - as above
_TASKS = """
    INSERT INTO task (id, case_id, kind, state, owner, due_on, origin, origin_id, created_at)
    SELECT gen_random_uuid(), case_id, 'reassessment', CASE number WHEN k.assessments THEN 'open' ELSE 'done' END,
        k.opened_by, date '2027-06-01', 'rule', a.id, rated_at
    FROM assessment a JOIN case_fact k USING (case_id)
"""
# Each conference has four members who rated jointly; the case has a plan.
_MET = f"""
    WITH met AS (
        INSERT INTO conference (id, case_id, lane, chair, state, held_on, called_at)
        SELECT gen_random_uuid(), case_id, 'consent', opened_by, 'concluded', date '2026-05-01' + n * 20,
            timestamptz '2026-05-01' + n * interval '19 days'
        FROM case_fact CROSS JOIN generate_series(1, {CONFERENCES}) n WHERE case_id = $1 RETURNING *
    ), members AS (
        INSERT INTO conference_member (conference_id, agency, profession, answer, present)
        SELECT id, 'agency-' || n, 'nurse', 'coming', true FROM met CROSS JOIN generate_series(1, 4) n
    ), joint AS (
        INSERT INTO joint_rating (id, case_id, conference_id, lane, instrument, rubric, chair, state, agreed, begun_at,
            closed_at, agreed_at)
        SELECT gen_random_uuid(), case_id, id, 'consent', 'fdp', 'fdp-sample-1', chair, 'agreed', '{{}}', held_on,
            held_on, held_on
        FROM met RETURNING id, closed_at
    ), seats AS (
        INSERT INTO joint_seat (joint_id, agency, profession, given_at)
        SELECT id, 'agency-' || n, 'nurse', closed_at FROM joint CROSS JOIN generate_series(1, 4) n
    )
    INSERT INTO plan (id, case_id, number, state, version, monitor_on, steps, created_by, created_at)
    VALUES (gen_random_uuid(), $1, 1, 'draft', 1, '2027-06-01', 1, 'kagoshima-desk', '2026-06-01')
"""  # noqa: S608 - as above
# Two agencies of thirty each time, whose levels are near one another as people's are.
_PAIRS = f"""
    INSERT INTO co_rating (source_id, seat_a, seat_b, vignette, instrument, quarter, agency_a, agency_b, levels_a,
        levels_b)
    SELECT gen_random_uuid(), 'nurse', 'job_coach', false, 'fdp',
        (date '2025-01-01' + (n % 8) * interval '3 months')::date, names[1 + least(p, q)], names[1 + greatest(p, q)],
        a, ARRAY(SELECT greatest(1, least(5, x + floor(random() * 3)::int - 1)) FROM unnest(a) x)
    FROM generate_series(1, {CO_RATINGS}) n,
        LATERAL (SELECT n % {AGENCIES} AS p, (n + 1 + n / {AGENCIES} % {AGENCIES - 1}) % {AGENCIES} AS q) pair,
        LATERAL (SELECT ARRAY(SELECT 1 + floor(random() * 5 + n * 0)::int FROM generate_series(1, 5)) AS a) levels,
        (SELECT array_agg(name ORDER BY name) AS names FROM (
            SELECT 'agency-' || i AS name FROM generate_series(2, {AGENCIES}) i UNION SELECT 'kagoshima-desk') named
        ) agencies
"""  # noqa: S608 - as above


async def _fill(connection: asyncpg.Connection) -> list[UUID]:
    """Cases that were rated, and pairs, put straight into the tables. The caller's cases; the first has the history."""
    await connection.execute("SET search_path = assessment; SET session_replication_role = replica")
    case = "('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid"
    ratings = f"CASE n WHEN 0 THEN {RATINGS} ELSE 5 END"
    for statement in (_CASES, _RATED):
        await connection.execute(statement.format(case=case, ratings=ratings))
    await connection.execute(_TASKS)
    await connection.execute(_PAIRS)
    rows = await connection.fetch("SELECT case_id FROM case_fact WHERE holder = 'kagoshima-desk' ORDER BY case_id")
    await connection.execute(_MET, rows[0]["case_id"])
    await connection.execute("VACUUM ANALYZE")
    await connection.execute("CHECKPOINT")
    await connection.close()
    return [row["case_id"] for row in rows]
