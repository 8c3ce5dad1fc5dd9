"""PostgreSQL: the engine of one service's role and schema, the one transaction, and provisioning.

One schema and one login role per service. The tables belong to a second role that can't log in, so that a service
can't change its own schema, and a ledger's rows can be made immutable by simply not granting UPDATE.
"""

import asyncio
import functools
import re
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self, cast

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from pydantic import SecretStr
from sqlalchemy import BindParameter, Connection, Select, bindparam, event, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    AsyncSessionTransaction,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import Session, SessionTransaction
from sqlalchemy.util import await_only

_ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Acting:
    """On whose behalf a transaction is, as row-level security is told: an agency, one of our own doors, or nobody."""

    agency: str = ""
    municipalities: Collection[str] = ()
    """As in the caller's token: municipality codes, or `prefecture:NN` for all towns of one."""
    door: str = ""

    @property
    def settings(self) -> str:
        """What the database is told; it forgets it with the transaction's end."""
        said = {"agency": self.agency, "municipalities": ",".join(sorted(self.municipalities)), "door": self.door}
        return "".join(f" SET LOCAL tsunagu.{name} = {_literal(value)};" for name, value in said.items() if value)


NOBODY = Acting()
BY_EVENT = Acting(door="event")
BY_SWEEP = Acting(door="sweep")
BY_COMMAND = Acting(door="command")


class Database:
    """One service's engine and its transactions; `after_emit` is called when a transaction with events committed."""

    def __init__(self, engine: AsyncEngine, *, walled: bool = False) -> None:
        self.engine = engine
        self.after_emit: Callable[[], None] = _nobody_listens
        self.carries: dict[str, Any] = {}
        """What every session has at hand in its `info`, the vault's master keys for one."""
        self._sessions = async_sessionmaker(
            engine, expire_on_commit=False, sync_session_class=_WalledSession if walled else Session
        )

    def session(self, acting: Acting = NOBODY) -> AsyncSession:
        """A session that takes a connection with its first statement; the caller ends it."""
        return self._sessions(info={**self.carries, "acting": acting})

    async def commit(self, session: AsyncSession) -> None:
        """Commit; then, if the transaction told anything, wake the relay."""
        session.info.pop("driver", None)
        await session.commit()
        if session.info.pop("emitted", False):
            self.after_emit()

    async def roll_back(self, session: AsyncSession) -> None:
        """Undo, and give the connection back; the session's next statement begins anew."""
        session.info.pop("driver", None)
        session.info.pop("emitted", None)
        await session.rollback()

    @asynccontextmanager
    async def transaction(self, acting: Acting = NOBODY) -> AsyncIterator[AsyncSession]:
        """Commit on the way out, roll back on any exception. The edges use it; handlers never do."""
        async with self.session(acting) as session:
            yield session
            await self.commit(session)

    async def dispose(self) -> None:
        """Close every connection."""
        await self.engine.dispose()


class _WalledSession(Session):
    """Tells each transaction's connection on whose behalf it is, before it begins."""


@event.listens_for(_WalledSession, "after_begin")
def _tell(session: Session, transaction: SessionTransaction, connection: Connection) -> None:
    if not transaction.nested:
        connection.connection.driver_connection.acting = session.info["acting"]  # type: ignore[union-attr]


class _WalledConnection(asyncpg.Connection):  # type: ignore[misc] # the driver has no types
    """Says who acts in one message with BEGIN, so that the wall costs no round trip."""

    acting = NOBODY

    async def execute(self, query: str, *args: Any, timeout: float | None = None) -> str:
        """A beginning says it; everything else stays as it is."""
        if query.startswith("BEGIN"):
            query += self.acting.settings
        return cast(str, await super().execute(query, *args, timeout=timeout))


