"""A plan of training seats (計画枠): one fiscal year of one prefecture as a tree of lines, and what is wrong with it.

Parts sum to their parent. Overlays (内数) only count inside theirs and may overlap one another. An upper limit reserves
nothing; a floor is the greater of a percentage and a number. None of this is the capacity of a course run, or a pool.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from enum import StrEnum
from math import ceil

MOST_SEATS = 100_000
MOST_IN_ALL = 1_000_000
MOST_LEVELS = 10
MINIMUM_LOT = 10
"""With fewer seats left no further course is set up, so they go to the next period (DOMAIN.md 5)."""


def fiscal_quarter(day: date) -> tuple[int, int]:
    """The fiscal year (年度) of a day, and its quarter: 1 is April to June."""
    return day.year - (day.month < 4), (day.month + 8) % 12 // 3 + 1


def day_after(fiscal_year: int, quarter: int) -> date:
    """The first day after a quarter."""
    return date(fiscal_year + (quarter >= 3), (3 * quarter + 3) % 12 + 1, 1)


class LineKind(StrEnum):
    """What a line's number means."""

    PARTITION = "partition"
    """区分: seats of its own; with the others of its parent they make up the parent."""
    OVERLAY = "overlay"
    """内数: so many of its parent's seats."""
    LIMIT = "limit"
    """上限: at most so many of its parent's seats; none is reserved."""
    FLOOR = "floor"
    """下限: at least so many, or such a percentage, of its parent's seats; whichever is more."""


@dataclass(frozen=True, slots=True)
class Frame:
    """For what and whom a line's seats are; what it leaves open, it leaves to its parent, or to all."""

    quarter: int | None = None
    """Of the fiscal year: 1 is April to June. None: the whole year."""
    system: str | None = None
    field: str | None = None
    target_group: str | None = None
    municipalities: frozenset[str] = frozenset()
    """The area (地域枠); empty: the whole prefecture."""

    def inside(self, parent: "Frame") -> "Frame":
        """What it comes to under this parent."""
        return Frame(
            self.quarter or parent.quarter,
            self.system or parent.system,
            self.field or parent.field,
            self.target_group or parent.target_group,
            self.municipalities or parent.municipalities,
        )

    def within(self, other: "Frame") -> bool:
        """Whether all that it holds is held by the other."""
        named = all(theirs in {None, ours} for ours, theirs in zip(self.named, other.named, strict=True))
        area = not other.municipalities or (self.municipalities and self.municipalities <= other.municipalities)
        return named and bool(area)

    def apart_from(self, other: "Frame") -> bool:
        """Whether nothing that it holds can be held by the other."""
        named = any(None not in {a, b} and a != b for a, b in zip(self.named, other.named, strict=True))
        areas = self.municipalities and other.municipalities and self.municipalities.isdisjoint(other.municipalities)
        return named or bool(areas)

    @property
    def width(self) -> int:
        """How much it leaves open: 0 leaves nothing."""
        return [*self.named, self.municipalities or None].count(None)

    @property
    def named(self) -> tuple[int | str | None, ...]:
        """All but the area."""
        return self.quarter, self.system, self.field, self.target_group


WHOLE = Frame()


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a plan, as it was decided."""

    key: str
    kind: LineKind
    parent: str | None = None
    seats: int | None = None
    percent: Decimal | None = None
    frame: Frame = WHOLE
    minimum_lot: int = MINIMUM_LOT
    per_course: bool = False
    """Of a limit: it holds for every single course run, not for their sum."""
    label: str = ""

    def needs(self, of: int) -> int:
        """Of a floor: how many of so many seats. Half a seat can't be kept, so a part of one is a whole one."""
        share = 0 if self.percent is None else ceil(of * self.percent / 100)
        return max(share, self.seats or 0)


@dataclass(frozen=True, slots=True)
class Fault:
    """A rule that a plan or a move breaks: on which line, and by which numbers."""

    rule: str
    line: str
    place: int | None = None
    """The line's place in the list that was given."""
    numbers: Mapping[str, int | str] = field(default_factory=dict)


