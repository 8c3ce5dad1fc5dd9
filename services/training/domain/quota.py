"""Who gets a seat, who waits, and who is next.

Two rules hold after every decision: a pool never gives more seats than it was granted, and no seat stays free beside
somebody who waits and may have it. Time is an argument; a moment that is a deadline still belongs to those who keep it.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from functools import partial
from uuid import UUID

from services.training.domain.trial import Step

GENERAL = "general"
DELEGATED = "delegated"
PRIORITY = "priority"
AT = "@"
"""What stands before target groups where seats are named by whose they are."""


class Reason(StrEnum):
    """Why a seat can't be asked for."""

    NO_SUCH_COURSE = "no_such_course"
    ALREADY_REQUESTED = "already_requested"
    APPLICATIONS_CLOSED = "applications_closed"
    HOLD_UNTIL_PASSED = "hold_until_passed"
    NO_SEATS_FOR_YOU = "no_seats_for_you"
    CONSENT_WITHDRAWN = "consent_withdrawn"
    COURSE_CANCELLED = "course_cancelled"
    OVERLAPPING_SEAT = "overlapping_seat"
    TOO_MANY_APPLICATIONS = "too_many_applications"
    STEP_SKIPPED = "step_skipped"


@dataclass(frozen=True, slots=True)
class Course:
    """A course run (開講), as far as seats are concerned."""

    id: UUID
    provider_agency: str
    applications_close_at: datetime
    hold_for: timedelta
    starts_on: date
    prefecture: str = ""
    hold_days: int | None = None
    """A hold's time in working days instead; `hold_for` follows from it at a moment."""
    offer_days: int | None = None
    """Working days to answer an offer out of the line."""
    offer_for: timedelta | None = None
    """The same, reckoned at a moment. None: as long as any hold."""
    line_due_at: datetime | None = None
    """From when on the line has to be gone through: a pause ends, or a pool opens to all."""
    is_cancelled: bool = False
    step: Step | None = None
    """Of a trial place at a host workplace; a course has none."""

    @property
    def is_trial(self) -> bool:
        """Whether a host workplace takes people in, and no school."""
        return self.step is not None

    def line_is_due(self, now: datetime) -> bool:
        """Whether somebody may have a free seat by the clock alone."""
        return self.line_due_at is not None and self.line_due_at <= now


@dataclass(frozen=True, slots=True)
class Pool:
    """Seats of one course run (枠): for all, delegated (委ねる枠) to municipalities, or for target groups (優先枠)."""

    id: UUID
    kind: str
    municipalities: tuple[str, ...]
    """In their order; none of them: for all."""
    granted: int
    held: int
    filled: int
    waiting: int
    next_line_no: int = 1
    version: int = 0
    decision_allotment_id: UUID | None = None
    """On what a delegated pool rests; one of before decisions were needed rests on none, and gets no new seats."""
    in_force: bool = True
    """Whether that decision is in force. If not, taken seats stay, and nobody else gets one."""
    cut_off_at: datetime | None = None
    """From when on seats that nobody holds go back (枠の戻る日)."""
    kept: int | None = None
    """How many of them stayed at the cut-off; None before it was carried out."""
    source_pool_id: UUID | None = None
    """From which pool its seats are lent (貸出し), and where they go back to."""
    agreement_id: UUID | None = None
    """On what agreement of both they are lent."""
    onward_step: int | None = None
    """Which of those to whom the decision sends, at the cut-off before, what goes back."""
    target_groups: tuple[str, ...] = ()
    """For whom the seats of a priority pool (優先枠) are, until it opens."""
    opened: bool = False
    """Whether what nobody of them claimed is open to all by now."""
    passed_over: int = 0
    """Those in its line who were asked about a free seat in this very moment, and can't have it; below 0: its seats
    are not to be had at once."""

    @property
    def municipality(self) -> str | None:
        """Whose alone it is."""
        return self.municipalities[0] if len(self.municipalities) == 1 else None

    @property
    def whose(self) -> str | None:
        """Whose it is, as an office writes it: a code, or several joined by +; of target groups, after an @."""
        if self.target_groups:
            return AT + "+".join(self.target_groups)
        return "+".join(self.municipalities) or None

    @property
    def is_moved(self) -> bool:
        """Whether its seats came from another pool, and not by a grant."""
        return self.agreement_id is not None or self.onward_step is not None

    @property
    def is_stranded(self) -> bool:
        """Whether it has seats that nobody has or can get: they go back, or to the next decision."""
        return self.free > 0 and not self.in_force

    @property
    def surplus(self) -> int:
        """Free seats beyond what the cut-off left: they came free afterwards, and go back too."""
        return 0 if self.kept is None else max(0, self.free - self.kept)

    @property
    def is_open(self) -> bool:
        """Whether seats in it may still come free for somebody. If not, its line stands in the others' lines."""
        return self.in_force and self.kept != 0

    def reaches_cut_off(self, now: datetime) -> bool:
        """Whether its cut-off has come, and is still to be carried out."""
        return self.kept is None and self.cut_off_at is not None and self.cut_off_at <= now

    def is_due(self, now: datetime) -> bool:
        """Whether seats have to leave it before anybody is given one."""
        return self.is_stranded or self.surplus > 0 or self.reaches_cut_off(now)

    @property
    def free(self) -> int:
        """Seats that nobody has."""
        return self.granted - self.held - self.filled

    @property
    def taken(self) -> int:
        """Seats that can't be taken away any more."""
        return self.held + self.filled

    def serves(self, municipality: str, target_groups: Collection[str] = ()) -> bool:
        """Whether its seats are for somebody of this municipality and these target groups."""
        return self.granted > 0 and self.is_open and self.is_for(municipality, target_groups)

    def is_for(self, municipality: str, target_groups: Collection[str] = ()) -> bool:
        """The same, whether or not there are any seats."""
        if self.target_groups and not self.opened and not self.prefers(target_groups):
            return False
        return not self.municipalities or municipality in self.municipalities

    def prefers(self, target_groups: Collection[str]) -> bool:
        """Whether it is there for people of one of these target groups."""
        return not set(self.target_groups).isdisjoint(target_groups)


