"""What people read of the deliberation: the committee, its meetings with minutes on paper, motions, decisions, CSV."""

import tomllib
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from services.training.domain.deliberation import Meeting, Seat
from services.training.handlers.layouts import FOLDER, layout
from services.training.tables import decisions
from services.training.tables import deliberation as record
from shared.codes import place_name
from shared.problems import NOT_FOUND, Problem, ProblemType
from shared.service.exports import Layout

MOST_LINES = 50_000
"""What an office's software still opens."""
TOO_MANY = ProblemType(
    "too_many_decisions", 409, "Too many decisions for one file", "一つのファイルには決定が多すぎます"
)


async def get_committee(session: AsyncSession, sub_committee_id: UUID, day: date) -> Row[Any]:
    """A sub-committee with its rules on a day."""
    found = await record.find_committee(session, sub_committee_id, day)
    if found is None:
        raise Problem(NOT_FOUND)
    return found


async def list_committees(
    session: AsyncSession, *, prefecture: str | None, day: date, after: str | None, limit: int
) -> list[Row[Any]]:
    """Sub-committees by prefecture."""
    return await record.list_committees(session, prefecture=prefecture, day=day, after=after, limit=limit)


async def list_rules(
    session: AsyncSession, sub_committee_id: UUID, *, day: date, after: int | None, limit: int
) -> list[Row[Any]]:
    """Every version of the rules."""
    await get_committee(session, sub_committee_id, day)
    return await record.list_rules(session, sub_committee_id, after=after, limit=limit)


async def list_seats(
    session: AsyncSession,
    sub_committee_id: UUID,
    *,
    today: date,
    day: date | None,
    after: UUID | None,
    limit: int,
) -> list[Seat]:
    """Members, of all days or of one."""
    await get_committee(session, sub_committee_id, today)
    return await record.list_seats(session, sub_committee_id, day=day, after=after, limit=limit)


async def list_meetings(
    session: AsyncSession, sub_committee_id: UUID, *, today: date, after: UUID | None, limit: int
) -> list[Meeting]:
    """Meetings as they were planned."""
    await get_committee(session, sub_committee_id, today)
    return await record.list_meetings(session, sub_committee_id, after=after, limit=limit)


async def list_motions(
    session: AsyncSession, sub_committee_id: UUID, *, now: datetime, after: UUID | None, limit: int
) -> list[Row[Any]]:
    """Motions as they were tabled."""
    await get_committee(session, sub_committee_id, now.date())
    return await decisions.list_motions(session, sub_committee_id, now=now, after=after, limit=limit)


async def get_motion(
    session: AsyncSession, motion_id: UUID, now: datetime
) -> tuple[Row[Any], list[Row[Any]], list[Row[Any]]]:
    """A motion, its versions, and the votes on it."""
    found = await decisions.find_motion(session, motion_id, now)
    if found is None:
        raise Problem(NOT_FOUND)
    versions = await decisions.read_versions(session, motion_id)
    return found[1], versions, await decisions.read_ballots(session, motion_id=motion_id)


# --- a meeting, and its minutes -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class WholeMeeting:
    """A meeting with its steps, agenda, papers and roll, and the votes that were taken in it."""

    meeting: Meeting
    parts: dict[str, list[Row[Any]]]
    ballots: list[Row[Any]]


async def get_meeting(session: AsyncSession, sub_committee_id: UUID, meeting_id: UUID) -> WholeMeeting:
    """A meeting of this sub-committee."""
    meeting = await record.find_meeting(session, sub_committee_id, meeting_id)
    if meeting is None:
        raise Problem(NOT_FOUND)
    parts = await record.read_meeting_parts(session, meeting_id)
    return WholeMeeting(meeting, parts, await decisions.read_ballots(session, meeting_id=meeting_id))


@dataclass(frozen=True, slots=True)
class Minutes:
    """What stands on the paper: the meeting, and of each vote the version that was voted on and what it decided."""

    committee: Row[Any]
    whole: WholeMeeting
    versions: dict[UUID, Row[Any]]
    """By ballot."""
    decided: dict[UUID, Row[Any]]
    """By motion."""


