"""Commands of one service, as a container runs them: run, migrate, issuer, parked, keys, access, erasures."""

import asyncio
import importlib.util
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from fastapi import FastAPI
from joserfc.jwk import ECKey
from rich.console import Console
from rich.table import Table

from shared.auth.issuer import Registration, issuer_app
from shared.bus.inbox import drop_parked, parked_events, retry_parked
from shared.database import BY_COMMAND, Database, connect, migrate, provision
from shared.service.commands import refuse, take
from shared.service.declare import Service
from shared.service.logs import configure_logs
from shared.service.server import Server, configure_server
from shared.service.vault_commands import access_cli, erasures_cli, keys_cli
from shared.service.wall import StartRefused
from shared.settings import SettingRefused, Settings

cli = typer.Typer(no_args_is_help=True, add_completion=False, help="サービス単体のコマンド / commands of one service")
parked_cli = typer.Typer(no_args_is_help=True, help="保留されたイベント / events set aside")
cli.add_typer(parked_cli, name="parked")
cli.add_typer(keys_cli, name="keys")
cli.add_typer(access_cli, name="access")
cli.add_typer(erasures_cli, name="erasures")
console = Console()

ServiceName = Annotated[str, typer.Option("--service", help="どのサービスか / which service; default: TSUNAGU_SERVICE")]
Port = Annotated[int, typer.Option(help="待ち受けるポート / where to listen")]
ParkedId = Annotated[int, typer.Argument(help="番号。list に出る / its id, as list shows it")]
Host = Annotated[
    str, typer.Option(help="待ち受けるアドレス。コンテナでは 0.0.0.0 / address to listen on; in a container 0.0.0.0")
]


@cli.command()
def run(host: Host = "127.0.0.1", port: Port = 8000) -> None:
    """サービスを動かす / serve the service."""
    module = importlib.import_module(f"services.{_name(Settings(), '')}.app")
    try:
        made: FastAPI = module.app()
        Server(configure_server(made, host=host, port=port), [made]).run()
    except (SettingRefused, StartRefused) as refused:
        typer.echo(str(refused), err=True)
        raise typer.Exit(2) from None


@cli.command(name="migrate")
def migrate_command() -> None:
    """ロールと表を作るか、最新にする / create or update roles and schema; needs TSUNAGU_ADMIN_DATABASE_URL."""
    settings = Settings()
    if settings.admin_database_url is None:
        refuse("管理者用の接続先が設定されていません / TSUNAGU_ADMIN_DATABASE_URL is not set")
    asyncio.run(_migrate(settings, _name(settings, "")))
    console.print(f"✓ {_name(settings, '')}")


@cli.command()
def issuer(host: Host = "127.0.0.1", port: Port = 8000) -> None:
    """内蔵のトークン発行者を動かす / serve the built-in token issuer."""
    settings = Settings()
    configure_logs(settings)
    if settings.issuer_key is None:
        refuse("署名鍵が設定されていません / TSUNAGU_ISSUER_KEY_FILE is not set")
    app = issuer_app(
        issuer=settings.issuer,
        key=issuer_key(settings.issuer_key.get_secret_value()),
        registration=Registration.model_validate_json(settings.issuer_clients),
        audiences=[name.strip() for name in settings.issuer_audiences.split(",") if name.strip()],
    )
    Server(configure_server(app, host=host, port=port), []).run()


def issuer_key(pem: str) -> ECKey:
    """The issuer's signing key, with the thumbprint of its public half as key id (RFC 7638)."""
    key = ECKey.import_key(pem)
    key.ensure_kid()
    return key


@cli.command()
def verify(
    kind: Annotated[str, typer.Argument(help="何の証明か / what is proven, e.g. custody")],
    files: Annotated[
        list[Path],
        typer.Argument(help="書き出した証明。古い順 / the exported proofs, oldest first: JSON, as the API gives it"),
    ],
    service: ServiceName = "intake",
) -> None:
    """書き出した証明をそれだけで確かめる / check exported proofs by the file alone; ends with 1 if they do not hold."""
    check = importlib.import_module(f"services.{_name(Settings(), service)}.app").service.verifiers.get(kind)
    if check is None:
        refuse(f"この種類の証明はありません / {service} proves nothing of this kind")
    try:
        documents = [document for file in files for document in _proofs(json.loads(file.read_text(encoding="utf-8")))]
    except (OSError, ValueError):
        console.print("✗ 読めません / it can't be read")
        raise typer.Exit(1) from None
    findings = check(documents)
    for finding in findings[:50]:
        console.print(f"✗ {finding}", markup=False)
    if findings:
        raise typer.Exit(1)
    console.print(f"✓ {len(documents)} 件の証明に矛盾はありません / proofs hold")


def _proofs(plain: Any) -> list[Any]:
    """A page of the API, a list, or one proof alone."""
    found = plain["items"] if isinstance(plain, dict) and "items" in plain else plain
    return found if isinstance(found, list) else [found]