@dataclass(frozen=True, slots=True)
class Held:
    """A seat is held (仮押さえ)."""

    pool: Pool
    expires_at: datetime

    @property
    def leaves(self) -> Pool:
        """The pool with one more seat held."""
        return replace(self.pool, held=self.pool.held + 1, version=self.pool.version + 1)


@dataclass(frozen=True, slots=True)
class Waitlisted:
    """No seat is free: a place in the line (待ち), kept until `expires_at`."""

    pool: Pool
    line_no: int
    position: int
    expires_at: datetime

    @property
    def leaves(self) -> Pool:
        """The pool with one more in its line."""
        pool = self.pool
        return replace(pool, waiting=pool.waiting + 1, next_line_no=pool.next_line_no + 1, version=pool.version + 1)


@dataclass(frozen=True, slots=True)
class Refused:
    """No seat can be asked for."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class Repeated:
    """The referral led to a request before: there is nothing to do and nothing to tell."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Who asks for a seat, as far as it matters to who gets one."""

    case_id: UUID
    municipality: str
    hold_until: datetime | None = None
    referral_id: UUID | None = None
    consent_withdrawn: bool = False
    target_groups: tuple[str, ...] = ()
    may_skip: bool = False
    """Whether somebody said why the steps before need not be gone through."""


def request_seats(
    course: Course,
    pools: Sequence[Pool],
    asks: Sequence[Ask],
    *,
    cases: Collection[UUID],
    referrals: Collection[UUID],
    now: datetime,
    busy: Collection[UUID] = (),
    at_limit: Collection[UUID] = (),
    skipping: Collection[UUID] = (),
) -> list[Held | Waitlisted | Refused | Repeated]:
    """One after the other, each as the one before left the seats. `cases` and `referrals` have a request already.

    Cases that are `busy` have a seat elsewhere at the same time; those `at_limit` as many applications as they may.
    Those `skipping` have not completed the step before that of this trial place.
    """
    standing = {pool.id: pool for pool in pools}
    cases, referrals = set(cases), set(referrals)
    outcomes: list[Held | Waitlisted | Refused | Repeated] = []
    for ask in asks:
        if ask.referral_id in referrals:
            outcomes.append(Repeated())
            continue
        if ask.consent_withdrawn:
            outcomes.append(Refused(Reason.CONSENT_WITHDRAWN))
            continue
        if ask.case_id in at_limit and ask.case_id not in cases:
            outcomes.append(Refused(Reason.TOO_MANY_APPLICATIONS))
            continue
        if ask.case_id in skipping and not ask.may_skip and ask.case_id not in cases:
            outcomes.append(Refused(Reason.STEP_SKIPPED))
            continue
        outcome = request_seat(
            course,
            list(standing.values()),
            municipality=ask.municipality,
            now=now,
            hold_until=ask.hold_until,
            already_requested=ask.case_id in cases,
            target_groups=ask.target_groups,
            is_busy=ask.case_id in busy,
        )
        outcomes.append(outcome)
        if not isinstance(outcome, Refused):
            standing[outcome.pool.id] = outcome.leaves
            cases.add(ask.case_id)
            if ask.referral_id is not None:
                referrals.add(ask.referral_id)
    return outcomes


