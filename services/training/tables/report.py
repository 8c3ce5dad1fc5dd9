"""What the yearly report counts: requests for course runs of a fiscal year, grouped by what is known of each.

What is known stands in a code, which `domain/report.py` reads: which codes a measure counts is decided there alone.
"""

# ruff: noqa: S608  (put together from this file's own words; every value is bound)

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

from services.training.domain.outcomes import Checkpoint
from services.training.domain.report import FOR_WORK, OF_NO_GROUP, Dimension, Persons, Place, Seats, known_of
from services.training.domain.trial import TRIAL
from shared.database import Hot


@dataclass(frozen=True, slots=True)
class Year:
    """Course runs that begin in a fiscal year; of one prefecture, or of all."""

    fiscal_year: int
    prefecture: str | None
    trials: bool = False
    """Of trial places at host workplaces, and of no course; else of courses alone."""

    @property
    def values(self) -> dict[str, Any]:
        """As the statements call them."""
        begins, ends = date(self.fiscal_year, 4, 1), date(self.fiscal_year + 1, 4, 1)
        return {"begins": begins, "ends": ends, "prefecture": self.prefecture, "trials": self.trials}


_YEAR = (
    "c.starts_on >= CAST(:begins AS date) AND c.starts_on < CAST(:ends AS date)"
    " AND (CAST(:prefecture AS text) IS NULL OR c.prefecture = CAST(:prefecture AS text))"
    f" AND (c.system = '{TRIAL}') = CAST(:trials AS boolean)"
)
# Whose business a person is: who serves the person's municipality, or the prefecture that the course is in; its school.
# What is the same for a whole course run is asked once for it.
_COURSE_SERVED = "coalesce(c.provider_agency = CAST(:provider AS text), false)"
_TOWN_SERVED = (
    "r.municipality = ANY(CAST(:municipalities AS text[]))"
    " OR 'prefecture:' || left(r.municipality, 2) = ANY(CAST(:municipalities AS text[]))"
)
_PLANNED = "'prefecture:' || c.prefecture = ANY(CAST(:municipalities AS text[]))"
# Who is told for whom a person was named: those whose business it is, without the school.
_GROUPS_TOLD = f"(c.planned OR {_TOWN_SERVED})"
_RUNS = f"""
WITH c AS MATERIALIZED (
    SELECT c.id, c.prefecture, c.system, c.field, {_COURSE_SERVED} AS served,
        {_PLANNED} AS planned,
        {_COURSE_SERVED} OR {_PLANNED} AS own
    FROM course_run c WHERE {_YEAR}
)
"""
# Applicants (応募者) are persons in a course run: who gave a place back and asked again is one, by the last request.
# What stands is what nothing came after; only what came after has a number above 1, so few rows are looked through.
# Three months after the end as the domain reckons the set day (`due_on`). Who is enrolled stays so, with an enrolment.
_KNOWN = f"""
FROM c CROSS JOIN LATERAL (
    SELECT DISTINCT ON (case_id) id, case_id, course_run_id, pool_id, municipality, state, target_groups
    FROM seat_request WHERE course_run_id = c.id ORDER BY case_id, id DESC
) AS r JOIN pool p ON p.id = r.pool_id
LEFT JOIN training_end e ON e.seat_request_id = r.id AND NOT EXISTS (
    SELECT FROM training_end later
    WHERE later.seat_request_id = e.seat_request_id AND later.number = e.number + 1 AND later.number > 1
)
LEFT JOIN employment_outcome o ON o.seat_request_id = r.id AND o.checkpoint = '{Checkpoint.THREE_MONTHS}'
    AND NOT EXISTS (
        SELECT FROM employment_outcome later
        WHERE later.seat_request_id = o.seat_request_id AND later.checkpoint = '{Checkpoint.THREE_MONTHS}'
            AND later.number = o.number + 1 AND later.number > 1
    )
CROSS JOIN LATERAL (
    SELECT r.state = 'enrolled' AS enrolled, e.ending, coalesce(e.reason = '{FOR_WORK}', false) AS for_work,
        coalesce((e.ended_on + interval '3 months')::date <= CAST(:today AS date), false) AS due, o.outcome
) AS known
"""
_CODE = (
    "concat_ws('|', CAST(known.enrolled AS text), coalesce(known.ending, ''), CAST(known.for_work AS text),"
    " CAST(known.due AS text), coalesce(known.outcome, ''))"
)
# A nation's year is counted in memory and not sorted on the disk; for this transaction alone.
_ROOM = Hot("SELECT set_config('work_mem', '64MB', true)")
# Words are made of what is known once it is counted, not for each request.
_PERSONS = Hot(
    f"{_RUNS} SELECT prefecture, origin, system, field, own, municipality, target_groups, {_CODE} AS code, persons"
    " FROM ("
    f"SELECT c.prefecture, p.kind AS origin, c.system, c.field, c.own OR {_TOWN_SERVED} AS own,"
    f" CASE WHEN CAST(:by_town AS boolean) AND (c.own OR {_TOWN_SERVED}) THEN r.municipality END AS municipality,"
    f" CASE WHEN CAST(:by_group AS boolean) AND {_GROUPS_TOLD} THEN r.target_groups END AS target_groups,"
    f" known.*, count(*) AS persons {_KNOWN} GROUP BY 1, 2, 3, 4, 5, 6, 7, known.enrolled, known.ending,"
    " known.for_work, known.due, known.outcome) AS known"
)
_SEATS = Hot(
    "SELECT c.prefecture, s.origin, c.system, c.field, sum(s.seats)::integer AS seats FROM course_run c"
    " CROSS JOIN LATERAL (SELECT p.kind AS origin, p.granted AS seats FROM pool p WHERE p.course_run_id = c.id"
    " UNION ALL SELECT 'unshared', c.capacity - c.granted) AS s"
    f" WHERE {_YEAR} AND s.seats > 0 GROUP BY 1, 2, 3, 4"
)
_CELL = (
    " AND (CAST(:system AS text) IS NULL OR c.system = CAST(:system AS text))"
    " AND (CAST(:field AS text) IS NULL OR c.field = CAST(:field AS text))"
)
_REQUESTS = Hot(
    f"{_RUNS} SELECT r.id, r.case_id, r.course_run_id, r.municipality, p.kind AS origin, c.system, c.field {_KNOWN}"
    f" WHERE {_CODE} = ANY(CAST(:codes AS text[])) AND (c.served OR {_TOWN_SERVED}) {_CELL}"
    " AND (CAST(:origin AS text) IS NULL OR p.kind = CAST(:origin AS text))"
    " AND (CAST(:municipality AS text) IS NULL OR r.municipality = CAST(:municipality AS text))"
    f" AND (CAST(:target_group AS text) IS NULL OR {_GROUPS_TOLD} AND CASE WHEN CAST(:target_group AS text) ="
    f" '{OF_NO_GROUP}' THEN r.target_groups = '{{}}' ELSE CAST(:target_group AS text) = ANY(r.target_groups) END)"
    " AND r.id > CAST(:after AS uuid) ORDER BY r.id LIMIT CAST(:limit AS integer)"
)
_ENTRIES = Hot(
    "SELECT * FROM (SELECT l.entry_id, e.kind, e.at, l.seats, l.course_run_id, l.pool_id,"
    " c.system, c.field, coalesce(p.kind, 'unshared') AS origin"
    " FROM course_run c JOIN seat_leg l ON l.course_run_id = c.id JOIN seat_entry e ON e.id = l.entry_id"
    " LEFT JOIN pool p ON p.id = l.pool_id"
    f" WHERE {_YEAR} {_CELL} AND e.kind IN ('open', 'close', 'grant', 'return', 'course_cancelled')"
    " AND l.account IN ('run', 'free')"
    ") AS leg WHERE (CAST(:origin AS text) IS NULL OR origin = CAST(:origin AS text))"
    " AND (entry_id, origin) > (CAST(:after_id AS bigint), CAST(:after_origin AS text))"
    " ORDER BY entry_id, origin LIMIT CAST(:limit AS integer)"
)


