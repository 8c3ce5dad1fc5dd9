"""The yearly report of a nation: 160,000 trainees in 10,000 course runs of the year, beside a year of the same size.

Measured over HTTP, told apart by system and field, by municipality, and for one prefecture; and checked against sums
that the database makes by other means.
"""

import json
from contextlib import AsyncExitStack
from typing import Any

from rich.progress import Progress

from bench import stage
from bench.report import Figure, Report, at_most, holds, median
from bench.wire import Wire
from shared.auth import Role

RUNS, TRAINEES, YEARS = 10_000, 160_000, (2025, 2026)
"""Of each year; the report is of the first."""
PER_RUN = TRAINEES // RUNS
ASKED = PER_RUN + 4
"""Requests for each course run: four did not come to an enrolment."""
TARGET = 3.0
_WAYS = {
    "a nation, by system and field": "&by=system&by=field",
    "a nation, by origin": "&by=origin",
    "a nation, by municipality": "&by=municipality",
    "one prefecture, by system and field": "&prefecture=46&by=system&by=field",
}
_SYSTEMS = (
    "ARRAY['public_in_house', 'public_commissioned', 'commissioned_disability', 'disability_school',"
    " 'job_seeker_basic', 'job_seeker_practical']"
)
_FIELDS = "ARRAY['basic', 'care', 'medical_office', 'it', 'web_design', 'sales_office', 'regional_needs', 'other']"
_COURSES = f"""
INSERT INTO course_run (id, course_number, title, provider_agency, prefecture, site_municipality, system, field,
    starts_on, ends_on, applications_close_at, capacity, granted, source, checked_on)
SELECT md5($1 || '-run-' || n)::uuid, $1 || '-' || n, 'bench', 'school-' || n % 500, lpad((1 + n % 47)::text, 2, '0'),
    lpad((1 + n % 47)::text, 2, '0') || '2012', ({_SYSTEMS})[1 + n % 6], ({_FIELDS})[1 + n / 6 % 8],
    make_date($1::integer, 4, 1) + n % 300, make_date($1::integer, 4, 1) + n % 300 + 90, now(), 24, 20, 'bench', now()
FROM generate_series(1, {RUNS}) AS n
"""  # noqa: S608 - our own lists
_POOLS = f"""
INSERT INTO pool (id, course_run_id, kind, municipality, municipalities, granted, filled)
SELECT md5($1 || '-pool-' || n || kind)::uuid, md5($1 || '-run-' || n)::uuid, kind, town,
    CASE WHEN town IS NULL THEN '{{}}' ELSE ARRAY[town] END, granted, granted
FROM generate_series(1, {RUNS}) AS n, LATERAL (VALUES ('general', NULL, 16), ('delegated',
    lpad((1 + n % 47)::text, 2, '0') || '2012', 4)) AS p (kind, town, granted)
"""  # noqa: S608
_REQUESTS = f"""
INSERT INTO seat_request (id, course_run_id, pool_id, case_id, municipality, requested_by, state, requested_at,
    released_reason)
SELECT md5($1 || '-' || n || '-' || k)::uuid, md5($1 || '-run-' || n)::uuid,
    md5($1 || '-pool-' || n || CASE WHEN k % 5 = 0 THEN 'delegated' ELSE 'general' END)::uuid,
    md5($1 || '-case-' || n || '-' || k)::uuid,
    lpad((1 + n % 47)::text, 2, '0') || lpad(((n * 7 + k) % 40)::text, 4, '0'), 'desk',
    CASE WHEN k <= {PER_RUN} THEN 'enrolled' ELSE 'released' END, now(), CASE WHEN k > {PER_RUN} THEN 'other' END
FROM generate_series(1, {RUNS}) AS n, generate_series(1, {ASKED}) AS k
"""  # noqa: S608
_FACTS = (
    (
        "INSERT INTO enrolment (seat_request_id, agency, authority, at)"
        " SELECT id, 'school', 'current_law', now() FROM seat_request WHERE state = 'enrolled'"
    ),
    # One in ten is still in training; one in eight of the others left; one end in twenty was corrected.
    (
        "INSERT INTO training_end (id, seat_request_id, number, ending, reason, ended_on, agency, at)"
        " SELECT gen_random_uuid(), r.id, number, CASE WHEN h % 8 = 0 THEN 'left' ELSE 'completed' END,"
        " CASE WHEN h % 16 = 0 THEN 'found_work' WHEN h % 8 = 0 THEN 'illness' END, c.ends_on, 'school', now()"
        " FROM (SELECT *, abs(hashtext(id::text)) AS h FROM seat_request WHERE state = 'enrolled') r"
        " JOIN course_run c ON c.id = r.course_run_id,"
        " generate_series(1, CASE WHEN h % 20 = 1 THEN 2 ELSE 1 END) AS number"
        " WHERE h % 10 > 0"
    ),
    (
        "INSERT INTO employment_outcome (id, seat_request_id, checkpoint, number, outcome, agency, at)"
        " SELECT gen_random_uuid(), e.seat_request_id, point, 1, (ARRAY['employed_insured', 'employed', 'seeking',"
        " 'not_reached'])[1 + abs(hashtext(e.seat_request_id::text)) % 4], 'desk', now()"
        " FROM training_end e, unnest(ARRAY['at_end', 'one_month', 'three_months']) AS point WHERE e.number = 1"
    ),
)


