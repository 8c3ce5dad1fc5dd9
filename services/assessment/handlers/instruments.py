"""Versions of instruments and the list of professions: published with a day, never changed afterwards."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from services.assessment.domain.instruments import Found, Instrument, faults_of
from services.assessment.tables import instruments
from services.assessment.tables.instruments import Published
from shared.auth import Actor
from shared.problems import NOT_FOUND, Problem
from shared.service import day_in_japan, expect


@dataclass(frozen=True, slots=True)
class NotPublished:
    """It can't be: in_the_past, version_taken."""

    reason: str


async def publish_version(
    session: AsyncSession, instrument: Instrument, *, effective_from: date, actor: Actor, now: datetime
) -> Published | list[Found] | NotPublished:
    """A region's own wording, or an instrument of its own, from a day on."""
    if effective_from < day_in_japan(now):
        return NotPublished("in_the_past")
    await instruments.lock_versions(session, instrument.name)
    before = await instruments.version_on(session, instrument.name, date.max)
    faults = faults_of(instrument, None if before is None else before.instrument)
    if faults:
        return faults
    published = Published(instrument, actor.agency, now, effective_from)
    return published if await instruments.add_version(session, published) else NotPublished("version_taken")


async def get_version(session: AsyncSession, version: str) -> Published:
    """A version, however old: what was answered in it is shown in it."""
    found = await instruments.find_version(session, version)
    if found is None:
        raise Problem(NOT_FOUND)
    return found


async def list_versions(
    session: AsyncSession, name: str | None, *, after: tuple[str, str], limit: int
) -> list[Published]:
    """By instrument and name."""
    return await instruments.find_versions(session, name, after=after, limit=limit)


async def list_professions(session: AsyncSession) -> Sequence[Any]:
    """The whole list."""
    return await instruments.list_professions(session)


async def put_profession(
    session: AsyncSession,
    code: str,
    *,
    english: str,
    japanese: str,
    in_use: bool,
    read: int | None,
    actor: Actor,
    now: datetime,
) -> int:
    """Add or change an entry; the version that now stands."""
    version = await instruments.lock_profession(session, code)
    if version is not None:
        expect(version, read or 0)
    return await instruments.put_profession(
        session, code, english=english, japanese=japanese, in_use=in_use, by=actor.agency, at=now
    )
