"""The map of functions recomputed the slow way: from the log of events alone, one cell after another, by loops.

It shares no line with the service: whatever an event doesn't tell, it doesn't know.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from shared.events import (
    AgencyListed,
    CaseClosed,
    CaseErased,
    CaseOpened,
    CaseReopened,
    CourseOffered,
    Enrolled,
    Event,
    NeedMet,
    NeedUnmet,
    PoolChanged,
    ProgrammeListed,
    ReferralAccepted,
    ReferralClosed,
    ReferralCourseChanged,
    ReferralDeclined,
    ReferralDeclineProposed,
    ReferralOutcomeSet,
    ReferralProgressed,
    ReferralReceived,
    ReferralRerouted,
    ReferralReturned,
    ReferralSent,
    ReferralTakenOver,
    ReferralWithdrawn,
    SeatHeld,
    SeatRefused,
    SeatReleased,
    SeatWaitlisted,
)

Told = tuple[Event, datetime]
Place = tuple[str, str, str, int]
NONE = ("none", "none", 0)
HELPED = {"accepted", "contact_made", "in_service", "no_show", "on_hold", "outcome_set"}
TRAINING = {
    "public_in_house": ("vocational_training", "vocational_training", 3),
    "public_commissioned": ("vocational_training", "vocational_training", 3),
    "commissioned_disability": ("vocational_training", "vocational_training", 2),
    "disability_school": ("vocational_training", "vocational_training", 2),
    "job_seeker_basic": ("job_seeker_training", "vocational_training", 5),
    "job_seeker_practical": ("job_seeker_training", "vocational_training", 5),
}
NO_COURSE_HELPS = {
    *("health", "daily_living", "isolation", "family", "housing", "income"),
    *("rent_or_loan", "taxes_and_utilities", "debt", "community", "child_raising", "care", "withdrawal", "violence"),
    "nothing_to_eat",
}


@dataclass
class Oracle:
    """What the events leave behind."""

    agencies: dict[str, AgencyListed] = field(default_factory=dict)
    programmes: dict[UUID, ProgrammeListed] = field(default_factory=dict)
    cases: dict[UUID, CaseOpened] = field(default_factory=dict)
    closed: set[UUID] = field(default_factory=set)
    referrals: dict[UUID, ReferralSent] = field(default_factory=dict)
    states: dict[UUID, str] = field(default_factory=dict)
    refusals: list[tuple[UUID, datetime]] = field(default_factory=list)
    proposed: dict[UUID, datetime] = field(default_factory=dict)
    unmet: set[tuple[UUID, str | None]] = field(default_factory=set)
    courses: dict[UUID, CourseOffered] = field(default_factory=dict)
    pools: dict[UUID, PoolChanged] = field(default_factory=dict)
    in_line: set[UUID] = field(default_factory=set)

    def hear(self, event: Event, at: datetime) -> None:
        match event:
            case AgencyListed():
                self.agencies[event.agency_id] = event
            case ProgrammeListed():
                self.programmes[event.programme_id] = event
            case CaseOpened():
                self.cases[event.case_id] = event
            case CaseClosed() | CaseErased():
                self.closed.add(event.case_id)
            case CaseReopened():
                self.closed.discard(event.case_id)
            case NeedUnmet():
                self.unmet.add((event.case_id, event.need))
            case NeedMet():
                self.unmet.discard((event.case_id, event.need))
            case CourseOffered():
                self.courses[event.course_run_id] = event
            case PoolChanged():
                self.pools[event.pool_id] = event
            case SeatWaitlisted() | SeatHeld() | SeatRefused() | SeatReleased() | Enrolled():
                if event.referral_id is not None:
                    self._hear_seat(event, event.referral_id, at)
            case _:
                self._hear_referral(event, at)

    def _hear_seat(self, event: Event, referral: UUID, at: datetime) -> None:
        stood_in_line = referral in self.in_line
        self.in_line.discard(referral)
        match event:
            case SeatWaitlisted():
                self.in_line.add(referral)
            case SeatRefused(reason="no_seats_for_you"):
                self.refusals.append((referral, at))
            case SeatReleased(reason="expired") if stood_in_line:
                self.refusals.append((referral, at))
            case Enrolled():
                self.states[referral] = "accepted"
            case _:
                pass

    def _hear_referral(self, event: Event, at: datetime) -> None:
        match event:
            case ReferralSent():
                self.referrals[event.referral_id] = event
                self.states[event.referral_id] = "sent"
            case ReferralCourseChanged():
                goes_on = {"receiver": event.receiver, "course_run_id": event.course_run_id}
                self.referrals[event.referral_id] = self.referrals[event.referral_id].model_copy(update=goes_on)
            case ReferralReceived():
                self.states[event.referral_id] = "received"
            case ReferralAccepted():
                self.states[event.referral_id] = "accepted"
            case ReferralWithdrawn():
                self.states[event.referral_id] = "withdrawn"
                self.in_line.discard(event.referral_id)
            case ReferralProgressed():
                self.states[event.referral_id] = event.state
            case ReferralDeclined():
                self._turn_away(event)
            case ReferralReturned() | ReferralRerouted() | ReferralClosed() | ReferralTakenOver(ended=True):
                self.states[event.referral_id] = "nobody waits"
            case ReferralOutcomeSet():
                if self.states[event.referral_id] != "nobody waits":
                    self.states[event.referral_id] = "outcome_set"
            case ReferralDeclineProposed():
                self.states[event.referral_id] = "decline_pending"
                self.proposed[event.referral_id] = at
            case _:
                pass

    def _turn_away(self, event: ReferralDeclined) -> None:
        self.states[event.referral_id] = "nobody waits"
        # Who is asked for a case has no room to give. A seat that was refused is told of by training.
        proposed, sent = self.proposed.get(event.referral_id), self.referrals[event.referral_id]
        if event.reason == "no_capacity" and proposed is not None and sent.verb != "request":
            self.refusals.append((event.referral_id, proposed))


def recompute(
    log: Iterable[Told], *, prefecture: str, now: datetime, neighbours: Mapping[str, set[str]]
) -> dict[Place, dict[str, Any]]:
    """Every cell of a prefecture."""
    oracle = Oracle()
    for event, at in log:
        oracle.hear(event, at)
    return _Recomputation(oracle, prefecture, now, neighbours).cells()


class _Recomputation:
    def __init__(self, told: Oracle, prefecture: str, now: datetime, neighbours: Mapping[str, set[str]]) -> None:
        self.told, self.prefecture, self.now, self.neighbours = told, prefecture, now, neighbours
        self.today: date = now.astimezone(ZoneInfo("Asia/Tokyo")).date()
        self.towns = self._towns()
        self.running = [each for each in told.programmes.values() if self._runs(each) and self._near(each)]
        self.by_kind: dict[tuple[str, str, int], list[ProgrammeListed]] = defaultdict(list)
        for programme in self.running:
            self.by_kind[_kind(programme)].append(programme)
        self.pools: dict[tuple[str, str, int], list[PoolChanged]] = defaultdict(list)
        for pool in told.pools.values():
            course = told.courses.get(pool.course_run_id)
            if not course or now > course.applications_close_at or course.system not in TRAINING or not pool.granted:
                continue
            if any(self._seats_for(pool, town) for town in self.towns):
                self.pools[TRAINING[course.system]].append(pool)
        self.open_needs = {case: self._open_needs(case) for case in told.cases if case not in told.closed}
        self.known = {need for needs in self.open_needs.values() for need in needs}
        self.known |= {need for _, need in told.unmet if need is not None}
        answered = {need for programme in self.running for need in programme.needs}
        if self.pools:
            answered |= self.known - NO_COURSE_HELPS
        self.unanswered = self.known - answered
        self.in_town: dict[str, list[UUID]] = defaultdict(list)
        for case in self.open_needs:
            self.in_town[told.cases[case].municipality].append(case)
        self.wants: dict[tuple[str, Any], set[UUID]] = {}

    def _towns(self) -> set[str]:
        codes: set[str] = set()
        for agency in self.told.agencies.values():
            codes |= {agency.municipality, *agency.municipalities_served}
        for programme in self.told.programmes.values():
            codes |= set(programme.municipalities)
        codes |= {case.municipality for id_, case in self.told.cases.items() if id_ not in self.told.closed}
        for town, near in self.neighbours.items():
            codes |= {town} | near
        codes |= {course.site_municipality for course in self.told.courses.values()}
        codes |= {pool.municipality for pool in self.told.pools.values() if pool.municipality}
        codes |= {
            self.told.cases[self.told.referrals[each].case_id].municipality
            for each, _ in self._refused()
            if self._kind_of(each)
        }
        own = {code for code in codes if code[:2] == self.prefecture and code[2:5] != "000"}
        return own | {near for town in own for near in self.neighbours.get(town, ())}

    def _refused(self) -> list[tuple[UUID, datetime]]:
        return [each for each in self.told.refusals if self.now - timedelta(days=365) <= each[1] <= self.now]

    def _runs(self, programme: ProgrammeListed) -> bool:
        begun = programme.starts_on is None or programme.starts_on <= self.today
        return begun and (programme.ends_on is None or programme.ends_on >= self.today)

    def _area(self, programme: ProgrammeListed) -> list[str]:
        return programme.municipalities or self.told.agencies[programme.agency_id].municipalities_served

    def _serves(self, programme: ProgrammeListed, town: str) -> bool:
        return any(code == town or (code[2:5] == "000" and code[:2] == town[:2]) for code in self._area(programme))

    def _near(self, programme: ProgrammeListed) -> bool:
        return any(self._serves(programme, town) for town in self.towns)

    def _open_needs(self, case: UUID) -> set[str]:
        opened = self.told.cases[case]
        needs = set(opened.needs) or set(opened.topics) - {"other"}
        for id_, sent in self.told.referrals.items() if case in self._helped() else ():
            if sent.case_id == case and self.told.states[id_] in HELPED and sent.programme_id is not None:
                needs -= set(self.told.programmes[sent.programme_id].needs)
            if sent.case_id == case and self.told.states[id_] in HELPED and sent.course_run_id is not None:
                needs &= NO_COURSE_HELPS
        return needs

    def _helped(self) -> set[UUID]:
        if not hasattr(self, "_known_helped"):
            self._known_helped = {
                self.told.referrals[each].case_id for each, state in self.told.states.items() if state in HELPED
            }
        return self._known_helped

    def _free(self, programme: ProgrammeListed) -> int:
        if programme.capacity_state != "has_room" or self._is_stale(programme):
            return 0
        if not self._is_news(programme):
            return 0
        return 3 if programme.capacity_vacant is None else programme.capacity_vacant

    def _is_news(self, programme: ProgrammeListed) -> bool:
        told_on = programme.capacity_confirmed_on
        return told_on is not None and (self.today - told_on).days < 30

    def _seats_for(self, pool: PoolChanged, town: str) -> bool:
        if pool.municipality:
            return pool.municipality == town
        return self.told.courses[pool.course_run_id].site_municipality[:2] == town[:2]

    def _is_stale(self, programme: ProgrammeListed) -> bool:
        return (self.today - programme.confirmed_on).days >= 180

    def _answers(self, kind: tuple[str, str, int]) -> set[str]:
        if kind == NONE:
            return self.unanswered
        needs = {need for programme in self.by_kind[kind] for need in programme.needs}
        return needs | (self.known - NO_COURSE_HELPS) if self.pools[kind] else needs

    def _asked(self, town: str, kind: tuple[str, str, int]) -> dict[str, Any]:
        needs = self._answers(kind)
        asking = {case for case in self.in_town[town] if self.open_needs[case] & needs}
        waiting = (
            [
                sent.case_id
                for id_, sent in self.told.referrals.items()
                if (self.told.states[id_] == "waiting" or id_ in self.told.in_line)
                and sent.case_id in self.open_needs
                and self.told.cases[sent.case_id].municipality == town
                and self._kind_of(id_) == kind
            ]
            if kind in self._waited_for()
            else []
        )
        unmet = [
            case
            for case, need in self.told.unmet
            if case in self.open_needs
            and self.told.cases[case].municipality == town
            and (kind == NONE if need is None else need in needs)
        ]
        away = {
            id_
            for id_, _ in self._refused()
            if self._kind_of(id_) == kind and self.told.cases[self.told.referrals[id_].case_id].municipality == town
        }
        self.wants[town, kind] = asking | set(waiting) | set(unmet)
        return {
            "open_needs": len(asking),
            "waiting": len(waiting),
            "unmet": len(unmet),
            "wanting": len(self.wants[town, kind]),
            "turned_away": len(away),
        }

    def _waited_for(self) -> set[Any]:
        waiting = {id_ for id_, state in self.told.states.items() if state == "waiting"}
        return {self._kind_of(id_) for id_ in waiting | self.told.in_line}

    def _kind_of(self, referral: UUID) -> Any:
        sent = self.told.referrals[referral]
        if sent.programme_id is not None:
            return _kind(self.told.programmes[sent.programme_id])
        course = self.told.courses.get(sent.course_run_id) if sent.course_run_id else None
        return TRAINING.get(course.system) if course else None

    def cells(self) -> dict[Place, dict[str, Any]]:
        kinds = {*self.by_kind, *self.pools, NONE, *(self._kind_of(each) for each in self.told.referrals)} - {None}
        found: dict[Place, dict[str, Any]] = {}
        for kind in kinds:
            cells = {town: self._asked(town, kind) for town in self.towns}
            for town, cell in cells.items():
                serving = [each for each in self.by_kind[kind] if self._serves(each, town)]
                seats = [each for each in self.pools[kind] if self._seats_for(each, town)]
                if serving or seats or cell["wanting"] or cell["turned_away"]:
                    cell.update(self._supplied(serving, seats))
                    cell["state"], cell["why"] = self._judged(kind, cell, serving, seats)
            for town, cell in cells.items():
                if "state" in cell and town[:2] == self.prefecture:
                    lenders = self._lenders(town, kind, cells) if cell["state"] in {"thin", "missing"} else []
                    missing = "borrow" if lenders else "create"
                    cell["lenders"] = lenders
                    cell["proposal"] = {"thin": "extend", "missing": missing}.get(cell["state"], "none")
                    found[town, *kind] = cell
        return found

    def _supplied(self, serving: list[ProgrammeListed], seats: list[PoolChanged]) -> dict[str, int]:
        fresh = [each for each in serving if not self._is_stale(each)]
        vague = [each for each in fresh if each.capacity_state in {"ask_first", "unknown"} or not self._is_news(each)]
        return {
            "programmes": len(serving) + len({pool.course_run_id for pool in seats}),
            "with_room": len([each for each in serving if self._free(each)])
            + len({pool.course_run_id for pool in seats if _vacant(pool)}),
            "stale": len(serving) - len(fresh),
            "unknown": len(vague),
            "places": sum(map(self._free, serving)) + sum(map(_vacant, seats)),
        }

    def _judged(
        self, kind: Any, cell: dict[str, Any], serving: list[ProgrammeListed], seats: list[PoolChanged]
    ) -> tuple[str, str]:
        if not cell["wanting"] and not cell["turned_away"]:
            return ("unused" if cell["places"] else "covered"), "nothing"
        if not serving and not seats:
            return "missing", "no_supply"
        if not cell["places"]:
            if cell["stale"] == cell["programmes"]:
                return "thin", "stale"
            return "thin", "room_unknown" if cell["stale"] + cell["unknown"] == cell["programmes"] else "full"
        if cell["turned_away"] >= 3:
            return "thin", "turned_away"
        if cell["wanting"]:
            enough = Fraction(0)
            for programme in serving:
                everybody = sum(len(self.wants[each, kind]) for each in self.towns if self._serves(programme, each))
                enough += Fraction(self._free(programme), everybody)
            for pool in seats:
                everybody = sum(len(self.wants[each, kind]) for each in self.towns if self._seats_for(pool, each))
                enough += Fraction(_vacant(pool), everybody)
            if enough < 1:
                return "thin", "short"
        return "covered", "nothing"

    def _lenders(self, town: str, kind: Any, cells: Mapping[str, Any]) -> list[str]:
        near = self.neighbours.get(town, set())
        found = []
        for other in self.towns:
            within = other in near or other[:2] == town[:2]
            able = cells[other].get("state") in {"covered", "unused"}
            spare = any(
                self._free(each) and self._serves(each, other) and not self._serves(each, town)
                for each in self.by_kind[kind]
            ) or any(
                _vacant(each) and self._seats_for(each, other) and not self._seats_for(each, town)
                for each in self.pools[kind]
            )
            if within and able and spare:
                found.append(other)
        return sorted(found, key=lambda other: (other not in near, other))[:5]


def _vacant(pool: PoolChanged) -> int:
    return max(0, pool.granted - pool.held - pool.filled)


def _kind(programme: ProgrammeListed) -> tuple[str, str, int]:
    return programme.function, programme.stage, programme.strand
