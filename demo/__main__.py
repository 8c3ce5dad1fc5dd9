"""`make demo`: plays the main job against a running platform, with a progress bar, and shows what came of it."""

import asyncio
import secrets
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, NoReturn

import httpx2
import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from demo.checks import Check, check
from demo.client import Refused, eventually, municipality_names
from demo.load import load_region
from demo.play import OBSERVER, Played, play
from shared.service.commands import take

console = Console(highlight=False)
cli = typer.Typer(add_completion=False)
START = "make run / make up DEMO=1"
WAITS = {
    "consent_not_yet": "同意がまだ / consent not yet",
    "consent_refused": "不同意 / consent refused",
    "seat": "席の順番待ち / in line for a seat",
    "receiver": "受け手を探している / no receiver yet (sender responsible)",
    "hold_expired": "仮押さえの期限切れ / hold ran out",
}
STAGES = {
    "opened": "相談受付", "consented": "同意", "assessed": "アセスメント", "referred": "つなぎ", "accepted": "受諾",
    "seat_held": "仮押さえ", "instructed": "受講指示", "enrolled": "受講開始",
}  # fmt: skip


@cli.command()
def main(
    url: Annotated[str, typer.Option(help="どこで動いているか / where the platform runs")] = "http://127.0.0.1:8080",
    keys: Annotated[Path, typer.Option(help="機関の鍵 / the agencies' keys")] = Path(".tsunagu/clients"),
    persons: Annotated[int, typer.Option(min=20, max=2000, help="人数 / how many persons")] = 120,
    seed: Annotated[int, typer.Option(help="同じ数なら同じ人たち / same seed, same persons")] = 0,
) -> None:
    """架空の地域で、窓口から訓練の席までを通しで行う / plays the main job in the invented region."""
    try:
        ok = asyncio.run(_run(url.rstrip("/"), keys, persons, seed or secrets.randbelow(10**6)))
    except httpx2.TransportError:
        _stop_with(
            f"{url} につながりません。先に {START} を。別のポートなら: make demo PORT=…",
            f"Nothing answers at {url}. First {START}; on another port: make demo PORT=...",
        )
    except FileNotFoundError:
        _stop_with(
            f"機関の鍵がありません: {keys}。架空の地域つきで起動してください: {START}",
            f"There are no agencies' keys in {keys}. Start with the invented region: {START}",
        )
    except httpx2.HTTPStatusError as error:
        _stop_with(
            f"トークンがもらえません ({error.response.status_code})。架空の機関を登録して起動してください: {START}",
            "No token to be had. Start with the invented agencies registered.",
        )
    except (Refused, TimeoutError, ValueError) as error:
        _stop_with("途中で止まりました。", f"Stopped half-way: {error}")
    raise typer.Exit(0 if ok else 1)


def _stop_with(japanese: str, english: str) -> NoReturn:
    Console(stderr=True, highlight=False).print(
        "[bold red]✗[/bold red]", escape(f"{japanese}\n{english}"), soft_wrap=True
    )
    raise typer.Exit(1)


async def _run(url: str, keys: Path, persons: int, seed: int) -> bool:
    limits = httpx2.Limits(max_connections=40)
    async with httpx2.AsyncClient(trust_env=False, timeout=30, limits=limits) as client:
        await eventually(
            lambda: client.get(f"{url}/dashboard/health/ready"), until=lambda ready: ready.is_success, what="ready"
        )
        await load_region(url, keys, console)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=console) as progress:
            task = progress.add_task(f"架空の {persons} 人 / invented persons (seed {seed})", total=persons)
            played = await play(
                url, keys, count=persons, seed=seed, advance=lambda: progress.advance(task), client=client
            )
        checks = await check(played)
        figures = await played.stage.agencies[OBSERVER].get("/dashboard/v1/figures")
    _show(played, figures, checks)
    return all(each.ok for each in checks)


def _show(played: Played, figures: Any, checks: list[Check]) -> None:
    for table in (_funnel(figures), _seats(figures), _waits(played)):
        console.print(table)
    median = played.median_to_seat
    if median is not None:
        console.print(f"窓口から席まで(中央値) / median from the door to the seat: {median:.2f} s")
    declined = sum(len(person.declined) for person in played.persons)
    console.print(f"断られて次へ / declined and sent on: {declined} ・ 全体 / in all: {played.seconds:.1f} s\n")
    for each in checks:
        mark = "[green]✓[/green]" if each.ok else "[red]✗[/red]"
        console.print(f"{mark} {each.name_ja} / {each.name} ({each.seen})", soft_wrap=True)


def _funnel(figures: Any) -> Table:
    table = Table("段階 / stage", "地域全体 / region so far", title="相談から受講まで / from the door to the course")
    for stage in figures["funnel"]:
        table.add_row(f"{STAGES.get(stage['stage'], '')} {stage['stage']}", str(stage["cases"]))
    return table


def _seats(figures: Any) -> Table:
    """The course runs that most happens in; it fits into a terminal of 80 columns."""
    table = Table(title="席 / seats", box=box.SIMPLE, padding=(0, 1, 0, 0))
    table.add_column("コース / course", no_wrap=True)
    table.add_column("枠 / pool", no_wrap=True)
    for heading in ("定員\nseats", "仮押さえ\nheld", "受講\nfilled", "空き\nfree", "待ち\nwait"):
        table.add_column(heading, justify="right", no_wrap=True)
    names = municipality_names()
    runs = sorted(figures["seats"], key=lambda run: -sum(p["held"] + p["filled"] + p["waiting"] for p in run["pools"]))
    for run in runs[:8]:
        for pool in run["pools"]:
            free = max(0, pool["granted"] - pool["held"] - pool["filled"])
            where = "一般枠 general" if pool["kind"] == "general" else f"{names[pool['municipality']]} delegated"
            numbers = (pool["granted"], pool["held"], pool["filled"], free, pool["waiting"])
            table.add_row(run["course_number"], where, *(str(number) for number in numbers))
        table.add_section()
    return table


def _waits(played: Played) -> Table:
    table = Table("待つ理由 / who waits and why", "人 / persons")
    for reason, number in Counter(person.waits_for for person in played.persons if person.waits_for).most_common():
        table.add_row(WAITS.get(reason, reason), str(number))
    return table


if __name__ == "__main__":
    take(cli)
