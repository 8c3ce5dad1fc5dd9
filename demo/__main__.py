"""`make demo`: plays the main job against a running platform, with a progress bar, and shows what came of it."""

import asyncio
import secrets
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import httpx2
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from demo.checks import Check, check
from demo.client import Refused, eventually, municipality_names
from demo.load import load_region
from demo.play import OBSERVER, Played, play

console = Console(highlight=False)
START = "make run / make up DEMO=1"
WAITS = {
    "consent_not_yet": "同意がまだ / consent not yet",
    "consent_refused": "不同意 / consent refused",
    "seat": "席の順番待ち / in line for a seat",
    "receiver": "受け手を探している / no receiver yet (the sender stays responsible)",
    "hold_expired": "仮押さえの期限切れ / hold ran out",
}
STAGES = {
    "opened": "相談受付", "consented": "同意", "assessed": "アセスメント", "referred": "つなぎ", "accepted": "受入",
    "seat_held": "仮押さえ", "instructed": "受講指示", "enrolled": "受講開始",
}  # fmt: skip


def main(
    url: Annotated[str, typer.Option(help="どこで動いているか / where the platform runs")] = "http://127.0.0.1:8080",
    keys: Annotated[Path, typer.Option(help="機関の鍵 / the agencies' keys")] = Path(".tsunagu/clients"),
    persons: Annotated[int, typer.Option(min=20, max=2000, help="人数 / how many persons")] = 120,
    seed: Annotated[int, typer.Option(help="同じ数なら同じ人たち / same seed, same persons")] = 0,
) -> None:
    """架空の地域で、窓口から訓練の席までを通しで行う / plays the main job in the invented region."""
    try:
        ok = asyncio.run(_run(url.rstrip("/"), keys, persons, seed or secrets.randbelow(10**6)))
    except httpx2.ConnectError:
        console.print(f"✗ {url} につながりません。先に {START} を / nothing answers there; start {START} first")
        raise typer.Exit(1) from None
    except FileNotFoundError:
        console.print(f"✗ 鍵がありません: {keys} ({START} を先に) / no keys there; start {START} first")
        raise typer.Exit(1) from None
    except httpx2.HTTPStatusError as error:
        console.print(f"✗ {error.request.url.path}: {error.response.status_code}")
        if error.request.url.path.endswith("/issuer/token"):
            console.print(
                f"  架空の機関が登録されていません ({START}) / the invented agencies aren't registered: {START}"
            )
        raise typer.Exit(1) from None
    except (Refused, TimeoutError) as error:
        console.print(f"✗ {error}")
        raise typer.Exit(1) from None
    raise typer.Exit(0 if ok else 1)


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
    funnel = Table("段階 / stage", "地域全体 / region so far", title="相談から受講まで / from the door to the course")
    for stage in figures["funnel"]:
        funnel.add_row(f"{STAGES.get(stage['stage'], '')} {stage['stage']}", str(stage["cases"]))
    seats = Table(title="席 / seats")
    seats.add_column("コース / course", no_wrap=True)
    seats.add_column("枠 / pool", no_wrap=True)
    for heading in ("定員\nseats", "仮押さえ\nheld", "受講\nfilled", "空き\nfree", "待ち\nwaiting"):
        seats.add_column(heading, justify="right")
    names = municipality_names()
    runs = sorted(figures["seats"], key=lambda run: -sum(p["held"] + p["filled"] + p["waiting"] for p in run["pools"]))
    for run in runs[:8]:
        for pool in run["pools"]:
            free = pool["granted"] - pool["held"] - pool["filled"]
            where = "一般枠 general" if pool["kind"] == "general" else f"{names[pool['municipality']]}の枠 delegated"
            numbers = (pool["granted"], pool["held"], pool["filled"], free, pool["waiting"])
            seats.add_row(run["course_number"], where, *(str(number) for number in numbers))
        seats.add_section()
    waits = Table("待つ理由 / who waits and why", "人 / persons")
    for reason, number in Counter(person.waits_for for person in played.persons if person.waits_for).most_common():
        waits.add_row(WAITS.get(reason, reason), str(number))
    for table in (funnel, seats, waits):
        console.print(table)
    median = played.median_to_seat
    if median is not None:
        console.print(f"窓口から席まで(中央値) / median from the door to the seat: {median:.2f} s")
    declined = sum(len(person.declined) for person in played.persons)
    console.print(f"断られて次へ / declined and sent on: {declined} ・ 全体 / in all: {played.seconds:.1f} s\n")
    for each in checks:
        console.print(f"{'[green]✓[/green]' if each.ok else '[red]✗[/red]'} {each.name_ja} / {each.name} ({each.seen})")


if __name__ == "__main__":
    typer.run(main)