@parked_cli.command(name="list")
def list_parked(
    service: ServiceName = "",
    dropped: Annotated[bool, typer.Option(help="取り除いたものも / dropped ones too")] = False,
) -> None:
    """人の判断を待つもの。key ごとに古い順 / what waits for an operator, oldest first within each key."""

    async def work(database: Database, _: Service) -> None:
        async with database.transaction(BY_COMMAND) as session:
            rows = await parked_events(session, include_dropped=dropped)
        if not rows:
            console.print("保留はありません / nothing is parked")
            return
        table = Table("id", "key", "type", "reason", "error", "attempts", "parked at", "dropped")
        for row in rows:
            table.add_row(
                str(row.id), row.key, row.type or "?", row.reason, row.error or "", str(row.attempts),
                f"{row.parked_at:%Y-%m-%d %H:%M:%S}", row.dropped_reason or "",
            )  # fmt: skip
        console.print(table)

    _with_service(service, work)


@parked_cli.command(name="show")
def show_parked(parked_id: ParkedId, service: ServiceName = "") -> None:
    """一件の全部。番号とコードだけ / one parked event whole: codes and ids only, as every event."""

    async def work(database: Database, _: Service) -> None:
        async with database.transaction(BY_COMMAND) as session:
            found = [row for row in await parked_events(session, include_dropped=True) if row.id == parked_id]
        if not found:
            console.print("ありません / there is none")
            raise typer.Exit(1)
        row = found[0]
        console.print_json(
            json.dumps(
                {
                    "id": row.id, "event_id": row.event_id, "topic": row.topic, "partition": row.partition,
                    "offset": row.log_offset, "key": row.key, "reason": row.reason, "error": row.error,
                    "attempts": row.attempts, "parked_at": row.parked_at, "headers": row.headers,
                    "value": row.value.decode("utf-8", "backslashreplace"),
                },
                default=str,
                ensure_ascii=False,
            )
        )  # fmt: skip

    _with_service(service, work)


@parked_cli.command(name="retry")
def retry(
    key: Annotated[str, typer.Argument(help="どの key か。list に出る / which key, as list shows it")],
    service: ServiceName = "",
) -> None:
    """その key の保留を順番に効かせる / let everything parked under a key take effect, in order."""

    async def work(database: Database, declared: Service) -> None:
        retried = await retry_parked(database, declared.ears, key)
        console.print(f"{retried.done} 件を処理しました / events took effect")
        if retried.stopped_at is not None:
            console.print(f"id {retried.stopped_at} で止まりました / stopped at it: {retried.error}")
            raise typer.Exit(1)

    _with_service(service, work)


@parked_cli.command(name="drop")
def drop(
    parked_id: ParkedId,
    reason: Annotated[str, typer.Option(help="理由。イベントと一緒に残る / why; kept with the event")],
    by: Annotated[str, typer.Option(help="決めた人 / who decides")],
    service: ServiceName = "",
) -> None:
    """一件をあきらめる。行は証拠として残る / give one up for good; it stays in the table as evidence."""

    async def work(database: Database, _: Service) -> None:
        async with database.transaction(BY_COMMAND) as session:
            if not await drop_parked(session, parked_id, by=by, reason=reason):
                console.print("待っているものの中にありません / not among those waiting")
                raise typer.Exit(1)
        console.print("取り除きました / dropped")

    _with_service(service, work)


async def _migrate(settings: Settings, name: str) -> None:
    assert settings.admin_database_url is not None
    schemas = [name] if settings.transport == "kafka" else ["bus", name]
    for schema in schemas:
        await provision(
            settings.admin_database_url,
            schema=schema,
            password=settings.database_password,
            admin_password=settings.admin_database_password,
        )
        await migrate(settings.admin_database_url, schema=schema, admin_password=settings.admin_database_password)


def _with_service(name: str, work: Callable[[Database, Service], Awaitable[None]]) -> None:
    settings = Settings(log_level="error")
    configure_logs(settings)
    chosen = _name(settings, name)
    declared: Service = importlib.import_module(f"services.{chosen}.app").service

    async def go() -> None:
        database = connect(
            settings.database_url,
            schema=chosen,
            password=settings.database_password,
            pool=2,
            walled=declared.keeps_persons,
        )
        try:
            await work(database, declared)
        finally:
            await database.dispose()

    asyncio.run(go())


def _name(settings: Settings, given: str) -> str:
    name = given or settings.service
    if not name.isidentifier():
        refuse("サービス名が指定されていません / TSUNAGU_SERVICE is not set")
    if importlib.util.find_spec(f"services.{name}") is None:
        refuse(f"{name} というサービスはここにありません / there is no service {name} here")
    return name


if __name__ == "__main__":
    take(cli)
