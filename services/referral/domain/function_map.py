"""見える化: what a region has of each support function, who waits for it where, and what could be done about a gap.

A cell is a municipality and a kind of support (function, stage of the ladder, strand). It is drawn from what holds now
and from refusals for lack of room in a period; nothing in it is anybody's opinion. Rules and thresholds: decision 0041.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from enum import StrEnum
from fractions import Fraction
from uuid import UUID

from services.referral.domain.map_demand import Demand, Own, Pressure, limits
from services.referral.domain.map_supply import (
    UNANSWERED,
    Kind,
    Offer,
    Part,
    Record,
    Seats,
    Supply,
    Thresholds,
    answers,
    parts_of,
    supply_of,
)


class Coverage(StrEnum):
    """How supply and demand stand to each other in a cell."""

    COVERED = "covered"
    THIN = "thin"
    MISSING = "missing"
    UNUSED = "unused"
    TOO_FEW = "too_few"
    """Whether it is covered or thin depends on counts that this reader may not see (少数のため示さない)."""


class Proposal(StrEnum):
    """What the sub-committee (分科会) may talk about first."""

    NONE = "none"
    EXTEND = "extend"
    BORROW = "borrow"
    CREATE = "create"


class Why(StrEnum):
    """What makes a cell thin or missing, or why nothing is said of it."""

    NOTHING = "nothing"
    NO_SUPPLY = "no_supply"
    STALE = "stale"
    ROOM_UNKNOWN = "room_unknown"
    FULL = "full"
    SHORT = "short"
    TURNED_AWAY = "turned_away"
    TOO_FEW = "too_few"


_AT_EASE = frozenset({Coverage.COVERED, Coverage.UNUSED})


@dataclass(frozen=True, slots=True)
class Group:
    """So many open cases of a municipality with the same open needs."""

    municipality: str
    needs: frozenset[str]
    people: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """A referral that waits for room, or stands in line for a seat; `needs` are its case's open ones."""

    municipality: str
    case_id: UUID
    kind: Kind
    needs: frozenset[str]


@dataclass(frozen=True, slots=True)
class Unmet:
    """An open record that a need, or the whole case (`need` is None), has nobody; `needs` are its case's open ones."""

    municipality: str
    case_id: UUID
    need: str | None
    needs: frozenset[str]


@dataclass(frozen=True, slots=True)
class TurnedAway:
    """So many referrals that were declined for lack of room, or ended without a seat."""

    municipality: str
    kind: Kind
    referrals: int
    cases: frozenset[UUID] = frozenset()


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything that a map is drawn from."""

    today: date
    now: datetime
    municipalities: frozenset[str]
    offers: Sequence[Offer] = ()
    seats: Sequence[Seats] = ()
    groups: Sequence[Group] = ()
    waiting: Sequence[Waiting] = ()
    unmet: Sequence[Unmet] = ()
    turned_away: Sequence[TurnedAway] = ()
    neighbours: Mapping[str, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Counted:
    """One kind of support, as it is counted in each municipality, and the places that several of them share."""

    supply: Mapping[str, Supply]
    demand: Mapping[str, Demand]
    heaps: Mapping[frozenset[str], int]
    """What the same municipalities share is one heap of places, whoever offers it."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One field of the map. What it is worth is said as far as the reader may know it for whom it was judged."""

    municipality: str
    kind: Kind
    supply: Supply
    demand: Demand
    state: Coverage
    why: Why
    proposal: Proposal
    lenders: tuple[str, ...] = ()


def classify(supply: Supply, demand: Pressure, share: Fraction, by: Thresholds) -> tuple[Coverage, Why]:
    """How supply and demand stand to each other. `share`: how much of the demand the places there are would take in.

    Places are shared by every municipality that a programme serves, in proportion to who wants them.
    """
    if demand.wanting == 0 and demand.turned_away == 0:
        return (Coverage.UNUSED if supply.with_room else Coverage.COVERED), Why.NOTHING
    if supply.programmes == 0:
        return Coverage.MISSING, Why.NO_SUPPLY
    if supply.with_room == 0:
        return Coverage.THIN, _why_no_room(supply)
    if demand.turned_away >= by.turned_away:
        return Coverage.THIN, Why.TURNED_AWAY
    if demand.wanting and share < 1:
        return Coverage.THIN, Why.SHORT
    return Coverage.COVERED, Why.NOTHING


