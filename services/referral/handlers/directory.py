"""Keeping the directory as files and agencies tell it; the same again is no change, and every change is told."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Literal

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.domain.firms import Firm, FirmFault, FirmMoved, FirmState, NoWay, tell_firm
from services.referral.tables import directory, keeping, listing
from shared.auth import Actor
from shared.bus.envelope import new_id
from shared.bus.mailbox import emit
from shared.events import AgencyListed, Event, ProgrammeListed
from shared.service import day_in_japan


@dataclass(frozen=True, slots=True)
class AgencyEntry:
    """支援機関, as a file tells it."""

    agency_id: str
    corporate_number: str | None
    name: str
    kana: str
    kind: str
    municipality: str
    municipalities_served: Collection[str]
    phone: str | None
    confirmed_by: str
    confirmed_on: date
    desks: Collection[Mapping[str, Any]] = ()
    opening_hours: Collection[Mapping[str, Any]] = ()
    closed_weekdays: Collection[int] = (5, 6)
    closed_days: Collection[date] = ()
    contact_channel: str | None = None
    contact_email: str | None = None


@dataclass(frozen=True, slots=True)
class ProgrammeEntry:
    """事業, as a file tells it."""

    agency_id: str
    programme_code: str
    name: str
    function: str
    strand: int
    stage: str
    municipalities: Collection[str]
    needs: Collection[str]
    capacity_state: str
    confirmed_by: str
    confirmed_on: date
    for_whom: Collection[str] = ()
    conditions: Collection[Mapping[str, Any]] = ()
    legal_basis: str | None = None
    starts_on: date | None = None
    ends_on: date | None = None
    capacity_total: int | None = None
    capacity_free: int | None = None
    capacity_confirmed_on: date | None = None
    acknowledge_days: int | None = None
    contact_days: int | None = None
    start_days: int | None = None


@dataclass(frozen=True, slots=True)
class ProfessionalEntry:
    """専門職: how many of a profession an agency has, and where they may be called to."""

    agency_id: str
    profession: str
    count: int
    municipalities: Collection[str]
    confirmed_by: str
    confirmed_on: date


@dataclass(frozen=True, slots=True)
class WorkplaceEntry:
    """職親: a workplace with trial places, and the agency that keeps the contact."""

    agency_id: str
    workplace_code: str
    corporate_number: str | None
    name: str
    municipality: str
    industry: str
    steps: Collection[Mapping[str, Any]]
    confirmed_by: str
    confirmed_on: date
    steps_said_on: date | None = None


@dataclass(frozen=True, slots=True)
class FirmEntry:
    """A firm on its way to certified work training (認定就労訓練), and the agency that follows it up."""

    agency_id: str
    firm_code: str
    corporate_number: str | None
    name: str
    municipality: str
    industry: str
    state: str
    follow_up_on: date | None
    certified_on: date | None
    certified_by: str | None
    confirmed_by: str
    confirmed_on: date


Entry = AgencyEntry | ProgrammeEntry | ProfessionalEntry | WorkplaceEntry | FirmEntry
KIND_OF: Mapping[type[Entry], str] = {
    AgencyEntry: "agency",
    ProgrammeEntry: "programme",
    ProfessionalEntry: "professional",
    WorkplaceEntry: "host_workplace",
    FirmEntry: "training_firm",
}


class Remark(StrEnum):
    """What a file should know of an entry that was kept, though not all of it as it says."""

    OWN_WORD_STANDS = "own_word_stands"
    """The agency itself has told its room, or its trial places, and not long ago."""
    FOLLOW_UP_PAST = "follow_up_past"
    """The day on which a firm should be called has gone by."""
    DAY_NOT_COME = "day_not_come"
    """It was confirmed on a day that hasn't come yet: a slip of the pen, which confirms nothing."""
    WORD_DAY_NOT_COME = "word_day_not_come"
    """The same of the word about room, or about trial places."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What an entry became in the directory."""

    became: Literal["created", "updated", "unchanged"]
    remarks: tuple[Remark, ...] = ()


@dataclass(frozen=True, slots=True)
class AgencyNotKnown:
    """An entry's agency has to be in the directory first."""


