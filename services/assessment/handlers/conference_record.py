"""Reading what was written in a conference, as far as the reader may see today; the log is written before."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.assessment.domain.access import HEALTH
from services.assessment.domain.conference import Lane, own_record_only, tells_of_illness
from services.assessment.handlers.access import key_to_read
from services.assessment.handlers.conferences import PURPOSE, Seen, get_conference
from services.assessment.handlers.decisions import decisions_of
from services.assessment.handlers.tasks import WORDS
from services.assessment.tables import conference_words, tasks
from services.assessment.tables.conference_words import Problem, Written, place_of
from services.assessment.tables.tasks import Row
from shared import vault
from shared.auth import Actor


@dataclass(frozen=True, slots=True)
class Said:
    """Words, and who wrote them when."""

    words: str
    written_by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Noted:
    """A line of the problem map; a note that tells of illness may be withheld."""

    problem: Problem
    note: str | None
    withheld: bool


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision with its words."""

    row: Row
    words: str | None


@dataclass(frozen=True, slots=True)
class Record:
    """Everything that was written in a conference, for one reader."""

    seen: Seen
    agenda: Sequence[Said]
    problems: Sequence[Noted]
    decisions: Sequence[Decided]
    minutes: Said | None
    own_only: bool
    """Art. 9, and not its day: what members wrote has stayed in the meeting."""


async def read_record(session: AsyncSession, conference_id: UUID, *, actor: Actor, now: datetime) -> Record:
    """What its members wrote; off the day of a meeting by Art. 9, what its chair wrote itself."""
    seen = await get_conference(session, conference_id, actor=actor, now=now)
    own_only = own_record_only(seen.held, seen.today)
    by = actor.agency if own_only else None
    agenda = await conference_words.find_agenda(session, conference_id, by=by)
    problems = await conference_words.find_map(session, conference_id, by=by)
    minutes = await conference_words.find_minutes(session, conference_id, by=by)
    decided = await decisions_of(session, conference_id)
    withheld = {each.id for each in problems if _is_withheld(each, seen, actor)}
    fields = [
        *(["agenda_item"] if agenda else []),
        *(["mapped_problem"] if any(each.words and each.id not in withheld for each in problems) else []),
        *(["conference_minutes"] if minutes else []),
        *([WORDS] if any(row.words for row in decided) else []),
    ]
    key = await _key(session, seen, fields, actor)
    return Record(
        seen,
        [_said(key, "agenda_item", each) for each in agenda],
        [Noted(each, _note(key, each, each.id in withheld), each.id in withheld) for each in problems],
        [Decided(row, _words(key, row)) for row in decided],
        None if minutes is None else _said(key, "conference_minutes", minutes),
        own_only,
    )


def _is_withheld(problem: Problem, seen: Seen, actor: Actor) -> bool:
    """Words of illness go to whom the consent to them reaches, to the holder, and to who wrote them."""
    if problem.words is None or seen.held.lane is Lane.ART_9:
        return False
    knows = actor.agency in {seen.case.holder, problem.written_by} or HEALTH in seen.case.consent.categories
    return not knows and tells_of_illness(problem.mapped.need)


async def _key(session: AsyncSession, seen: Seen, fields: Sequence[str], actor: Actor) -> vault.DataKey | None:
    if not fields:
        return None
    purpose, basis = PURPOSE[seen.held.lane], seen.basis(actor.agency)
    return await key_to_read(session, seen.case.id, fields, purpose=purpose, basis=basis, actor=actor)


def _said(key: vault.DataKey | None, table: str, written: Written) -> Said:
    assert key is not None
    return Said(key.open(written.words, place_of(table, written.id)), written.written_by, written.at)


def _note(key: vault.DataKey | None, problem: Problem, withheld: bool) -> str | None:
    if key is None or problem.words is None or withheld:
        return None
    return key.open(problem.words, place_of("mapped_problem", problem.id))


def _words(key: vault.DataKey | None, row: Row) -> str | None:
    return None if key is None or row.words is None else key.open(row.words, tasks.words_place(row.task.id))
