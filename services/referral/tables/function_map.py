"""What the map of functions is drawn from, with people grouped already; and the records behind each of its numbers."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import date, datetime, timedelta
from functools import reduce
from typing import Any
from uuid import UUID

from pydantic_core import to_json
from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.domain.function_map import (
    Cell,
    Coverage,
    Group,
    Kept,
    Picture,
    Proposal,
    Shared,
    TurnedAway,
    Unmet,
    Waiting,
    Why,
)
from services.referral.domain.map_demand import Demand
from services.referral.domain.map_supply import COURSE_KINDS, UNANSWERED, Kind, Offer, Seats, Supply, Thresholds
from services.referral.domain.moves import AT_WORK
from services.referral.domain.options import Pool
from services.referral.domain.routed import SAYS_NOTHING
from services.referral.domain.routing import COUNTER_NEEDS, COUNTER_TOPICS
from services.referral.domain.states import DeclineReason
from services.referral.tables.referrals import was_asked_for
from shared.database import Hot

_BY_NO_COURSE = sorted(COUNTER_NEEDS | COUNTER_TOPICS)
"""What `routing.answered_by_course` leaves to others; so for who is in a course this alone is open."""
_CLOSED_LATELY = timedelta(days=1)
"""Whether anybody may still apply is decided in the domain; what closed longer ago is not even read."""

# As routing reads a case (`wanted_of`). What somebody who has taken it on answers is not open.
_TOPICS = reduce("array_remove({}, '{}')".format, sorted(SAYS_NOTHING), "f.topics")
_WANTED = f"CASE WHEN cardinality(f.needs) > 0 THEN f.needs ELSE {_TOPICS} END"
_OPEN_CASES = f"""
    answered AS (
        SELECT r.case_id, coalesce(array_agg(DISTINCT need) FILTER (WHERE need IS NOT NULL), '{{}}') AS needs,
            bool_or(r.course_run_id IS NOT NULL) AS by_course
        FROM referral r LEFT JOIN programme p ON p.id = r.programme_id LEFT JOIN LATERAL unnest(p.needs) AS need ON true
        WHERE r.state = ANY(CAST(:answering AS text[])) AND r.municipality = ANY(CAST(:towns AS text[]))
        GROUP BY r.case_id
    ),
    open_case AS (
        SELECT f.case_id, f.municipality,
            CASE WHEN a.case_id IS NULL THEN {_WANTED}
                 ELSE ARRAY(SELECT need FROM unnest({_WANTED}) AS need
                            WHERE need <> ALL(a.needs)
                                AND (NOT a.by_course OR need = ANY(CAST(:by_no_course AS text[])))) END AS needs
        FROM case_fact f LEFT JOIN answered a ON a.case_id = f.case_id
        WHERE f.closed_at IS NULL AND f.municipality = ANY(CAST(:towns AS text[]))
    )
"""  # noqa: S608 - our own words alone
_AREA = """
    CROSS JOIN LATERAL (
        SELECT CASE WHEN cardinality(p.municipalities) = 0 THEN a.municipalities_served
                    ELSE p.municipalities END AS codes
    ) AS area