def connect(
    url: str, *, schema: str, password: SecretStr | None = None, pool: int = 10, walled: bool = False
) -> Database:
    """The service's database. Time limits are the server's, so that a lost client can't hold a lock for long.

    `walled`: its rows are there for those whose business they are, and every transaction says who acts.
    """
    settings = {
        "search_path": schema,
        "application_name": f"tsunagu-{schema}",
        "timezone": "UTC",
        "jit": "off",
        "statement_timeout": "15s",
        "lock_timeout": "5s",
        "standard_conforming_strings": "on",
        "idle_in_transaction_session_timeout": "60s",
    }
    engine = create_async_engine(
        _with_password(url, password),
        pool_size=pool,
        max_overflow=0,
        pool_timeout=10,
        # The connection that was used last has its statements prepared and its caches warm.
        pool_use_lifo=True,
        # SQLAlchemy's error texts carry the bound values otherwise.
        hide_parameters=True,
        connect_args={
            "server_settings": settings,
            "timeout": 5,
            "command_timeout": 20,
            "connection_class": _WalledConnection if walled else asyncpg.Connection,
        },
    )
    event.listen(engine.sync_engine, "checkout", _refuse_open)
    if walled:
        event.listen(engine.sync_engine, "checkout", _forget)
    return Database(engine, walled=walled)


def _refuse_open(connection: Any, *_: Any) -> None:
    """Whoever was cancelled while it began left a transaction that SQLAlchemy knows nothing of, and won't commit.

    The next one would work in it, be told that all is well, and lose everything. The pool makes a new connection.
    """
    if connection.driver_connection.is_in_transaction():
        raise DisconnectionError("a transaction was left open")


def _forget(connection: Any, *_: Any) -> None:
    """Whoever had the connection before may have told it, and then begun nothing."""
    connection.driver_connection.acting = NOBODY


def _literal(value: str) -> str:
    """Agencies and codes are checked where they come in; this is what `SET` needs none the less."""
    return "'" + value.replace("'", "''") + "'"


_NAME = re.compile(r"(?<!:):(\w+)")


class Hot:
    """A statement of a hot path, given to the driver itself: 60 µs of this process instead of 124 (measured).

    Parameters are `:name`, each of one type. It runs in the session's transaction like every other statement.
    """

    def __init__(self, sql: str, bound: Mapping[str, Any] | None = None) -> None:
        self._names = list(dict.fromkeys(_NAME.findall(sql)))
        self._sql = _NAME.sub(lambda found: f"${self._names.index(found[1]) + 1}", sql)
        self._bound = dict(bound or {})

    @classmethod
    def of(cls, query: Select[Any]) -> Self:
        """What SQLAlchemy puts together, once: its bound values stay, those of `later` are given when it runs."""
        named = postgresql.dialect(paramstyle="named")  # type: ignore[no-untyped-call]
        compiled = query.compile(dialect=named, compile_kwargs={"render_postcompile": True})
        return cls(str(compiled), {name: value for name, value in compiled.params.items() if value is not None})

    async def rows(self, session: AsyncSession, values: Mapping[str, Any]) -> list[asyncpg.Record]:
        """Run it; what it returns."""
        driver = await begin(session)
        given = {**self._bound, **values} if self._bound else values
        try:
            found: list[asyncpg.Record] = await driver.fetch(self._sql, *(given[name] for name in self._names))
        except (asyncpg.InternalClientError, asyncpg.InterfaceError, asyncpg.PostgresError, OSError) as error:
            if driver.is_closed() or isinstance(error, asyncpg.InternalClientError):
                # SQLAlchemy has not seen it happen, and would roll back on a connection that is gone.
                await session.invalidate()
            raise
        return found


def later(name: str) -> BindParameter[Any]:
    """A value of `Hot.of` that is given when it runs."""
    return bindparam(name, required=False)


_STEP = Hot(
    "SELECT set_config('tsunagu.door', CAST(:door AS text), true),"
    " set_config('plan_cache_mode', CAST(:planning AS text), true)"
)


async def begin(session: AsyncSession) -> asyncpg.Connection:
    """Take a connection and begin the transaction, as the first statement does; the driver's own connection."""
    driver = session.info.get("driver")
    if driver is None:
        try:
            driver = session.info["driver"] = await session.run_sync(_begin)
        except asyncio.CancelledError:
            # BEGIN is on its way, and neither SQLAlchemy nor the driver would know how it ended: whoever had this
            # connection next would work in a transaction that nobody commits.
            await session.invalidate()
            raise
    return driver


