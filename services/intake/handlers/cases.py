"""Opening a case, consent, screening, and what comes back about it from elsewhere."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, assert_never
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from services.intake.domain.cases import (
    CAREER_NEEDS,
    TOUCHES_CAREER,
    Case,
    Consent,
    ConsentState,
    Contradicted,
    Recorded,
    ScreeningOutcome,
    WitnessNeeded,
    is_the_holders,
    is_urgent,
    left_in,
    left_out,
    most_serious_of,
    needs_witness,
    record_consent,
    urgency_of,
)
from services.intake.domain.custody import Moved, Step
from services.intake.domain.policy import Denied
from services.intake.handlers import disclosures, persons
from services.intake.handlers.access import concerning, sets_open_to
from services.intake.handlers.drafts import NoSuchDraft
from services.intake.tables import cases as tables
from services.intake.tables import custody as custody_tables
from services.intake.tables import drafts
from shared.auth import Actor
from shared.bus.mailbox import emit
from shared.events import (
    CareerNeedsUntouched,
    CaseOpened,
    CaseScreened,
    ConsentGiven,
    ConsentPending,
    ConsentRefused,
    ConsentWithdrawn,
    Event,
)
from shared.service import day_in_japan, expect

_CONSENT_KINDS = {
    ConsentState.GIVEN: "consent_given",
    ConsentState.NOT_YET: "consent_pending",
    ConsentState.REFUSED: "consent_refused",
    ConsentState.WITHDRAWN: "consent_withdrawn",
}


@dataclass(frozen=True, slots=True)
class Opening:
    """What is known when a person comes: almost everything may be missing."""

    municipality: str
    entrance: str
    topics: tuple[str, ...]
    needs: tuple[str, ...]
    urgent: bool | None
    urgency: tuple[str, ...]
    most_serious: str | None
    next_step_on: date
    anchor: str | None
    consent: Consent | None
    witness: str | None
    sheet: Mapping[str, str]
    """What was written about the person, the next step among it."""
    draft_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class NotAmongTopics:
    """What was marked as most serious is none of the case's topics."""


async def open_case(
    session: AsyncSession, opening: Opening, *, case_id: UUID, actor: Actor, now: datetime
) -> Case | Contradicted | NoSuchDraft:
    """Take up a consultation (断らない相談支援); who opens a case is responsible for it until somebody else accepts."""
    consent_version = 0
    if opening.consent is not None:
        match record_consent(None, opening.consent, version=0):
            case Contradicted() as contradicted:
                return contradicted
            case Recorded(version):
                consent_version = version
    urgency = urgency_of(present=(), said=opening.urgency, topics=opening.topics)
    case = Case(
        id=case_id,
        number=await tables.next_case_number(session, day_in_japan(now)),
        municipality=opening.municipality,
        opened_by=actor.agency,
        holder_agency=actor.agency,
        entrance=opening.entrance,
        topics=opening.topics,
        needs=opening.needs,
        urgent=is_urgent(present=False, said=opening.urgent, added=urgency),
        urgency=urgency,
        status="open",
        next_step_on=opening.next_step_on,
        consent_state=str(opening.consent.state if opening.consent else ConsentState.NOT_YET),
        consent_version=consent_version,
        consent_by=actor.agency if consent_version else None,
        screening_outcome=None,
        opened_at=now,
        career_touched_at=now,
        version=1 + consent_version,
        sheet_version=1,
        anchor=opening.anchor or actor.subject,
        most_serious=opening.most_serious,
    )
    await tables.add_case(session, case)
    opened_here = Moved(Step.OPENED, case.custody)
    case = await custody_tables.add_step(session, case, opened_here, ended=None, by=actor.agency, at=now)
    await persons.begin_sheet(session, case, opening.sheet, actor=actor, now=now)
    if opening.draft_id is not None and not await drafts.became_case(
        session, opening.draft_id, case.id, agency=actor.agency, now=now
    ):
        return NoSuchDraft()
    opened = _opened(case)
    codes = opened.model_dump(mode="json", include={"agency_id", "entrance", "topics", "needs", "urgent", "urgency"})
    await tables.note(session, case.id, "case_opened", codes, at=now)
    told: list[tuple[Event, int]] = [(opened, 1)]
    if opening.consent is not None:
        await _add_consent(session, case, opening.consent, opening.witness, actor=actor, now=now)
        told.append((_consent_event(case, opening.consent), case.version))
    await emit(session, *told, at=now)
    return case