async def measure(progress: Progress, *, rounds: int) -> Report:
    """Each way to tell the report apart, over HTTP."""
    task = progress.add_task("年次報告 / yearly report", total=1 + len(_WAYS) * rounds)
    async with AsyncExitStack() as stack:
        within = stack.enter_context(stage.folder())
        server = stack.enter_context(stage.postgres(within))
        await stage.make_database(server, "nation", ["training"])
        truth = await _fill(server, "nation")
        progress.advance(task)
        own = within / "served"
        own.mkdir()
        service = stage.served("training", Role.PLANNER, server=server, database="nation", within=own)
        served = await stack.enter_async_context(service)
        raw: dict[str, list[float]] = {}
        wrong: list[str] = []
        for name, query in _WAYS.items():
            raw[name] = []
            for _ in range(rounds):
                seconds, faults = await _ask(served, query, truth)
                raw[name].append(seconds)
                wrong += faults
                progress.advance(task)
    figures: list[Figure] = [at_most(name, median(found), TARGET, unit=" s") for name, found in raw.items()]
    figures.append(holds("every sum", wrong, beside="as the database counts it"))
    return Report("訓練の年次報告 / the yearly report", figures, raw)


async def _ask(served: stage.Served, query: str, truth: dict[str, int]) -> tuple[float, list[str]]:
    wire = await Wire.to(served.port, served.token)
    answer = await wire.ask("GET", f"/v1/training-report?fiscal_year={YEARS[0]}&limit=500{query}")
    wire.close()
    if answer.status != 200:
        return answer.seconds, [f"{answer.status}"]
    cells: list[dict[str, Any]] = json.loads(answer.body)["items"]
    area = "46" if "prefecture" in query else "all"
    least = sum(cell["counts"]["enrolled"]["at_least"] for cell in cells)
    exact = all(cell["counts"]["enrolled"]["count"] is not None for cell in cells)
    # What is hidden from this reader lowers the sum, and says so.
    fits = least == truth[area] if exact else truth[area] // 2 < least < truth[area]
    return answer.seconds, [] if fits else [f"{query}: {least} of {truth[area]} enrolled"]


async def _fill(server: Any, database: str) -> dict[str, int]:
    """Everything straight into the tables; how many were enrolled in the year, in all and in one prefecture."""
    connection = await stage.admin(server, database)
    await connection.execute("SET search_path = training; SET session_replication_role = replica")
    for year in YEARS:
        for statement in (_COURSES, _POOLS, _REQUESTS):
            await connection.execute(statement, str(year))
    for statement in _FACTS:
        await connection.execute(statement)
    await connection.execute("VACUUM ANALYZE")
    counted = (
        "SELECT count(*) FROM enrolment n WHERE seat_request_id IN (SELECT r.id FROM seat_request r"
        " WHERE r.course_run_id IN (SELECT id FROM course_run WHERE course_number LIKE $1 AND prefecture LIKE $2))"
    )
    found = {
        area: await connection.fetchval(counted, f"{YEARS[0]}-%", like) for area, like in (("all", "%"), ("46", "46"))
    }
    await connection.close()
    return found