async def read_persons(
    session: AsyncSession, year: Year, sight: Mapping[str, Any], *, by: Collection[Dimension], today: date
) -> list[Persons]:
    """The smallest parts of a year's requests, for a reader with this sight."""
    await _ROOM.rows(session, {})
    apart = {"by_town": Dimension.MUNICIPALITY in by, "by_group": Dimension.TARGET_GROUP in by}
    rows = await _PERSONS.rows(session, {**year.values, **sight, **apart, "today": today})
    return [
        Persons(
            row["prefecture"], row["origin"], row["system"], row["field"], row["municipality"],
            None if row["target_groups"] is None else tuple(row["target_groups"]), row["own"],
            known_of(row["code"]), row["persons"],
        )
        for row in rows
    ]  # fmt: skip


async def read_seats(session: AsyncSession, year: Year) -> list[Seats]:
    """A year's seats, by what kind they are: the counters that the ledger's trigger keeps."""
    return [Seats(*row) for row in await _SEATS.rows(session, year.values)]


async def list_requests(
    session: AsyncSession,
    year: Year,
    place: Place,
    codes: Sequence[str],
    sight: Mapping[str, Any],
    *,
    today: date,
    after: UUID | None,
    limit: int,
) -> list[asyncpg.Record]:
    """The requests behind a number, of those that are the reader's business; by id."""
    values = {**year.values, **place._asdict(), **sight, "codes": codes, "today": today}
    return await _REQUESTS.rows(session, {**values, "after": after or UUID(int=0), "limit": limit})


async def list_seat_entries(
    session: AsyncSession, year: Year, place: Place, *, after: tuple[int, str], limit: int
) -> list[asyncpg.Record]:
    """The entries of the ledger whose sum is a capacity, oldest first."""
    values = {**year.values, **place._asdict(), "after_id": after[0], "after_origin": after[1], "limit": limit}
    return await _ENTRIES.rows(session, values)


