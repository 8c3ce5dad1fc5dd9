"""Seats of a plan move between its lines: carry-over (繰越), transfer (振替), opening to all; a version takes effect.

A move takes from one line what it gives to another, so that the sum stays; only a version of the plan adds or takes
away. What course runs use already is not moved, and overlays, limits and floors are kept.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from services.training.domain.plan import Fault, Frame, Line, LineKind, Tree, broken, excess, totals


@dataclass(frozen=True, slots=True)
class Taught:
    """Course runs of the catalogue that are alike for a plan, and their capacity together."""

    quarter: int
    system: str
    field: str
    municipality: str
    seats: int
    runs: int
    largest: int

    @property
    def frame(self) -> Frame:
        """Where they fall into. For which group they are, the catalogue doesn't say."""
        return Frame(self.quarter, self.system, self.field, None, frozenset({self.municipality}))


@dataclass(frozen=True, slots=True)
class Use:
    """The course runs that fall into each line. A line for a target group has None: the catalogue can't tell."""

    of: Mapping[str, Sequence[Taught] | None]
    own: Mapping[str, int]
    """Capacity that falls into an account and into none of its parts."""

    def seats(self, key: str) -> int | None:
        """Seats of a line that course runs use."""
        runs = self.of[key]
        return None if runs is None else sum(each.seats for each in runs)


def use_of(tree: Tree, taught: Sequence[Taught]) -> Use:
    """Each course run counts once in the partition: in the narrowest line that it falls into, and so in those above."""
    counted: dict[str, list[Taught]] = {key: [] for key in tree.lines}
    own = dict.fromkeys((line.key for line in tree.accounts), 0)
    told = [line for line in tree.accounts if tree.frame(line.key).target_group is None]
    others = [line for line in tree.lines.values() if line.kind is not LineKind.PARTITION]
    for each in taught:
        fitting = [line for line in told if each.frame.within(tree.frame(line.key))]
        if fitting:
            line = min(fitting, key=lambda line: (tree.frame(line.key).width, -len(tree.path(line.key)), line.key))
            own[line.key] += each.seats
            for above in tree.above(line.key):
                counted[above.key].append(each)
        for other in others:
            if each.frame.within(tree.frame(other.key)):
                counted[other.key].append(each)
    unknown = {key for key in tree.lines if tree.frame(key).target_group is not None}
    return Use({key: None if key in unknown else runs for key, runs in counted.items()}, own)


# --- decisions ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Move:
    """An entry of the plan's ledger. From nowhere: a version gave the seats; to nowhere: a version took them back."""

    from_line: str | None
    to_line: str | None
    seats: int