async def get_minutes(session: AsyncSession, sub_committee_id: UUID, meeting_id: UUID, now: datetime) -> Minutes:
    """Everything that the minutes say."""
    committee = await get_committee(session, sub_committee_id, now.date())
    whole = await get_meeting(session, sub_committee_id, meeting_id)
    versions, decided = {}, {}
    for ballot in whole.ballots:
        found = await decisions.read_versions(session, ballot.motion_id)
        versions[ballot.id] = next(each for each in found if each.version == ballot.motion_version)
        motion = await decisions.find_motion(session, ballot.motion_id, now)
        if motion is not None and motion[0].decision_id is not None:
            decided[ballot.motion_id] = await get_decision(session, motion[0].decision_id, now)
    return Minutes(committee, whole, versions, decided)


# --- decisions ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which decisions, and where they stand at which moment."""

    prefecture: str | None
    municipality: str | None
    in_force: bool
    at: datetime


async def get_decision(session: AsyncSession, decision_id: UUID, at: datetime) -> Row[Any]:
    """A decision as it stands at a moment."""
    found = await decisions.find_decision(session, decision_id, at)
    if found is None:
        raise Problem(NOT_FOUND)
    return found


async def list_decisions(session: AsyncSession, wanted: Wanted, *, after: UUID | None, limit: int) -> list[Row[Any]]:
    """Decisions as they were made."""
    found = await decisions.list_decisions(
        session,
        prefecture=wanted.prefecture,
        municipality=wanted.municipality,
        in_force=wanted.in_force,
        at=wanted.at,
        after=after,
        limit=limit,
    )
    return list(found)


async def decision_lines(session: AsyncSession, wanted: Wanted) -> list[dict[str, Any]]:
    """A line for each allotment; a decision on content, or one that only ends others, has one line."""
    rows = await list_decisions(session, wanted, after=None, limit=MOST_LINES + 1)
    lines = [line for row in rows for line in _lines_of(row)]
    if len(lines) > MOST_LINES:
        raise Problem(
            TOO_MANY,
            detail="Choose a municipality, or a day on which they are in force.",
            detail_ja="市町村か、効力のある日を指定してください。",
        )
    return lines


def _lines_of(row: Row[Any]) -> list[dict[str, Any]]:
    content = row.content if "wish" in row.content else {}
    about = {
        "number": row.number,
        "version": row.version,
        "kind": row.about,
        "title": row.title,
        "state": row.state,
        "urgent": row.ratify_before is not None,
        "decided_at": row.decided_at,
        "effective_at": row.effective_at,
        "ends_at": row.ends_at,
        "ratify_before": row.ratify_before,
        "ratification": row.ratification,
    } | content
    lines = [
        allotment
        | {
            "municipalities": allotment["municipalities"],
            "municipality_names": [place_name(code) for code in allotment["municipalities"]],
            "cut_off_on": date.fromisoformat(allotment["cut_off_on"]),
            "carried_in": max(0, allotment["carried_over"]),
            "carried_out": max(0, -allotment["carried_over"]),
            "onward": [
                f"{'+'.join(map(place_name, each['municipalities']))} {each['cut_off_on']}"
                for each in allotment["onward"]
            ],
        }
        for allotment in row.allotments
    ]
    return [about | line | {"number": row.number} for line in lines or [{}]]


_FIELDS = frozenset(
    {
        "number",
        "version",
        "kind",
        "title",
        "state",
        "urgent",
        "decided_at",
        "effective_at",
        "ends_at",
        "ratify_before",
        "ratification",
        "municipalities",
        "municipality_names",
        "course_number",
        "system",
        "field",
        "quarter",
        "fiscal_year",
        "seats",
        "cut_off_on",
        "returns_percent",
        "lendable",
        "onward",
        "carries_over",
        "carried_in",
        "carried_out",
        "wish",
        "target_group",
    }
)


def decisions_layout(session: AsyncSession) -> Layout:
    """The office's own layout, where it has one, and else the one that comes along."""
    return layout(session, "decisions", _FIELDS)


@cache
def words() -> dict[str, dict[str, str]]:
    """The tables of words that come along with the layout, for the page."""
    found: dict[str, dict[str, str]] = tomllib.loads((FOLDER / "decisions.toml").read_text(encoding="utf-8"))["words"]
    return found
