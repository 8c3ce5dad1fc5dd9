"""Commands about master keys, the access log and erasures: `keys …`, `access …`, `erasures order|replay`."""

import asyncio
import importlib
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer
from rich.console import Console
from rich.progress import Progress
from sqlalchemy import text

from shared.database import BY_COMMAND, Database, connect, database_time
from shared.service.declare import Run, Service
from shared.service.erasures import replay
from shared.service.logs import configure_logs
from shared.settings import Settings
from shared.vault import (
    MasterKeys,
    MasterKeysError,
    erasure_of,
    new_master_keys,
    order_erasure,
    read_master_keys,
    rewrap,
)
from shared.vault.chain import export_lines, read_checkpoints, verify
from shared.vault.log import entries_in_no_seal, seal_next, sealed_entries, write_checkpoints
from shared.vault.masters import with_next_index, with_next_master

keys_cli = typer.Typer(no_args_is_help=True, help="マスター鍵 / master keys")
access_cli = typer.Typer(no_args_is_help=True, help="閲覧記録 / the access log")
erasures_cli = typer.Typer(no_args_is_help=True, help="消去 / erasures")
console = Console()

_BY_VERSION = text("SELECT master_version, count(*) AS keys FROM data_key GROUP BY master_version ORDER BY 1")


@keys_cli.command(name="new")
def new_keys(file: Annotated[Path, typer.Argument(help="作るファイル / the file to make")]) -> None:
    """最初の鍵を作る。上書きはしない / make the first keys; never overwrites, for what a lost key sealed is lost."""
    _write_new(file, new_master_keys())
    console.print(
        f"✓ {file}\n  データベースの控えとは別の場所に控えてください / Keep a copy apart from the database's backups."
    )


@keys_cli.command(name="next")
def next_key(
    file: Annotated[Path, typer.Argument(help="いま使っているファイル / the file that is in use")],
    to: Annotated[Path, typer.Option("--to", help="鍵を一つ足して作るファイル / the file to make, with one key more")],
    index: Annotated[
        bool,
        typer.Option(
            "--index", help="マスター鍵でなく索引の鍵を / a key of the blind indexes, instead of a master key"
        ),
    ] = False,
) -> None:
    """鍵の交換の一歩目。一つ足した新しいファイル / the first step of a rotation: one key more, in a new file."""
    add, then = (with_next_index, "keys reindex") if index else (with_next_master, "keys rewrap")
    try:
        _write_new(to, add(file.read_text(encoding="ascii")))
    except MasterKeysError as error:
        _stop(str(error))
    console.print(f"✓ {to}\n  置き換えたら `{then}` / Put it in place, then `{then}`.")


@keys_cli.command()
def status() -> None:
    """各マスター鍵が包む鍵の数 / how many cases' keys each master key wraps; one that wraps none may go."""

    async def work(database: Database, masters: MasterKeys) -> None:
        async with database.transaction(BY_COMMAND) as session:
            counts = {row.master_version: row.keys for row in await session.execute(_BY_VERSION)}
        for version in sorted({*counts, *masters.versions}):
            missing = "" if version in masters.versions else "  ✗ 鍵がありません / the key is missing"
            console.print(f"master {version}: {counts.get(version, 0):,}{missing}")

    _with_masters(work)


@keys_cli.command(name="rewrap")
def rewrap_all() -> None:
    """全ケースの鍵を最新の鍵で包み直す。動かしたままでよい / wrap every case's key anew, beside the service."""

    async def work(database: Database, masters: MasterKeys) -> None:
        async with database.transaction(BY_COMMAND) as session:
            counts = {row.master_version: row.keys for row in await session.execute(_BY_VERSION)}
        total = sum(keys for version, keys in counts.items() if version < masters.newest)
        with Progress(console=console) as progress:
            task = progress.add_task("包み直し / rewrapping", total=total)
            while True:
                async with database.transaction(BY_COMMAND) as session:
                    done = await rewrap(session)
                if not done:
                    break
                progress.advance(task, done)
        console.print(f"✓ master {masters.newest}")

    _with_masters(work)


@keys_cli.command()
def reindex() -> None:
    """動かしたまま、索引を新しい鍵で作り直す。中断してよい / make every fingerprint anew, beside the running service.

    Meanwhile what is searched is looked for by both keys. The old line may go once this ends with ✓.
    """

    async def work(database: Database, masters: MasterKeys) -> None:
        declared: Service = importlib.import_module(f"services.{Settings().service}.app").service
        run = declared.reindex
        if run is None:
            _stop("このサービスに索引はありません / this service keeps no fingerprints")
            return
        with Progress(console=console) as progress:
            task = progress.add_task("索引の作り直し / reindexing", total=None)
            while await _one(database, run):
                progress.advance(task)
        console.print(f"✓ index {masters.newest_index}")

    _with_masters(work)


async def _one(database: Database, run: Run) -> bool:
    async with database.transaction(BY_COMMAND) as session:
        return await run(session, await database_time(session))


