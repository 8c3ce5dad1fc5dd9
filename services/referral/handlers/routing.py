"""Where a case may go: asked of the directory in memory, answered by the rules of the day, kept with its reasons."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.domain import kept_proposals
from services.referral.domain.routing import RECKONED, Lacking, Routing, route
from services.referral.handlers import needs
from services.referral.handlers.looking import concerning
from services.referral.handlers.referrals import CaseIsClosed
from services.referral.tables import asked, facts, proposals
from services.referral.tables import needs as need_tables
from services.referral.tables.asked import AskedOf
from services.referral.tables.proposals import Kept
from shared.auth import Actor
from shared.bus.mailbox import emit
from shared.consent import FOR_REFERRAL, FOR_TRAINING, Consent, consent_gap
from shared.service import day_in_japan


@dataclass(frozen=True, slots=True)
class Proposal:
    """An answer that is kept: when it was first given, and by which version of the rules."""

    id: UUID
    case_id: UUID
    rule_version: int
    routing: Routing


async def find_candidates(session: AsyncSession, case_id: UUID, actor: Actor, now: datetime) -> Proposal | CaseIsClosed:
    """Where a case may go, best first. There is always somebody: the coordinator, if nobody else."""
    found = await asked.find_asked(session, case_id, now=now)
    concerning(None if found is None else found.fact, actor)
    assert found is not None
    if found.is_over:
        return CaseIsClosed()
    answered = answer(found, now)
    proposal_id = await _keep(session, found, answered, now)
    if needs.differs(found, answered.routing):
        await _settle(session, case_id, now)
    return Proposal(proposal_id, case_id, answered.rule_version, answered.routing)


async def _settle(session: AsyncSession, case_id: UUID, now: datetime) -> None:
    """Lock the case, look again, and write what it lacks: in the same moment somebody may say that nothing fits."""
    await facts.lock_case_fact(session, case_id)
    found = await asked.find_asked(session, case_id, now=now)
    assert found is not None  # its row is locked
    await emit(session, *await needs.settle(session, found, answer(found, now).routing, now=now), at=now)


@dataclass(frozen=True, slots=True)
class Answered:
    """What the rules of the day make of a case, with what they were asked about."""

    routing: Routing
    rule_version: int
    options: Mapping[bytes, Any]


def answer(found: AskedOf, now: datetime) -> Answered:
    """Ask the rules of the day; nothing is written."""
    today = day_in_japan(now)
    rules = found.rules_on(today)
    near = found.memory.directory.near(found.case.asked, rules, now)
    routing = route(
        found.case,
        near.options,
        rules,
        now=now,
        today=today,
        lacking=lacking_in(found.consent, today),
        beyond=near.beyond,
    )
    return Answered(routing, rules.version, {found.memory.digest_of(option): option for option in near.options})


def lacking_in(consent: Consent, today: date) -> Lacking:
    """What this consent lacks on a day, for each agency: asked once of each."""
    known: dict[tuple[str, bool], str | None] = {}

    def lacking(agency: str, course: bool) -> str | None:
        asked_of = (agency, course)
        if asked_of not in known:
            purposes = FOR_TRAINING if course else FOR_REFERRAL
            gap = consent_gap(consent, purposes=purposes, receiver=agency, today=today)
            known[asked_of] = None if gap is None else gap.because
        return known[asked_of]

    return lacking


async def _keep(session: AsyncSession, found: AskedOf, answered: Answered, now: datetime) -> UUID:
    told = kept_proposals.text_of(
        {
            "case": kept_proposals.case_told(found.case),
            "consent": consent_told(found.consent),
            "beyond": answered.routing.beyond,
            "reckoned": RECKONED,
        }
    )
    said = kept_proposals.text_of(kept_proposals.answer_told(answered.routing))
    seen = b"".join(sorted(answered.options))
    kept = Kept(
        case_id=found.case.case_id,
        municipality=found.case.municipality,
        at=now,
        on_day=day_in_japan(now),
        rule_version=answered.rule_version,
        facts=told,
        answer=said,
        candidates=len(answered.routing.items),
        digest=kept_proposals.digest(f"{answered.rule_version} {told} {said} {seen.hex()}"),
    )
    return await proposals.keep(session, kept, answered.options)


def consent_told(consent: Consent) -> dict[str, Any]:
    """A consent as it is kept beside the facts."""
    return {name: _plain(value) for name, value in asdict(consent).items()}


def _plain(value: Any) -> Any:
    if isinstance(value, frozenset):
        return sorted(value)
    return value.isoformat() if isinstance(value, date) else value


def consent_read(told: Mapping[str, Any]) -> Consent:
    """The same, back again."""
    return Consent(
        state=told["state"],
        purposes=frozenset(told["purposes"]),
        recipients=frozenset(told["recipients"]),
        valid_until=told["valid_until"] and date.fromisoformat(told["valid_until"]),
        valid_from=told["valid_from"] and date.fromisoformat(told["valid_from"]),
        categories=frozenset(told["categories"]),
    )


# --- The clock's door -------------------------------------------------------------------------------------------------


async def look_for_unmet_needs(session: AsyncSession, now: datetime) -> bool:
    """Ask anew for some open cases that nobody asked for today, or that somebody took on. False when there are none."""
    due = await need_tables.lock_due(session, before=needs.start_of_day(now), limit=needs.BATCH)
    for case_id in due:
        await _settle(session, case_id, now)
    if due:
        await need_tables.looked_at(session, due, now)
    return bool(due)