@dataclass(frozen=True, slots=True)
class Moved:
    """These entries are to be made, all of them."""

    moves: tuple[Move, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing is moved, for these reasons."""

    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class Book:
    """A plan as it stands: the version in force, the seats of each account, what course runs use, versions to come."""

    tree: Tree
    seats: Mapping[str, int]
    use: Use
    coming: Sequence[Tree] = field(default=())

    def left(self, key: str) -> int:
        """Seats of an account that may be moved: no course run uses them, its own or one too many in a part."""
        return max(0, self._free(key))

    def _free(self, key: str) -> int:
        beyond = sum(min(0, self._free(part.key)) for part in self.tree.parts(key))
        return self.seats.get(key, 0) - self.use.own[key] + beyond


def carry_over(book: Book, quarter: int, wanted: Mapping[str, int] | None = None) -> Moved | Refused:
    """To the same lines of the next quarter: what is named, or else every remainder below the minimum lot."""
    if quarter == 4:
        return Refused((Fault("no_next_period", "", numbers={"quarter": quarter}),))
    faults: list[Fault] = []
    moves: list[Move] = []
    for key, seats in (remainders(book, quarter) if wanted is None else wanted).items():
        line, problem = _account(book, key, seats)
        if problem is None and line is not None and book.tree.frame(key).quarter != quarter:
            problem = Fault("not_of_this_period", key, numbers={"quarter": quarter})
        to = None if problem is not None else book.tree.same_in(quarter + 1, key)
        if problem is None and to is None:
            problem = Fault("no_line_in_next_period", key, numbers={"quarter": quarter + 1})
        if problem is not None:
            faults.append(problem)
        elif to is not None:
            moves.append(Move(key, to.key, seats))
    if faults:
        return Refused(tuple(faults))
    if not moves:
        return Refused((Fault("nothing_to_carry_over", "", numbers={"quarter": quarter}),))
    return _kept(book, moves, leaving=quarter)


def remainders(book: Book, quarter: int) -> dict[str, int]:
    """What is left of a quarter in lines that have too little for another course (DOMAIN.md 5, rule 3)."""
    left = {
        line.key: book.left(line.key) for line in book.tree.accounts if book.tree.frame(line.key).quarter == quarter
    }
    return {key: seats for key, seats in left.items() if 0 < seats < book.tree.lines[key].minimum_lot}


def carry_remainders(book: Book, quarter: int) -> tuple[Move, ...]:
    """At a quarter's end, by itself: each remainder that has somewhere to go and breaks no limit there. Others stay."""
    made: list[Move] = []
    for key, seats in remainders(book, quarter).items():
        outcome = carry_over(replace(book, seats=applied(book.seats, made)), quarter, {key: seats})
        if isinstance(outcome, Moved):
            made += outcome.moves
    return tuple(made)


def transfer(book: Book, move: Move) -> Moved | Refused:
    """To another area or field in the same period; also seats that were opened to all, to a line that claims them."""
    source, target = move.from_line or "", move.to_line or ""
    problems = [_account(book, source, move.seats)[1], _account(book, target, 1, gives=False)[1]]
    faults = [problem for problem in problems if problem is not None]
    if not faults:
        faults = _may_pass(book.tree, source, target)
    return Refused(tuple(faults)) if faults else _kept(book, [move])


def _may_pass(tree: Tree, source: str, target: str) -> list[Fault]:
    if source == target:
        return [Fault("same_line", source)]
    ours, theirs = tree.frame(source), tree.frame(target)
    if ours.quarter != theirs.quarter:
        numbers: dict[str, int | str] = {
            "from": ours.quarter or "year",
            "to": theirs.quarter or "year",
            "to_line": target,
        }
        return [Fault("another_period", source, numbers=numbers)]
    if target in {line.key for line in tree.above(source)}:
        # It would open the seats to all without saying so.
        return [Fault("opens_to_all", source, numbers={"to_line": target})]
    above, beyond = tree.parent(source), tree.parent(target)
    same_parent = above == beyond or (beyond is not None and beyond.key == source)
    same_area = ours.municipalities == theirs.municipalities
    same_field = (ours.system, ours.field) == (theirs.system, theirs.field)
    if same_parent or same_area or same_field:
        return []
    return [Fault("neither_area_nor_field", source, numbers={"to_line": target})]


def open_to_all(book: Book, key: str, seats: int) -> Moved | Refused:
    """What nobody claims opens to all that the line's parent is for."""
    _, problem = _account(book, key, seats)
    if problem is not None:
        return Refused((problem,))
    parent = book.tree.parent(key)
    if parent is None:
        return Refused((Fault("no_parent_to_open_to", key),))
    if book.tree.frame(parent.key).quarter != book.tree.frame(key).quarter:
        return Refused(
            (Fault("another_period", key, numbers={"from": "quarter", "to": "year", "to_line": parent.key}),)
        )
    return _kept(book, [Move(key, parent.key, seats)])


def _account(book: Book, key: str, seats: int, *, gives: bool = True) -> tuple[Line | None, Fault | None]:
    """A line that can give, or take, so many seats; or why not."""
    line = book.tree.lines.get(key)
    if line is None:
        return None, Fault("unknown_line", key)
    if line.kind is not LineKind.PARTITION:
        return line, Fault("holds_no_seats", key, numbers={"kind": line.kind.value})
    if seats < 1:
        return line, Fault("no_seats", key)
    if gives and seats > book.left(key):
        return line, Fault("not_left", key, numbers={"wanted": seats, "left": book.left(key)})
    return line, None


def _kept(book: Book, moves: Sequence[Move], *, leaving: int | None = None) -> Moved | Refused:
    """The moves, if no rule is broken by them that was kept before, or further.

    In a quarter that is left, overlays and floors have served: what they were kept for goes on with the seats.
    """
    after = applied(book.seats, moves)
    faults = _worse(book.tree, after, (book.tree, book.seats))
    faults = [each for each in faults if leaving is None or book.tree.frame(each.line).quarter != leaving]
    for coming in book.coming:
        stays = isinstance(revise(book.tree, after, coming), Moved)
        if not stays and isinstance(revise(book.tree, book.seats, coming), Moved):
            faults.append(Fault("breaks_coming_version", moves[0].from_line or ""))
    return Refused(tuple(faults)) if faults else Moved(tuple(moves))


def _worse(tree: Tree, after: Mapping[str, int], *before: tuple[Tree, Mapping[str, int]]) -> list[Fault]:
    """Rules that are broken now and were kept in each of those standings, or broken by less."""
    known: dict[tuple[str, str], int] = {}
    for then, seats in before:
        for each in broken(then, seats, totals(then, seats)):
            known[each.rule, each.line] = max(excess(each), known.get((each.rule, each.line), 0))
    found = broken(tree, after, totals(tree, after))
    return [each for each in found if excess(each) > known.get((each.rule, each.line), 0)]


# --- versions -------------------------------------------------------------------------------------------------------


def revise(old: Tree | None, seats: Mapping[str, int], new: Tree) -> Moved | Refused:
    """A version takes effect: each line has so many seats more or fewer as was decided. Moves made before stay made."""
    before = {} if old is None else old.planned()
    after = new.planned()
    moves: list[Move] = []
    faults: list[Fault] = []
    for key in sorted(before.keys() | after.keys()):
        more = after.get(key, 0) - before.get(key, 0)
        stands = seats.get(key, 0) + more
        if old is not None and key in old.lines and key in new.lines and _means(old, key) != _means(new, key):
            faults.append(Fault("line_changed_meaning", key))
        elif stands < 0:
            moved = before.get(key, 0) - seats.get(key, 0)
            faults.append(Fault("below_what_was_moved", key, numbers={"planned": after.get(key, 0), "moved": moved}))
        elif key not in new.lines and stands > 0:
            faults.append(Fault("line_dropped_with_seats", key, numbers={"seats": stands}))
        elif more:
            moves.append(Move(None, key, more) if more > 0 else Move(key, None, -more))
    if not faults and old is not None:
        # A quarter that was left behind may have fallen below an overlay; that is no reason against the next version.
        faults = _worse(new, applied(seats, moves), (new, new.planned()), (old, seats))
    return Refused(tuple(faults)) if faults else Moved(tuple(moves))


def _means(tree: Tree, key: str) -> tuple[LineKind, Frame]:
    return tree.lines[key].kind, tree.frame(key)


def applied(seats: Mapping[str, int], moves: Iterable[Move]) -> dict[str, int]:
    """The accounts after these entries: the fold that every standing is."""
    after = dict(seats)
    for move in moves:
        if move.from_line is not None:
            after[move.from_line] = after.get(move.from_line, 0) - move.seats
        if move.to_line is not None:
            after[move.to_line] = after.get(move.to_line, 0) + move.seats
    return after