"""
_TARGET = (
    "LEFT JOIN programme p ON p.id = r.programme_id LEFT JOIN course_option c ON c.course_run_id = r.course_run_id"
)
_KIND_OF_PROGRAMME = "p.function = :function AND p.stage = :stage AND p.strand = CAST(:strand AS smallint)"
_KIND = f"({_KIND_OF_PROGRAMME} OR c.system = ANY(CAST(:systems AS text[])))"
# A programme's line is kept by its agency, a course run's by training, which has told of the place in it.
_WAITS = "(r.state = 'waiting' OR r.state = 'received' AND r.progress = 'seat_waiting')"

_TOWNS = Hot(
    """
    WITH known AS (
        SELECT municipality AS code FROM agency
        UNION SELECT unnest(municipalities_served) FROM agency
        UNION SELECT unnest(municipalities) FROM programme
        UNION SELECT site_municipality FROM course_option
        UNION SELECT municipality FROM course_pool WHERE municipality IS NOT NULL
        UNION SELECT unnest(municipalities) FROM course_pool
        UNION SELECT municipality FROM neighbour
        UNION SELECT neighbour FROM neighbour
        UNION SELECT DISTINCT municipality FROM case_fact WHERE closed_at IS NULL
    )
    SELECT code FROM known WHERE left(code, 2) = CAST(:prefecture AS text) AND substr(code, 3, 3) <> '000'
    """
)
_NEIGHBOURS = Hot(
    "SELECT municipality, neighbour FROM neighbour WHERE left(municipality, 2) = CAST(:prefecture AS text)"
)
_OFFERS = Hot(
    f"""
    SELECT p.id, p.function, p.stage, p.strand, area.codes AS area, p.needs, p.capacity_state, p.capacity_free,
        p.confirmed_on, p.capacity_confirmed_on, p.starts_on, p.ends_on
    FROM programme p JOIN agency a ON a.agency_id = p.agency_id {_AREA}
    WHERE area.codes && CAST(:towns AS text[])
        OR EXISTS (SELECT 1 FROM unnest(area.codes) AS code
                   WHERE substr(code, 3, 3) = '000' AND left(code, 2) = ANY(CAST(:prefectures AS text[])))
    """  # noqa: S608
)
_SEATS = Hot(
    """
    SELECT c.course_run_id AS id, c.system, c.site_municipality AS site, c.applications_close_at AS closes_at,
        p.municipality, p.municipalities, p.granted, p.held, p.filled, p.waiting
    FROM course_option c JOIN course_pool p ON p.course_run_id = c.course_run_id
    WHERE c.applications_close_at > CAST(:closed AS timestamptz)
        AND (p.municipality = ANY(CAST(:towns AS text[])) OR p.municipalities && CAST(:towns AS text[])
             OR p.municipality IS NULL AND p.municipalities = '{}'
                AND left(c.site_municipality, 2) = ANY(CAST(:prefectures AS text[])))
    """
)
_GROUPS = Hot(
    f"""
    WITH {_OPEN_CASES}
    SELECT municipality, needs, count(*) AS people FROM open_case WHERE cardinality(needs) > 0 GROUP BY 1, 2
    """  # noqa: S608
)
_WAITING = Hot(
    f"""
    WITH {_OPEN_CASES}
    SELECT r.id, o.municipality, r.case_id, p.function, p.stage, p.strand, c.system, o.needs
    FROM referral r JOIN open_case o ON o.case_id = r.case_id {_TARGET}
    WHERE {_WAITS} AND (p.id IS NOT NULL OR c.system = ANY(CAST(:systems AS text[])))
    """  # noqa: S608
)
_UNMET = Hot(
    f"""
    WITH {_OPEN_CASES}
    SELECT u.id, o.municipality, u.case_id, u.need, o.needs
    FROM need_unmet u JOIN open_case o ON o.case_id = u.case_id
    WHERE u.state = 'open'
    """  # noqa: S608
)
# A decline that was overruled, or that nobody has looked at, turns nobody away. Whoever was asked for a case has no
# room to give.
_DECLINED = f"""
    FROM referral_step s JOIN referral r ON r.id = s.referral_id JOIN programme p ON p.id = r.programme_id
    WHERE r.state = 'declined' AND r.reason = CAST(:lack_of_room AS text)
        AND s.step = 'decline' AND s.at >= CAST(:since AS timestamptz) AND s.at <= CAST(:until AS timestamptz)
        AND NOT {was_asked_for("r")}
"""
# No seats for the person's municipality at all, or none came free before the place in line ran out. A seat that was
# held and ran out is another matter: there was one.
_WITHOUT_SEAT = """
    FROM referral r JOIN course_option c ON c.course_run_id = r.course_run_id
        JOIN referral_step s ON s.referral_id = r.id
    WHERE r.state = 'declined' AND s.at >= CAST(:since AS timestamptz) AND s.at <= CAST(:until AS timestamptz)
        AND (s.step = 'refuse_seat' AND s.reason = 'no_seats_for_you'
             OR s.step = 'release_seat' AND s.reason = 'expired' AND EXISTS (
                SELECT 1 FROM referral_step w
                WHERE w.referral_id = s.referral_id AND w.version = s.version - 1
                    AND w.step IN ('wait_for_seat', 'back_to_line')))
        AND c.system = ANY(CAST(:systems AS text[]))