async def change_case(
    session: AsyncSession,
    case_id: UUID,
    changes: Mapping[str, Any],
    *,
    next_step: str | None,
    read: int,
    actor: Actor,
    now: datetime,
) -> Case | Denied | NotAmongTopics:
    """Write the next step, its day, topics, needs or urgency anew; what is the same already is no change."""
    case = concerning(await tables.lock_case(session, case_id), actor)
    expect(case.version, read)
    if next_step is not None:
        written = await persons.write_next_step(session, case, next_step, actor=actor, now=now)
        if isinstance(written, Denied):
            return written
        changes = {**changes, "sheet_version": written}
    sets = await sets_open_to(session, case, actor, now)
    for name in {"topics", "needs", "urgency"} & changes.keys():
        # Who is not shown a code can't have meant to take it away.
        kept = tuple(code for code in left_out(getattr(case, name), sets) if code not in changes[name])
        changes = {**changes, name: (*changes[name], *kept)}
    topics = changes.get("topics", case.topics)
    if "most_serious" in changes and changes["most_serious"] not in left_in(topics, sets):
        return NotAmongTopics()
    told = set(topics) - set(case.topics)
    urgency = urgency_of(present=case.urgency, said=changes.get("urgency"), topics=told)
    added = (set(urgency) - set(case.urgency)) | (told & set(urgency))
    wanted = {
        **changes,
        "urgency": urgency,
        "urgent": is_urgent(present=case.urgent, said=changes.get("urgent"), added=added),
        "most_serious": most_serious_of(changes.get("most_serious", case.most_serious), topics),
    }
    different = {name: value for name, value in wanted.items() if value != getattr(case, name)}
    if not different:
        return case
    if actor.agency != case.holder_agency and is_the_holders(case, replace(case, **different)):
        return Denied("not_yours")
    if CAREER_NEEDS & set(different.get("needs", ())) - set(case.needs):
        different["career_touched_at"] = now
    changed = await tables.change_case(session, case, **different)
    await tables.note(session, case_id, "case_changed", {"changed": _named(different), "by": actor.agency}, at=now)
    return changed


def _named(different: Mapping[str, Any]) -> list[str]:
    """What changed, in the words of the API."""
    words = {"sheet_version": "next_step"}
    return sorted(words.get(name, name) for name in different if name != "career_touched_at")


async def add_consent(
    session: AsyncSession, case_id: UUID, said: Consent, *, witness: str | None, actor: Actor, now: datetime
) -> Row[Any] | Contradicted | WitnessNeeded:
    """Record what the person said about sharing, at whichever counter of the municipality, and who was there."""
    case = concerning(await tables.lock_case(session, case_id), actor)
    present = await tables.find_consent(session, case)
    decision = record_consent(present, said, version=case.consent_version)
    if isinstance(decision, Contradicted):
        return decision
    told = {"witness": witness, "form": said.form}
    missing = tuple(name for name, value in told.items() if value is None)
    if missing and needs_witness(present, said, by=actor.agency, holder=case.holder_agency):
        return WitnessNeeded(missing)
    changed = await tables.change_case(
        session, case, consent_state=str(said.state), consent_version=decision.version, consent_by=actor.agency
    )
    fact = await _add_consent(session, changed, said, witness, actor=actor, now=now)
    await disclosures.take_back(session, changed, by=actor.agency, now=now)
    await emit(session, (_consent_event(changed, said), changed.version), at=now)
    return fact


@dataclass(frozen=True, slots=True)
class HoldsItAlready:
    """Who is named as the receiver of the hand-off holds the case."""


