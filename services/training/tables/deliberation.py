"""The sub-committee's record: rules, members, meetings, agenda, papers, rolls. Rows are added and never changed."""

# ruff: noqa: S608  (put together from this file's own words; every value is bound)

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.training.domain.deliberation import Meeting, MeetingKind, Place, Rules, Seat, Share, Step

# One statement locks the sub-committee and says what time it is there: nobody who waited for the lock acts earlier
# than what was done meanwhile, or an urgent decision could be ratified after its limit had been acted upon.
_LOCK = text(
    "UPDATE sub_committee SET version = version + 1, last_at = GREATEST(last_at, CAST(:now AS timestamptz))"
    " WHERE id = :id RETURNING id, prefecture, last_at"
)
_LOCK_NEXT_LAPSED = text(
    "SELECT c.id AS sub_committee_id, d.id AS decision_id"
    " FROM decision d JOIN sub_committee c ON c.id = d.sub_committee_id"
    " WHERE d.ratify_before <= :now AND NOT EXISTS (SELECT FROM ratification r WHERE r.decision_id = d.id)"
    " AND NOT EXISTS (SELECT FROM decision_told t WHERE t.decision_id = d.id AND t.news = 'lapsed')"
    " ORDER BY d.ratify_before, d.id LIMIT 1 FOR UPDATE OF c SKIP LOCKED"
)
_ADD_COMMITTEE = text(
    "INSERT INTO sub_committee (id, prefecture, name, set_up_by, in_force_from, recorded_by, recorded_at, last_at)"
    " VALUES (:id, :prefecture, :name, :set_up_by, :in_force_from, :by, :now, :now)"
    " ON CONFLICT (prefecture) DO NOTHING RETURNING id"
)
_RULES = (
    "quorum_parts, quorum_of, quorum_more_than, majority_parts, majority_of, majority_more_than, chair_breaks_ties,"
    " ratify_within"
)
_ADD_RULES = text(
    f"INSERT INTO committee_rule (sub_committee_id, version, in_force_from, {_RULES}, decided_by, recorded_by,"
    " recorded_at)"
    " SELECT :id, 1 + coalesce(max(version), 0), :in_force_from, :quorum_parts, :quorum_of, :quorum_more_than,"
    " :majority_parts, :majority_of, :majority_more_than, :chair_breaks_ties, :ratify_within, :decided_by, :by, :now"
    " FROM committee_rule WHERE sub_committee_id = :id RETURNING version"
)
_RULES_ON = text(
    f"SELECT version, in_force_from, {_RULES}, decided_by FROM committee_rule WHERE sub_committee_id = :id"
    " ORDER BY in_force_from <= CAST(:day AS date) DESC,"
    " CASE WHEN in_force_from <= CAST(:day AS date) THEN in_force_from END DESC, version DESC LIMIT 1"
)
_SEATS = (
    "SELECT m.id, m.agency, m.office, m.voting, m.presides, m.from_on, e.until_on, was.day AS was_there_on"
    " FROM committee_member m LEFT JOIN committee_member_end e ON e.member_id = m.id"
    " LEFT JOIN LATERAL (SELECT max(coalesce(c.held_on, CAST(v.at AT TIME ZONE 'Asia/Tokyo' AS date))) AS day"
    " FROM meeting_roll r JOIN committee_meeting c ON c.id = r.meeting_id"
    " LEFT JOIN vote v ON v.meeting_id = r.meeting_id AND v.member_id = r.member_id"
    " WHERE r.member_id = m.id AND (r.present OR v.at IS NOT NULL)) AS was ON true"
)
_READ_SEATS = text(f"{_SEATS} WHERE m.sub_committee_id = :id ORDER BY m.id")
_LIST_SEATS = text(
    f"{_SEATS} WHERE m.sub_committee_id = :id AND (CAST(:after AS uuid) IS NULL OR m.id > :after)"
    " AND (CAST(:day AS date) IS NULL OR (m.from_on <= :day AND coalesce(:day <= e.until_on, true)))"
    " ORDER BY m.id LIMIT :limit"
)
_ADD_SEAT = text(
    "INSERT INTO committee_member (id, sub_committee_id, agency, office, voting, presides, from_on, recorded_by,"
    " recorded_at) VALUES (:id, :sub_committee_id, :agency, :office, :voting, :presides, :from_on, :by, :now)"
)
_END_SEAT = text(
    "INSERT INTO committee_member_end (member_id, until_on, recorded_by, recorded_at)"
    " VALUES (:id, :until_on, :by, :now)"
)


