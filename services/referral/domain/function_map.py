"""見える化: what a region has of each support function, who waits for it where, and what could be done about a gap.

A cell is a municipality and a kind of support (function, stage of the ladder, strand). It is drawn from what holds now
and from refusals for lack of room in a period; nothing in it is anybody's opinion. Rules and thresholds: decision 0041.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum
from fractions import Fraction
from uuid import UUID

from services.referral.domain.options import Capacity, room_today


class Coverage(StrEnum):
    """How supply and demand stand to each other in a cell."""

    COVERED = "covered"
    THIN = "thin"
    MISSING = "missing"
    UNUSED = "unused"


class Proposal(StrEnum):
    """What the sub-committee (分科会) may talk about first."""

    NONE = "none"
    EXTEND = "extend"
    BORROW = "borrow"
    CREATE = "create"


class Why(StrEnum):
    """What makes a cell thin or missing."""

    NOTHING = "nothing"
    NO_SUPPLY = "no_supply"
    STALE = "stale"
    ROOM_UNKNOWN = "room_unknown"
    FULL = "full"
    SHORT = "short"
    TURNED_AWAY = "turned_away"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The numbers of the rules; a snapshot keeps those by which it was drawn."""

    stale_days: int = 180
    """An entry that nobody has confirmed for longer is not relied upon."""
    unnumbered_places: int = 3
    """"Has room" without a number counts for so many places."""
    turned_away: int = 3
    """So many refusals for lack of room in the period, and room on paper is not believed."""
    lenders: int = 5
    """So many municipalities are named, of whom something may be borrowed."""


@dataclass(frozen=True, slots=True, order=True)
class Kind:
    """支援の種類: a function at a stage of the ladder, in one of the six strands."""

    function: str
    stage: str
    strand: int


_AT_EASE = frozenset({Coverage.COVERED, Coverage.UNUSED})
_SAID_FULL = frozenset({Capacity.FULL, Capacity.WAITING_LIST, Capacity.ASK_FIRST})

UNANSWERED = Kind("none", "none", 0)
"""Needs that no programme of the region answers, and whole cases for which nobody was found."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A programme as the map sees it; `area` holds codes as they were entered, a prefecture's own among them."""

    id: UUID
    kind: Kind
    area: frozenset[str]
    needs: frozenset[str]
    capacity: str
    free: int | None
    confirmed_on: date
    capacity_confirmed_on: date | None = None
    starts_on: date | None = None
    ends_on: date | None = None

    def runs(self, today: date) -> bool:
        """Whether it is offered on that day."""
        return (self.starts_on is None or self.starts_on <= today) and (self.ends_on is None or self.ends_on >= today)

    def is_stale(self, today: date, by: Thresholds) -> bool:
        """Whether it was confirmed too long ago."""
        return today - self.confirmed_on >= timedelta(days=by.stale_days)

    def places(self, today: date, by: Thresholds) -> int:
        """Free places that can be relied upon. Not known, or not known any more, is not room."""
        room = room_today(Capacity(self.capacity), self.capacity_confirmed_on, today)
        if room is not Capacity.HAS_ROOM or self.is_stale(today, by):
            return 0
        return by.unnumbered_places if self.free is None else self.free


