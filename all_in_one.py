"""Every service in one process, on an embedded PostgreSQL: the default, and the only file that knows them all.

`python all_in_one.py` (or `make run`) starts everything and prints the addresses; Ctrl+C stops it and keeps the data.
"""

import asyncio
import contextlib
import fcntl
import hashlib
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NoReturn

import asyncpg
import typer
from fastapi import FastAPI
from fastapi.responses import RedirectResponse
from joserfc.errors import JoseError
from joserfc.jwk import ECKey
from pydantic import SecretStr
from rich.console import Console
from rich.markup import escape
from sqlalchemy import text
from sqlalchemy.engine import make_url

from embedded.postgres import EmbeddedPostgres, StartFailed, is_reachable
from shared.auth.issuer import Registration, issuer_app
from shared.auth.keys import KeyRing
from shared.bus.postgres import PostgresTransport
from shared.database import connect, is_migrated, migrate, provision
from shared.service.app import create_app
from shared.service.commands import take
from shared.service.declare import Service
from shared.service.failures import answer_failures
from shared.service.server import Server, configure_server
from shared.service.wall import StartRefused
from shared.settings import Settings
from shared.vault import MasterKeys, MasterKeysError, new_master_keys

SERVICES = ("intake", "assessment", "referral", "training", "dashboard")
ROOT = Path(__file__).resolve().parent
DATA = ROOT / ".tsunagu"
USUAL_PORT = 8080
console = Console(highlight=False)
cli = typer.Typer(add_completion=False, help="つなぐ Tsunagu: 全部を一つのプロセスで / everything in one process")

PortOption = Annotated[int, typer.Option(help="ポート番号 / port")]
DataOption = Annotated[Path, typer.Option(help="データの置き場所 / where the data lies")]
DemoOption = Annotated[bool, typer.Option(help="架空の地域を読み込む / load the invented region")]


@dataclass(frozen=True, slots=True)
class Home:
    """Where an installation keeps its things."""

    data: Path

    @property
    def postgres(self) -> EmbeddedPostgres:
        """Its database server; for root in a private folder, where PostgreSQL's own user can go."""
        folder = self.data / "pg18"
        if os.geteuid() == 0 and not is_reachable(self.data.parent):
            folder = Path("/var/lib/tsunagu") / hashlib.sha256(str(self.data).encode()).hexdigest()[:12] / "pg18"
        return EmbeddedPostgres(folder)

    @property
    def issuer_key(self) -> Path:
        """The issuer's signing key."""
        return self.data / "issuer" / "key.pem"

    @property
    def clients(self) -> Path:
        """The registered callers."""
        return self.data / "issuer" / "clients.json"

    def client_key(self, agency: str) -> Path:
        """A demonstration agency's own private key."""
        return self.data / "clients" / f"{agency}.pem"

    @property
    def master_keys(self) -> Path:
        """The keys that wrap the cases' own keys, made once; whoever loses them loses what is sealed."""
        return self.data / "keys" / "master"

    def checkpoints(self, name: str) -> Path:
        """Where the seals of a service's access log are written down, outside the database."""
        folder = self.data / "checkpoints"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return folder / f"{name}.jsonl"

    def erasures(self, name: str) -> Path:
        """Where it is written down, outside the database, whom a service must have forgotten."""
        folder = self.data / "erasures"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return folder / f"{name}.jsonl"

    def role_password(self) -> SecretStr:
        """The services' password at a database server of yours, made once; our own server needs none."""
        path = self.data / "database_password"
        if not path.exists():
            self.data.mkdir(parents=True, exist_ok=True, mode=0o755)
            path.touch(mode=0o600)
            path.write_text(secrets.token_urlsafe(32), encoding="ascii")
        return SecretStr(path.read_text(encoding="ascii"))


@cli.callback(invoke_without_command=True)
def default(context: typer.Context) -> None:
    """Without a command: run."""
    if context.invoked_subcommand is None:
        run()


@cli.command()
def run(port: PortOption = USUAL_PORT, data: DataOption = DATA, demo: DemoOption = True) -> None:
    """すべてを起動する / start everything."""
    began = time.perf_counter()
    home = Home(data.resolve())
    _refuse_port(port)
    try:
        with _only_one(home):
            asyncio.run(_run(home, port, demo=demo, began=began))
    except (StartFailed, StartRefused, MasterKeysError) as failed:
        _stop_with(str(failed))