# --- the delegated share --------------------------------------------------------------------------------------------

DelegatedKey = tuple[str, int, int, int]
"""Prefecture, the fiscal year and serial of the decision, the allotment: decisions are numbered anew each year."""
# Seats that were lent, or sent on at a cut-off, are for persons of other municipalities.
_WHOSE_PERSONS = (
    "a.municipalities || ARRAY(SELECT DISTINCT unnest(p.municipalities) FROM pool p"
    " WHERE p.decision_allotment_id = a.id AND num_nonnulls(p.agreement_id, p.onward_step) > 0) AS whose_persons"
)
_DELEGATED = Hot(
    "SELECT a.id AS decision_allotment_id, a.decision_id, d.fiscal_year, d.serial, a.number, c.prefecture,"
    " a.municipalities,"
    " a.course_number, a.system, a.field, a.quarter, a.seats AS allotted,"
    f" allotment_seats(a.id) - a.seats AS carried_over, {_WHOSE_PERSONS}, s.granted, s.returned, s.taken, s.enrolled,"
    " r.provider_agency,"
    " c.prefecture || '-' || d.fiscal_year || '-' || lpad(CAST(d.serial AS text), 3, '0') AS decision_number,"
    " decision_state(d.id, CAST(:now AS timestamptz)) AS state"
    " FROM decision d JOIN sub_committee c ON c.id = d.sub_committee_id"
    " JOIN decision_allotment a ON a.decision_id = d.id"
    " LEFT JOIN course_run r ON r.course_number = a.course_number"
    " CROSS JOIN LATERAL (SELECT"
    "  coalesce(sum(e.seats) FILTER (WHERE e.kind = 'grant'), 0)::integer AS granted,"
    "  coalesce(sum(e.seats) FILTER (WHERE e.kind IN ('return', 'course_cancelled')), 0)::integer AS returned,"
    "  (count(*) FILTER (WHERE e.kind = 'hold')"
    "   - count(*) FILTER (WHERE e.kind IN ('release', 'expire')))::integer AS taken,"
    "  (count(*) FILTER (WHERE e.kind = 'enrol'))::integer AS enrolled"
    "  FROM pool p JOIN seat_entry e ON e.pool_id = p.id WHERE p.decision_allotment_id = a.id) AS s"
    # The year of the courses that it is for, which need not be the year in which it was decided.
    " WHERE coalesce(a.fiscal_year, extract(year FROM r.starts_on - interval '3 months')::integer, d.fiscal_year)"
    " = CAST(:fiscal_year AS integer)"
    " AND (CAST(:prefecture AS text) IS NULL OR c.prefecture = CAST(:prefecture AS text))"
    " AND (CAST(:after AS text) IS NULL OR (c.prefecture, d.fiscal_year, d.serial, a.number) > (CAST(:after AS text),"
    " CAST(:decided_in AS integer), CAST(:serial AS integer), CAST(:number AS integer)))"
    " ORDER BY c.prefecture, d.fiscal_year, d.serial, a.number LIMIT CAST(:limit AS integer)"
)
_DELEGATED_ENTRIES = Hot(
    "SELECT e.id AS entry_id, e.kind, e.at, e.seats, e.course_run_id, e.pool_id"
    " FROM pool p JOIN seat_entry e ON e.pool_id = p.id WHERE p.decision_allotment_id = CAST(:allotment_id AS uuid)"
    " AND e.kind = ANY(CAST(:kinds AS text[])) AND e.id > CAST(:after AS bigint)"
    " ORDER BY e.id LIMIT CAST(:limit AS integer)"
)
_ALLOTMENT = Hot(
    f"SELECT {_WHOSE_PERSONS}, r.provider_agency FROM decision_allotment a"
    " LEFT JOIN course_run r ON r.course_number = a.course_number WHERE a.id = CAST(:id AS uuid)"
)


async def list_delegated(
    session: AsyncSession, values: Mapping[str, Any], *, after: DelegatedKey | None, limit: int
) -> list[asyncpg.Record]:
    """What decisions allotted, and what became of it; by prefecture, decision and allotment."""
    begin = dict(zip(("after", "decided_in", "serial", "number"), after or (None,) * 4, strict=True))
    return await _DELEGATED.rows(session, {**values, **begin, "limit": limit})


async def find_allotment(session: AsyncSession, allotment_id: UUID) -> asyncpg.Record | None:
    """Whose persons an allotment is for."""
    rows = await _ALLOTMENT.rows(session, {"id": allotment_id})
    return rows[0] if rows else None


async def list_delegated_entries(
    session: AsyncSession, allotment_id: UUID, kinds: Sequence[str], *, after: int, limit: int
) -> list[asyncpg.Record]:
    """The entries behind one of its numbers."""
    values = {"allotment_id": allotment_id, "kinds": kinds, "after": after, "limit": limit}
    return await _DELEGATED_ENTRIES.rows(session, values)