@dataclass(frozen=True, slots=True)
class Committee:
    """A sub-committee, locked, and the moment at which it is acted upon."""

    id: UUID
    prefecture: str
    now: datetime


async def lock_committee(session: AsyncSession, sub_committee_id: UUID, now: datetime) -> Committee | None:
    """The sub-committee, locked: whatever is decided about its members, votes and decisions is decided one by one."""
    row = (await session.execute(_LOCK, {"id": sub_committee_id, "now": now})).one_or_none()
    return None if row is None else Committee(row.id, row.prefecture, row.last_at)


async def lock_next_lapsed(session: AsyncSession, now: datetime) -> tuple[UUID, UUID] | None:
    """A sub-committee, locked, and its urgent decision whose limit has passed and of which nobody was told."""
    row = (await session.execute(_LOCK_NEXT_LAPSED, {"now": now})).one_or_none()
    return None if row is None else (row.sub_committee_id, row.decision_id)


async def add_committee(session: AsyncSession, values: Mapping[str, Any]) -> bool:
    """Whether it was added: a prefecture has one."""
    return (await session.execute(_ADD_COMMITTEE, dict(values))).one_or_none() is not None


async def add_rules(session: AsyncSession, sub_committee_id: UUID, rules: Rules, values: Mapping[str, Any]) -> int:
    """The rules' next version."""
    shares = {
        f"{name}_{part}": getattr(share, part)
        for name, share in (("quorum", rules.quorum), ("majority", rules.majority))
        for part in ("parts", "of", "more_than")
    }
    more = {"chair_breaks_ties": rules.chair_breaks_ties, "ratify_within": rules.ratify_within}
    version: int = (
        await session.execute(_ADD_RULES, {"id": sub_committee_id} | shares | more | dict(values))
    ).scalar_one()
    return version


async def rules_on(session: AsyncSession, sub_committee_id: UUID, day: date) -> tuple[int, Rules]:
    """The rules in force on a day, and their version; the newest, where none is in force yet."""
    row = (await session.execute(_RULES_ON, {"id": sub_committee_id, "day": day})).one()
    return row.version, rules_of(row)


def rules_of(row: Row[Any]) -> Rules:
    """The rules out of their columns."""
    return Rules(
        Share(row.quorum_parts, row.quorum_of, row.quorum_more_than),
        Share(row.majority_parts, row.majority_of, row.majority_more_than),
        row.chair_breaks_ties,
        row.ratify_within,
    )


async def read_seats(session: AsyncSession, sub_committee_id: UUID) -> list[Seat]:
    """Every seat there ever was."""
    return [_seat(row) for row in await session.execute(_READ_SEATS, {"id": sub_committee_id})]


async def list_seats(
    session: AsyncSession, sub_committee_id: UUID, *, day: date | None, after: UUID | None, limit: int
) -> list[Seat]:
    """Seats as they were added; with a day, those who sit on it."""
    values = {"id": sub_committee_id, "day": day, "after": after, "limit": limit}
    return [_seat(row) for row in await session.execute(_LIST_SEATS, values)]


async def add_seat(session: AsyncSession, sub_committee_id: UUID, seat: Seat, *, by: str, now: datetime) -> None:
    """A seat."""
    values = {
        "id": seat.id,
        "sub_committee_id": sub_committee_id,
        "agency": seat.agency,
        "office": seat.office,
        "voting": seat.voting,
        "presides": seat.presides,
        "from_on": seat.from_on,
        "by": by,
        "now": now,
    }
    await session.execute(_ADD_SEAT, values)


async def end_seat(session: AsyncSession, member_id: UUID, until_on: date, *, by: str, now: datetime) -> None:
    """The end of a membership is a fact of its own."""
    await session.execute(_END_SEAT, {"id": member_id, "until_on": until_on, "by": by, "now": now})


def _seat(row: Row[Any]) -> Seat:
    return Seat(row.id, row.agency, row.office, row.voting, row.presides, row.from_on, row.until_on, row.was_there_on)


# --- meetings -------------------------------------------------------------------------------------------------------