def _why_no_room(supply: Supply) -> Why:
    if supply.stale == supply.programmes:
        return Why.STALE
    return Why.ROOM_UNKNOWN if supply.stale + supply.unknown == supply.programmes else Why.FULL


def propose(state: Coverage, lenders: Collection[str]) -> Proposal:
    """What to talk about first: own supply that is short is extended; what is missing is borrowed, or else created."""
    match state:
        case Coverage.THIN:
            return Proposal.EXTEND
        case Coverage.MISSING:
            return Proposal.BORROW if lenders else Proposal.CREATE
        case Coverage.COVERED | Coverage.UNUSED | Coverage.TOO_FEW:
            return Proposal.NONE


def _everybody(_: str) -> bool:
    return True


def draw(picture: Picture, by: Thresholds, *, own: Own = _everybody) -> dict[tuple[str, Kind], Cell]:
    """The whole map for a reader: every cell in which there is supply or demand."""
    return judge(count(picture, by), picture.neighbours, by, own=own)


def count(picture: Picture, by: Thresholds) -> dict[Kind, Counted]:
    """Everything that there is and that is asked for, before anything is made of it."""
    there = _by_kind(picture, by)
    asked = _Asked(picture, there)
    kinds = {*there, UNANSWERED}
    kinds |= {each.kind for each in picture.waiting} | {each.kind for each in picture.turned_away}
    return {kind: _count_kind(picture, kind, there.get(kind, ()), asked) for kind in kinds}


def judge(
    counted: Mapping[Kind, Counted], neighbours: Mapping[str, Collection[str]], by: Thresholds, *, own: Own
) -> dict[tuple[str, Kind], Cell]:
    """What every cell is worth, made of nothing but what the reader may see.

    Municipalities share places and lend each other: what one is worth tells of the people of another. So each is
    judged by the fewest and by the most people who may stand behind what is shown, and said only if both agree.
    """
    cells: dict[tuple[str, Kind], Cell] = {}
    for kind, each in counted.items():
        cells |= _judge_kind(kind, each, neighbours, by, own)
    return cells


@dataclass(frozen=True, slots=True)
class Shared:
    """Of a month that is kept: what belongs to no single cell, and says with them what each is worth."""

    heaps: Mapping[Kind, Mapping[frozenset[str], int]]
    neighbours: Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Kept:
    """A month's map: its cells as they were, and what they share; None: of before this was kept."""

    cells: Sequence[Cell]
    by: Thresholds
    shared: Shared | None


def to_keep(picture: Picture, by: Thresholds) -> Kept:
    """The map as it is, whole."""
    counted = count(picture, by)
    cells = judge(counted, picture.neighbours, by, own=_everybody)
    heaps = {kind: each.heaps for kind, each in counted.items() if each.heaps}
    return Kept(list(cells.values()), by, Shared(heaps, picture.neighbours))


def judge_kept(kept: Kept, *, own: Own) -> list[Cell]:
    """A month's map for a reader."""
    if kept.shared is None:
        return [_judge_alone(cell, kept.by, own=own(cell.municipality)) for cell in kept.cells]
    supply: dict[Kind, dict[str, Supply]] = defaultdict(dict)
    demand: dict[Kind, dict[str, Demand]] = defaultdict(dict)
    for cell in kept.cells:
        supply[cell.kind][cell.municipality] = cell.supply
        demand[cell.kind][cell.municipality] = cell.demand
    counted = {kind: Counted(supply[kind], demand[kind], kept.shared.heaps.get(kind, {})) for kind in supply}
    return list(judge(counted, kept.shared.neighbours, kept.by, own=own).values())


