"""The papers of one request are a numbered series, of which one stands at most: issued, changed, cancelled.

A support instruction (支援指示) may be changed, and is cancelled when no longer needed (求職者支援法 Art. 12).
Then nothing stands, and another paper may follow: a recommendation (受講推薦), say. Who is enrolled stays so meanwhile.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from services.training.domain import steps
from services.training.domain.instruction import LAWS, Issuer, Kind, NotYours, issuer_of
from services.training.domain.outcomes import Unfit
from services.training.domain.steps import Authority, Illegal, Move, Moved, SeatRequest, State, TooLate


@dataclass(frozen=True, slots=True)
class Issued:
    """The last paper of a request: it stands, unless it was cancelled. Those before it were cancelled or changed."""

    id: UUID
    number: int
    kind: Kind
    cancelled: bool

    @property
    def may_end(self) -> bool:
        """Whether it may be changed or cancelled."""
        return not self.cancelled and LAWS[self.kind].may_be_cancelled


@dataclass(frozen=True, slots=True)
class Series:
    """What has to be known of a request's papers; `ended`: its training is over, and needs no paper any more."""

    last: Issued | None = None
    ended: bool = False

    @property
    def may_follow(self) -> bool:
        """Whether another paper may follow for somebody who is enrolled: nothing stands, and training goes on."""
        return self.last is not None and self.last.cancelled and not self.ended


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The paper stands no more; the request goes back to where the next one is awaited, if it is not enrolled."""

    paper_id: UUID
    state: State
    keeps_until: date | None
    """So long the seat is kept for the next paper."""


NO_PAPER = Series()


def issue(
    request: SeatRequest,
    kind: Kind,
    *,
    series: Series = NO_PAPER,
    changes: UUID | None = None,
    authority: Authority,
    as_: Collection[Issuer],
    now: datetime,
    is_trial: bool = False,
) -> Moved | Illegal | TooLate | NotYours | Unfit:
    """Issue a paper, by the one body that has the power in this prefecture; `as_`: what the caller is."""
    issuer = issuer_of(kind, authority)
    if issuer not in as_:
        return NotYours(authority, issuer)
    if changes is not None:
        fits = _may_change(request, kind, series, changes)
        return Moved(request.state) if fits else Unfit("nothing_to_change", "changes")
    if request.state is State.ENROLLED and series.may_follow:
        return Moved(State.ENROLLED)
    return steps.take_step(request, Move.INSTRUCT, authority=authority, now=now, is_trial=is_trial)


def _may_change(request: SeatRequest, kind: Kind, series: Series, changes: UUID) -> bool:
    last = series.last
    if last is None or series.ended or request.state not in {State.INSTRUCTED, State.ENROLLED}:
        return False
    return last.id == changes and last.may_end and last.kind is kind


def cancel(
    request: SeatRequest, last: Issued | None, *, countersigned: bool, starts_on: date, today: date
) -> Cancelled | Unfit:
    """End the support instruction that stands. The seat never rested on the allowance, and stays."""
    if last is None or not last.may_end:
        return Unfit("nothing_to_cancel", "")
    if request.state is not State.INSTRUCTED:
        return Cancelled(last.id, request.state, None)
    before = State.COUNTERSIGNED if countersigned else State.NOMINATED
    return Cancelled(last.id, before, max(starts_on, today))


def legal_moves(state: State, authority: Authority, series: Series, *, is_trial: bool = False) -> tuple[Move, ...]:
    """What can be done next with a request that may have papers."""
    if state is State.ENROLLED and series.may_follow:
        return (Move.INSTRUCT,)
    return steps.legal_moves(state, authority, is_trial=is_trial)