"""
_TURNED_AWAY = Hot(
    f"""
    SELECT r.municipality, p.function, p.stage, p.strand, NULL AS system, count(DISTINCT r.id) AS referrals,
        array_agg(DISTINCT r.case_id) AS cases {_DECLINED}
        AND left(r.municipality, 2) = ANY(CAST(:prefectures AS text[]))
    GROUP BY 1, 2, 3, 4
    UNION ALL
    SELECT r.municipality, NULL, NULL, NULL, c.system, count(DISTINCT r.id),
        array_agg(DISTINCT r.case_id) {_WITHOUT_SEAT}
        AND left(r.municipality, 2) = ANY(CAST(:prefectures AS text[]))
    GROUP BY 1, c.system
    """
)


async def look(session: AsyncSession, prefecture: str, *, now: datetime, today: date, since: datetime) -> Picture:
    """Everything about a prefecture's municipalities and their neighbours beyond it, at this moment."""
    neighbours: dict[str, set[str]] = {}
    for row in await _NEIGHBOURS.rows(session, {"prefecture": prefecture}):
        neighbours.setdefault(row["municipality"], set()).add(row["neighbour"])
    towns = {row["code"] for row in await _TOWNS.rows(session, {"prefecture": prefecture})}
    towns = towns.union(*neighbours.values())
    prefectures = sorted({town[:2] for town in towns} | {prefecture})
    period = {"lack_of_room": DeclineReason.NO_CAPACITY, "since": since, "until": now, "prefectures": prefectures}
    away = await _TURNED_AWAY.rows(session, {**period, "systems": list(COURSE_KINDS)})
    towns |= {row["municipality"] for row in away if row["municipality"][:2] == prefecture}
    people = {"towns": sorted(towns), "answering": sorted(AT_WORK), "by_no_course": _BY_NO_COURSE}
    there = {"towns": sorted(towns), "prefectures": prefectures}
    return Picture(
        today=today,
        now=now,
        municipalities=frozenset(towns),
        offers=[_offer(row) for row in await _OFFERS.rows(session, there)],
        seats=[_seats(row) for row in await _SEATS.rows(session, {**there, "closed": now - _CLOSED_LATELY})],
        groups=[
            Group(row["municipality"], frozenset(row["needs"]), row["people"])
            for row in await _GROUPS.rows(session, people)
        ],
        waiting=[
            Waiting(row["municipality"], row["case_id"], _kind_of_target(row), frozenset(row["needs"]))
            for row in await _WAITING.rows(session, {**people, "systems": list(COURSE_KINDS)})
        ],
        unmet=[
            Unmet(row["municipality"], row["case_id"], row["need"], frozenset(row["needs"]))
            for row in await _UNMET.rows(session, people)
        ],
        turned_away=[
            TurnedAway(row["municipality"], _kind_of_target(row), row["referrals"], frozenset(row["cases"]))
            for row in away
        ],
        neighbours={town: frozenset(near) for town, near in neighbours.items()},
    )


def _kind(row: Mapping[str, Any]) -> Kind:
    return Kind(row["function"], row["stage"], row["strand"])


def _kind_of_target(row: Mapping[str, Any]) -> Kind:
    return _kind(row) if row["system"] is None else COURSE_KINDS[row["system"]]


def _seats(row: Mapping[str, Any]) -> Seats:
    pool = Pool(
        row["municipality"], row["granted"], row["held"], row["filled"], row["waiting"], tuple(row["municipalities"])
    )
    return Seats(row["id"], row["system"], row["site"], row["closes_at"], pool)


def _offer(row: Mapping[str, Any]) -> Offer:
    return Offer(
        id=row["id"],
        kind=_kind(row),
        area=frozenset(row["area"]),
        needs=frozenset(row["needs"]),
        capacity=row["capacity_state"],
        free=row["capacity_free"],
        confirmed_on=row["confirmed_on"],
        capacity_confirmed_on=row["capacity_confirmed_on"],
        starts_on=row["starts_on"],
        ends_on=row["ends_on"],
    )


# --- The records behind a number -------------------------------------------------------------------------------------

