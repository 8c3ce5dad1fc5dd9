"""Policy is asked: what is to be known of a case and its caller is gathered, consent judged, and one decision made."""

from datetime import date, datetime

from sqlalchemy.ext.asyncio import AsyncSession

from services.intake.domain.cases import Case, Consent
from services.intake.domain.meetings import Basis, Meeting
from services.intake.domain.policy import (
    Action,
    Agreement,
    Allowed,
    Caller,
    Denied,
    Hidden,
    Purpose,
    Record,
    decide,
)
from services.intake.domain.sheet import FieldSet
from services.intake.tables import cases, disclosures, emergencies
from shared import consent as shared_consent
from shared.auth import Actor
from shared.problems import NOT_FOUND, Problem
from shared.service import day_in_japan


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


def decide_in_meeting(case: Case, action: Action, meeting: Meeting, *, actor: Actor, now: datetime) -> Allowed | Denied:
    """The same for what is said about a case in a statutory meeting: a lane of its own."""
    record = Record(
        holder=case.holder_agency, opened_by=case.opened_by, violence=case.tells_of_violence, meeting=meeting
    )
    caller, today = _caller(actor, case), day_in_japan(now)
    return seen(decide(caller, action, record, purpose=Purpose.MEETING, basis=meeting.basis, today=today, now=now))


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
    )
