"""Everything about a case that routing looks at, in one statement, beside the copy of the directory it is asked of."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from types import SimpleNamespace
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.domain.moves import AT_WORK, IN_FLIGHT
from services.referral.domain.needs import Need
from services.referral.domain.refusals import Been, last_words, refused
from services.referral.domain.routed import wanted_of
from services.referral.domain.routing import Case, answered_by_course
from services.referral.domain.routing_rules import RuleSet, rules_on
from services.referral.domain.states import State, Verb
from services.referral.tables import nearby
from services.referral.tables.facts import consent_of, is_over
from services.referral.tables.nearby import Memory
from shared.consent import Consent
from shared.database import Hot
from shared.service import day_in_japan

_FACTS = Hot(
    "SELECT f.*, (SELECT agency_id FROM coordinator c WHERE c.municipality = f.municipality) AS coordinator,"  # noqa: S608 - our own words alone
    " (SELECT coalesce(json_agg(json_build_array(coalesce(r.programme_id, r.course_run_id), r.verb, r.state, r.reason,"
    " r.outcome, CAST(r.since AT TIME ZONE 'Asia/Tokyo' AS date), p.stage, p.needs) ORDER BY r.id), '[]')"
    " FROM referral r LEFT JOIN programme p ON p.id = r.programme_id WHERE r.case_id = f.case_id) AS referrals,"
    " (SELECT coalesce(json_agg(json_build_array(n.need, n.coordinator, n.said_by)), '[]')"
    " FROM need_unmet n WHERE n.case_id = f.case_id AND n.state = 'open') AS records,"
    " (SELECT max(version) FROM routing_rule) AS rule_version,"
    " CAST(pg_current_snapshot() AS text) AS snapshot,"
    f" EXISTS ({nearby.SINCE.format(found='')} ORDER BY xid LIMIT 1) AS changed"
    " FROM case_fact f WHERE f.case_id = :case_id AND f.municipality IS NOT NULL"
)


class OnRecord(NamedTuple):
    """A need on record as unmet, who coordinates it, and who said so, if somebody looked for a place."""

    need: Need
    coordinator: str
    said_by: str | None


@dataclass(frozen=True, slots=True)
class AskedOf:
    """A case as it is now, and what it may be referred to."""

    fact: Any
    case: Case
    consent: Consent
    records: tuple[OnRecord, ...]
    memory: Memory

    @property
    def on_record(self) -> frozenset[Need]:
        """Needs that are on record as unmet."""
        return frozenset(record.need for record in self.records)

    @property
    def said_unmet(self) -> frozenset[Need]:
        """Of those, what somebody has said who looked for a place."""
        return frozenset(record.need for record in self.records if record.said_by is not None)

    @property
    def is_over(self) -> bool:
        """Closed or erased: nothing is looked for any more."""
        return is_over(self.fact)

    def rules_on(self, day: date) -> RuleSet:
        """Which rules hold."""
        return rules_on(self.memory.rules, day)


async def find_asked(session: AsyncSession, case_id: UUID, *, now: datetime) -> AskedOf | None:
    """None: no such case was heard of."""
    memory = nearby.memory_of(session)
    seen = memory.snapshot
    rows = await _FACTS.rows(session, {"case_id": case_id, "seen": seen})
    if not rows:
        return None
    fact: Any = SimpleNamespace(**rows[0])
    if not memory.holds(seen, changed=bool(fact.changed), snapshot=fact.snapshot, now=now):
        await nearby.bring_up_to_date(session, memory, now=now)
    await nearby.bring_rules_up_to_date(session, memory, fact.rule_version)
    records = tuple(OnRecord(*each) for each in fact.records)
    return AskedOf(fact, _case(fact, memory, day_in_japan(now)), consent_of(fact), records, memory)


def _case(fact: Any, memory: Memory, today: date) -> Case:
    referrals = [_been(*each) for each in fact.referrals]
    last = last_words(referrals)
    reached = [each for each in referrals if each.accepted]
    return Case(
        case_id=UUID(int=fact.case_id.int),
        municipality=fact.municipality,
        holder=fact.holder or fact.opened_by,
        topics=frozenset(fact.topics),
        needs=frozenset(fact.needs),
        urgent=fact.urgent,
        levels=fact.levels,
        prolongation_risk=fact.prolongation_risk,
        open_targets=frozenset(each.target for each in referrals if each.state in IN_FLIGHT),
        declined_targets=frozenset(
            each.target for each in referrals if each.state == State.DECLINED and each.verb != Verb.REQUEST
        ),
        refused_targets=refused(last, memory.directory.options, today),
        taken_targets=frozenset(each.target for each in referrals if each.state in AT_WORK),
        stage=reached[-1].rung if reached else None,
        served_needs=_served([each for each in last.values() if each.accepted], fact),
        neighbours=memory.directory.neighbours.get(fact.municipality, frozenset()),
        coordinator=fact.coordinator,
    )


def _been(target: str, verb: str, state: str, reason: Any, outcome: Any, since: Any, stage: Any, needs: Any) -> Been:
    day = None if since is None else date.fromisoformat(since)
    return Been(UUID(target), verb, state, reason, outcome, day, stage, needs)


def _served(reached: Sequence[Been], fact: Any) -> frozenset[str]:
    wanted = wanted_of(fact.needs, fact.topics)
    found: frozenset[str] = frozenset()
    for each in reached:
        found |= answered_by_course(wanted) if each.needs is None else wanted & frozenset(each.needs)
    return found