def request_together(
    course: Course,
    pools: Sequence[Pool],
    asks: Sequence[Ask],
    *,
    cases: Collection[UUID],
    referrals: Collection[UUID],
    now: datetime,
    busy: Collection[UUID] = (),
    at_limit: Collection[UUID] = (),
    skipping: Collection[UUID] = (),
) -> list[Held | Waitlisted | Refused | Repeated]:
    """A seat for each of them at once; else a place in line for each. If one is refused, nobody is to have anything."""
    ask = partial(
        request_seats,
        course,
        asks=asks,
        cases=cases,
        referrals=referrals,
        now=now,
        busy=busy,
        at_limit=at_limit,
        skipping=skipping,
    )
    outcomes = ask(pools)
    if all(isinstance(each, Held) for each in outcomes) or any(isinstance(each, Refused) for each in outcomes):
        return outcomes
    return ask([replace(pool, passed_over=-1) for pool in pools])


def request_seat(
    course: Course,
    pools: Sequence[Pool],
    *,
    municipality: str,
    now: datetime,
    hold_until: datetime | None = None,
    already_requested: bool = False,
    target_groups: Collection[str] = (),
    is_busy: bool = False,
) -> Held | Waitlisted | Refused:
    """Own seats first, then shared ones, a target group's, general ones; else the line of whichever comes first."""
    if course.is_cancelled:
        return Refused(Reason.COURSE_CANCELLED)
    if already_requested:
        return Refused(Reason.ALREADY_REQUESTED)
    if now > course.applications_close_at:
        return Refused(Reason.APPLICATIONS_CLOSED)
    if hold_until is not None and now > hold_until:
        return Refused(Reason.HOLD_UNTIL_PASSED)
    pool = choose_pool(pools, municipality, target_groups)
    if pool is None:
        return Refused(Reason.NO_SEATS_FOR_YOU)
    waits_until = wait_ends(course, hold_until)
    if _open_to_newcomers(pool):
        if is_busy:
            # In a line they could stand; beside a free seat it would be a line of nobody.
            return Refused(Reason.OVERLAPPING_SEAT)
        return Held(pool, min(now + course.hold_for, waits_until))
    return Waitlisted(pool, pool.next_line_no, pool.waiting + 1, waits_until)


def choose_pool(pools: Sequence[Pool], municipality: str, target_groups: Collection[str] = ()) -> Pool | None:
    """The pool that gives a seat at once; if none does, the one to wait in. The narrowest comes first."""
    usable = usable_pools(pools, municipality, target_groups)
    return next((pool for pool in usable if _open_to_newcomers(pool)), usable[0] if usable else None)


def usable_pools(pools: Sequence[Pool], municipality: str, target_groups: Collection[str] = ()) -> list[Pool]:
    """Those whose seats somebody may have. Who isn't of its target group comes to an opened pool last."""
    usable = [pool for pool in pools if pool.serves(municipality, target_groups)]
    return sorted(
        usable, key=lambda pool: (bool(pool.target_groups) > pool.prefers(target_groups), narrowest_first(pool))
    )


def wait_ends(course: Course, hold_until: datetime | None) -> datetime:
    """Until when a place in the line means anything: the deadline, or the earlier moment that the caller gave."""
    return course.applications_close_at if hold_until is None else min(hold_until, course.applications_close_at)


def _open_to_newcomers(pool: Pool) -> bool:
    return pool.free > 0 and pool.waiting <= pool.passed_over


def narrowest_first(pool: Pool) -> tuple[int, int, bool, UUID]:
    """The order in which pools give their seats away; own ones before lent ones: these go back if nobody needs them."""
    kind = (DELEGATED, PRIORITY, GENERAL).index(pool.kind)
    return kind, len(pool.municipalities), pool.is_moved, pool.id
