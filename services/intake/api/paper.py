"""A hand-over sheet as a page for A4 paper: what is known in print, what is not as lines to write on by hand.

The page carries its style and nothing else: it runs nothing, loads nothing, and its policy lets it do neither.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Literal

from fastapi.responses import HTMLResponse

from services.intake.handlers.exports import HandOverSheet
from shared.service.exports import Layout, on_paper
from shared.service.paper import paper

TEMPLATES = Path(__file__).resolve().parent.parent / "templates"


@dataclass(frozen=True, slots=True)
class Part:
    """A heading with its text, or with so many lines to write on; a withheld one has neither."""

    kind: Literal["short", "long"]
    heading: str
    lines: int
    text: str = ""
    withheld: bool = False


@dataclass(frozen=True, slots=True)
class Tick:
    """One of the codes to choose from, and whether it was chosen."""

    heading: str
    on: bool
    kind: Literal["ticks"] = "ticks"


def printed(layout: Layout, sheet: HandOverSheet, *, demo: bool) -> HTMLResponse:
    """The sheet as its layout says, in the layout's order; neighbours of a kind stand together."""
    blocks = [(kind, list(parts)) for kind, parts in groupby(_parts(layout, sheet), key=lambda part: part.kind)]
    number = sheet.values["number"]
    return paper(TEMPLATES, "hand_over_sheet.html", demo=demo, heading=layout.title, number=number, blocks=blocks)


def _parts(layout: Layout, sheet: HandOverSheet) -> Iterator[Part | Tick]:
    for column in layout.columns:
        text = on_paper(column, sheet.values.get(column.field))
        if column.mark is not None:
            yield Tick(column.heading, on=bool(text))
        else:
            withheld = column.field in sheet.withheld
            yield Part(_kind(column.lines), column.heading, column.lines, text, withheld)
    for heading, lines in layout.by_hand:
        yield Part(_kind(lines), heading, lines)


def _kind(lines: int) -> Literal["short", "long"]:
    return "short" if lines == 1 else "long"
