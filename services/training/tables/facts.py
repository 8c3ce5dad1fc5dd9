"""Who may issue instructions where, and who took which step: facts that are written once and changed never."""

from collections.abc import Sequence
from datetime import date
from typing import Any

from sqlalchemy import Row, TextClause, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.training.domain.steps import Authority, Move

_AUTHORITY = text(
    "SELECT mode, in_force_from, decided_by FROM region_authority"
    " WHERE prefecture = :prefecture AND in_force_from <= :day ORDER BY in_force_from DESC, id DESC LIMIT 1"
)
_LIST_AUTHORITIES = text(
    "SELECT a.id, a.prefecture, a.mode, a.in_force_from, a.decided_by, a.recorded_by, a.recorded_at,"
    " CASE WHEN EXISTS (SELECT FROM region_authority b WHERE b.prefecture = a.prefecture"
    " AND b.in_force_from = a.in_force_from AND b.id > a.id) THEN 'replaced'"
    " WHEN a.in_force_from > CAST(:today AS date) THEN 'to_come'"
    " WHEN EXISTS (SELECT FROM region_authority b WHERE b.prefecture = a.prefecture"
    " AND b.in_force_from > a.in_force_from AND b.in_force_from <= CAST(:today AS date)) THEN 'past'"
    " ELSE 'in_force' END AS state FROM region_authority a"
    " WHERE (CAST(:prefecture AS text) IS NULL OR a.prefecture = :prefecture) AND a.id > :after"
    " ORDER BY a.id LIMIT :limit"
)
_SIGNED = (
    " (seat_request_id, agency, legal_entity, notification_number, registration_id, authority, at)"
    " VALUES (:seat_request_id, :agency, :legal_entity, :notification_number, :registration_id, :authority, :now)"
)
_FACTS: dict[Move, TextClause] = {
    Move.NOMINATE: text("INSERT INTO nomination" + _SIGNED),
    Move.COUNTERSIGN: text("INSERT INTO countersignature" + _SIGNED),
    Move.INSTRUCT: text(
        "INSERT INTO instruction (id, seat_request_id, number, changes, agency, legal_entity, notification_number,"
        " registration_id, kind, document_number, authority, at) VALUES (:id, :seat_request_id, :number, :changes,"
        " :agency, :legal_entity, :notification_number, :registration_id, :kind, :document_number, :authority, :now)"
    ),
    Move.ENROL: text("INSERT INTO enrolment" + _SIGNED),
}


async def find_authority(session: AsyncSession, prefecture: str, day: date) -> Row[Any] | None:
    """What was decided about the prefecture, as in force on a day."""
    return (await session.execute(_AUTHORITY, {"prefecture": prefecture, "day": day})).one_or_none()


async def list_authorities(
    session: AsyncSession, prefecture: str | None, *, today: date, after: int, limit: int
) -> Sequence[Row[Any]]:
    """All that was ever decided, as it was recorded, also what is still to come."""
    values = {"prefecture": prefecture, "today": today, "after": after, "limit": limit}
    return (await session.execute(_LIST_AUTHORITIES, values)).all()


async def authority_in(session: AsyncSession, prefecture: str, day: date) -> Authority:
    """Who may issue instructions there; today's law where nothing else was decided."""
    decided = await find_authority(session, prefecture, day)
    return Authority.CURRENT_LAW if decided is None else Authority(decided.mode)


async def add_fact(session: AsyncSession, move: Move, values: dict[str, Any]) -> None:
    """Who took the step, in whose name, on what authority, when: written once, changed never."""
    await session.execute(_FACTS[move], values)
