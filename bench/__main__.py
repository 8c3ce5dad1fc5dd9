"""`make bench`: measures the speed, as ratios within one run, and says which promises were kept."""

import asyncio
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bench import (
    assessments,
    bus,
    candidates,
    cases,
    cut_off,
    function_map,
    imports,
    persons,
    pool_numbers,
    referrals,
    seats,
    start,
    training_report,
)
from bench.report import Report, console, machine_load, show, write
from embedded.postgres import StartFailed


class What(StrEnum):
    """What can be measured."""

    ALL = "all"
    SEATS = "seats"
    BUS = "bus"
    START = "start"
    IMPORTS = "imports"
    PERSONS = "persons"
    CASES = "cases"
    ASSESSMENTS = "assessments"
    REFERRALS = "referrals"
    CANDIDATES = "candidates"
    FUNCTION_MAP = "function_map"
    TRAINING_REPORT = "training_report"
    POOL_NUMBERS = "pool_numbers"
    CUT_OFF = "cut_off"


def main(
    what: Annotated[What, typer.Argument(help="何を測るか / what to measure")] = What.ALL,
    rounds: Annotated[int, typer.Option(min=1, max=9, help="回数 / rounds of each")] = 3,
    seconds: Annotated[float, typer.Option(min=1, max=30, help="一回の秒数 / seconds of each round of seats")] = 5,
    events: Annotated[
        int, typer.Option(min=100, max=200_000, help="イベントの数 / events of each round of bus")
    ] = 20_000,
    rows: Annotated[int, typer.Option(min=10, max=20_000, help="行数 / rows of each file of imports")] = 20_000,
    people: Annotated[
        int,
        typer.Option(
            min=10_000, max=5_000_000, help="人数 / persons that are searched among, and cases that are there"
        ),
    ] = 1_000_000,
    entries: Annotated[
        int, typer.Option(min=10_000, max=100_000_000, help="記帳の数 / entries of the ledger of pool_numbers")
    ] = 10_000_000,
    kafka: Annotated[
        str | None, typer.Option(envvar="KAFKA_BOOTSTRAP_SERVERS", help="Kafka の場所 / a real Kafka; else ours")
    ] = None,
) -> None:
    """速さを比率で測る / measures the speed, as ratios within one run."""
    measures: dict[What, Callable[[Progress], Awaitable[Report]]] = {
        What.SEATS: lambda progress: seats.measure(progress, rounds=rounds, seconds=seconds),
        What.BUS: lambda progress: bus.measure(progress, rounds=rounds, events=events, kafka=kafka),
        What.START: start.measure,
        What.IMPORTS: lambda progress: imports.measure(progress, rows=rows),
        What.PERSONS: lambda progress: persons.measure(progress, rounds=rounds, persons=people),
        What.CASES: lambda progress: cases.measure(progress, rounds=rounds, seconds=seconds, cases=people),
        What.FUNCTION_MAP: lambda progress: function_map.measure(progress, rounds=rounds),
        What.ASSESSMENTS: lambda progress: assessments.measure(progress, rounds=rounds, seconds=seconds),
        What.REFERRALS: lambda progress: referrals.measure(progress, rounds=rounds, seconds=seconds),
        What.TRAINING_REPORT: lambda progress: training_report.measure(progress, rounds=rounds),
        What.POOL_NUMBERS: lambda progress: pool_numbers.measure(progress, rounds=rounds, entries=entries),
        What.CUT_OFF: cut_off.measure,
        What.CANDIDATES: lambda progress: candidates.measure(progress, rounds=rounds),
    }
    chosen = list(measures) if what is What.ALL else [what]
    try:
        reports = [_measured(each, measures[each]) for each in chosen]
    except (RuntimeError, StartFailed) as failed:
        console.print(f"✗ {failed}", markup=False)
        raise typer.Exit(2) from None
    for report in reports:
        show(report)
    raise typer.Exit(0 if all(report.kept for report in reports) else 1)


def _measured(name: What, measure: Callable[[Progress], Awaitable[Report]]) -> Report:
    load = machine_load()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())

    async def work() -> Report:
        with Progress(*columns, console=console, transient=True) as progress:
            return await measure(progress)

    report = asyncio.run(work())
    console.print(f"  → {write(name.value, report, load_before=load)}")
    return report


if __name__ == "__main__":
    typer.run(main)
