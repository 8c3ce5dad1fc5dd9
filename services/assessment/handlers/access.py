"""The way to what is known of a case here: policy is asked, the log is written, and only then does a key come out.

Who the person is, intake alone knows. What lies here are levels, and words about them, sealed with a key of the case's
own in this schema (decision 0033).
"""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.assessment.domain.access import HEALTH, Ground, Hidden, NoBasis, Sees, SeesOwn, Standing, decide
from services.assessment.tables import assessments, cases, conferences
from services.assessment.tables.cases import Case
from shared import vault
from shared.auth import Actor
from shared.consent import FOR_ASSESSMENT, FOR_CONFERENCE, consent_gap
from shared.problems import ERASED, NO_BASIS, Problem, case_not_known
from shared.service import day_in_japan

BASIS = {Ground.HOLDER: "appi_69_2_2", Ground.CONSENT: "consent"}
"""The legal basis of each ground, as it stands in the access log (DOMAIN.md 2)."""
OWN_DUTY = BASIS[Ground.HOLDER]


def concerning(case: Case | None, actor: Actor) -> Case:
    """The case, for whose business it is: who opened or holds it, and its municipality. Others hear of none."""
    if case is None or not concerns(case, actor):
        raise case_not_known()
    return case


def concerns(case: Case, actor: Actor) -> bool:
    """Whether a case is an agency's business."""
    return actor.agency in {case.opened_by, case.holder} or actor.serves(case.municipality)


def writable(case: Case) -> Case:
    """410 once the case was erased."""
    if case.erased_at is not None:
        raise Problem(ERASED)
    return case


async def reach(session: AsyncSession, case_id: UUID, *, actor: Actor, now: datetime) -> tuple[Case, Sees | SeesOwn]:
    """How far the caller may look into a case's ratings; a problem where it may not.

    Asked at each reading: consent that was taken back since shows nothing.
    """
    case = await cases.find_case(session, case_id)
    if case is None:
        raise case_not_known()
    match await sight(session, case, actor=actor, now=now):
        case Hidden():
            raise case_not_known()
        case NoBasis():
            raise Problem(NO_BASIS)
        case found:
            return writable(case), found


async def sight(session: AsyncSession, case: Case, *, actor: Actor, now: datetime) -> Sees | SeesOwn | NoBasis | Hidden:
    """How much of the case's ratings the caller sees, as a value: what else there is of a case follows from it."""
    return decide(await _standing(session, case, actor, now))


async def _standing(session: AsyncSession, case: Case, actor: Actor, now: datetime) -> Standing:
    if actor.agency == case.holder:
        return Standing(holds=True, concerned=True)  # nothing else is asked of who holds it
    gap = consent_gap(case.consent, purposes=FOR_ASSESSMENT, receiver=actor.agency, today=day_in_japan(now))
    return Standing(
        holds=False,
        concerned=concerns(case, actor),
        rated=await assessments.has_rated(session, case.id, actor.agency),
        consented=gap is None,
        named=actor.agency in case.consent.recipients
        or (gap is None and await conferences.sits_with_consent(session, case.id, actor.agency)),
        categories=case.consent.categories,
    )


def covered(case: Case, agency: str, *, chair: str, now: datetime) -> bool:
    """Whether an agency may speak of the person in the lane of consent: the holder, or one that consent reaches.

    Who chairs does so for the holder: it is concerned, or it could not have begun.
    """
    if agency in {case.holder, chair}:
        return True
    gap = consent_gap(case.consent, purposes=FOR_CONFERENCE, receiver=agency, today=day_in_japan(now))
    return gap is None


def withheld_from(case: Case, items: frozenset[str], actor: Actor) -> frozenset[str]:
    """Of these items words tell of illness: withheld from others than the holder, unless consent names it."""
    return frozenset() if actor.agency == case.holder or HEALTH in case.consent.categories else items


# --- the vault ------------------------------------------------------------------------------------------------------


async def key_to_write(
    session: AsyncSession, case_id: UUID, fields: Iterable[str], *, purpose: str, basis: str, actor: Actor
) -> vault.DataKey:
    """The key of a locked case, made with the first words about it; the log says what is written."""
    access = actor.access(vault.Action.WRITE, purpose=purpose, basis=basis, fields=fields, session=session)
    if await vault.has_key(session, case_id):
        return (await vault.unlock(session, [case_id], access)).of(case_id)
    if await vault.erasure_of(session, case_id) is not None:
        raise Problem(ERASED)
    return await vault.make_key(session, case_id, access)


async def key_to_read(
    session: AsyncSession, case_id: UUID, fields: Iterable[str], *, purpose: str, basis: str, actor: Actor
) -> vault.DataKey:
    """The key of a case about which there are words; the log says who reads them. Raises `vault.Erased`."""
    access = actor.access(vault.Action.READ, purpose=purpose, basis=basis, fields=fields, session=session)
    return (await vault.unlock(session, [case_id], access)).of(case_id)
