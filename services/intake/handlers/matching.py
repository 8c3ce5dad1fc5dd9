"""The same person at two doors: candidates are shown with reasons, and each showing is logged; a person decides."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.intake.domain.cases import Case
from services.intake.domain.links import Step
from services.intake.domain.matching import (
    CONTACT,
    FROM,
    NAMES,
    Kind,
    Likelihood,
    Likeness,
    comparable,
    compared_as,
    finds,
    likeness,
    worth,
)
from services.intake.domain.meetings import Basis
from services.intake.domain.policy import Action, Denied, Purpose
from services.intake.domain.sheet import FieldSet
from services.intake.handlers.access import denied_to_match, opened_to, there, values_of
from services.intake.handlers.fingerprints import COMPARED_FIELDS
from services.intake.tables import cases
from services.intake.tables import links as link_tables
from services.intake.tables import matching as tables
from services.intake.tables.matching import Alike, Sought
from shared import vault
from shared.auth import Actor
from shared.service import day_in_japan

MOST = 20


@dataclass(frozen=True, slots=True)
class Candidate:
    """A case that may be of the same person."""

    case: Case
    likeness: Likeness
    masked: bool
    """There was violence, and the caller does not hold it: how the person is found was not compared."""
    link: Step | None = None
    """What a person decided about the two cases before."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """Likeliest first; `elsewhere` are municipalities whose desk can be asked, with the person's consent."""

    found: tuple[Candidate, ...]
    more: bool
    elsewhere: tuple[str, ...] = ()


async def search_persons(session: AsyncSession, values: Mapping[str, str], *, actor: Actor) -> Candidates:
    """Before or without a case: among the caller's own cases and its municipalities'."""
    return await find_here(session, values, actor=actor, least=Likelihood.WEAK, basis=Basis.OWN_DUTY)


async def find_candidates(session: AsyncSession, case_id: UUID, *, actor: Actor, now: datetime) -> Candidates | Denied:
    """Other cases of the person, for who holds this one."""
    case = there(await cases.find_case(session, case_id))
    denied = await denied_to_match(session, case, Action.READ, actor=actor, now=now)
    if denied is not None:
        return denied
    values = await compared_values(session, case, purpose=Purpose.SUPPORT, basis=Basis.OWN_DUTY, actor=actor)
    here = await find_here(session, values, of=case, actor=actor, least=Likelihood.POSSIBLE, basis=Basis.OWN_DUTY)
    decided = {row.other: Step(row.step) for row in await link_tables.find_links(session, case_id)}
    found = tuple(Candidate(each.case, each.likeness, each.masked, decided.get(each.case.id)) for each in here.found)
    return Candidates(found, here.more, await _elsewhere(session, case, values, actor=actor, now=now))


async def compared_values(
    session: AsyncSession,
    case: Case,
    *,
    purpose: Purpose,
    basis: Basis,
    actor: Actor,
    fields: Sequence[str] = COMPARED_FIELDS,
) -> Mapping[str, str]:
    """What is looked for with: opened for the search alone, and logged as such."""
    values = await values_of(session, [case.id], vault.Action.SEARCH, fields, purpose=purpose, basis=basis, actor=actor)
    return values.get(case.id, {})


async def find_here(
    session: AsyncSession,
    values: Mapping[str, str],
    *,
    actor: Actor,
    least: Likelihood,
    basis: Basis,
    of: Case | None = None,
) -> Candidates:
    """Among the cases that are the caller's business. Whoever is shown is told so by the log."""
    hides = of is not None and of.tells_of_violence and of.holder_agency != actor.agency
    found = []
    for alike, pairs, other_day in await _find(session, values, actor=actor, least=least, of=of):
        masked = alike.case.tells_of_violence and alike.case.holder_agency != actor.agency
        found.append(Candidate(alike.case, likeness(pairs, other_birth_date=other_day, masked=masked or hides), masked))
    alike_enough = [each for each in found if each.likeness.score >= FROM[least]]
    alike_enough.sort(key=lambda each: (each.likeness.score, each.case.id), reverse=True)
    shown = tuple(alike_enough[:MOST])
    access = actor.access(
        vault.Action.SEARCH, purpose=Purpose.SUPPORT, basis=basis, fields=sorted(values), session=session
    )
    await vault.note_access(session, [each.case.id for each in shown], access)
    return Candidates(shown, len(alike_enough) > MOST)


async def _elsewhere(
    session: AsyncSession, case: Case, values: Mapping[str, str], *, actor: Actor, now: datetime
) -> tuple[str, ...]:
    """Municipalities whose desk knows somebody so alike, if consent covers that desk; and nothing else about it."""
    consent = await cases.find_consent(session, case)
    if consent is None:
        return ()
    today = day_in_japan(now)

    def covers(agency: str) -> bool:
        return FieldSet.IDENTITY in opened_to(consent, agency, purpose=Purpose.REFERRAL, today=today)

    likely = Likelihood.LIKELY
    found = await _find(session, values, actor=actor, least=likely, of=case, elsewhere=True)
    alike = [
        each.case
        for each, pairs, other_day in found
        if likeness(pairs, other_birth_date=other_day, masked=False).likelihood is likely
        and covers(each.case.holder_agency)
    ]
    access = actor.access(
        vault.Action.SEARCH, purpose=Purpose.REFERRAL, basis=Basis.CONSENT, fields=sorted(values), session=session
    )
    await vault.note_access(session, [each.id for each in alike], access)
    return tuple(sorted({each.municipality for each in alike}))


async def _find(
    session: AsyncSession,
    values: Mapping[str, str],
    *,
    actor: Actor,
    least: Likelihood,
    of: Case | None,
    elsewhere: bool = False,
) -> list[tuple[Alike, set[tuple[Kind, Kind]], bool]]:
    """Cases found, with the pairs of kinds that agree and whether another day of birth stands there."""
    masters, mine = vault.masters_of(session), comparable(values)
    dated = Kind.BIRTH_DATE in mine
    kinds: defaultdict[bytes, set[Kind]] = defaultdict(set)
    for version in await tables.index_versions(session):
        for kind, value in mine.items():
            kinds[masters.blind(compared_as(kind), value, version=version)].add(kind)
    found = await tables.find_alike(
        session,
        [
            Sought(
                mark,
                points=max(worth(kind, previous=False) for kind in of_kinds),
                previous_points=max(worth(kind, previous=True) for kind in of_kinds),
                contact=of_kinds <= CONTACT,
                dayless=dayless,
                finds=any(
                    finds(kind, dayless=dayless, dated=dated, least=FROM[least], elsewhere=elsewhere)
                    for kind in of_kinds
                ),
            )
            for mark, of_kinds in kinds.items()
            for dayless in ({False, True} if of_kinds & NAMES else {False})
        ],
        least=FROM[least],
        # Who may be sought falls back once the telephone is left out, and who was born on another day.
        best=3 * MOST if mine.keys() & CONTACT else MOST + 1,
        dated=dated,
        agency=actor.agency,
        municipalities=actor.municipalities,
        elsewhere=elsewhere,
        but=None if of is None else of.id,
    )
    return [
        (
            alike,
            {(ours, theirs) for theirs, mark in alike.agreeing for ours in kinds[mark]},
            alike.other_day,
        )
        for alike in found
    ]
