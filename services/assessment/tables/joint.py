"""Joint ratings: who is asked, what each saw, and the agreed levels. Reasons are sealed in (joint_reason, item, seat).

The wall hides what others saw until the rating is closed: a statement of ours that forgets to ask sees its own alone.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.assessment.domain.instruments import Answer
from services.assessment.domain.joint import Joint, Seat, State
from shared.vault import DataKey, Place

_COLUMNS = (
    "j.id, j.case_id, j.conference_id, j.lane, j.instrument, j.rubric, j.chair, j.state, j.agreed, j.agreed_unseen,"
    " j.begun_at, j.closed_at, j.agreed_at"
)
_FIND = text(f"SELECT {_COLUMNS} FROM joint_rating j WHERE j.id = :id")  # noqa: S608 - our own column names
_LOCK = text(f"SELECT {_COLUMNS} FROM joint_rating j WHERE j.id = :id FOR UPDATE")  # noqa: S608 - as above
_LIST = text(
    f"SELECT {_COLUMNS} FROM joint_rating j"  # noqa: S608 - as above
    " WHERE j.case_id = :case_id AND (CAST(:after AS uuid) IS NULL OR j.id > :after) ORDER BY j.id LIMIT :limit"
)
_SEATS = text("SELECT joint_id, agency, profession, given_at FROM joint_seat WHERE joint_id = ANY (:ids)")
_ADD = text(
    "INSERT INTO joint_rating (id, case_id, conference_id, lane, instrument, rubric, chair, state, begun_at)"
    " VALUES (:id, :case_id, :conference_id, :lane, :instrument, :rubric, :chair, 'rating', :at)"
)
_ADD_SEATS = text("INSERT INTO joint_seat (joint_id, agency, profession) VALUES (:id, :agency, :profession)")
_TAKE_SEAT = text(
    "UPDATE joint_seat SET given_at = :at WHERE joint_id = :id AND agency = :agency AND profession = :profession"
)
_ADD_EYE = text(
    "INSERT INTO joint_eye (joint_id, agency, profession, rater, levels, not_observed, at)"
    " VALUES (:id, :agency, :profession, :rater, CAST(:levels AS jsonb), :not_observed, :at)"
)
_ADD_REASON = text(
    "INSERT INTO joint_reason (joint_id, agency, profession, item, sealed)"
    " VALUES (:id, :agency, :profession, :item, :sealed)"
)
_EYES = text("SELECT agency, profession, levels, not_observed FROM joint_eye WHERE joint_id = :id")
_REASONS = text("SELECT agency, profession, item, sealed FROM joint_reason WHERE joint_id = :id")
_CLOSE = text("UPDATE joint_rating SET state = 'side_by_side', closed_at = :at WHERE id = :id")
_AGREE = text(
    "UPDATE joint_rating SET state = 'agreed', agreed_at = :at, agreed = CAST(:levels AS jsonb),"
    " agreed_unseen = :unseen WHERE id = :id"
)


@dataclass(frozen=True, slots=True)
class Row:
    """A joint rating as it stands in the tables, without what anybody saw."""

    id: UUID
    case_id: UUID
    conference_id: UUID | None
    lane: str
    instrument: str
    rubric: str
    joint: Joint
    agreed: Answer | None
    begun_at: datetime
    closed_at: datetime | None
    agreed_at: datetime | None


async def add_joint(session: AsyncSession, row: Row) -> None:
    """Ask these seats to rate."""
    values = {
        "id": row.id,
        "case_id": row.case_id,
        "conference_id": row.conference_id,
        "lane": row.lane,
        "instrument": row.instrument,
        "rubric": row.rubric,
        "chair": row.joint.chair,
        "at": row.begun_at,
    }
    await session.execute(_ADD, values)
    seats = [{"id": row.id, "agency": s.agency, "profession": s.profession} for s in sorted(row.joint.seats)]
    await session.execute(_ADD_SEATS, seats)


async def find_joint(session: AsyncSession, joint_id: UUID) -> Row | None:
    """A joint rating, to look at."""
    return await _one(session, _FIND, joint_id)


async def lock_joint(session: AsyncSession, joint_id: UUID) -> Row | None:
    """The same, held until the transaction ends: who gives last closes it, and there is one last."""
    return await _one(session, _LOCK, joint_id)


async def find_joints(session: AsyncSession, case_id: UUID, *, after: UUID | None, limit: int) -> list[Row]:
    """Those of a case, in the order in which they were begun."""
    rows = (await session.execute(_LIST, {"case_id": case_id, "after": after, "limit": limit})).all()
    return await _with_seats(session, rows)


async def give(
    session: AsyncSession,
    joint_id: UUID,
    seat: Seat,
    answer: Answer,
    *,
    rater: str | None,
    key: DataKey | None,
    reasons: Mapping[str, str],
    at: datetime,
) -> None:
    """What a seat saw, once, with its reasons."""
    at_seat = {"id": joint_id, "agency": seat.agency, "profession": seat.profession}
    await session.execute(_TAKE_SEAT, at_seat | {"at": at})
    seen = {"levels": json.dumps(dict(answer.levels)), "not_observed": sorted(answer.not_observed)}
    await session.execute(_ADD_EYE, at_seat | seen | {"rater": rater, "at": at})
    if reasons:
        assert key is not None
        sealed = [
            at_seat | {"item": item, "sealed": key.seal(words, _place(joint_id, seat, item))}
            for item, words in sorted(reasons.items())
        ]
        await session.execute(_ADD_REASON, sealed)


async def find_eyes(session: AsyncSession, joint_id: UUID) -> dict[Seat, Answer]:
    """What was seen, as far as the wall lets it be."""
    rows = await session.execute(_EYES, {"id": joint_id})
    return {Seat(row.agency, row.profession): Answer(row.levels, frozenset(row.not_observed)) for row in rows}


async def find_reasons(session: AsyncSession, joint_id: UUID) -> dict[Seat, dict[str, bytes]]:
    """The reasons, still sealed, as far as the wall lets them be."""
    found: dict[Seat, dict[str, bytes]] = {}
    for row in await session.execute(_REASONS, {"id": joint_id}):
        found.setdefault(Seat(row.agency, row.profession), {})[row.item] = row.sealed
    return found


def opened(key: DataKey, joint_id: UUID, seat: Seat, sealed: Mapping[str, bytes]) -> dict[str, str]:
    """The words of a seat."""
    return {item: key.open(value, _place(joint_id, seat, item)) for item, value in sealed.items()}


async def close(session: AsyncSession, joint_id: UUID, *, at: datetime) -> None:
    """From now on all stand side by side."""
    await session.execute(_CLOSE, {"id": joint_id, "at": at})


async def agree(session: AsyncSession, joint_id: UUID, answer: Answer, *, at: datetime) -> None:
    """The agreed levels, once."""
    values = {"id": joint_id, "levels": json.dumps(dict(answer.levels)), "unseen": sorted(answer.not_observed)}
    await session.execute(_AGREE, values | {"at": at})


def _place(joint_id: UUID, seat: Seat, item: str) -> Place:
    return Place("joint_reason", item, f"{joint_id}/{seat.agency}/{seat.profession}")


async def _one(session: AsyncSession, statement: Any, joint_id: UUID) -> Row | None:
    row = (await session.execute(statement, {"id": joint_id})).one_or_none()
    return None if row is None else (await _with_seats(session, [row]))[0]


async def _with_seats(session: AsyncSession, rows: Sequence[Any]) -> list[Row]:
    seats: dict[UUID, list[Any]] = {row.id: [] for row in rows}
    for each in await session.execute(_SEATS, {"ids": list(seats)}):
        seats[each.joint_id].append(each)
    return [_row(row, seats[row.id]) for row in rows]


def _row(row: Any, seats: Collection[Any]) -> Row:
    joint = Joint(
        row.chair,
        frozenset(Seat(each.agency, each.profession) for each in seats),
        State(row.state),
        frozenset(Seat(each.agency, each.profession) for each in seats if each.given_at is not None),
    )
    agreed = None if row.agreed is None else Answer(row.agreed, frozenset(row.agreed_unseen))
    return Row(
        row.id,
        row.case_id,
        row.conference_id,
        row.lane,
        row.instrument,
        row.rubric,
        joint,
        agreed,
        row.begun_at,
        row.closed_at,
        row.agreed_at,
    )
