"""A plan line by line, as people read it: what was decided, what it has by now, what course runs use, what is left."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from services.training.domain.plan import Line, LineKind, totals
from services.training.domain.plan_moves import Book
from services.training.handlers.layouts import layout
from shared.service.exports import Layout

_FIELDS = {
    *("key", "parent", "kind", "label", "quarter", "system", "field", "target_group", "municipalities", "seats"),
    *("percent", "per_course", "minimum_lot", "standing", "opened", "used", "left"),
}


@dataclass(frozen=True, slots=True)
class Standing:
    """A line as it stands."""

    line: Line
    standing: int
    """With all that was moved; of a floor, what it comes to."""
    opened: int
    """Of a line with parts: seats that none of them has any more, open to all that the line is for."""
    used: int | None
    """Capacity of the course runs that fall into it; None where the catalogue can't tell, as for a target group."""
    left: int | None
    """Below zero, where course runs have more capacity than the plan has seats."""
    largest: int
    """The largest of those course runs: what a limit for every single course is about."""


def stand(book: Book) -> list[Standing]:
    """Every line, in the order in which they were decided."""
    total = totals(book.tree, book.seats)
    return [_standing(book, line, total[line.key], total) for line in book.tree.lines.values()]


def _standing(book: Book, line: Line, standing: int, total: dict[str, int]) -> Standing:
    runs = book.use.of[line.key] or ()
    used, parent = book.use.seats(line.key), book.tree.parent(line.key)
    if line.kind is LineKind.FLOOR and parent is not None:
        standing = line.needs(total[parent.key])
    counts = used is not None and line.kind is not LineKind.FLOOR and not line.per_course
    return Standing(
        line=line,
        standing=standing,
        opened=book.seats.get(line.key, 0) if line.kind is LineKind.PARTITION and book.tree.parts(line.key) else 0,
        used=used,
        left=standing - used if counts and used is not None else None,
        largest=max((each.largest for each in runs), default=0),
    )


def plan_layout(session: AsyncSession) -> Layout:
    """The office's own columns, where it has some, and else those that come along."""
    return layout(session, "training_plan", _FIELDS)


def as_rows(standings: Sequence[Standing]) -> list[dict[str, Any]]:
    """For the columns of a file."""
    return [
        {
            "key": each.line.key,
            "parent": each.line.parent,
            "kind": each.line.kind.value,
            "label": each.line.label,
            "quarter": each.line.frame.quarter,
            "system": each.line.frame.system,
            "field": each.line.frame.field,
            "target_group": each.line.frame.target_group,
            "municipalities": sorted(each.line.frame.municipalities),
            "seats": each.line.seats,
            "percent": each.line.percent,
            "per_course": each.line.per_course,
            "minimum_lot": each.line.minimum_lot,
            "standing": each.standing,
            "opened": each.opened,
            "used": each.used,
            "left": each.left,
        }
        for each in standings
    ]