def _begin(session: Session) -> asyncpg.Connection:
    """All of it in one switch to the greenlet in which SQLAlchemy works; each would cost 20 µs."""
    fairy = session.connection().connection
    driver: asyncpg.Connection = fairy.driver_connection
    if not driver.is_in_transaction():
        # SQLAlchemy begins with its own first statement; without it, what the driver is given would commit by itself.
        # A statement that says nothing would do as well, for 100 µs more.
        await_only(fairy.dbapi_connection._start_transaction())  # type: ignore[union-attr] # noqa: SLF001 - no public way
    return driver


@asynccontextmanager
async def beyond_the_wall(session: AsyncSession, door: str, *, planned_once: bool = False) -> AsyncIterator[None]:
    """Look where the caller has no business, for a door of ours that tells no more than it may: counts, candidates.

    `planned_once`: for a statement that would take longer to plan anew each time than to run. A failure ends the
    transaction, and so the looking.
    """
    await _STEP.rows(session, {"door": door, "planning": "force_generic_plan" if planned_once else "auto"})
    yield
    await _STEP.rows(session, {"door": "", "planning": "auto"})


@asynccontextmanager
async def savepoint(session: AsyncSession) -> AsyncIterator[AsyncSessionTransaction]:
    """What is done inside can be undone alone. SQLAlchemy would set it with its own next statement, after hot ones."""
    async with session.begin_nested() as nested:
        await session.connection()
        yield nested


_TIME = Hot("SELECT clock_timestamp() AS now")


async def database_time(session: AsyncSession) -> datetime:
    """The database's clock: the only one that decides about deadlines."""
    (row,) = await _TIME.rows(session, {})
    return cast(datetime, row["now"]).astimezone(UTC)


_PASSING = {"40001", "40P01", "55P03", "25P03", "25006"}
"""Serialisation failure, deadlock, lock not to be had in time, idle too long, read-only (a switch-over)."""
_AWAY = ("08", "28", "3D", "53", "57P")
"""Classes of states: connection, login or database refused (while it is set up), out of resources, shutting down."""


def is_outage(error: BaseException) -> bool:
    """The database is away or busy: the same may go well in a moment, and nobody's request or event is to blame."""
    if isinstance(error, asyncpg.InterfaceError | asyncpg.InternalClientError):
        return not isinstance(error, ValueError)
    if isinstance(error, asyncpg.PostgresError):
        return error.sqlstate in _PASSING or error.sqlstate.startswith(_AWAY)
    if not isinstance(error, DBAPIError):
        return isinstance(error, OSError | TimeoutError | PoolTimeout)
    state = getattr(error.orig, "sqlstate", None)
    if state is None:  # the driver itself: a lost connection (in several words), or a value that it can't write
        return not isinstance(getattr(error.orig, "__cause__", None), ValueError)
    return error.connection_invalidated or state in _PASSING or state.startswith(_AWAY)


async def provision(
    admin_url: str, *, schema: str, password: SecretStr | None, admin_password: SecretStr | None
) -> None:
    """Create the schema with its owner and login role, or bring them up to date. Needs an admin's connection."""
    engine = create_async_engine(
        _with_password(admin_url, admin_password), isolation_level="AUTOCOMMIT", hide_parameters=True
    )
    try:
        async with engine.connect() as connection:
            await connection.execute(text("SELECT pg_advisory_lock(7470001)"))
            await connection.execute(text(_PROVISION.replace("{schema}", schema)))
            if password is not None:
                # ALTER ROLE takes no bound parameter, and the text of a failed statement is printed: the server puts
                # the password in.
                await connection.execute(
                    text("SELECT set_config('tsunagu.password', :password, false)"),
                    {"password": password.get_secret_value()},
                )
                await connection.execute(text(_LET_IN.replace("{schema}", schema)))
    finally:
        await engine.dispose()


