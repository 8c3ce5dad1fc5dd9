"""Housekeeping: old kept answers and inbox rows go, in chunks; the access log is sealed; orders to erase are met."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from shared.service.declare import Sweep
from shared.service.imports.keeping import forget_file
from shared.settings import Settings
from shared.vault import Forget
from shared.vault.erasing import erase_next
from shared.vault.log import seal_next, write_checkpoints

KEPT_ANSWERS = timedelta(hours=72)
KEPT_INBOX = timedelta(days=45)
"""Longer than any topic keeps its records (30 days), or a replay would take effect twice."""


async def forget_answers(session: AsyncSession, now: datetime) -> bool:
    """Drop answers kept under keys older than 72 hours."""
    return await _delete_chunk(session, "idempotency", "created_at", now - KEPT_ANSWERS)


async def forget_arrivals(session: AsyncSession, now: datetime) -> bool:
    """Drop inbox rows older than 45 days."""
    return await _delete_chunk(session, "inbox", "at", now - KEPT_INBOX)


async def _delete_chunk(session: AsyncSession, table: str, column: str, before: datetime) -> bool:
    gone = await session.execute(
        text(
            f"DELETE FROM {table} WHERE ctid = ANY(ARRAY("  # noqa: S608 - both names are ours, from this module
            f"SELECT ctid FROM {table} WHERE {column} < :before LIMIT 5000)) RETURNING 1"
        ),
        {"before": before},
    )
    return len(gone.all()) > 0


HOUSEKEEPING = (
    Sweep("forget_answers", timedelta(minutes=30), forget_answers),
    Sweep("forget_arrivals", timedelta(hours=6), forget_arrivals),
)
FORGET_FILES = Sweep("forget_files", timedelta(hours=6), forget_file)


def keeping_the_log(log: str, settings: Settings) -> tuple[Sweep, ...]:
    """The access log of a service that keeps persons' data: sealed every second, and written down outside."""

    async def seal(session: AsyncSession, now: datetime) -> bool:  # noqa: ARG001 - a seal's time is the database's own
        return await seal_next(session, log=log) is not None

    async def write_down(session: AsyncSession, now: datetime) -> bool:  # noqa: ARG001 - as above
        assert settings.checkpoints_path is not None
        return await write_checkpoints(session, settings.checkpoints_path) > 0

    sealing = Sweep("seal_access_log", timedelta(seconds=1), seal)
    if settings.checkpoints_path is None:
        return (sealing,)
    return sealing, Sweep("write_checkpoints", timedelta(seconds=2), write_down)


def erasing(settings: Settings, forgetters: Sequence[Forget]) -> Sweep:
    """Whoever was ordered to be erased: one subject at a time, within a second."""

    async def carry_out(session: AsyncSession, now: datetime) -> bool:  # noqa: ARG001 - an order needs no clock
        return await erase_next(session, settings.erasures_path, forgetters) is not None

    return Sweep("erase_ordered", timedelta(seconds=1), carry_out)