class Tree:
    """The lines of a plan, findable. Of faulty ones: a parent that isn't there, or goes in a circle, is none."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self.lines: dict[str, Line] = {}
        for line in lines:
            self.lines.setdefault(line.key, line)
        self.in_circle = {key for key in self.lines if self._comes_back_to(key)}
        self._parts: dict[str | None, list[Line]] = {}
        for line in self.lines.values():
            if line.kind is LineKind.PARTITION:
                above = self.parent(line.key)
                self._parts.setdefault(None if above is None else above.key, []).append(line)
        self._paths: dict[str, tuple[Frame, ...]] = {}
        for key in self.lines:
            # From the top down, so that each line stands on its parent's path.
            for line in reversed([each for each in self.above(key) if each.key not in self._paths]):
                self._paths[line.key] = self._path(line)
        self._by_path = {self._paths[line.key]: line for line in reversed(self.accounts)}

    def parent(self, key: str) -> Line | None:
        """The line it stands in."""
        above = self.lines[key].parent
        return None if above is None or key in self.in_circle else self.lines.get(above)

    def above(self, key: str) -> Iterator[Line]:
        """The line itself, its parent, that one's parent, and so on."""
        line: Line | None = self.lines[key]
        while line is not None:
            yield line
            line = self.parent(line.key)

    def frame(self, key: str) -> Frame:
        """For what and whom its seats are, with what its parents say."""
        return self._paths[key][-1]

    def parts(self, key: str | None) -> Sequence[Line]:
        """The partition of a line, or of the plan itself."""
        return self._parts.get(key, [])

    @property
    def accounts(self) -> list[Line]:
        """Every line that can have seats of its own; a line with parts has those that were opened to all in it."""
        return [line for line in self.lines.values() if line.kind is LineKind.PARTITION]

    def under(self, key: str | None) -> list[Line]:
        """The accounts at a line and below it; at the plan itself, all of them."""
        here = [self.lines[key]] if key is not None and self.lines[key].kind is LineKind.PARTITION else []
        found, further = list(here), list(self.parts(key))
        while further:
            found.append(further.pop())
            further += self.parts(found[-1].key)
        return found

    def planned(self) -> dict[str, int]:
        """The seats that the plan gives each account: those of a line that has parts are its parts'."""
        return {line.key: 0 if self.parts(line.key) else line.seats or 0 for line in self.accounts}

    def path(self, key: str) -> tuple[Frame, ...]:
        """The frames from the top down to the line: what makes it the same line in another quarter."""
        return self._paths[key]

    def same_in(self, quarter: int, key: str) -> Line | None:
        """The same line in another quarter."""
        return self._by_path.get(
            tuple(frame if frame.quarter is None else replace(frame, quarter=quarter) for frame in self._paths[key])
        )

    def _path(self, line: Line) -> tuple[Frame, ...]:
        above = self.parent(line.key)
        before = () if above is None else self._paths[above.key]
        return (*before, line.frame.inside(before[-1] if before else WHOLE))

    def _comes_back_to(self, key: str) -> bool:
        seen: set[str] = set()
        above = self.lines[key].parent
        while above is not None and above in self.lines and above not in seen:
            if above == key:
                return True
            seen.add(above)
            above = self.lines[above].parent
        return above in seen


def totals(tree: Tree, seats: Mapping[str, int]) -> dict[str, int]:
    """What each line comes to: its own seats and all below; an overlay is the number that was decided."""
    found = {}
    for key, line in tree.lines.items():
        if line.kind is LineKind.PARTITION:
            found[key] = sum(seats.get(each.key, 0) for each in tree.under(key))
        else:
            found[key] = line.seats or 0
    return found


# --- what is wrong with a plan --------------------------------------------------------------------------------------


