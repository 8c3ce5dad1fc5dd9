"""The way to a person's data: policy is asked, the log is written, and only then does a key come out.

What is to be known of a case and its caller is gathered here, consent judged, and one decision made.
"""

from collections.abc import Collection, Mapping
from datetime import date, datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.intake.domain.cases import Case, Consent
from services.intake.domain.meetings import Basis, Meeting
from services.intake.domain.policy import (
    COUNSELLOR,
    NEEDS,
    Action,
    Agreement,
    Allowed,
    Caller,
    Denied,
    Hidden,
    Purpose,
    Record,
    agreed_sets,
    decide,
)
from services.intake.domain.sheet import FieldSet
from services.intake.tables import cases, disclosures, emergencies, persons
from shared import consent as shared_consent
from shared import vault
from shared.auth import Actor
from shared.problems import ERASED, NOT_FOUND, Problem
from shared.service import day_in_japan


def there(case: Case | None) -> Case:
    """404 where there is none."""
    if case is None:
        raise Problem(NOT_FOUND)
    return case


def concerning(case: Case | None, actor: Actor) -> Case:
    """404 for whose business it is not, as if there were none."""
    if case is None or not case.concerns(actor.agency, actor.serves):
        raise Problem(NOT_FOUND)
    return case


async def refuse_erased(session: AsyncSession, case_id: UUID) -> None:
    """410 once it was ordered that a case be erased: nothing is written into it any more."""
    if await vault.erasure_of(session, case_id) is not None:
        raise Problem(ERASED)


# --- policy ---------------------------------------------------------------------------------------------------------


async def allowed(
    session: AsyncSession,
    case: Case,
    action: Action,
    *,
    purpose: Purpose,
    actor: Actor,
    now: datetime,
    basis: Basis | None = None,
    reviewers: frozenset[str] = frozenset(),
) -> Allowed | Denied:
    """What the caller may do with a case's personal data. 404 where policy hides the case."""
    today, holds = day_in_japan(now), actor.agency == case.holder_agency
    record = Record(
        holder=case.holder_agency,
        opened_by=case.opened_by,
        violence=case.tells_of_violence,
        consent=judged(await cases.find_consent(session, case), actor.agency, purpose=purpose, today=today),
        # The holder needs neither; so its reading, which is most of it, asks the database for neither.
        disclosures=() if holds else await disclosures.find_standing(session, case.id, actor.agency),
        emergency_ends_at=None if holds else await emergencies.find_end(session, case.id, actor.agency, actor.subject),
        reviewers=reviewers,
        use_stopped=case.use_stopped,
    )
    return seen(decide(_caller(actor, case), action, record, purpose=purpose, basis=basis, today=today, now=now))


async def sets_open_to(session: AsyncSession, case: Case, actor: Actor, now: datetime) -> frozenset[FieldSet]:
    """What the caller may read of the sheet on whatever basis stands: sensitive codes of the case go by it, too."""
    if actor.agency == case.holder_agency:
        return frozenset(FieldSet)
    found = [await allowed(session, case, Action.READ, purpose=purpose, actor=actor, now=now) for purpose in NEEDS]
    return frozenset[FieldSet]().union(*(each.sets for each in found if isinstance(each, Allowed)))


def decide_in_meeting(case: Case, action: Action, meeting: Meeting, *, actor: Actor, now: datetime) -> Allowed | Denied:
    """The same for what is said about a case in a statutory meeting: a lane of its own."""
    record = Record(
        holder=case.holder_agency, opened_by=case.opened_by, violence=case.tells_of_violence, meeting=meeting
    )
    caller, today = _caller(actor, case), day_in_japan(now)
    return seen(decide(caller, action, record, purpose=Purpose.MEETING, basis=meeting.basis, today=today, now=now))


async def denied_to_match(
    session: AsyncSession, case: Case, action: Action, *, actor: Actor, now: datetime
) -> Denied | None:
    """Why the caller may not look for the person's other cases (read), or say which they are (write)."""
    decision = await allowed(session, case, action, purpose=Purpose.SUPPORT, actor=actor, now=now)
    return decision if isinstance(decision, Denied) else None


def judged(said: Consent | None, agency: str, *, purpose: Purpose, today: date) -> Agreement | None:
    """What the person's consent means for an agency and a purpose; judged in `shared.consent`, as everywhere."""
    if said is None:
        return None
    consent = shared_consent.Consent(
        state=said.state.value,
        purposes=said.purposes,
        recipients=said.recipients,
        valid_until=said.valid_until,
        valid_from=said.valid_from,
        categories=said.categories,
    )
    gap = shared_consent.consent_gap(consent, purposes=frozenset({purpose.value}), receiver=agency, today=today)
    return Agreement(
        covers=gap is None,
        named=agency in said.recipients,
        categories=frozenset(FieldSet(category) for category in said.categories),
    )


async def agreed_to_work_on(session: AsyncSession, case: Case, agency: str, now: datetime) -> bool:
    """Whether the person's consent that stands reaches an agency, for whatever purpose."""
    said, today = await cases.find_consent(session, case), day_in_japan(now)
    return any(
        agreed is not None and agreed.covers
        for agreed in (judged(said, agency, purpose=purpose, today=today) for purpose in NEEDS)
    )


def opened_to(said: Consent | None, agency: str, *, purpose: Purpose, today: date) -> frozenset[FieldSet]:
    """What the person's consent opens to an agency for a purpose at most, whatever the caller's roles there are."""
    return agreed_sets(judged(said, agency, purpose=purpose, today=today), {COUNSELLOR}, purpose)


def seen(decision: Allowed | Denied | Hidden) -> Allowed | Denied:
    """404 for what is hidden."""
    if isinstance(decision, Hidden):
        raise Problem(NOT_FOUND)
    return decision


def _caller(actor: Actor, case: Case) -> Caller:
    return Caller(
        agency=actor.agency,
        serves=actor.serves(case.municipality),
        roles=actor.roles,
        kind=actor.kind,
    )


# --- the vault ------------------------------------------------------------------------------------------------------


async def key_of(
    session: AsyncSession,
    case_id: UUID,
    action: vault.Action,
    fields: Collection[str],
    *,
    purpose: Purpose,
    basis: Basis,
    actor: Actor,
) -> vault.DataKey:
    """A case's key for what the caller was allowed; the log says so. Raises `vault.Erased`."""
    access = actor.access(action, purpose=purpose, basis=basis, fields=fields, session=session)
    return (await vault.unlock(session, [case_id], access)).of(case_id)


async def values_of(
    session: AsyncSession,
    case_ids: Collection[UUID],
    action: vault.Action,
    fields: Collection[str],
    *,
    purpose: Purpose,
    basis: Basis,
    actor: Actor,
) -> Mapping[UUID, dict[str, str]]:
    """Fields of sheets that the caller was allowed, by case; the log says so. Cases without a key are left out."""
    access = actor.access(action, purpose=purpose, basis=basis, fields=fields, session=session)
    unlocked = await vault.unlock(session, case_ids, access)
    return await persons.find_values(session, unlocked, unlocked.keys.keys(), fields)


def by_itself(action: vault.Action, agency: str, fields: Collection[str]) -> vault.Access:
    """What the service does by the clock or on an event, for the agency that holds the case or the draft."""
    return vault.Access(action, agency, "tsunagu-intake", (), Purpose.SUPPORT, Basis.OWN_DUTY, tuple(fields))
