"""Figures: what was measured, what was promised, whether it was kept; as a table and as a file of JSON."""

import json
import os
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from shared.service.clock import wall_time

RESULTS = Path(__file__).resolve().parent.parent / ".tsunagu" / "bench"
console = Console(highlight=False)


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure. `target` is in words as the issue gives them; `kept` is None where nothing was promised."""

    name: str
    measured: str
    target: str = ""
    kept: bool | None = None


def at_least(name: str, value: float, target: float, *, unit: str = "", beside: str = "") -> Figure:
    """A figure that must not be less than its target."""
    return Figure(name, f"{_short(value)}{unit}{beside and f'  ({beside})'}", f"≥ {target:g}{unit}", value >= target)


def at_most(name: str, value: float, target: float, *, unit: str = "", beside: str = "") -> Figure:
    """A figure that must stay below its target."""
    return Figure(name, f"{_short(value)}{unit}{beside and f'  ({beside})'}", f"< {target:g}{unit}", value < target)


def holds(name: str, wrong: Sequence[str], *, beside: str) -> Figure:
    """A check of correctness: nothing may be wrong."""
    return Figure(name, "; ".join(wrong[:3]) if wrong else beside, "0 wrong", not wrong)


def only_told(name: str, measured: str) -> Figure:
    """A figure that nothing was promised about."""
    return Figure(name, measured)


@dataclass(frozen=True, slots=True)
class Report:
    """What one benchmark found, with the raw numbers behind it."""

    title: str
    figures: list[Figure]
    raw: dict[str, Any]
    notes: tuple[str, ...] = ()

    @property
    def kept(self) -> bool:
        """Whether every promise was kept."""
        return all(figure.kept is not False for figure in self.figures)


def show(report: Report) -> None:
    """As a table for people."""
    table = Table("", "図 / figure", "測定 / measured", "目標 / target", title=report.title, title_justify="left")
    marks = {True: "[green]✓[/green]", False: "[red]✗[/red]", None: ""}
    for figure in report.figures:
        table.add_row(marks[figure.kept], figure.name, figure.measured, figure.target)
    console.print(table)
    for note in report.notes:
        console.print(f"  {note}")
    console.print()


def write(name: str, report: Report, *, load_before: Sequence[float]) -> Path:
    """As JSON, one file per run and benchmark; names sort by time."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    moment = wall_time()
    path = RESULTS / f"{moment:%Y%m%dT%H%M%SZ}-{name}.json"
    found = {
        "title": report.title,
        "at": moment.isoformat(timespec="seconds"),
        "machine": {"cores": os.cpu_count(), "load_before": list(load_before), "load_after": machine_load()},
        "kept": report.kept,
        "figures": [asdict(figure) for figure in report.figures],
        "notes": report.notes,
        "raw": report.raw,
    }
    path.write_text(json.dumps(found, ensure_ascii=False, indent=1, default=str), encoding="utf-8")
    return path


def machine_load() -> list[float]:
    """How many processes wanted a core, over one, five and fifteen minutes; a busy machine makes figures worthless."""
    return [round(load, 2) for load in os.getloadavg()]


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of all values don't exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def median(values: Sequence[float]) -> float:
    """The middle one: a single round that something else disturbed doesn't move it."""
    return statistics.median(values)


def _short(value: float) -> str:
    return f"{value:,.2f}" if value < 10 else f"{value:,.0f}"