def check_plan(prefecture: str, lines: Sequence[Line]) -> list[Fault]:
    """Every fault at once, in the order of the lines."""
    if not lines:
        return [Fault("no_lines", "")]
    tree = Tree(lines)
    faults = [
        Fault(rule, line.key, place, numbers)
        for place, line in enumerate(lines)
        for rule, numbers in (*_by_itself(prefecture, line), *_in_its_place(tree, line))
    ]
    first = {key: place for place, key in reversed(list(enumerate(line.key for line in lines)))}
    seen = Counter(line.key for line in lines)
    faults += [Fault("duplicate_key", key, first[key], {"times": times}) for key, times in seen.items() if times > 1]
    declared = {key: line.seats or 0 for key, line in tree.lines.items()}
    rules = [*_sums(tree), *_same_frames(tree), *_limits_without_effect(tree), *broken(tree, tree.planned(), declared)]
    faults += [replace(fault, place=first[fault.line]) for fault in rules]
    whole = sum(tree.planned().values())
    if whole > MOST_IN_ALL:
        faults.append(Fault("plan_out_of_range", "", numbers={"seats": whole, "most": MOST_IN_ALL}))
    return sorted(faults, key=lambda fault: (fault.place or 0, fault.rule))


Found = Iterator[tuple[str, Mapping[str, int | str]]]


def _by_itself(prefecture: str, line: Line) -> Found:
    if line.seats is None and line.kind is not LineKind.FLOOR:
        yield "seats_missing", {}
    if line.seats is not None and not 0 <= line.seats <= MOST_SEATS:
        yield "seats_out_of_range", {"most": MOST_SEATS}
    if line.kind is LineKind.FLOOR and line.seats is None and line.percent is None:
        yield "floor_says_nothing", {}
    if line.percent is not None and line.kind is not LineKind.FLOOR:
        yield "percent_only_in_floors", {}
    if line.percent is not None and (not 0 < line.percent <= 100 or line.percent * 100 % 1):
        yield "percent_out_of_range", {}
    if line.per_course and line.kind is not LineKind.LIMIT:
        yield "per_course_only_in_limits", {}
    if not 1 <= line.minimum_lot <= 1_000:
        yield "minimum_lot_out_of_range", {}
    if line.frame.quarter not in {None, 1, 2, 3, 4}:
        yield "no_such_quarter", {}
    for municipality in sorted(line.frame.municipalities):
        if not municipality.startswith(prefecture):
            yield "municipality_outside_prefecture", {"municipality": municipality}


def _in_its_place(tree: Tree, line: Line) -> Found:
    if line.key in tree.in_circle:
        yield "cycle", {}
        return
    if line.parent is None:
        if line.kind in {LineKind.OVERLAY, LineKind.FLOOR}:
            yield "needs_parent", {}
        return
    parent = tree.lines.get(line.parent)
    if parent is None:
        yield "unknown_parent", {}
        return
    if len(tree.path(line.key)) > MOST_LEVELS:
        yield "too_deep", {"most": MOST_LEVELS}
    # A part of an overlay would be counted twice: in it, and where the seat really stands.
    if parent.kind in {LineKind.LIMIT, LineKind.FLOOR} or (
        parent.kind is LineKind.OVERLAY and line.kind is LineKind.PARTITION
    ):
        yield "mixed_frames", {"parent": parent.key, "parent_kind": parent.kind.value, "kind": line.kind.value}
    own, around = line.frame, tree.frame(parent.key)
    for dimension in ("quarter", "system", "field", "target_group"):
        ours, theirs = getattr(own, dimension), getattr(around, dimension)
        if None not in {ours, theirs} and ours != theirs:
            yield f"{dimension}_outside_parent", {"parent": parent.key, "line_has": ours, "parent_has": theirs}
    outside = own.municipalities - around.municipalities if around.municipalities else frozenset()
    if outside:
        yield "municipalities_outside_parent", {"parent": parent.key, "municipality": min(outside)}


def _sums(tree: Tree) -> Iterator[Fault]:
    for key, line in tree.lines.items():
        parts = tree.parts(key)
        total = sum(part.seats or 0 for part in parts)
        if line.kind is LineKind.PARTITION and parts and total != line.seats:
            yield Fault("partition_sum", key, numbers={"parent_seats": line.seats or 0, "parts_seats": total})