@dataclass(frozen=True, slots=True)
class Group:
    """So many open cases of a municipality with the same open needs."""

    municipality: str
    needs: frozenset[str]
    people: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """A referral that waits for room; `needs` are its case's open ones."""

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
    """So many referrals that were declined for lack of room."""

    municipality: str
    kind: Kind
    referrals: int


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything that a map is drawn from."""

    today: date
    municipalities: frozenset[str]
    offers: Sequence[Offer] = ()
    groups: Sequence[Group] = ()
    waiting: Sequence[Waiting] = ()
    unmet: Sequence[Unmet] = ()
    turned_away: Sequence[TurnedAway] = ()
    neighbours: Mapping[str, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Demand:
    """Who asks for it. Whoever could be helped in several ways asks in every cell that could answer."""

    open_needs: int = 0
    """Open cases with a need that this kind of support answers, and that nobody is answering now."""
    waiting: int = 0
    """Referrals that wait for room."""
    unmet: int = 0
    """Open records that a need has nobody."""
    wanting: int = 0
    """Different cases behind the three numbers before."""
    turned_away: int = 0
    """Referrals declined for lack of room in the period."""


@dataclass(frozen=True, slots=True)
class Supply:
    """What there is for a municipality."""

    programmes: int = 0
    with_room: int = 0
    stale: int = 0
    unknown: int = 0
    places: int = 0


_NOTHING = Supply()


@dataclass(frozen=True, slots=True)
class Cell:
    """One field of the map."""

    municipality: str
    kind: Kind
    supply: Supply
    demand: Demand
    state: Coverage
    why: Why
    proposal: Proposal
    lenders: tuple[str, ...] = ()


def classify(supply: Supply, demand: Demand, share: Fraction, by: Thresholds) -> tuple[Coverage, Why]:
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
        case Coverage.COVERED | Coverage.UNUSED:
            return Proposal.NONE


def draw(picture: Picture, by: Thresholds) -> dict[tuple[str, Kind], Cell]:
    """The whole map: every cell in which there is supply or demand."""
    running = [offer for offer in picture.offers if offer.runs(picture.today)]
    reach = _reach(running, picture.municipalities)
    answering: dict[Kind, list[Offer]] = defaultdict(list)
    for offer in running:
        answering[offer.kind].append(offer)
    asked = _Asked(picture, answering)
    cells: dict[tuple[str, Kind], Cell] = {}
    kinds = {*answering, UNANSWERED}
    kinds |= {each.kind for each in picture.waiting} | {each.kind for each in picture.turned_away}
    for kind in kinds:
        cells |= _draw_kind(picture, by, kind, answering.get(kind, ()), reach, asked)
    return cells


def offers_behind(picture: Picture, by: Thresholds, number: str, municipality: str, kind: Kind) -> list[UUID]:
    """The programmes that a number of supply counts: all, those with free places, the stale or the unknown ones."""
    offers = [offer for offer in picture.offers if offer.kind == kind and offer.runs(picture.today)]
    reach = _reach(offers, picture.municipalities)
    here = [offer for offer in offers if municipality in reach[offer.id]]
    return sorted(offer.id for offer in here if getattr(_supply([offer], picture.today, by), number))


def _draw_kind(
    picture: Picture,
    by: Thresholds,
    kind: Kind,
    offers: Sequence[Offer],
    reach: Mapping[UUID, frozenset[str]],
    asked: "_Asked",
) -> dict[tuple[str, Kind], Cell]:
    """The cells of one kind of support; municipalities can only lend each other what is of one kind."""
    places = {offer.id: offer.places(picture.today, by) for offer in offers}
    demand = asked.demand(kind, picture.municipalities)
    wanted = {offer.id: sum(demand[town].wanting for town in reach[offer.id]) for offer in offers if places[offer.id]}
    serving: dict[str, list[Offer]] = defaultdict(list)
    for offer in offers:
        for town in reach[offer.id]:
            serving[town].append(offer)
    drawn: dict[str, tuple[Supply, Coverage, Why]] = {}
    for town, asks in demand.items():
        here = serving.get(town, ())
        if not here and not asks.wanting and not asks.turned_away:
            continue
        supply = _supply(here, picture.today, by)
        # Whom a programme serves at all wants it here, so that nothing is divided by none.
        shares = (Fraction(places[each.id], wanted[each.id]) for each in here if places[each.id] and asks.wanting)
        drawn[town] = (supply, *classify(supply, asks, sum(shares, Fraction()), by))
    roomy = [reach[offer.id] for offer in offers if places[offer.id]]
    able = frozenset(town for town, (_, state, _) in drawn.items() if state in _AT_EASE)
    cells = {}
    for town, (supply, state, why) in drawn.items():
        lends = _lenders(town, roomy, able, picture, by) if state not in _AT_EASE else ()
        cells[town, kind] = Cell(town, kind, supply, demand[town], state, why, propose(state, lends), lends)
    return cells


def _reach(offers: Iterable[Offer], municipalities: Collection[str]) -> dict[UUID, frozenset[str]]:
    """Which of these municipalities each programme serves: `routing.covers`, for many at once."""
    towns: dict[str, set[str]] = defaultdict(set)
    for town in municipalities:
        towns[town[:2]].add(town)
    known = set(municipalities)
    return {
        offer.id: frozenset((known & offer.area).union(*(towns[code[:2]] for code in offer.area if code[2:5] == "000")))
        for offer in offers
    }


def _supply(offers: Sequence[Offer], today: date, by: Thresholds) -> Supply:
    if not offers:
        return _NOTHING
    places = [offer.places(today, by) for offer in offers]
    stale = [offer.is_stale(today, by) for offer in offers]
    # A number of nothing is known, too; what is left is a word that was never said, or too long ago.
    unknown = sum(
        not (old or free or offer.capacity in _SAID_FULL or offer.free == 0)
        for offer, free, old in zip(offers, places, stale, strict=True)
    )
    return Supply(
        programmes=len(offers),
        with_room=sum(free > 0 for free in places),
        stale=sum(stale),
        unknown=unknown,
        places=sum(places),
    )


def _lenders(
    town: str, roomy: Iterable[frozenset[str]], able: frozenset[str], picture: Picture, by: Thresholds
) -> tuple[str, ...]:
    """Who has room that this municipality has no part in: neighbours first, then others of its prefecture."""
    near = picture.neighbours.get(town, frozenset())
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

    def __init__(self, picture: Picture, answering: Mapping[Kind, Sequence[Offer]]) -> None:
        self._having: dict[str, dict[str, int]] = defaultdict(dict)
        people: dict[str, int] = defaultdict(int)
        for group in picture.groups:
            bits = ((1 << group.people) - 1) << people[group.municipality]
            people[group.municipality] += group.people
            having = self._having[group.municipality]
            for need in group.needs:
                having[need] = having.get(need, 0) | bits
        self._answers = {
            kind: frozenset(need for offer in offers for need in offer.needs) for kind, offers in answering.items()
        }
        known = {need for group in picture.groups for need in group.needs}
        known |= {each.need for each in picture.unmet if each.need is not None}
        self._answers[UNANSWERED] = frozenset(known).difference(*self._answers.values())
        self._waiting: dict[Kind, dict[str, list[Waiting]]] = defaultdict(lambda: defaultdict(list))
        for waits in picture.waiting:
            self._waiting[waits.kind][waits.municipality].append(waits)
        self._unmet: dict[str, list[Unmet]] = defaultdict(list)
        for each in picture.unmet:
            self._unmet[each.municipality].append(each)
        self._turned_away: dict[Kind, dict[str, int]] = defaultdict(dict)
        for away in picture.turned_away:
            self._turned_away[away.kind][away.municipality] = away.referrals

    def demand(self, kind: Kind, municipalities: Iterable[str]) -> dict[str, Demand]:
        """Everybody who asks for this kind of support, in each of the municipalities."""
        needs = self._answers.get(kind, frozenset())
        waiting, away = self._waiting.get(kind, {}), self._turned_away.get(kind, {})
        return {
            town: self._demand_here(town, kind, needs, waiting.get(town, ()), away.get(town, 0))
            for town in municipalities
        }

    def _demand_here(
        self, town: str, kind: Kind, needs: frozenset[str], waiting: Sequence[Waiting], turned_away: int
    ) -> Demand:
        open_needs = self._with_any(town, needs)
        unmet = [
            each
            for each in self._unmet.get(town, ())
            if (kind == UNANSWERED if each.need is None else each.need in needs)
        ]
        others = {each.case_id for each in waiting if each.needs.isdisjoint(needs)}
        others |= {each.case_id for each in unmet if each.needs.isdisjoint(needs)}
        return Demand(open_needs, len(waiting), len(unmet), open_needs + len(others), turned_away)

    def _with_any(self, town: str, needs: frozenset[str]) -> int:
        having = self._having.get(town, {})
        bits = 0
        for need in needs & having.keys():
            bits |= having[need]
        return bits.bit_count()
