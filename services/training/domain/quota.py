"""Who gets a seat, who waits, and who is next.

Two rules hold after every decision: a pool never gives more seats than it was granted, and no seat stays free beside
somebody who waits and may have it. Time is an argument; a moment that is a deadline still belongs to those who keep it.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from uuid import UUID

GENERAL = "general"
DELEGATED = "delegated"


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


@dataclass(frozen=True, slots=True)
class Course:
    """A course run (開講), as far as seats are concerned."""

    id: UUID
    provider_agency: str
    applications_close_at: datetime
    hold_for: timedelta
    starts_on: date
    is_cancelled: bool = False


@dataclass(frozen=True, slots=True)
class Pool:
    """Seats of one course run (枠): for all, or delegated (委ねる枠) to a municipality or to several together."""

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
    passed_over: int = 0
    """How many of those who wait can't have a seat now, since another that they have is at the same time."""

    @property
    def municipality(self) -> str | None:
        """Whose alone it is."""
        return self.municipalities[0] if len(self.municipalities) == 1 else None

    @property
    def whose(self) -> str | None:
        """Whose it is, as an office writes it: a code, or several joined by +."""
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

    def serves(self, municipality: str) -> bool:
        """Whether its seats are for people of this municipality."""
        return self.granted > 0 and self.is_open and (not self.municipalities or municipality in self.municipalities)


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
) -> list[Held | Waitlisted | Refused | Repeated]:
    """One after the other, each as the one before left the seats. `cases` and `referrals` have a request already.

    Cases that are `busy` have a seat elsewhere at the same time; those `at_limit` as many applications as they may.
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
        outcome = request_seat(
            course,
            list(standing.values()),
            municipality=ask.municipality,
            now=now,
            hold_until=ask.hold_until,
            already_requested=ask.case_id in cases,
            is_busy=ask.case_id in busy,
        )
        outcomes.append(outcome)
        if not isinstance(outcome, Refused):
            standing[outcome.pool.id] = outcome.leaves
            cases.add(ask.case_id)
            if ask.referral_id is not None:
                referrals.add(ask.referral_id)
    return outcomes


def request_seat(
    course: Course,
    pools: Sequence[Pool],
    *,
    municipality: str,
    now: datetime,
    hold_until: datetime | None = None,
    already_requested: bool = False,
    is_busy: bool = False,
) -> Held | Waitlisted | Refused:
    """Own seats first, then those shared with others, then general ones; else the line of whichever comes first."""
    if course.is_cancelled:
        return Refused(Reason.COURSE_CANCELLED)
    if already_requested:
        return Refused(Reason.ALREADY_REQUESTED)
    if now > course.applications_close_at:
        return Refused(Reason.APPLICATIONS_CLOSED)
    if hold_until is not None and now > hold_until:
        return Refused(Reason.HOLD_UNTIL_PASSED)
    pool = choose_pool(pools, municipality)
    if pool is None:
        return Refused(Reason.NO_SEATS_FOR_YOU)
    waits_until = wait_ends(course, hold_until)
    if _open_to_newcomers(pool):
        if is_busy:
            # In a line they could stand; beside a free seat it would be a line of nobody.
            return Refused(Reason.OVERLAPPING_SEAT)
        return Held(pool, min(now + course.hold_for, waits_until))
    return Waitlisted(pool, pool.next_line_no, pool.waiting + 1, waits_until)


def choose_pool(pools: Sequence[Pool], municipality: str) -> Pool | None:
    """The pool that gives a seat at once; if none does, the one to wait in. The narrowest comes first."""
    usable = sorted((pool for pool in pools if pool.serves(municipality)), key=_narrowest_first)
    return next((pool for pool in usable if _open_to_newcomers(pool)), usable[0] if usable else None)


def is_idle(pools: Sequence[Pool]) -> bool:
    """Whether a seat may be free beside somebody who waits and can have it."""
    anybody = sum(pool.waiting - pool.passed_over for pool in pools) > 0
    return any(
        pool.free > 0 and (pool.waiting > pool.passed_over or (anybody and not pool.municipalities)) for pool in pools
    )


def wait_ends(course: Course, hold_until: datetime | None) -> datetime:
    """Until when a place in the line means anything: the deadline, or the earlier moment that the caller gave."""
    return course.applications_close_at if hold_until is None else min(hold_until, course.applications_close_at)


def _open_to_newcomers(pool: Pool) -> bool:
    return pool.free > 0 and pool.waiting == pool.passed_over


def _narrowest_first(pool: Pool) -> tuple[bool, int, bool, UUID]:
    """Own seats before lent ones: these go back if nobody needs them."""
    return pool.kind != DELEGATED, len(pool.municipalities), pool.is_moved, pool.id


# --- freed or new seats ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class InLine:
    """Somebody who waits."""

    seat_request_id: UUID
    pool_id: UUID
    municipality: str
    line_no: int
    requested_at: datetime
    waits_until: datetime


@dataclass(frozen=True, slots=True)
class Promoted:
    """The next in line has a seat, in this pool."""

    place: InLine
    pool_id: UUID
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Lapsed:
    """The wait was over before a seat came free."""

    place: InLine


def offer_free_seats(
    course: Course, pools: Sequence[Pool], line: Sequence[InLine], now: datetime
) -> list[Promoted | Lapsed]:
    """Give every free seat to whoever is next.

    A pool's own line comes first, in its order; who waits for seats of a decision that is in force no more, or that
    all went back at the cut-off, stands in it as well, by how long they have waited. A seat that nobody there wants
    goes to whoever has waited longest in the course's other lines and may have it, rather than stay idle beside them.
    """
    outcomes: list[Promoted | Lapsed] = []
    waiting = sorted(line, key=_who_came_first)
    closed = {pool.id for pool in pools if not pool.is_open}
    for pool in sorted((pool for pool in pools if pool.is_open), key=_narrowest_first):
        free = pool.free
        while free > 0 and (place := _next_for(pool, waiting, closed)) is not None:
            waiting.remove(place)
            if now > place.waits_until:
                outcomes.append(Lapsed(place))
                continue
            free -= 1
            outcomes.append(Promoted(place, pool.id, min(now + course.hold_for, place.waits_until)))
    return outcomes


def _next_for(pool: Pool, waiting: Sequence[InLine], closed: Collection[UUID]) -> InLine | None:
    own = [place for place in waiting if place.pool_id == pool.id]
    heads = [min(own, key=lambda place: place.line_no)] if own else []
    heads += [place for place in waiting if place.pool_id in closed and pool.serves(place.municipality)][:1]
    if heads:
        return min(heads, key=_who_came_first)
    return next((place for place in waiting if pool.serves(place.municipality)), None)


def _who_came_first(place: InLine) -> tuple[datetime, UUID]:
    return place.requested_at, place.seat_request_id