async def screen_case(
    session: AsyncSession,
    case_id: UUID,
    outcome: str,
    *,
    receiver: str | None,
    screening_id: UUID,
    actor: Actor,
    now: datetime,
) -> Row[Any] | Denied | HoldsItAlready:
    """Record the decision at the door. It never closes the case.

    A hand-off that nobody has acknowledged waits for its receiver; only who holds the case decides otherwise.
    """
    case = concerning(await tables.lock_case(session, case_id), actor)
    if case.hand_off_open and actor.agency != case.holder_agency:
        return Denied("not_yours")
    if receiver == case.holder_agency:
        return HoldsItAlready()
    hands_off = outcome == ScreeningOutcome.HAND_OFF
    changed = await tables.change_case(session, case, screening_outcome=outcome, hand_off_open=hands_off)
    row = await tables.add_screening(
        session, case, outcome, receiver=receiver, screening_id=screening_id, by=actor.agency, at=now
    )
    to = {} if receiver is None else {"receiver": receiver}
    await tables.note(session, case_id, "case_screened", {"outcome": outcome, **to, "by": actor.agency}, at=now)
    await emit(session, (CaseScreened(case_id=case_id, outcome=outcome), changed.version), at=now)
    return row


async def get_case(session: AsyncSession, case_id: UUID, actor: Actor) -> Case:
    """The case, for somebody whose business it is. 404 for everybody else, as if there were none."""
    return concerning(await tables.find_case(session, case_id), actor)


async def note_news(
    session: AsyncSession,
    case_id: UUID,
    kind: str,
    codes: dict[str, Any],
    *,
    at: datetime,
    service: str,
    event_id: UUID,
) -> bool:
    """Write into the timeline what another service told; False if it stands there already."""
    noted = await tables.note(session, case_id, kind, codes, at=at, service=service, event_id=event_id)
    if noted and kind in TOUCHES_CAREER:
        await tables.touch_career(session, case_id, at=at)
    return noted


async def report_untouched(session: AsyncSession, now: datetime) -> bool:
    """Say of one open case that its career needs lie untouched. False when there is none left to say it of."""
    weeks: int = session.info["settings"].career_weeks
    case = await tables.take_untouched(session, before=now - timedelta(weeks=weeks), now=now)
    if case is None:
        return False
    codes = {"weeks": weeks, "holder": case.holder_agency}
    await tables.note(session, case.id, "career_needs_untouched", codes, at=now)
    changed = await tables.change_case(session, case)
    event = CareerNeedsUntouched(
        case_id=case.id, agency_id=case.holder_agency, since=day_in_japan(case.career_touched_at)
    )
    await emit(session, (event, changed.version), at=now)
    return True


async def _add_consent(
    session: AsyncSession, case: Case, said: Consent, witness: str | None, *, actor: Actor, now: datetime
) -> Row[Any]:
    agency, version = actor.agency, case.consent_version
    sealed = None if witness is None else await persons.seal_witness(session, case, witness, actor=actor)
    fact = await tables.add_consent(session, case.id, version, said, witness=sealed, by=agency, at=now)
    codes = {
        "consent_version": version,
        "purposes": fact.purposes,
        "recipients": fact.recipients,
        "categories": fact.categories,
        "form": fact.form,
    }
    shown = {name: value for name, value in codes.items() if value}
    await tables.note(session, case.id, _CONSENT_KINDS[said.state], {**shown, "by": agency}, at=now)
    return fact


def _opened(case: Case) -> CaseOpened:
    return CaseOpened(
        case_id=case.id,
        municipality=case.municipality,
        agency_id=case.opened_by,
        entrance=case.entrance,
        topics=list(case.topics),
        needs=list(case.needs),
        urgent=case.urgent,
        urgency=list(case.urgency),
        opened_at=case.opened_at,
    )


def _consent_event(case: Case, said: Consent) -> Event:
    match said.state:
        case ConsentState.GIVEN:
            return ConsentGiven(
                case_id=case.id,
                consent_version=case.consent_version,
                purposes=sorted(said.purposes),
                recipients=sorted(said.recipients),
                valid_until=said.valid_until,
                valid_from=said.valid_from,
                categories=sorted(said.categories),
                recorded_by=case.consent_by,
            )
        case ConsentState.NOT_YET:
            return ConsentPending(case_id=case.id, consent_version=case.consent_version)
        case ConsentState.REFUSED:
            return ConsentRefused(case_id=case.id, consent_version=case.consent_version)
        case ConsentState.WITHDRAWN:
            return ConsentWithdrawn(case_id=case.id, consent_version=case.consent_version)
        case _:
            assert_never(said.state)
