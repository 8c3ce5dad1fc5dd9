"""One transaction per request, committed before the answer leaves, with the Idempotency-Key's record inside it.

A dependency with `yield` can commit before the answer too (`scope="function"`), but it can't see the answer, and a kept
answer must lie in the effect's own transaction. So the route itself opens and commits; see docs/decisions/0004.
"""

import hashlib
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Depends, Header, Request, Response
from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import Text

from shared.auth import Actor, Caller
from shared.bus.mailbox import Origin
from shared.codes import is_my_number
from shared.database import Database, Hot
from shared.problems import (
    IN_PROGRESS,
    KEY_INVALID,
    KEY_MISSING,
    KEY_REUSED,
    UNAUTHENTICATED,
    UNAVAILABLE,
    Problem,
)
from shared.service.clock import Clock
from shared.service.lines import Lines
from shared.settings import Settings

KEY_HEADER = "Idempotency-Key"
_KEPT_HEADERS = ("content-type", "location", "etag")
_PATIENCE = 5.0
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_PARTS = re.compile(r"[^0-9A-Za-z]+")

_CLAIM = text(
    "INSERT INTO idempotency (caller, route, key, fingerprint, authority)"
    " VALUES (:caller, :route, :key, :fingerprint, :authority) ON CONFLICT DO NOTHING RETURNING clock_timestamp()"
).bindparams(bindparam("authority", type_=ARRAY(Text)))
_FIND = text(
    "SELECT fingerprint, authority, status, headers, body FROM idempotency"
    " WHERE caller = :caller AND route = :route AND key = :key"
)
_KEEP = Hot(
    "UPDATE idempotency SET status = :status, headers = :headers, body = :body"
    " WHERE caller = :caller AND route = :route AND key = :key"
)


class Replay(Exception):
    """The request was answered before: this is that answer."""

    def __init__(self, response: Response) -> None:
        super().__init__("replayed")
        self.response = response


class Desk:
    """What every request of an app needs; stands in `app.state.desk`."""

    def __init__(self, database: Database, clock: Clock, settings: Settings) -> None:
        self.database = database
        self.clock = clock
        self.settings = settings
        self.lines = Lines()


class Work:
    """One request's transaction: opened by the first statement, ended by the route."""

    def __init__(self, desk: Desk, request: Request) -> None:
        self.desk = desk
        self.session: AsyncSession = desk.database.session()
        self.session.info["origin"] = Origin(cause=request.scope.get("state", {}).get("request_id"))
        self.now: datetime | None = None
        self._claim: dict[str, str] | None = None
        self._leave: list[Callable[[], None]] = []

    async def wait_in_line(self, key: tuple[str, ...], *, width: int, busy: Problem) -> None:
        """Wait for a turn at something scarce, before any connection is taken."""
        try:
            self._leave.append(await self.desk.lines.enter(key, width=width, patience=_PATIENCE))
        except TimeoutError:
            raise busy from None

    async def claim(self, *, route: str, key: str, actor: Actor, fingerprint: bytes) -> None:
        """Take the key for this request, or raise `Replay` with the answer that was given to it before."""
        claim = {"caller": actor.subject, "route": route, "key": key}
        running = Problem(IN_PROGRESS, headers={"Retry-After": "1"})
        await self.wait_in_line(("key", *claim.values()), width=1, busy=running)
        try:
            values = {**claim, "fingerprint": fingerprint, "authority": list(actor.authority)}
            claimed_at = (await self.session.execute(_CLAIM, values)).scalar_one_or_none()
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) == "55P03":  # another process is still at it
                raise running from None
            raise
        if claimed_at is None:
            await self._replay(claim, actor, fingerprint)
        else:
            self._claim = claim
            self.now = claimed_at.astimezone(UTC) + self.desk.clock.offset

    async def _replay(self, claim: dict[str, str], actor: Actor, fingerprint: bytes) -> None:
        kept = (await self.session.execute(_FIND, claim)).one()
        if kept.fingerprint != fingerprint:
            raise Problem(KEY_REUSED)
        if not set(kept.authority) <= set(actor.authority):
            # The caller stands for less than when the answer was given: authorise anew, with a new key.
            raise Problem(UNAUTHENTICATED, headers={"WWW-Authenticate": "Bearer"})
        raise Replay(
            Response(
                content=kept.body,
                status_code=kept.status,
                headers={**kept.headers, "Idempotency-Replayed": "true"},
            )
        )

    async def finish(self, response: Response) -> None:
        """Keep the answer under its key, and commit."""
        if self._claim is not None:
            headers = {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers}
            kept = {"status": response.status_code, "headers": json.dumps(headers), "body": bytes(response.body)}
            await _KEEP.rows(self.session, {**self._claim, **kept})
        await self.desk.database.commit(self.session)

    async def close(self) -> None:
        """Roll back what was not committed, give the connection back, and let the next in line."""
        try:
            await self.session.close()
        finally:
            for leave in reversed(self._leave):
                leave()