def _same_frames(tree: Tree) -> Iterator[Fault]:
    """Two parts for the same are one, or which is "the same line of the next quarter"?"""
    for key in [None, *tree.lines]:
        known: dict[Frame, str] = {}
        for part in tree.parts(key):
            if part.parent != key:
                continue  # its parent isn't there: told as such
            other = known.setdefault(tree.frame(part.key), part.key)
            if other != part.key:
                yield Fault("same_frame_twice", part.key, numbers={"other": other})


def _limits_without_effect(tree: Tree) -> Iterator[Fault]:
    for key, line in tree.lines.items():
        parent = tree.parent(key)
        above = parent is not None and (line.seats or 0) > (parent.seats or 0)
        if line.kind is LineKind.LIMIT and not line.per_course and parent is not None and above:
            yield Fault("limit_above_parent", key, numbers=_beside(parent.key, parent.seats or 0, line.seats or 0))


# --- what must hold whenever seats moved ----------------------------------------------------------------------------


def broken(tree: Tree, seats: Mapping[str, int], total: Mapping[str, int]) -> list[Fault]:
    """Overlays, limits and floors that can't be kept with the seats as they stand.

    What can't be told from the codes is not held against anybody: a limit counts the lines that surely belong to it, a
    floor all that may.
    """
    judges: dict[LineKind, Callable[[Tree, Line, Mapping[str, int], Mapping[str, int]], Fault | None]] = {
        LineKind.OVERLAY: _overlay,
        LineKind.LIMIT: _limit,
        LineKind.FLOOR: _floor,
    }
    found = [judges[line.kind](tree, line, seats, total) for line in tree.lines.values() if line.kind in judges]
    return [fault for fault in found if fault is not None]


def excess(fault: Fault) -> int:
    """By how many seats a rule is broken."""
    return int(fault.numbers.get("excess", 0))


def _overlay(tree: Tree, line: Line, _: Mapping[str, int], total: Mapping[str, int]) -> Fault | None:
    parent, ours = tree.parent(line.key), line.seats or 0
    if parent is None or ours <= total[parent.key]:
        return None
    return Fault("overlay_above_parent", line.key, numbers=_beside(parent.key, total[parent.key], ours))


def _limit(tree: Tree, line: Line, seats: Mapping[str, int], _: Mapping[str, int]) -> Fault | None:
    if line.per_course or not _says_more(tree, line):
        return None
    frame, most = tree.frame(line.key), line.seats or 0
    found = sum(seats.get(each.key, 0) for each in _around(tree, line) if tree.frame(each.key).within(frame))
    if found <= most:
        return None
    return Fault("limit_exceeded", line.key, numbers={"limit": most, "lines_seats": found, "excess": found - most})


def _floor(tree: Tree, line: Line, seats: Mapping[str, int], total: Mapping[str, int]) -> Fault | None:
    parent = tree.parent(line.key)
    if parent is None:
        return None
    there = total[parent.key]
    least = line.needs(there)
    if least > there:
        return Fault("floor_above_parent", line.key, numbers=_beside(parent.key, there, least))
    frame = tree.frame(line.key)
    if not _says_more(tree, line) or parent.kind is not LineKind.PARTITION:
        return None
    found = sum(seats.get(each.key, 0) for each in _around(tree, line) if not tree.frame(each.key).apart_from(frame))
    if found >= least:
        return None
    return Fault("floor_not_reached", line.key, numbers={"floor": least, "lines_seats": found, "excess": least - found})


def _says_more(tree: Tree, line: Line) -> bool:
    """Whether its codes say what it is about; known by its name alone, which lines belong to it can't be told."""
    parent = tree.parent(line.key)
    return tree.frame(line.key) != (WHOLE if parent is None else tree.frame(parent.key))


def _around(tree: Tree, line: Line) -> list[Line]:
    parent = tree.parent(line.key)
    return tree.under(None if parent is None else parent.key)


def _beside(parent: str, parent_seats: int, line_seats: int) -> dict[str, int | str]:
    return {
        "parent": parent,
        "parent_seats": parent_seats,
        "line_seats": line_seats,
        "excess": line_seats - parent_seats,
    }
