"""Seats lent (貸出し) or swapped (交換) between municipalities: one proposes, the other agrees, and then they move.

Seats that are lent rest on the lender's decision, and go back when they are due, or recalled: what nobody holds at
once, what is held when it comes free. Nobody who has a seat loses it. `training_0013_guards` refuses the same in SQL.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from services.training.domain.quota import Pool
from services.training.domain.refusals import Denied, NotNow


class AgreementKind(StrEnum):
    """What is agreed on."""

    LEND = "lend"
    SWAP = "swap"


class AgreementState(StrEnum):
    """Where an agreement stands."""

    PROPOSED = "proposed"
    AGREED = "agreed"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"
    LAPSED = "lapsed"
    RECALLED = "recalled"
    GIVEN_BACK = "given_back"
    ENDED = "ended"


class AgreementMove(StrEnum):
    """What can be done with it."""

    AGREE = "agree"
    DECLINE = "decline"
    WITHDRAW = "withdraw"
    RECALL = "recall"
    GIVE_BACK = "give-back"


class Side(StrEnum):
    """Who may do it."""

    PROPOSER = "proposer"
    ASKED = "asked"
    GIVER = "giver"
    TAKER = "taker"


@dataclass(frozen=True, slots=True)
class Step:
    """A move: from which state, by whom, to which state; the last two of a loan alone."""

    move: AgreementMove
    of: AgreementState
    by: Side
    to: AgreementState
    loans_only: bool = False


STEPS = (
    Step(AgreementMove.AGREE, AgreementState.PROPOSED, Side.ASKED, AgreementState.AGREED),
    Step(AgreementMove.DECLINE, AgreementState.PROPOSED, Side.ASKED, AgreementState.DECLINED),
    Step(AgreementMove.WITHDRAW, AgreementState.PROPOSED, Side.PROPOSER, AgreementState.WITHDRAWN),
    Step(AgreementMove.RECALL, AgreementState.AGREED, Side.GIVER, AgreementState.RECALLED, loans_only=True),
    Step(AgreementMove.GIVE_BACK, AgreementState.AGREED, Side.TAKER, AgreementState.GIVEN_BACK, loans_only=True),
)
"""All of it. The clock alone lets a proposal lapse that nobody answered, and ends what is due."""


@dataclass(frozen=True, slots=True)
class Leg:
    """So many seats of a pool, from one municipality to another, until the end of a day."""

    pool_id: UUID
    giver: str
    taker: str
    seats: int
    until_on: date


@dataclass(frozen=True, slots=True)
class Agreement:
    """A proposal and what became of it. A swap has two legs, there and back."""

    id: UUID
    kind: AgreementKind
    proposed_by: str
    proposed_for: str
    asked: str
    answer_before: datetime
    legs: tuple[Leg, ...]
    step: AgreementState = AgreementState.PROPOSED
    """The last that is on record."""
    version: int = 1
    due_at: datetime | None = None
    """When everything that was lent is due back."""

    @property
    def seats(self) -> int:
        """How many seats it moves."""
        return sum(leg.seats for leg in self.legs)

    def state(self, now: datetime) -> AgreementState:
        """Where it stands at a moment, also before the clock's sweep has written that down."""
        if self.step is AgreementState.PROPOSED and now >= self.answer_before:
            return AgreementState.LAPSED
        if self.step is AgreementState.AGREED and self.due_at is not None and now >= self.due_at:
            return AgreementState.ENDED
        return self.step

    def sides(self, municipality: str) -> set[Side]:
        """What a municipality is in it."""
        leg = self.legs[0]
        roles = {
            Side.PROPOSER: self.proposed_for,
            Side.ASKED: self.asked,
            Side.GIVER: leg.giver,
            Side.TAKER: leg.taker,
        }
        return {side for side, who in roles.items() if who == municipality}

    def legal_moves(self, now: datetime) -> tuple[AgreementMove, ...]:
        """What can be done next, by one or the other."""
        return tuple(step.move for step in self.next_steps(now))

    def next_steps(self, now: datetime) -> list[Step]:
        """The steps that its state allows."""
        state = self.state(now)
        return [
            step for step in STEPS if step.of is state and not (step.loans_only and self.kind is AgreementKind.SWAP)
        ]

    def take(self, move: AgreementMove, now: datetime) -> Step | NotNow:
        """The step that a move is, or what can be done instead."""
        found = [step for step in self.next_steps(now) if step.move is move]
        return found[0] if found else NotNow(self.legal_moves(now))

    def who(self, side: Side) -> str:
        """Which municipality that is."""
        (found,) = (each for each in {self.proposed_for, self.asked} if side in self.sides(each))
        return found


@dataclass(frozen=True, slots=True)
class Lendable:
    """A pool that seats are to leave, with what its decision says about it."""

    pool: Pool
    prefecture: str
    lendable: bool
    cut_off_on: date | None


def check(agreement: Agreement, pools: Mapping[UUID, Lendable], *, now: datetime, today: date) -> Denied | None:
    """Whether these seats can be lent or swapped as things stand; looked at when proposed, and when agreed."""
    for number, leg in enumerate(agreement.legs):
        about = "" if number == 0 else "in_return/"
        denied = _check_leg(leg, pools[leg.pool_id], about, now=now, today=today)
        if denied is not None:
            return denied
    return None


def _check_leg(leg: Leg, found: Lendable, about: str, *, now: datetime, today: date) -> Denied | None:
    pool = found.pool
    if pool.decision_allotment_id is None or pool.is_moved or pool.municipalities != (leg.giver,):
        return Denied("not_theirs_to_lend", f"{about}pool_id")
    if leg.taker[:2] != found.prefecture:
        return Denied("taker_elsewhere", f"{about}taker")
    if not found.lendable:
        return Denied("not_lendable", f"{about}pool_id")
    if not pool.in_force or pool.kept is not None or pool.cut_off_at is None or pool.cut_off_at <= now:
        return Denied("due_back_already", f"{about}pool_id")
    assert found.cut_off_on is not None
    if not today <= leg.until_on <= found.cut_off_on:
        last = {"last_day": found.cut_off_on.isoformat()}
        return Denied("lent_beyond_cut_off", f"{about}until_on", (last,))
    if leg.seats > pool.free:
        return Denied("more_than_free", f"{about}seats", ({"free": pool.free},))
    return None