_PAGE = "AND {id} > CAST(:after AS uuid) ORDER BY {id} LIMIT CAST(:most AS integer)"
_MATCHES = "CASE WHEN CAST(:nobody AS boolean) THEN NOT ({needs} <@ :needs) ELSE {needs} && :needs END".replace(
    ":needs", "CAST(:needs AS text[])"
)
_UNMET_MATCHES = (
    f"CASE WHEN u.need IS NULL THEN CAST(:nobody AS boolean) ELSE {_MATCHES.format(needs='ARRAY[u.need]')} END"
)
_BEHIND = {
    "open_needs": Hot(
        f"""
        WITH {_OPEN_CASES}
        SELECT o.case_id AS id FROM open_case o WHERE {_MATCHES.format(needs="o.needs")}
        {_PAGE.format(id="o.case_id")}
        """  # noqa: S608
    ),
    "waiting": Hot(
        f"""
        WITH {_OPEN_CASES}
        SELECT r.id FROM referral r JOIN open_case o ON o.case_id = r.case_id {_TARGET}
        WHERE {_WAITS} AND {_KIND} {_PAGE.format(id="r.id")}
        """  # noqa: S608
    ),
    "unmet": Hot(
        f"""
        WITH {_OPEN_CASES}
        SELECT u.id FROM need_unmet u JOIN open_case o ON o.case_id = u.case_id
        WHERE u.state = 'open' AND {_UNMET_MATCHES} {_PAGE.format(id="u.id")}
        """  # noqa: S608
    ),
    "wanting": Hot(
        f"""
        WITH {_OPEN_CASES}
        SELECT o.case_id AS id FROM open_case o
        WHERE ({_MATCHES.format(needs="o.needs")} OR EXISTS (
            SELECT 1 FROM referral r {_TARGET} WHERE r.case_id = o.case_id AND {_WAITS} AND {_KIND}
        ) OR EXISTS (
            SELECT 1 FROM need_unmet u WHERE u.case_id = o.case_id AND u.state = 'open' AND {_UNMET_MATCHES}
        )) {_PAGE.format(id="o.case_id")}
        """  # noqa: S608
    ),
    "turned_away": Hot(
        f"""
        SELECT id FROM (
            SELECT r.id {_DECLINED} AND r.municipality = ANY(CAST(:towns AS text[])) AND {_KIND_OF_PROGRAMME}
            UNION
            SELECT r.id {_WITHOUT_SEAT} AND r.municipality = ANY(CAST(:towns AS text[]))
        ) AS away WHERE true {_PAGE.format(id="id")}
        """  # noqa: S608
    ),
}


async def behind(
    session: AsyncSession,
    number: str,
    *,
    towns: Iterable[str],
    kind: Kind,
    needs: Iterable[str],
    since: datetime,
    until: datetime,
    after: UUID | None,
    limit: int,
) -> Sequence[UUID]:
    """The ids of the records that a number counts, in order. `needs`: what the kind answers; all answered, for none."""
    values = {
        "towns": sorted(towns),
        "function": kind.function,
        "stage": kind.stage,
        "strand": kind.strand,
        "needs": sorted(needs),
        "nobody": kind == UNANSWERED,
        "systems": [system for system, of in COURSE_KINDS.items() if of == kind],
        "answering": sorted(AT_WORK),
        "by_no_course": _BY_NO_COURSE,
        "lack_of_room": DeclineReason.NO_CAPACITY,
        "since": since,
        "until": until,
        "after": after or UUID(int=0),
        "most": limit,
    }
    return [row["id"] for row in await _BEHIND[number].rows(session, values)]


# --- Snapshots -------------------------------------------------------------------------------------------------------

_COUNTS = (
    *("programmes", "with_room", "stale", "unknown", "places"),
    *("open_needs", "waiting", "unmet", "wanting", "turned_away"),
    *("waiting_cases", "unmet_cases", "turned_away_cases"),
)
_COLUMNS = ("function", "stage", "strand", "municipality", "state", "why", "proposal", "lenders", *_COUNTS)
_AT_ONCE = 5_000
"""Cells in one statement: a whole prefecture's may be more than a statement has time for on a busy day."""
_KEEP_SNAPSHOT = Hot(
    "INSERT INTO map_snapshot (prefecture, month, drawn_at, thresholds, shared) VALUES (CAST(:prefecture AS text),"
    " CAST(:month AS date), CAST(:drawn_at AS timestamptz), CAST(:thresholds AS jsonb), CAST(:shared AS jsonb))"
    " ON CONFLICT DO NOTHING RETURNING month"
)
_KEEP_CELLS = Hot(
    f"INSERT INTO map_snapshot_cell (prefecture, month, {', '.join(_COLUMNS)})"  # noqa: S608 - our own columns
    f" SELECT CAST(:prefecture AS text), CAST(:month AS date), {', '.join(_COLUMNS)}"
    " FROM json_populate_recordset(NULL::map_snapshot_cell, CAST(:cells AS json))"
)
_PREFECTURE_TO_DRAW = Hot(
    """
    SELECT DISTINCT left(a.municipality, 2) AS prefecture FROM agency a
    WHERE NOT EXISTS (SELECT 1 FROM map_snapshot s
                      WHERE s.prefecture = left(a.municipality, 2) AND s.month = CAST(:month AS date))
    ORDER BY 1 LIMIT 1
    """
)
_CELLS_OF = Hot(
    f"SELECT {', '.join(_COLUMNS)} FROM map_snapshot_cell"  # noqa: S608
    " WHERE prefecture = CAST(:prefecture AS text) AND month = CAST(:month AS date)"
)
_SHARED_OF = Hot(
    "SELECT thresholds, shared FROM map_snapshot"
    " WHERE prefecture = CAST(:prefecture AS text) AND month = CAST(:month AS date)"
)
_SNAPSHOTS = Hot(
    "SELECT month, drawn_at, thresholds FROM map_snapshot WHERE prefecture = CAST(:prefecture AS text)"
    " ORDER BY month DESC LIMIT 240"
)


