"""What an offer rested on, in short: kept with it, so that the same question gets the same answer at any later day.

Kept are the pools, whoever was looked at, and the rule's criteria; of those behind the last who was looked at only how
many they were: they could not have changed anything.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from services.training.domain.line import (
    Bar,
    Criterion,
    InLine,
    Lapsed,
    LineRule,
    Outcome,
    PassedOver,
    Promoted,
    Queue,
    offer_free_seats,
)
from services.training.domain.quota import Course, Pool

Kept = Mapping[str, Any]
"""As it lies in the database: nothing but texts, numbers and lists."""


def keep(
    course: Course, pools: Sequence[Pool], line: Sequence[InLine], outcomes: Sequence[Outcome], rule: LineRule
) -> dict[str, Any]:
    """The line as these outcomes were decided on it."""
    queue = Queue(line, pools, rule)
    looked_at = {
        place: None for outcome in outcomes for place in queue.party_of(outcome.place.seat_request_id)
    }  # in order, and each once
    place_of = {pool.id: number for number, pool in enumerate(pools)}
    return {
        "criteria": [each.value for each in rule.criteria],
        "offer_for": (course.hold_for if course.offer_for is None else course.offer_for) / timedelta(microseconds=1),
        "pools": [_pool(pool) for pool in pools],
        "line": [_place(replace(place, requested_at=queue.counts_since(place)), place_of) for place in looked_at],
        "behind": len(line) - len(looked_at),
        "outcomes": [_outcome(outcome, place_of) for outcome in outcomes],
    }


def _pool(pool: Pool) -> list[Any]:
    return [
        str(pool.id),
        pool.kind,
        list(pool.municipalities),
        pool.free,
        pool.is_open,
        list(pool.target_groups),
        pool.opened,
        pool.is_moved,
    ]


def _place(place: InLine, place_of: Mapping[UUID, int]) -> list[Any]:
    return [
        str(place.seat_request_id),
        place_of[place.pool_id],
        place.municipality,
        place.line_no,
        place.requested_at.isoformat(),
        place.waits_until.isoformat(),
        place.paused_until and place.paused_until.isoformat(),
        place.together_id and str(place.together_id),
        place.referred,
        place.offers,
        list(place.target_groups),
        place.is_busy,
    ]


def _outcome(outcome: Outcome, place_of: Mapping[UUID, int]) -> list[Any]:
    whose = str(outcome.place.seat_request_id)
    match outcome:
        case Promoted(pool_id=pool_id, expires_at=expires_at):
            return ["offered", whose, place_of[pool_id], expires_at.isoformat()]
        case Lapsed():
            return ["lapsed", whose]
        case PassedOver(pool_id=pool_id, bar=bar):
            return ["passed_over", whose, place_of[pool_id], bar.value]


# --- the same again -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Account:
    """Why somebody was offered a seat: who came before, and what decided."""

    same_again: bool
    """Whether the rule, asked again with what was known then, offers the same seats to the same people."""
    criteria: tuple[Criterion, ...]
    ranks: tuple[int, ...]
    """What each criterion said of the person; less comes earlier."""
    lost_a_seat: bool
    """Whether the person came before everybody whom a criterion puts first, a late change having taken the seat."""
    counted_since: datetime
    offered_before: int
    """To so many seats were offered in the same moment, before this one."""
    passed_over: Mapping[Bar, int]
    """Of those who came before: who could not have a seat, and why."""
    behind: int
    """So many came after."""


def account_for(kept: Kept, seat_request_id: UUID, at: datetime) -> Account:
    """Decide anew on what is kept, and say what decided for this person."""
    pools, line = _pools_again(kept), _line_again(kept)
    rule = LineRule(tuple(map(Criterion, kept["criteria"])))
    outcomes = _outcomes_again(kept, pools, line)
    mine = next(each for each in outcomes if isinstance(each, Promoted) and each.place == line[seat_request_id])
    before = outcomes[: outcomes.index(mine)]
    pool = next(pool for pool in pools if pool.id == mine.pool_id)
    ranks = Queue(list(line.values()), pools, rule).ranks(mine.place, pool)
    served = {each.place.seat_request_id for each in outcomes if isinstance(each, Promoted)}
    passed_over = {
        each.place.seat_request_id: each.bar
        for each in before
        if isinstance(each, PassedOver) and each.place.seat_request_id not in served
    }
    return Account(
        same_again=offer_free_seats(_course_again(kept, at), pools, list(line.values()), at, rule) == outcomes,
        criteria=rule.criteria,
        ranks=ranks,
        lost_a_seat=mine.place.lost_a_seat,
        counted_since=mine.place.requested_at,
        offered_before=sum(isinstance(each, Promoted) for each in before),
        passed_over=Counter(passed_over.values()),
        behind=kept["behind"] + len(line) - len({each.place for each in [*before, mine]}),
    )


def _course_again(kept: Kept, at: datetime) -> Course:
    offer_for = timedelta(microseconds=kept["offer_for"])
    return Course(UUID(int=0), "", at + offer_for, offer_for, date.max)


def _pools_again(kept: Kept) -> list[Pool]:
    return [
        Pool(
            id=UUID(pool_id),
            kind=kind,
            municipalities=tuple(municipalities),
            granted=free,
            held=0,
            filled=0,
            waiting=0,
            in_force=is_open,
            target_groups=tuple(target_groups),
            opened=opened,
            # Lent ones give later; what was kept before that was kept with it says nothing of it.
            onward_step=1 if any(is_moved) else None,
        )
        for pool_id, kind, municipalities, free, is_open, target_groups, opened, *is_moved in kept["pools"]
    ]


def _line_again(kept: Kept) -> dict[UUID, InLine]:
    pool_ids = [UUID(pool[0]) for pool in kept["pools"]]
    line = [
        InLine(
            seat_request_id=UUID(whose),
            pool_id=pool_ids[pool],
            municipality=municipality,
            line_no=line_no,
            requested_at=datetime.fromisoformat(since),
            waits_until=datetime.fromisoformat(until),
            paused_until=paused and datetime.fromisoformat(paused),
            together_id=together and UUID(together),
            referred=referred,
            offers=offers,
            target_groups=tuple(groups),
            is_busy=busy,
        )
        for whose, pool, municipality, line_no, since, until, paused, together, referred, offers, groups, busy in (
            kept["line"]
        )
    ]
    return {place.seat_request_id: place for place in line}


def _outcomes_again(kept: Kept, pools: Sequence[Pool], line: Mapping[UUID, InLine]) -> list[Outcome]:
    outcomes: list[Outcome] = []
    for kind, whose, *more in kept["outcomes"]:
        place = line[UUID(whose)]
        if kind == "offered":
            outcomes.append(Promoted(place, pools[more[0]].id, datetime.fromisoformat(more[1])))
        elif kind == "passed_over":
            outcomes.append(PassedOver(place, pools[more[0]].id, Bar(more[1])))
        else:
            outcomes.append(Lapsed(place))
    return outcomes
