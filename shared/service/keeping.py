"""Housekeeping that every service needs: old kept answers and old inbox rows go, in small chunks."""

from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from shared.service.declare import Sweep

KEPT_ANSWERS = timedelta(hours=72)
KEPT_FILES = timedelta(days=30)
KEPT_INBOX = timedelta(days=45)
"""Longer than any topic keeps its records (30 days), or a replay would take effect twice."""


async def forget_answers(session: AsyncSession, now: datetime) -> bool:
    """Drop answers kept under keys older than 72 hours."""
    return await _delete_chunk(session, "idempotency", "created_at", now - KEPT_ANSWERS)


async def forget_arrivals(session: AsyncSession, now: datetime) -> bool:
    """Drop inbox rows older than 45 days."""
    return await _delete_chunk(session, "inbox", "at", now - KEPT_INBOX)


async def forget_files(session: AsyncSession, now: datetime) -> bool:
    """Drop imported files after 30 days: what they held stands in the tables, and they may name people to call."""
    return await _delete_chunk(session, "import_file", "created_at", now - KEPT_FILES)


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
    Sweep("forget_files", timedelta(hours=6), forget_files),
    Sweep("forget_arrivals", timedelta(hours=6), forget_arrivals),
)
