"""One entry of the directory at a time: confirmed, its room or trial places told, its hours, a firm moved on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.domain.directory import Room, RoomFault, room_fault
from services.referral.domain.firms import Firm, FirmFault, FirmMoved, NoWay, call_firm, move_firm
from services.referral.handlers.directory import note_steps, tell
from services.referral.tables import directory, keeping, listing
from shared.auth import Actor, Role
from shared.service import day_in_japan, expect


@dataclass(frozen=True, slots=True)
class Changed:
    """The entry as it is now."""

    row: Row[Any]


@dataclass(frozen=True, slots=True)
class NotThere:
    """No such entry."""


@dataclass(frozen=True, slots=True)
class NotYours:
    """Another agency's entry."""


async def confirm_entry(
    session: AsyncSession, kind: str, entry_id: object, *, actor: Actor, now: datetime
) -> Changed | NotThere | NotYours:
    """Somebody who should know says that it is as it stands. The word about room isn't renewed by that."""
    row = await listing.find_entry(session, kind, entry_id, lock=True)
    if row is None:
        return NotThere()
    if not _keeps(actor, row):
        return NotYours()
    said = {"confirmed_by": actor.agency, "confirmed_on": day_in_japan(now)}
    if row.confirmed_on == said["confirmed_on"] and row.confirmed_by == said["confirmed_by"]:
        return Changed(row)
    return await _changed(session, kind, entry_id, said, actor, now)


async def set_room(
    session: AsyncSession, programme_id: UUID, room: Room, *, read: int, actor: Actor, now: datetime
) -> Changed | NotThere | NotYours | RoomFault:
    """空き, told by the agency itself; nobody else knows it. `read` is the version that the caller saw."""
    row = await listing.find_entry(session, "programme", programme_id, lock=True)
    if row is None:
        return NotThere()
    if row.agency_id != actor.agency:
        return NotYours()
    fault = room_fault(room)
    if fault is not None:
        return fault
    expect(row.version, read)
    said = {
        "capacity_state": room.state,
        "capacity_total": room.total,
        "capacity_free": room.free,
        "capacity_confirmed_on": day_in_japan(now),
        "capacity_said_by": actor.agency,
    }
    return await _changed(session, "programme", programme_id, said, actor, now)


async def set_trial_places(
    session: AsyncSession,
    workplace_id: UUID,
    steps: Sequence[Mapping[str, Any]],
    *,
    read: int,
    actor: Actor,
    now: datetime,
) -> Changed | NotThere | NotYours:
    """受入れ段階 of a host workplace, told by the agency that keeps the contact; nobody else knows them."""
    row = await listing.find_entry(session, "host_workplace", workplace_id, lock=True)
    if row is None:
        return NotThere()
    if row.agency_id != actor.agency:
        return NotYours()
    expect(row.version, read)
    said = {"steps": steps, "steps_said_by": actor.agency, "steps_said_on": day_in_japan(now)}
    return await _changed(session, "host_workplace", workplace_id, said, actor, now)


async def set_hours(
    session: AsyncSession, agency_id: str, hours: Mapping[str, Any], *, read: int, actor: Actor, now: datetime
) -> Changed | NotThere | NotYours:
    """受付時間・休み, told by the agency itself or by who keeps the directory there."""
    row = await listing.find_entry(session, "agency", agency_id, lock=True)
    if row is None:
        return NotThere()
    if not _keeps(actor, row):
        return NotYours()
    expect(row.version, read)
    said = {**hours, "confirmed_by": actor.agency, "confirmed_on": day_in_japan(now)}
    return await _changed(session, "agency", agency_id, said, actor, now)


async def set_coordinator(
    session: AsyncSession, municipality: str, agency_id: str, *, place_days: int | None, actor: Actor, now: datetime
) -> Changed | NotThere | NotYours:
    """調整役: who holds what nobody else in a municipality can take. `NotThere`: the directory has no such agency."""
    if not actor.serves(municipality):
        return NotYours()
    if not await directory.known_agencies(session, {agency_id}):
        return NotThere()
    if await listing.find_coordinator(session, municipality) != (agency_id, place_days):
        said = {"agency_id": agency_id, "place_days": place_days}
        entry = {"municipality": municipality, **said, "set_by": actor.agency, "set_at": now}
        await keeping.keep(
            session, "coordinator", [entry], told=set(entry), by=actor.agency, now=now, today=day_in_japan(now)
        )
    row = await listing.find_entry(session, "coordinator", municipality)
    assert row is not None
    return Changed(row)


async def move_training_firm(
    session: AsyncSession, firm_id: UUID, to: Firm, *, actor: Actor, now: datetime
) -> Changed | NotThere | NotYours | NoWay | FirmFault:
    """A firm's next step, or that it was called and stays where it is; by who follows it up or keeps the directory."""
    row = await listing.find_entry(session, "training_firm", firm_id, lock=True)
    if row is None:
        return NotThere()
    if not _keeps(actor, row):
        return NotYours()
    was = listing.as_firm(row)
    if to.follow_up_on is not None and to.follow_up_on < day_in_japan(now):
        return FirmFault.FOLLOW_UP_PAST
    outcome = call_firm(was, to) if to.state is was.state else move_firm(was, to)
    if not isinstance(outcome, FirmMoved):
        return outcome
    said = {
        "state": outcome.firm.state,
        "follow_up_on": outcome.firm.follow_up_on,
        "certified_on": outcome.firm.certified_on,
        "certified_by": outcome.firm.certified_by,
        "confirmed_by": actor.agency,
        "confirmed_on": day_in_japan(now),
    }
    changed = await _changed(session, "training_firm", firm_id, said, actor, now)
    await note_steps(session, [(was, changed.row._asdict())], by=actor.agency, now=now, calls=True)
    return changed


def _keeps(actor: Actor, row: Any) -> bool:
    """Its own agency, or who keeps the directory of the municipality where the agency is."""
    place = row.municipality if not hasattr(row, "agency_municipality") else row.agency_municipality
    return bool(actor.agency == row.agency_id or (Role.DIRECTORY in actor.roles and actor.serves(place)))


async def _changed(
    session: AsyncSession, kind: str, entry_id: object, said: Mapping[str, Any], actor: Actor, now: datetime
) -> Changed:
    key = "agency_id" if kind == "agency" else "id"
    written = await keeping.change(session, kind, {key: entry_id, **said}, by=actor.agency, now=now)
    await tell(session, kind, [written], now=now)
    row = await listing.find_entry(session, kind, entry_id)
    assert row is not None
    return Changed(row)
