"""What was proposed, on which facts and by which rules; options lie by their content's address, each once."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, exists, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.domain.kept_proposals import option_read, option_told
from services.referral.domain.options import Option
from services.referral.tables.schema import option_seen, proposal
from shared.auth import served
from shared.bus.envelope import new_id
from shared.database import Hot

_KNOWN = Hot("SELECT id FROM proposal WHERE case_id = :case_id AND on_day = :on_day AND digest = :digest")
_ADD = Hot(
    "INSERT INTO proposal (id, case_id, municipality, at, on_day, rule_version, facts, option_digests, answer,"
    " candidates, digest) VALUES (:id, :case_id, :municipality, :at, :on_day, :rule_version, CAST(:facts AS jsonb),"
    " :option_digests, CAST(:answer AS jsonb), :candidates, :digest) ON CONFLICT DO NOTHING RETURNING id"
)
_SEEN = Hot("SELECT digest FROM option_seen WHERE digest = ANY(CAST(:digests AS bytea[]))")
_WITHOUT_ANSWER = [column for column in proposal.c if column.name not in {"answer", "facts", "option_digests"}]


@dataclass(frozen=True, slots=True)
class Kept:
    """A proposal to be kept."""

    case_id: UUID
    municipality: str
    at: datetime
    on_day: date
    rule_version: int
    facts: str
    answer: str
    candidates: int
    digest: bytes


async def keep(session: AsyncSession, kept: Kept, options: Mapping[bytes, Option]) -> UUID:
    """Write it, unless the same was proposed for the same reasons on this day; its id."""
    values = {name: getattr(kept, name) for name in Kept.__slots__}
    if known := await _KNOWN.rows(session, values):
        return UUID(int=known[0]["id"].int)
    await _keep_options(session, options)
    added = await _ADD.rows(session, values | {"id": new_id(), "option_digests": list(options)})
    row = added or await _KNOWN.rows(session, values)
    return UUID(int=row[0]["id"].int)


async def _keep_options(session: AsyncSession, options: Mapping[bytes, Option]) -> None:
    if not options:
        return
    known = {row["digest"] for row in await _SEEN.rows(session, {"digests": list(options)})}
    # In one order, so that two who write the same never wait for one another in a ring.
    rows = [{"digest": each, "option": option_told(options[each])} for each in sorted(options.keys() - known)]
    if rows:
        await session.execute(upsert(option_seen).on_conflict_do_nothing(), rows)


async def find_proposal(session: AsyncSession, proposal_id: UUID) -> Row[Any] | None:
    """One, whole."""
    return (await session.execute(select(proposal).where(proposal.c.id == proposal_id))).one_or_none()


async def list_proposals(
    session: AsyncSession, case_id: UUID, *, before: UUID | None, limit: int
) -> Sequence[Row[Any]]:
    """A case's, newest first (ids grow with time), without what they say."""
    query = select(*_WITHOUT_ANSWER).where(proposal.c.case_id == case_id).order_by(proposal.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(proposal.c.id < before)
    return (await session.execute(query)).all()


async def find_options(session: AsyncSession, digests: Collection[bytes]) -> dict[bytes, Option]:
    """The options as they were seen."""
    query = select(option_seen).where(option_seen.c.digest.in_(digests))
    return {row.digest: option_read(row.option) for row in await session.execute(query)}


async def page_of(session: AsyncSession, *, after: UUID | None, limit: int) -> Sequence[Row[Any]]:
    """Of all there are, the oldest first."""
    query = select(proposal).order_by(proposal.c.id).limit(limit)
    if after is not None:
        query = query.where(proposal.c.id > after)
    return (await session.execute(query)).all()


async def newest_of_cases(
    session: AsyncSession, municipalities: Collection[str], *, most: int, at_once: int = 50
) -> AsyncIterator[Sequence[Row[Any]]]:
    """The newest proposal of each case of these municipalities, the newest cases first, in parts."""
    later = proposal.alias("later")
    is_newest = ~exists().where(later.c.case_id == proposal.c.case_id, later.c.id > proposal.c.id)
    ours = is_newest, served(proposal.c.municipality, municipalities)
    conditions: list[ColumnElement[bool]] = [*ours]
    while most > 0:
        query = select(proposal).where(*conditions).order_by(proposal.c.id.desc()).limit(min(most, at_once))
        rows = (await session.execute(query)).all()
        if not rows:
            return
        yield rows
        most -= len(rows)
        conditions = [*ours, proposal.c.id < rows[-1].id]
