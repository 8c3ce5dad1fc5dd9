"""The map as a reader may see it: whole where the reader serves the municipality, without small counts elsewhere."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from services.referral.domain.function_map import Cell, Coverage, Proposal, Why
from services.referral.domain.map_demand import NUMBERS, Own, shown
from services.referral.domain.map_supply import Kind, Supply
from services.referral.domain.small_counts import Shown, total


@dataclass(frozen=True, slots=True)
class Seen:
    """A cell as somebody sees it. What there is on offer is nobody's secret; who asks for it may be."""

    municipality: str
    kind: Kind
    state: Coverage
    why: Why
    proposal: Proposal
    lenders: tuple[str, ...]
    supply: Supply
    open_needs: Shown
    waiting: Shown
    unmet: Shown
    wanting: Shown
    turned_away: Shown


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of support over all municipalities, with sums that give nothing hidden away."""

    kind: Kind
    cells: Mapping[str, Seen]
    states: Mapping[Coverage, int]
    sums: Mapping[str, Shown]


@dataclass(frozen=True, slots=True)
class Change:
    """A cell as it was seen in two months; absent, where there was neither supply nor demand."""

    municipality: str
    kind: Kind
    before: Seen | None
    after: Seen | None


def see(cell: Cell, *, own: Own) -> Seen:
    """A cell for the reader for whom it was judged; `own`: whether the reader serves a municipality."""
    return Seen(
        municipality=cell.municipality,
        kind=cell.kind,
        state=cell.state,
        why=cell.why,
        proposal=cell.proposal,
        lenders=cell.lenders,
        supply=cell.supply,
        **shown(cell.demand, own=own(cell.municipality)),
    )


def by_kind(seen: Iterable[Seen]) -> list[Row]:
    """The rows of the matrix. A person counts once in a municipality, so that its sums are sums of people."""
    rows: dict[Kind, dict[str, Seen]] = defaultdict(dict)
    for each in seen:
        rows[each.kind][each.municipality] = each
    return [
        Row(
            kind,
            cells,
            Counter(each.state for each in cells.values()),
            {name: total(getattr(each, name) for each in cells.values()) for name in NUMBERS},
        )
        for kind, cells in sorted(rows.items())
    ]


@dataclass(frozen=True, slots=True)
class Topic:
    """What the sub-committee may talk about: the same finding and proposal, in these municipalities."""

    kind: Kind
    state: Coverage
    why: Why
    proposal: Proposal
    lenders: tuple[str, ...]
    municipalities: tuple[str, ...]


def topics(rows: Iterable[Row]) -> list[Topic]:
    """Every proposal of these rows; municipalities for which it is the same stand together."""
    found: dict[tuple[Kind, Coverage, Why, Proposal, tuple[str, ...]], list[str]] = defaultdict(list)
    for row in rows:
        for town, cell in sorted(row.cells.items()):
            if cell.proposal is not Proposal.NONE:
                found[cell.kind, cell.state, cell.why, cell.proposal, cell.lenders].append(town)
    return [Topic(*what, tuple(towns)) for what, towns in found.items()]


def changes(before: Iterable[Cell], after: Iterable[Cell], *, own: Own) -> Sequence[Change]:
    """What a reader sees differ between two maps. A hidden count that became another hidden one is no difference."""
    then = {(cell.kind, cell.municipality): see(cell, own=own) for cell in before}
    now = {(cell.kind, cell.municipality): see(cell, own=own) for cell in after}
    places = sorted(then.keys() | now.keys())
    both = (
        Change(municipality, kind, then.get((kind, municipality)), now.get((kind, municipality)))
        for kind, municipality in places
    )
    return [each for each in both if each.before != each.after]