_MEETINGS = (
    "SELECT m.id, m.sub_committee_id, m.kind, m.held_on, m.answers_by, m.recorded_by, m.recorded_at,"
    " ARRAY(SELECT s.step FROM meeting_step s WHERE s.meeting_id = m.id) AS steps,"
    " (SELECT count(*) FROM meeting_agenda a WHERE a.meeting_id = m.id) AS agenda,"
    " (SELECT count(*) FROM ballot b WHERE b.meeting_id = m.id) AS ballots,"
    " (SELECT count(*) FROM ballot b WHERE b.meeting_id = m.id"
    " AND NOT EXISTS (SELECT FROM ballot_end e WHERE e.ballot_id = b.id)) AS open_ballots FROM committee_meeting m"
)
_FIND_MEETING = text(f"{_MEETINGS} WHERE m.id = :id AND m.sub_committee_id = :sub_committee_id")
_LIST_MEETINGS = text(
    f"{_MEETINGS} WHERE m.sub_committee_id = :id AND (CAST(:after AS uuid) IS NULL OR m.id > :after)"
    " ORDER BY m.id LIMIT :limit"
)
_ADD_MEETING = text(
    "INSERT INTO committee_meeting (id, sub_committee_id, kind, held_on, answers_by, recorded_by, recorded_at)"
    " VALUES (:id, :sub_committee_id, :kind, :held_on, :answers_by, :by, :now)"
)
_ADD_STEP = text("INSERT INTO meeting_step (meeting_id, step, at, by) VALUES (:id, :step, :now, :by)")
_ADD_AGENDA = text(
    "INSERT INTO meeting_agenda (meeting_id, number, title, motion_id)"
    " SELECT :id, 1 + count(*), :title, :motion_id FROM meeting_agenda WHERE meeting_id = :id"
)
_ON_AGENDA = text("SELECT number FROM meeting_agenda WHERE meeting_id = :id AND motion_id = :motion_id")
_ADD_PAPER = text(
    "INSERT INTO meeting_paper (id, meeting_id, title, kind, reference, brought_by, recorded_by, recorded_at)"
    " VALUES (:id, :meeting_id, :title, :kind, :reference, :brought_by, :by, :now)"
)
_ADD_ROLL = text(
    "INSERT INTO meeting_roll (meeting_id, member_id, voting, presides, present)"
    " SELECT :id, * FROM unnest(CAST(:members AS uuid[]), CAST(:voting AS boolean[]), CAST(:presides AS boolean[]),"
    " CAST(:present AS boolean[]))"
)
_ROLL = text(
    "SELECT r.member_id, m.agency, m.office, r.voting, r.presides, r.present"
    " FROM meeting_roll r JOIN committee_member m ON m.id = r.member_id WHERE r.meeting_id = :id ORDER BY r.member_id"
)
_AGENDA = text("SELECT number, title, motion_id FROM meeting_agenda WHERE meeting_id = :id ORDER BY number")
_PAPERS = text("SELECT id, title, kind, reference, brought_by FROM meeting_paper WHERE meeting_id = :id ORDER BY id")
_STEPS = text("SELECT step, at, by FROM meeting_step WHERE meeting_id = :id ORDER BY at, step DESC")


async def find_meeting(session: AsyncSession, sub_committee_id: UUID, meeting_id: UUID) -> Meeting | None:
    """A meeting of this sub-committee, with what has happened to it."""
    row = (await session.execute(_FIND_MEETING, {"id": meeting_id, "sub_committee_id": sub_committee_id})).one_or_none()
    return None if row is None else meeting_of(row)


def meeting_of(row: Row[Any]) -> Meeting:
    """A meeting out of its columns."""
    return Meeting(
        id=row.id,
        kind=MeetingKind(row.kind),
        held_on=row.held_on,
        answers_by=row.answers_by,
        steps=frozenset(map(Step, row.steps)),
        agenda=row.agenda,
        ballots=row.ballots,
        open_ballots=row.open_ballots,
    )


async def list_meetings(
    session: AsyncSession, sub_committee_id: UUID, *, after: UUID | None, limit: int
) -> list[Meeting]:
    """Meetings as they were planned."""
    values = {"id": sub_committee_id, "after": after, "limit": limit}
    return [meeting_of(row) for row in await session.execute(_LIST_MEETINGS, values)]


async def add_meeting(
    session: AsyncSession, sub_committee_id: UUID, meeting: Meeting, *, by: str, now: datetime
) -> None:
    """A meeting that is planned."""
    values = {
        "id": meeting.id,
        "sub_committee_id": sub_committee_id,
        "kind": meeting.kind.value,
        "held_on": meeting.held_on,
        "answers_by": meeting.answers_by,
        "by": by,
        "now": now,
    }
    await session.execute(_ADD_MEETING, values)