@dataclass(frozen=True, slots=True)
class NotYourArea:
    """Another municipality's directory: who keeps it writes there."""


@dataclass(frozen=True, slots=True)
class FirmCantGo:
    """A firm that is known can't take this step from where it stands; where it can."""

    legal: tuple[FirmState, ...]


FirmKey = tuple[str, str]
"""Whose firm, and its code."""
Firms = Mapping[FirmKey, Firm]
Refusal = AgencyNotKnown | NotYourArea | FirmCantGo
Outcome = Kept | Refusal


async def keep_entries(
    session: AsyncSession,
    entries: Sequence[Entry],
    *,
    told: Collection[str],
    actor: Actor,
    now: datetime,
    firms: Firms | None = None,
) -> list[Outcome]:
    """Write entries of one kind, or bring them up to date, each once. What the file doesn't tell stays as it is.

    `firms`: where those among them stand, if the caller has locked them already.
    """
    kind, by, today = KIND_OF[type(entries[0])], actor.agency, day_in_japan(now)
    before = await lock_firms(session, entries) if firms is None else firms
    refused = await foreign_entries(session, entries, actor=actor)
    refused = stuck_firms(entries, before) | refused
    entries = [_as_it_stands(entry, before) for entry in entries]
    word = keeping.WORDS.get(kind)
    said_by = {} if word is None else {word.by: by}
    rows = [
        ({} if kind == "agency" else {"id": new_id()}) | _said(entry) | said_by
        for number, entry in enumerate(entries)
        if number not in refused
    ]
    # The word about room is one word: it is told as a whole, or not at all.
    told = {*told, *(word.columns if word is not None and word.columns & set(told) else ())}
    written = await keeping.keep(session, kind, rows, told=told, by=by, now=now, today=today)
    if kind == "training_firm":
        steps = [(before.get((row["agency_id"], row["firm_code"])), row) for row in written]
        await note_steps(session, steps, by=by, now=now)
    await tell(session, kind, written, now=now)
    stood = await keeping.own_words(session, kind, rows, today=today) if word is not None and word.by in told else set()
    versions = {_key(kind, row): row["version"] for row in written}
    return [
        refused.get(number) or _kept(entry, versions.get(key), own_word=key in stood, word=word, today=today)
        for number, (entry, key) in enumerate((entry, _key(kind, _said(entry))) for entry in entries)
    ]


async def foreign_entries(session: AsyncSession, entries: Sequence[Entry], *, actor: Actor) -> dict[int, Refusal]:
    """Which entries are others' to keep, or of agencies that are not there, by their place."""
    agencies = {entry.agency_id for entry in entries}
    is_first = isinstance(entries[0], AgencyEntry)
    places = await directory.places_of(session, agencies, lock=is_first)
    known = await directory.known_places(session, agencies - places.keys()) if is_first else {}
    outcomes = (
        _refusal(entry, places.get(entry.agency_id), known.get(entry.agency_id, frozenset()), actor)
        for entry in entries
    )
    return {number: why for number, why in enumerate(outcomes) if why is not None}


def _refusal(
    entry: Entry, place: str | None, known: Collection[str], actor: Actor
) -> AgencyNotKnown | NotYourArea | None:
    """Who keeps a municipality's directory keeps what is there, and moves nothing in from elsewhere or out.

    Else the keeper of another prefecture could turn an agency's e-mail, and with it its one-time links, to themselves:
    also of one that is not listed yet, but `known` by its courses, or without any by its cases or what it sent.
    """
    own = entry.agency_id == actor.agency
    if place is None:
        if not isinstance(entry, AgencyEntry):
            return AgencyNotKnown()
        is_ours = own or not known or any(map(actor.serves, known))
        asked = {entry.municipality}
    else:
        is_ours = True
        asked = ({entry.municipality} if isinstance(entry, AgencyEntry) else set()) | {place}
        asked -= {place} if own else set()
    return None if is_ours and all(map(actor.serves, asked)) else NotYourArea()