async def find_prefecture_to_draw(session: AsyncSession, month: date) -> str | None:
    """One with agencies whose map of that month is not kept yet."""
    rows = await _PREFECTURE_TO_DRAW.rows(session, {"month": month})
    return rows[0]["prefecture"] if rows else None


async def keep_snapshot(session: AsyncSession, prefecture: str, month: date, kept: Kept, *, now: datetime) -> bool:
    """Keep a month's map, once: whether it is new."""
    place = {"prefecture": prefecture, "month": month}
    shared = to_json(_shared_told(kept.shared)).decode()
    values = {"thresholds": to_json(asdict(kept.by)).decode(), "shared": shared}
    if not await _KEEP_SNAPSHOT.rows(session, {**place, **values, "drawn_at": now}):
        return False
    rows = [_row_of(cell) for cell in kept.cells]
    for begin in range(0, len(rows), _AT_ONCE):
        await _KEEP_CELLS.rows(session, {**place, "cells": to_json(rows[begin : begin + _AT_ONCE]).decode()})
    return True


async def list_snapshots(session: AsyncSession, prefecture: str) -> Sequence[Mapping[str, Any]]:
    """The months of which a map is kept, newest first."""
    return await _SNAPSHOTS.rows(session, {"prefecture": prefecture})


async def find_snapshot(session: AsyncSession, prefecture: str, month: date) -> Kept:
    """The map as it was kept."""
    place = {"prefecture": prefecture, "month": month}
    (row,) = await _SHARED_OF.rows(session, place)
    cells = [_cell(each) for each in await _CELLS_OF.rows(session, place)]
    return Kept(cells, Thresholds(**row["thresholds"]), _shared_read(row["shared"]))


def _shared_told(shared: Shared | None) -> dict[str, Any] | None:
    if shared is None:
        return None
    return {
        "heaps": [
            {**asdict(kind), "towns": sorted(towns), "places": places}
            for kind, heaps in shared.heaps.items()
            for towns, places in heaps.items()
        ],
        "neighbours": {town: sorted(near) for town, near in shared.neighbours.items()},
    }


def _shared_read(told: Mapping[str, Any] | None) -> Shared | None:
    if told is None:
        return None
    heaps: dict[Kind, dict[frozenset[str], int]] = defaultdict(dict)
    for each in told["heaps"]:
        heaps[_kind(each)][frozenset(each["towns"])] = each["places"]
    return Shared(heaps, {town: frozenset(near) for town, near in told["neighbours"].items()})


def _row_of(cell: Cell) -> dict[str, Any]:
    return {
        **asdict(cell.kind),
        **asdict(cell.supply),
        **asdict(cell.demand),
        "municipality": cell.municipality,
        "state": cell.state,
        "why": cell.why,
        "proposal": cell.proposal,
        "lenders": cell.lenders,
    }


def _cell(row: Mapping[str, Any]) -> Cell:
    return Cell(
        municipality=row["municipality"],
        kind=_kind(row),
        supply=Supply(*(row[name] for name in _COUNTS[:5])),
        # Months of before don't say how many cases they were: nobody can tell that they weren't few.
        demand=Demand(*(row[name] or 0 for name in _COUNTS[5:])),
        state=Coverage(row["state"]),
        why=Why(row["why"]),
        proposal=Proposal(row["proposal"]),
        lenders=tuple(row["lenders"]),
    )