@cli.command(name="token")
def token_command(
    agency: Annotated[str, typer.Option(help="機関ID / agency id, see demo/region/clients.json")],
    port: PortOption = USUAL_PORT,
    data: DataOption = DATA,
) -> None:
    """試すためのアクセストークンを表示する / print an access token of a demonstration agency."""
    from httpx2 import HTTPError

    from demo.client import fetch_token

    key = Home(data.resolve()).client_key(agency)
    if not key.exists():
        known = (
            ", ".join(sorted(path.stem for path in key.parent.glob("*.pem"))) or "(make run を先に / make run first)"
        )
        _stop_with(f"その機関はありません / no such agency: {agency}\n  {known}")
    base = f"http://127.0.0.1:{port}"
    try:
        print(asyncio.run(fetch_token(base, agency, key.read_text(encoding="ascii"))))
    except HTTPError:
        _stop_with(
            f"{base} からトークンをもらえません。先に make run を。別のポートなら make token AGENCY={agency} PORT=…\n"
            f"No token to be had from {base}. First make run; on another port: make token AGENCY={agency} PORT=..."
        )


@cli.command(name="migrate")
def migrate_command(data: DataOption = DATA) -> None:
    """表の定義を最新にする / bring every schema up to date."""

    async def work() -> None:
        async with _postgres(Home(data.resolve()), beside=True) as access:
            await _prepare_database(access)
            console.print("✓ すべてのスキーマが最新です / every schema is up to date")

    try:
        asyncio.run(work())
    except StartFailed as failed:
        _stop_with(str(failed))


@cli.command()
def contracts(
    write: Annotated[bool, typer.Option(help="書き換える / write them")] = False,
    release: Annotated[str, typer.Option(help="この版として固定する / freeze them as this release")] = "",
) -> None:
    """API・イベントの契約ファイルを確かめる / check the committed contracts against the code."""
    from shared.bus import contracts as files

    masters = MasterKeys(new_master_keys)  # nothing is sealed here: an app is only described
    apps = {name: create_app(_declared(name), Settings(service=name), masters=masters) for name in SERVICES}
    documents = {name: app.openapi() for name, app in apps.items()}
    listeners = {name: _declared(name).ears.types for name in SERVICES}
    if write:
        files.write(ROOT / "contracts", documents, listeners)
    if release:
        files.release(ROOT / "contracts", release)
    found = files.differences(ROOT / "contracts", documents, listeners)
    for line in found:
        console.print(f"✗ {line}")
    if found:
        _stop_with("契約ファイルが古くなっています: make contracts / the contract files are out of date")
    console.print("✓ contracts/")


def build(
    settings: Mapping[str, Settings],
    *,
    transport: PostgresTransport,
    issuer: FastAPI,
    keys: KeyRing,
    masters: MasterKeys,
) -> FastAPI:
    """One app that holds every service under its own prefix, as the gateway shows them."""
    parts = {
        name: create_app(_declared(name), settings[name], transport=transport, keys=keys, masters=masters)
        for name in SERVICES
    }

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await transport.start()
        try:
            async with contextlib.AsyncExitStack() as stack:
                for part in parts.values():
                    # A mounted app's lifespan is never run by its parent.
                    await stack.enter_async_context(part.router.lifespan_context(part))
                yield
        finally:
            await transport.stop()

    whole = FastAPI(lifespan=lifespan, openapi_url=None, docs_url=None, redoc_url=None)
    answer_failures(whole)
    whole.state.parts = parts

    @whole.get("/")
    async def home() -> RedirectResponse:
        return RedirectResponse("/dashboard/")

    for name, part in parts.items():
        whole.mount(f"/{name}", part)
    whole.mount("/issuer", issuer)
    return whole


async def _run(home: Home, port: int, *, demo: bool, began: float) -> None:
    console.print("[bold]つなぐ Tsunagu[/bold]")
    async with _postgres(home) as access:
        _done("データベース / database", began)
        await _prepare_database(access)
        _done("表の準備 / schemas", began)
        app = await _assemble(home, access, port, demo=demo)
        config = configure_server(app, host="127.0.0.1", port=port, graceful=2)
        server = Server(config, list(app.state.parts.values()))
        serving = asyncio.create_task(server.serve())
        welcoming = asyncio.create_task(_welcome(home, port, server, demo=demo, began=began))
        await asyncio.wait({serving, welcoming}, return_when=asyncio.FIRST_COMPLETED)
        if not serving.done():
            await welcoming
        welcoming.cancel()
        await serving
    console.print("止めました。データは残っています / stopped; the data is kept")