def _judge_alone(cell: Cell, by: Thresholds, *, own: bool) -> Cell:
    """A cell of a month of which it is not kept with whom it shared its places: whatever they wanted."""
    least, most = limits(cell.demand, own=own)
    enough, short = (classify(cell.supply, asks, Fraction(share), by) for asks, share in ((least, 1), (most, 0)))
    state, why = _agreed(enough, short)
    # Who could lend was said by their own counts.
    proposal = Proposal.EXTEND if state is Coverage.THIN else Proposal.NONE
    return replace(cell, state=state, why=why, proposal=proposal, lenders=())


def offers_behind(picture: Picture, by: Thresholds, number: str, municipality: str, kind: Kind) -> list[Record]:
    """The programmes and course runs that a number of supply counts: all, or those with places, stale or unknown."""
    here = [part for part in _by_kind(picture, by).get(kind, ()) if municipality in part.towns]
    return sorted({part.of for part in here if getattr(supply_of([part]), number)})


def needs_answered(picture: Picture, by: Thresholds, kind: Kind) -> frozenset[str]:
    """The needs that a kind answers; for those that nobody answers, all that anything does."""
    there, asked = _by_kind(picture, by), _asked_by_anybody(picture)
    every = [part for parts in there.values() for part in parts]
    return answers(every if kind == UNANSWERED else there.get(kind, ()), asked)


def _by_kind(picture: Picture, by: Thresholds) -> dict[Kind, list[Part]]:
    found: dict[Kind, list[Part]] = defaultdict(list)
    for part in parts_of(
        picture.offers, picture.seats, picture.municipalities, today=picture.today, now=picture.now, by=by
    ):
        found[part.kind].append(part)
    return found


def _asked_by_anybody(picture: Picture) -> set[str]:
    found = {need for group in picture.groups for need in group.needs}
    return found | {each.need for each in picture.unmet if each.need is not None}


def _count_kind(picture: Picture, kind: Kind, parts: Sequence[Part], asked: "_Asked") -> Counted:
    heaps: dict[frozenset[str], int] = defaultdict(int)
    serving: dict[str, list[Part]] = defaultdict(list)
    for part in parts:
        if part.places:
            heaps[part.towns] += part.places
        for town in part.towns:
            serving[town].append(part)
    demand = {
        town: asks
        for town, asks in asked.demand(kind, picture.municipalities).items()
        if town in serving or asks.wanting or asks.turned_away
    }
    return Counted({town: supply_of(serving.get(town, ())) for town in demand}, demand, heaps)


_Verdict = tuple[Coverage, Why]


def _judge_kind(
    kind: Kind, counted: Counted, neighbours: Mapping[str, Collection[str]], by: Thresholds, own: Own
) -> dict[tuple[str, Kind], Cell]:
    """The cells of one kind of support; municipalities can only lend each other what is of one kind."""
    between = {town: limits(asks, own=own(town)) for town, asks in counted.demand.items()}
    least = _verdicts(counted, {town: fewest for town, (fewest, _) in between.items()}, by)
    all_known = all(fewest == greatest for fewest, greatest in between.values())
    most = least if all_known else _verdicts(counted, {town: greatest for town, (_, greatest) in between.items()}, by)
    said = {town: _agreed(verdict, most[town]) for town, verdict in least.items()}
    able = frozenset(town for town, (state, _) in said.items() if state in _AT_EASE)
    cells = {}
    for town, (state, why) in said.items():
        is_short = state in {Coverage.THIN, Coverage.MISSING}
        lends = _lenders(town, counted.heaps, able, neighbours.get(town, ()), by) if is_short else ()
        supply, demand = counted.supply[town], counted.demand[town]
        cells[town, kind] = Cell(town, kind, supply, demand, state, why, propose(state, lends), lends)
    return cells


def _verdicts(counted: Counted, asked: Mapping[str, Pressure], by: Thresholds) -> dict[str, _Verdict]:
    wanted = {towns: sum(asked[town].wanting for town in towns & asked.keys()) for towns in counted.heaps}
    found = {}
    for town, asks in asked.items():
        # Whom a heap serves at all wants it here, so that nothing is divided by none.
        shares = (
            Fraction(places, wanted[towns]) for towns, places in counted.heaps.items() if asks.wanting and town in towns
        )
        found[town] = classify(counted.supply[town], asks, sum(shares, Fraction()), by)
    return found