_PROVISION = """
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tsunagu_{schema}_owner') THEN
        CREATE ROLE tsunagu_{schema}_owner NOLOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tsunagu_{schema}') THEN
        CREATE ROLE tsunagu_{schema} LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE;
    END IF;
    EXECUTE format('GRANT tsunagu_{schema}_owner TO %I', current_user);
    CREATE SCHEMA IF NOT EXISTS {schema} AUTHORIZATION tsunagu_{schema}_owner;
    REVOKE ALL ON SCHEMA {schema} FROM PUBLIC;
    GRANT USAGE ON SCHEMA {schema} TO tsunagu_{schema};
    ALTER DEFAULT PRIVILEGES FOR ROLE tsunagu_{schema}_owner IN SCHEMA {schema}
        GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO tsunagu_{schema};
    ALTER DEFAULT PRIVILEGES FOR ROLE tsunagu_{schema}_owner IN SCHEMA {schema}
        GRANT USAGE, SELECT ON SEQUENCES TO tsunagu_{schema};
END $$;
"""
_LET_IN = """
DO $$
BEGIN
    EXECUTE format('ALTER ROLE tsunagu_{schema} PASSWORD %L', current_setting('tsunagu.password'));
END $$;
"""
LOCK_PATIENCE = "4s"
"""How long a migration waits for a table that a running service uses, and keeps others waiting behind it."""


async def migrate(
    admin_url: str, *, schema: str, admin_password: SecretStr | None = None, revision: str = "heads"
) -> None:
    """Bring the schema to `revision` (Alembic), as its owner role. Two migrations at once wait for one another."""
    engine = create_async_engine(_with_password(admin_url, admin_password), hide_parameters=True)
    try:
        async with engine.begin() as connection:
            # First without a limit: five services' containers start at once, and on a slow machine one takes seconds.
            await connection.execute(text("SELECT pg_advisory_xact_lock(7470002)"))
            await connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_PATIENCE}'"))
            await connection.execute(text(f"SET LOCAL ROLE tsunagu_{schema}_owner"))
            await connection.execute(text(f"SET LOCAL search_path = {schema}"))
            # Row-level security binds the owner too: a migration that said nothing would change no row.
            await connection.execute(text("SET LOCAL tsunagu.door = 'migration'"))
            await connection.run_sync(_run_alembic, schema, revision)
    finally:
        await engine.dispose()


async def is_migrated(session: AsyncSession, schema: str) -> bool:
    """Whether the schema stands at the heads that this code knows, or beyond them.

    Beyond is well: we expand first and contract later, so that code goes on beside the schema of its next release.
    """
    connection = await session.connection()
    current = await connection.run_sync(lambda sync: set(MigrationContext.configure(sync).get_current_heads()))
    heads, known = _revisions(schema)
    return len(current - known) == len(heads - current)


@functools.cache
def _revisions(schema: str) -> tuple[frozenset[str], frozenset[str]]:
    """The heads and every revision that this code has; read once, since health is asked every few seconds."""
    scripts = ScriptDirectory.from_config(alembic_config(schema))
    return frozenset(scripts.get_heads()), frozenset(script.revision for script in scripts.walk_revisions())


def alembic_config(schema: str) -> Config:
    """Two branches in one schema: the frame's tables (shared/migrations) and the service's own."""
    own = _ROOT / "services" / schema / "migrations"
    if schema == "bus":
        own = _ROOT / "shared" / "bus" / "migrations"
    frame = _ROOT / "shared" / "migrations"
    config = Config()
    config.set_main_option("script_location", str(frame))
    config.set_main_option("path_separator", "newline")
    versions = [own] if schema == "bus" else [frame / "versions", own]
    config.set_main_option("version_locations", "\n".join(str(path) for path in versions))
    return config


def _run_alembic(connection: Connection, schema: str, revision: str) -> None:
    config = alembic_config(schema)
    config.attributes["connection"] = connection
    # A service's migrations may stand on the frame's tables (Alembic's own `depends_on` would hide the frame's head).
    if revision == "heads" and schema != "bus":
        command.upgrade(config, "frame@head")
    if revision == "base":
        command.downgrade(config, f"{schema}@base")
    if revision.rpartition("@")[2].startswith("-") or revision == "base":
        command.downgrade(config, revision)
    else:
        command.upgrade(config, revision)


def _with_password(url: str, password: SecretStr | None) -> Any:
    parsed = make_url(url)
    return parsed if password is None else parsed.set(password=password.get_secret_value())


def _nobody_listens() -> None:
    """Until a relay is started, committed events simply wait in the outbox."""