async def _welcome(home: Home, port: int, server: Server, *, demo: bool, began: float) -> None:
    base, elsewhere = f"http://127.0.0.1:{port}", "" if port == USUAL_PORT else f" PORT={port}"
    while not server.started:  # noqa: ASYNC110  # uvicorn offers a flag and no event
        await asyncio.sleep(0.02)
    _done("サービス / services", began)
    if demo:
        from demo.load import load_region

        await load_region(base, home.data / "clients", console)
        callers = f"トークン / a token to try the API     make token AGENCY=kagoshima-desk{elsewhere}"
        following = f"次は / next: make demo{elsewhere}   ・ "
    else:
        callers = f"呼び出し元の登録 / register callers    {home.clients} (docs/operations.md)"
        following = ""
    console.print(
        f"\n  はじめの画面 / start page             [bold]{base}/[/bold]"
        f"\n  APIとイベントの説明 / reference       {base}/dashboard/reference"
        f"\n  {escape(callers)}"
        f"\n\n  {following}止める / stop: Ctrl+C\n",
        soft_wrap=True,
    )


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach the database: as its admin, and as the roles of the services."""

    admin_url: str
    admin_password: SecretStr | None = None
    role_password: SecretStr | None = None

    def url_for(self, role: str) -> str:
        """The same database as a service's role; its password is given apart from the address."""
        return make_url(self.admin_url).set(username=role, password=None).render_as_string(hide_password=False)


@contextlib.asynccontextmanager
async def _postgres(home: Home, *, beside: bool = False) -> AsyncIterator[Access]:
    """The database `tsunagu` on our own server, or the one that the settings name.

    Whoever works `beside` a running platform leaves it its database. The platform itself always stops the server, also
    one that a killed platform left behind.
    """
    given = Settings()
    if given.admin_database_url is not None:
        yield Access(given.admin_database_url, given.admin_database_password, home.role_password())
        return
    server = home.postgres
    _make_folder(home)
    started = await _started(server)
    try:
        connection = await asyncpg.connect(user="postgres", database="postgres", host=str(server.socket_folder))
        if await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = 'tsunagu'") is None:
            await connection.execute("CREATE DATABASE tsunagu")
        await connection.close()
        yield Access(server.url(database="tsunagu"))
    finally:
        if started or not beside:
            await asyncio.to_thread(server.stop)


async def _started(server: EmbeddedPostgres) -> bool:
    """Start it; False if it ran already. If we are ended meanwhile, it is stopped as soon as it has started."""
    # Not a task, which the end of the loop would cancel while its thread goes on.
    starting = asyncio.get_running_loop().run_in_executor(None, server.start)
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        if await starting:
            await asyncio.to_thread(server.stop)
        raise


async def _prepare_database(access: Access) -> None:
    """Roles, schemas and migrations; where everything is up to date, nothing is touched."""
    for schema in ("bus", *SERVICES):
        if access.role_password is not None or not await _is_current(access, schema):
            await provision(
                access.admin_url,
                schema=schema,
                password=access.role_password,
                admin_password=access.admin_password,
            )
            await migrate(access.admin_url, schema=schema, admin_password=access.admin_password)


async def _is_current(access: Access, schema: str) -> bool:
    database = connect(access.admin_url, schema=schema, password=access.admin_password, pool=2)
    try:
        async with database.session() as session:
            return await is_migrated(session, schema)
    finally:
        await database.dispose()


async def _assemble(home: Home, access: Access, port: int, *, demo: bool) -> FastAPI:
    key = _issuer_key(home)
    issuer_url = f"http://127.0.0.1:{port}/issuer"
    registration = _registration(home, demo=demo)
    audiences = [f"tsunagu-{name}" for name in SERVICES]

    async def own_keys() -> Mapping[str, Any]:
        return {"keys": [{**key.as_dict(private=False), "kid": key.kid}]}

    bus_url = access.url_for("tsunagu_bus")
    given = Settings()
    public_url = given.public_url if "public_url" in given.model_fields_set else f"http://127.0.0.1:{port}"
    settings = {
        name: Settings(
            service=name,
            demo=demo,
            database_url=access.url_for(f"tsunagu_{name}"),
            database_password=access.role_password,
            bus_database_url=bus_url,
            issuer=issuer_url,
            issuer_profile="{}",
            checkpoints_path=home.checkpoints(name),
            erasures_path=home.erasures(name),
            public_url=public_url,
            log_level="warning",
            log_format="console",
        )
        for name in SERVICES
    }
    return build(
        settings,
        transport=PostgresTransport(bus_url, password=access.role_password),
        issuer=issuer_app(issuer=issuer_url, key=key, registration=registration, audiences=audiences),
        keys=KeyRing(own_keys),
        masters=await _master_keys(home, access),
    )