def _agreed(least: _Verdict, most: _Verdict) -> _Verdict:
    """More people never make a cell better: where the ends agree, all between them do. What is true of the fewest
    is true for sure, so that theirs is the reason.
    """
    return least if least[0] is most[0] else (Coverage.TOO_FEW, Why.TOO_FEW)


def _lenders(
    town: str, roomy: Iterable[frozenset[str]], able: frozenset[str], near: Collection[str], by: Thresholds
) -> tuple[str, ...]:
    """Who has room that this municipality has no part in: neighbours first, then others of its prefecture."""
    there: set[str] = set()
    for area in roomy:
        if town not in area:
            there |= area & able
    lends = sorted((other not in near, other) for other in there if other in near or other[:2] == town[:2])
    return tuple(other for _, other in lends[: by.lenders])


class _Asked:
    """Who asks for what. In each municipality every open case is a bit, so that a union of needs is one step: a
    prefecture has tens of thousands of cells, and as many different sets of needs.
    """

    def __init__(self, picture: Picture, there: Mapping[Kind, Sequence[Part]]) -> None:
        self._having: dict[str, dict[str, int]] = defaultdict(dict)
        people: dict[str, int] = defaultdict(int)
        for group in picture.groups:
            bits = ((1 << group.people) - 1) << people[group.municipality]
            people[group.municipality] += group.people
            having = self._having[group.municipality]
            for need in group.needs:
                having[need] = having.get(need, 0) | bits
        known = _asked_by_anybody(picture)
        self._answers = {kind: answers(parts, known) for kind, parts in there.items()}
        self._answers[UNANSWERED] = frozenset(known).difference(*self._answers.values())
        self._waiting: dict[Kind, dict[str, list[Waiting]]] = defaultdict(lambda: defaultdict(list))
        for waits in picture.waiting:
            self._waiting[waits.kind][waits.municipality].append(waits)
        self._unmet: dict[str, list[Unmet]] = defaultdict(list)
        for each in picture.unmet:
            self._unmet[each.municipality].append(each)
        self._turned_away: dict[Kind, dict[str, list[TurnedAway]]] = defaultdict(lambda: defaultdict(list))
        for away in picture.turned_away:
            self._turned_away[away.kind][away.municipality].append(away)

    def demand(self, kind: Kind, municipalities: Iterable[str]) -> dict[str, Demand]:
        """Everybody who asks for this kind of support, in each of the municipalities."""
        needs = self._answers.get(kind, frozenset())
        waiting, away = self._waiting.get(kind, {}), self._turned_away.get(kind, {})
        return {
            town: self._demand_here(town, kind, needs, waiting.get(town, ()), away.get(town, ()))
            for town in municipalities
        }

    def _demand_here(
        self, town: str, kind: Kind, needs: frozenset[str], waiting: Sequence[Waiting], away: Sequence[TurnedAway]
    ) -> Demand:
        open_needs = self._with_any(town, needs)
        unmet = [
            each
            for each in self._unmet.get(town, ())
            if (kind == UNANSWERED if each.need is None else each.need in needs)
        ]
        others = {each.case_id for each in waiting if each.needs.isdisjoint(needs)}
        others |= {each.case_id for each in unmet if each.needs.isdisjoint(needs)}
        return Demand(
            open_needs=open_needs,
            waiting=len(waiting),
            unmet=len(unmet),
            wanting=open_needs + len(others),
            turned_away=sum(each.referrals for each in away),
            waiting_cases=len({each.case_id for each in waiting}),
            unmet_cases=len({each.case_id for each in unmet}),
            turned_away_cases=len(frozenset[UUID]().union(*(each.cases for each in away))),
        )

    def _with_any(self, town: str, needs: frozenset[str]) -> int:
        having = self._having.get(town, {})
        bits = 0
        for need in needs & having.keys():
            bits |= having[need]
        return bits.bit_count()