async def lock_firms(session: AsyncSession, entries: Sequence[Entry]) -> Firms:
    """Where the firms among them stand, locked."""
    keys = {(entry.agency_id, entry.firm_code) for entry in entries if isinstance(entry, FirmEntry)}
    return await listing.known_firms(session, keys) if keys else {}


def stuck_firms(entries: Sequence[Entry], firms: Firms) -> dict[int, Refusal]:
    """Firms among them that are known, and can't go where the entry says, by their place."""
    stuck: dict[int, Refusal] = {}
    for number, entry in enumerate(entries):
        match _told(entry, firms):
            case NoWay(legal):
                stuck[number] = FirmCantGo(legal)
            case _:
                pass
    return stuck


def _as_it_stands(entry: Entry, firms: Firms) -> Entry:
    """An entry with what is known of it and stays: a certificate that a firm held."""
    match _told(entry, firms):
        case FirmMoved(firm):
            assert isinstance(entry, FirmEntry)  # nothing else moves
            return replace(entry, certified_on=firm.certified_on, certified_by=firm.certified_by)
        case _:
            return entry


def _told(entry: Entry, firms: Firms) -> FirmMoved | NoWay | None:
    firm = firms.get((entry.agency_id, entry.firm_code)) if isinstance(entry, FirmEntry) else None
    if firm is None or not isinstance(entry, FirmEntry):
        return None
    to = Firm(FirmState(entry.state), entry.follow_up_on, entry.certified_on, entry.certified_by)
    told = tell_firm(firm, to)
    assert not isinstance(told, FirmFault)  # its row was looked at as it was read
    return told


async def note_steps(
    session: AsyncSession,
    moved: Sequence[tuple[Firm | None, Mapping[str, Any]]],
    *,
    by: str,
    now: datetime,
    calls: bool = False,
) -> None:
    """Add to the history of each firm that stands elsewhere than before, or is new; with `calls`, or was called."""
    steps = [
        {"firm_id": row["id"], "version": row["version"], "was": was and was.state, "state": row["state"]}
        for was, row in moved
        if calls or was is None or was.state != row["state"]
    ]
    await listing.note_firm_steps(session, [{**step, "by": by, "at": now} for step in steps])


async def tell(session: AsyncSession, kind: str, rows: Sequence[asyncpg.Record], *, now: datetime) -> None:
    """Tell what changed, in ids, codes and days alone. Other kinds stay in this service."""
    if kind == "agency":
        await emit(session, *((_agency_listed(row), row["version"]) for row in rows), at=now)
    elif kind == "programme":
        await emit(session, *((_programme_listed(row), row["version"]) for row in rows), at=now)


def _said(entry: Entry) -> dict[str, Any]:
    """What an entry says. `asdict` would copy every list of it, which takes seven times as long."""
    return {field.name: getattr(entry, field.name) for field in fields(entry)}


def _key(kind: str, row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in keeping.KEYS[kind])


def _agency_listed(row: Mapping[str, Any]) -> Event:
    values = {name: row[name] for name in AgencyListed.model_fields if name != "agency_kind"}
    return AgencyListed(agency_kind=row["kind"], **values)


def _programme_listed(row: Mapping[str, Any]) -> Event:
    ours = {"programme_id": "id", "capacity_vacant": "capacity_free"}
    return ProgrammeListed(**{name: row[ours.get(name, name)] for name in ProgrammeListed.model_fields})


def _kept(entry: Entry, version: int | None, *, own_word: bool, word: keeping.Word | None, today: date) -> Kept:
    """What became of an entry: only one that says something new is written."""
    remarks = [Remark.OWN_WORD_STANDS] if own_word else []
    word_day: date | None = None if word is None else getattr(entry, word.day)
    if entry.confirmed_on > today:
        remarks.append(Remark.DAY_NOT_COME)
    elif word_day is not None and word_day > today:
        remarks.append(Remark.WORD_DAY_NOT_COME)
    if version is not None and isinstance(entry, FirmEntry) and (entry.follow_up_on or today) < today:
        remarks.append(Remark.FOLLOW_UP_PAST)
    if version is None:
        return Kept("unchanged", tuple(remarks))
    return Kept("created" if version == 1 else "updated", tuple(remarks))