async def add_step(session: AsyncSession, meeting_id: UUID, step: Step, *, by: str, now: datetime) -> None:
    """What happened to a meeting; its roll is there before it votes."""
    await session.execute(_ADD_STEP, {"id": meeting_id, "step": step.value, "by": by, "now": now})


async def add_to_agenda(session: AsyncSession, meeting_id: UUID, title: str, motion_id: UUID | None) -> None:
    """The agenda's next item."""
    await session.execute(_ADD_AGENDA, {"id": meeting_id, "title": title, "motion_id": motion_id})


async def is_on_agenda(session: AsyncSession, meeting_id: UUID, motion_id: UUID) -> bool:
    """Whether the motion is on the meeting's agenda."""
    found = await session.execute(_ON_AGENDA, {"id": meeting_id, "motion_id": motion_id})
    return found.one_or_none() is not None


async def add_paper(session: AsyncSession, meeting_id: UUID, values: Mapping[str, Any]) -> None:
    """A paper (資料): its title and where it is to be found; the file lies elsewhere."""
    await session.execute(_ADD_PAPER, {"meeting_id": meeting_id} | dict(values))


async def add_roll(session: AsyncSession, meeting_id: UUID, roll: Sequence[Place]) -> None:
    """Who is a member on the day, and who of them was there."""
    values = {
        "id": meeting_id,
        "members": [place.member_id for place in roll],
        "voting": [place.voting for place in roll],
        "presides": [place.presides for place in roll],
        "present": [place.present for place in roll],
    }
    await session.execute(_ADD_ROLL, values)


async def read_roll(session: AsyncSession, meeting_id: UUID) -> list[Place]:
    """The roll of a meeting."""
    return [
        Place(row.member_id, row.agency, row.voting, row.presides, row.present)
        for row in await session.execute(_ROLL, {"id": meeting_id})
    ]


async def read_meeting_parts(session: AsyncSession, meeting_id: UUID) -> dict[str, list[Row[Any]]]:
    """Everything that belongs to a meeting: its steps, agenda, papers and roll."""
    parts = {"steps": _STEPS, "agenda": _AGENDA, "papers": _PAPERS, "roll": _ROLL}
    return {name: list(await session.execute(each, {"id": meeting_id})) for name, each in parts.items()}


# --- reading --------------------------------------------------------------------------------------------------------

_COMMITTEES = (
    "SELECT c.*, r.version AS rule_version, r.in_force_from AS rules_in_force_from, r.decided_by AS rules_decided_by, "
    + ", ".join(f"r.{column}" for column in _RULES.split(", "))
    + " FROM sub_committee c CROSS JOIN LATERAL (SELECT * FROM committee_rule WHERE sub_committee_id = c.id"
    " ORDER BY in_force_from <= CAST(:day AS date) DESC,"
    " CASE WHEN in_force_from <= CAST(:day AS date) THEN in_force_from END DESC, version DESC LIMIT 1) AS r"
)
_FIND_COMMITTEE = text(f"{_COMMITTEES} WHERE c.id = :id")
_LIST_COMMITTEES = text(
    f"{_COMMITTEES} WHERE (CAST(:after AS text) IS NULL OR c.prefecture > :after)"
    " AND (CAST(:prefecture AS text) IS NULL OR c.prefecture = :prefecture) ORDER BY c.prefecture LIMIT :limit"
)
_LIST_RULES = text(
    f"SELECT version, in_force_from, {_RULES}, decided_by FROM committee_rule WHERE sub_committee_id = :id"
    " AND (CAST(:after AS integer) IS NULL OR version > :after) ORDER BY version LIMIT :limit"
)


async def find_committee(session: AsyncSession, sub_committee_id: UUID, day: date) -> Row[Any] | None:
    """A sub-committee with its rules on a day."""
    return (await session.execute(_FIND_COMMITTEE, {"id": sub_committee_id, "day": day})).one_or_none()


async def list_committees(
    session: AsyncSession, *, prefecture: str | None, day: date, after: str | None, limit: int
) -> list[Row[Any]]:
    """Sub-committees by prefecture."""
    values = {"prefecture": prefecture, "day": day, "after": after, "limit": limit}
    return list(await session.execute(_LIST_COMMITTEES, values))


async def list_rules(session: AsyncSession, sub_committee_id: UUID, *, after: int | None, limit: int) -> list[Row[Any]]:
    """Every version of a sub-committee's rules."""
    return list(await session.execute(_LIST_RULES, {"id": sub_committee_id, "after": after, "limit": limit}))
