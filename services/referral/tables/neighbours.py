"""Which municipalities a town may borrow from (近隣の市町村)."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.tables.schema import neighbour

_LOCK = text("SELECT pg_advisory_xact_lock(7470039)")


async def list_neighbours(session: AsyncSession, municipality: str) -> Sequence[str]:
    """A town's, by code."""
    query = (
        select(neighbour.c.neighbour).where(neighbour.c.municipality == municipality).order_by(neighbour.c.neighbour)
    )
    return (await session.execute(query)).scalars().all()


async def set_neighbours(
    session: AsyncSession, municipality: str, names: Collection[str], *, by: str, at: datetime
) -> None:
    """A town's, all of them; who is the same already stays as it was set."""
    await session.execute(_LOCK)
    known = set(await list_neighbours(session, municipality))
    await session.execute(
        delete(neighbour).where(neighbour.c.municipality == municipality, neighbour.c.neighbour.not_in(names))
    )
    new: list[dict[str, Any]] = [
        {"municipality": municipality, "neighbour": name, "set_by": by, "set_at": at}
        for name in sorted(set(names) - known)
    ]
    if new:
        await session.execute(insert(neighbour), new)