@access_cli.command(name="export")
def export(
    file: Annotated[
        Path, typer.Argument(help="書くファイル。一行に一つの JSON / the file to write, one JSON object a line")
    ],
) -> None:
    """封印して全部をファイルに書き出す / seal what is open, write checkpoints, and the whole log into a file."""

    async def work(database: Database, _: MasterKeys) -> None:
        settings = Settings()
        name = settings.service
        async with database.transaction(BY_COMMAND) as session:
            while await seal_next(session, log=name):
                pass
        async with database.transaction(BY_COMMAND) as session:
            if settings.checkpoints_path is not None:
                while await write_checkpoints(session, settings.checkpoints_path):
                    pass
            sealed = [each async for each in sealed_entries(session)]
            rest = await entries_in_no_seal(session)
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
            out.writelines(f"{line}\n" for line in export_lines(name, sealed, rest))
        console.print(f"✓ {file}: {sum(len(entries) for _, entries in sealed):,} 件 / entries")

    _with_masters(work)


@access_cli.command(name="verify")
def verify_export(
    file: Annotated[Path, typer.Argument(help="書き出したもの / an export")],
    checkpoints: Annotated[
        Path,
        typer.Option(help="データベースの外に置いた封印の控え / the checkpoints that were kept outside the database"),
    ],
) -> None:
    """書き換えがないかを二つのファイルだけで確かめる / whether an export is as it was written; ends with 1 if not."""
    with file.open(encoding="utf-8") as lines, checkpoints.open(encoding="ascii", errors="ignore") as kept:
        verdict = verify(lines, read_checkpoints(kept))
    console.print(f"{verdict.entries:,} 件 / entries, {verdict.seals:,} 封印 / seals")
    for finding in verdict.findings[:50]:
        console.print(f"✗ {finding}", markup=False)
    if verdict.findings:
        console.print(f"✗ 書き換えの疑い {len(verdict.findings):,} 件 / findings: it is not as it was written")
        raise typer.Exit(1)
    console.print("✓ 書き換えはありません / nothing was touched")


@erasures_cli.command(name="order")
def order(
    subject: Annotated[UUID, typer.Argument(help="ケースのID / the case's id")],
    reason: Annotated[
        str, typer.Option(help="理由のコード。消去の記録に残る / why, as a code, e.g. persons_request; kept for good")
    ],
    by: Annotated[str, typer.Option(help="だれが決めたか / who decides")],
) -> None:
    """一人のすべてを消す指示。取り消せない。保全中は断る / order a person erased; a legal hold refuses."""

    async def work(database: Database, _: MasterKeys) -> None:
        async with database.transaction(BY_COMMAND) as session:
            ordered = await order_erasure(session, [subject], agency="operator", actor=by, reason=reason)
            already = await erasure_of(session, subject)
        if not ordered and already is None:
            _stop("法的な保全の対象です / it is under a legal hold")
        console.print("✓ 消去を指示しました / ordered" if ordered else "すでに指示されています / ordered already")

    _with_masters(work)


@erasures_cli.command(name="replay")
def replay_erasures(
    file: Annotated[
        Path, typer.Argument(help="データベースの外に置いた消去の一覧 / the list that was kept outside the database")
    ],
) -> None:
    """控えを戻したあと、消した方をもう一度消す / after a restore: erase again whoever was erased since."""
    if not file.exists():
        _stop(f"ありません / there is no such file: {file}")
    settings = Settings()
    declared: Service = importlib.import_module(f"services.{settings.service}.app").service

    async def work(database: Database, _: MasterKeys) -> None:
        with Progress(console=console) as progress:
            task = progress.add_task("消去 / erasing", total=None)
            erased = await replay(
                database,
                file,
                path=settings.erasures_path,
                forgetters=declared.forgetters,
                began=lambda total: progress.update(task, total=total),
                done=lambda: progress.advance(task),
            )
        console.print(f"✓ {erased:,} 件を消去しました / erased")

    _with_masters(work)


def _write_new(file: Path, content: str) -> None:
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as out:
            out.write(content)
    except FileExistsError:
        _stop(f"すでにあります。上書きしません / It exists and is not overwritten: {file}")


def _with_masters(work: Callable[[Database, MasterKeys], Awaitable[None]]) -> None:
    settings = Settings(log_level="error")
    configure_logs(settings)

    async def go() -> None:
        database = connect(
            settings.database_url,
            schema=settings.service,
            password=settings.database_password,
            pool=2,
            walled=True,
        )
        try:
            masters = read_master_keys(settings)
            database.carries["masters"] = masters
            await work(database, masters)
        finally:
            await database.dispose()

    if not settings.service.isidentifier():
        _stop("サービス名が指定されていません / TSUNAGU_SERVICE is not set")
    try:
        asyncio.run(go())
    except MasterKeysError as error:
        _stop(str(error))


def _stop(words: str) -> None:
    console.print(f"✗ {words}", markup=False)
    raise typer.Exit(1)