async def _master_keys(home: Home, access: Access) -> MasterKeys:
    """The ring from its file, which is read again when a key is added beside us."""
    path = home.master_keys
    with _legible(path):
        if not path.exists():
            if await _has_sealed(access):
                # New keys would open nothing of it, and what they seal would be lost when the old ones come back.
                raise StartFailed(
                    f"封をしたデータがあるのに、マスター鍵がありません: {path}\n  控えから戻してください。\n"
                    f"There is sealed data, but its master keys are missing: {path}\n  Put them back from their copy."
                )
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.touch(mode=0o600)
            path.write_text(new_master_keys(), encoding="ascii")
    return MasterKeys(lambda: path.read_text(encoding="ascii"))


async def _has_sealed(access: Access) -> bool:
    """Whether any service holds something that only the old keys open: every schema has the vault's tables."""
    database = connect(access.admin_url, schema="intake", password=access.admin_password, pool=2)
    found = " OR ".join(f"EXISTS (SELECT FROM {name}.data_key)" for name in SERVICES)
    try:
        async with database.session() as session:
            await session.execute(text("SET LOCAL tsunagu.door = 'start'"))  # where the wall binds this role, too
            return bool(await session.scalar(text(f"SELECT {found}")))
    finally:
        await database.dispose()


def _issuer_key(home: Home) -> ECKey:
    from shared.service.__main__ import issuer_key

    if not home.issuer_key.exists():
        home.issuer_key.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        home.issuer_key.touch(mode=0o600)
        home.issuer_key.write_bytes(ECKey.generate_key("P-256").as_pem(private=True))
    with _legible(home.issuer_key):
        return issuer_key(home.issuer_key.read_text(encoding="ascii"))


def _registration(home: Home, *, demo: bool) -> Registration:
    if demo:
        from demo.client import register_clients

        with _legible(home.data / "clients"):
            register_clients(home.clients, home.data / "clients")
    if not home.clients.exists():
        return Registration()
    with _legible(home.clients):
        return Registration.model_validate_json(home.clients.read_text(encoding="utf-8"))


def _declared(name: str) -> Service:
    import importlib

    service: Service = importlib.import_module(f"services.{name}.app").service
    return service


def _refuse_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port or -1))
        except OverflowError:
            _stop_with(
                "ポートは 1 から 65535 の番号です。例: make run PORT=8081\n"
                "A port is a number from 1 to 65535, e.g. make run PORT=8081"
            )
        except PermissionError:
            _stop_with(
                f"ポート {port} を開く権限がありません。1024 以上の番号を: make run PORT=8081\n"
                f"Port {port} may not be opened by you. Take one from 1024 on: make run PORT=8081"
            )
        except OSError:
            other = port + 1 if port < 65_535 else USUAL_PORT
            _stop_with(
                f"ポート {port} はすでに使われています。もう一つ動いていませんか。別の番号: make run PORT={other}\n"
                f"Port {port} is taken. Is another one running? Another number: make run PORT={other}"
            )


@contextlib.contextmanager
def _only_one(home: Home) -> Iterator[None]:
    """One platform for each data folder: a second would lose its database as soon as the first one stops."""
    _make_folder(home)
    with (home.data / "running").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StartFailed(
                f"このデータフォルダーでは、もう一つ動いています: {home.data}\n"
                f"Another one is running on this data folder: {home.data}"
            ) from None
        yield


def _make_folder(home: Home) -> None:
    with _legible(home.data):
        home.data.mkdir(parents=True, exist_ok=True, mode=0o755)


@contextlib.contextmanager
def _legible(path: Path) -> Iterator[None]:
    """A damaged or forbidden file of the data folder is named, instead of a trace through the code."""
    try:
        yield
    except (OSError, ValueError, JoseError) as error:
        raise StartFailed(
            f"データフォルダーが壊れているか、権限がありません: {path} ({type(error).__name__})\n"
            f"  バックアップから戻すか、捨ててよければ make clean-data\n"
            f"The data folder is damaged, or you may not use it: {path}\n"
            f"  Restore it from a backup, or, if nothing in it matters, make clean-data"
        ) from error


def _done(what: str, began: float) -> None:
    console.print(f"  ✓ {what} [dim]({time.perf_counter() - began:.1f} s)[/dim]")


def _stop_with(words: str) -> NoReturn:
    Console(stderr=True, highlight=False).print("[bold red]✗[/bold red]", escape(words), soft_wrap=True)
    sys.exit(1)


if __name__ == "__main__":
    # SIGINT, too: who is started in the background of a script finds it ignored, until the server has started.
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, signal.default_int_handler)
    take(cli)