def work_of(request: Request) -> Work:
    """The request's work; the route put it there."""
    work: Work = request.state.work
    return work


async def reading(request: Request) -> AsyncSession:
    """A session without a caller, for public routes that only read."""
    return work_of(request).session


async def transaction(
    request: Request,
    actor: Caller,
    idempotency_key: Annotated[
        str | None,
        Header(
            alias=KEY_HEADER,
            description="Made by the caller and kept before the first try: 22 to 128 characters, e.g. a UUID."
            " The same key and body get the same answer for 72 hours.",
        ),
    ] = None,
) -> AsyncSession:
    """The caller's transaction. A POST needs an Idempotency-Key; elsewhere If-Match does that work."""
    work = work_of(request)
    origin: Origin = work.session.info["origin"]
    work.session.info["origin"] = Origin(by=actor.agency, cause=origin.cause)
    if request.method == "POST":
        key = _checked(idempotency_key)
        route = f"{request.method} {request.scope['route'].path}"
        await work.claim(route=route, key=key, actor=actor, fingerprint=await _fingerprint(request))
    return work.session


async def current_time(request: Request) -> datetime:
    """The database's time for this request, taken once."""
    work = work_of(request)
    if work.now is None:
        work.now = await work.desk.clock.now(work.session)
    return work.now


Reading = Annotated[AsyncSession, Depends(reading)]
Transaction = Annotated[AsyncSession, Depends(transaction)]
Now = Annotated[datetime, Depends(current_time)]


def in_line(parameter: str) -> Any:
    """`dependencies=[requires(...), in_line("course_run_id")]`: at most a few at once per value of a path parameter."""

    async def wait(request: Request) -> None:
        work = work_of(request)
        await work.wait_in_line(
            ("line", parameter, request.path_params[parameter]),
            width=work.desk.settings.seat_line_width,
            busy=Problem(UNAVAILABLE, headers={"Retry-After": "1"}),
        )

    return Depends(wait)


def _checked(key: str | None) -> str:
    if key is None:
        raise Problem(KEY_MISSING)
    bare = key.strip().removeprefix('"').removesuffix('"')
    usable = 22 <= len(bare) <= 128 and bare.isascii() and bare.isprintable()
    # The key is kept for 72 hours; a UUID's digits are nobody's number.
    if not usable or (_UUID.fullmatch(bare) is None and any(map(is_my_number, _PARTS.split(bare)))):
        raise Problem(
            KEY_INVALID,
            detail="Use 22 to 128 printable ASCII characters without a My Number, such as a UUID.",
            detail_ja="UUIDなど、個人番号を含まない22〜128文字の英数記号を使ってください。",
        )
    return bare


async def _fingerprint(request: Request) -> bytes:
    """What makes two requests the same: method, path, query, If-Match, and the body in canonical form."""
    body = await request.body()
    if body and request.headers.get("content-type", "").partition(";")[0].strip().endswith("json"):
        body = json.dumps(await request.json(), sort_keys=True, separators=(",", ":")).encode()
    query: bytes = request.scope["query_string"]
    parts = (request.method, request.scope["path"], query.decode("latin-1"), request.headers.get("if-match", ""))
    return hashlib.sha256("\n".join(parts).encode() + b"\n" + body).digest()
