"""Idempotency-Keys: claimed first, the answer kept last, both in the transaction of the effect.

Every statement takes any number of requests, since those that are gathered share a transaction.
"""

# ruff: noqa: S608  (put together from this file's own words; every value is bound)

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import asyncpg
from fastapi import Header, Request, Response
from pydantic_core import to_json
from sqlalchemy.ext.asyncio import AsyncSession

from shared.auth import Actor
from shared.codes import holds_my_number
from shared.database import Hot
from shared.problems import IN_PROGRESS, KEY_INVALID, KEY_MISSING, KEY_REUSED, UNAUTHENTICATED, Problem
from shared.vault import MasterKeys, MasterKeysError

KEY_HEADER = "Idempotency-Key"
GivenKey = Annotated[
    str | None,
    Header(
        alias=KEY_HEADER,
        description="Made by the caller and kept before the first try: 22 to 128 characters, e.g. a UUID."
        " The same key and body get the same answer for 72 hours.",
    ),
]
_VERSION_BYTES = 4
_HASHED = re.compile("[0-9A-Za-z]*[A-Za-z][0-9A-Za-z]*")
_KEPT_HEADERS = ("content-type", "location", "etag")
# One array of JSON for any number of requests: an array for each column would cost the driver 5 µs each.
_GIVEN = "unnest(CAST(:given AS text[])) AS one, json_to_record(CAST(one AS json)) AS given"
_SAME = "i.caller = given.caller AND i.route = given.route AND i.key = given.key"

# Whoever is at a request holds its key's lock until the end. Nobody waits for it in the database: who waits has no
# connection then, and so holds up nobody else.
_CLAIM = Hot(
    "INSERT INTO idempotency (caller, route, key, fingerprint, authority)"
    f" SELECT given.* FROM {_GIVEN} (caller text, route text, key text, fingerprint bytea, authority text[])"
    " WHERE pg_try_advisory_xact_lock(hashtextextended(concat_ws(' ', given.caller, given.route, given.key), 7470008))"
    " ON CONFLICT DO NOTHING RETURNING caller, route, key, clock_timestamp() AS claimed_at"
)
_FIND = Hot(
    "SELECT fingerprint, authority, status, headers, body FROM idempotency"
    " WHERE caller = :caller AND route = :route AND key = :key"
)
_KEEP = Hot(
    "UPDATE idempotency i SET status = given.status, headers = given.headers, body = given.body"
    f" FROM {_GIVEN} (caller text, route text, key text, status int, headers jsonb, body bytea) WHERE {_SAME}"
)
_FORGET = Hot(f"DELETE FROM idempotency i USING {_GIVEN} (caller text, route text, key text) WHERE {_SAME}")


@dataclass(frozen=True, slots=True)
class Claim:
    """Whose key, for what, and what the caller stood for: a repeat must have the same fingerprint and no less."""

    caller: str
    route: str
    key: str
    fingerprint: bytes
    authority: tuple[str, ...]

    @property
    def place(self) -> tuple[str, str, str]:
        """What makes two claims one: the table's primary key."""
        return self.caller, self.route, self.key

    def row(self, **more: Any) -> dict[str, Any]:
        """The key's row, with more columns."""
        return {"caller": self.caller, "route": self.route, "key": self.key, **more}


async def claim_of(request: Request, actor: Actor, given_key: str | None) -> Claim:
    """The claim of a request. 400 without a usable key."""
    return Claim(
        caller=actor.subject,
        route=f"{request.method} {request.scope['route'].path}",
        key=_usable(given_key),
        fingerprint=await _fingerprint(request),
        authority=actor.authority,
    )


class InProgress(Problem):
    """Somebody is still at a request with this key."""

    def __init__(self) -> None:
        super().__init__(IN_PROGRESS, headers={"Retry-After": "1"})


async def claim_keys(session: AsyncSession, claims: Sequence[Claim]) -> tuple[set[Claim], datetime | None]:
    """Those that are new, and the database's time; the others were answered before, or are being answered elsewhere."""
    given = [_json(claim.row(fingerprint=_hex(_kept(claim, session)), authority=claim.authority)) for claim in claims]
    try:
        rows = await _CLAIM.rows(session, {"given": given})
    except asyncpg.LockNotAvailableError:  # a process of the release before this one has it, and no lock that we see
        raise InProgress from None
    new = {(row["caller"], row["route"], row["key"]) for row in rows}
    times = [row["claimed_at"].astimezone(UTC) for row in rows]
    return {claim for claim in claims if claim.place in new}, max(times, default=None)


async def replay(session: AsyncSession, claim: Claim) -> Response | Problem:
    """The answer that was given under this key before, or why it is not given again; `InProgress`, if there is none."""
    found = await _FIND.rows(session, claim.row())
    if not found:
        return InProgress()
    (kept,) = found
    if kept["fingerprint"] != _kept(claim, session, like=kept["fingerprint"]):
        return Problem(KEY_REUSED)
    if not set(kept["authority"]) <= set(claim.authority):
        # The caller stands for less than when the answer was given: authorise anew, with a new key.
        return Problem(UNAUTHENTICATED, headers={"WWW-Authenticate": "Bearer"})
    return Response(kept["body"], kept["status"], headers={**kept["headers"], "Idempotency-Replayed": "true"})


async def keep_answers(session: AsyncSession, answers: Sequence[tuple[Claim, Response]]) -> None:
    """Each answer under its own key."""
    given = [
        _json(claim.row(status=answer.status_code, headers=_kept_headers(answer), body=_hex(answer.body)))
        for claim, answer in answers
    ]
    await _KEEP.rows(session, {"given": given})


async def forget_keys(session: AsyncSession, claims: Iterable[Claim]) -> None:
    """Give claimed keys back: their requests could not be met, and leave no trace."""
    await _FORGET.rows(session, {"given": [_json(claim.row()) for claim in claims]})


def _kept(claim: Claim, session: AsyncSession, *, like: bytes | None = None) -> bytes:
    """A request's fingerprint as it is kept, by the same key as `like`.

    Keyed where the service keeps persons: who holds the table could else try every telephone number on a bare digest.
    """
    masters: MasterKeys | None = session.info.get("masters")
    # What a release before this one has kept is a bare digest; after 72 hours there is none.
    if masters is None or (like is not None and len(like) == len(claim.fingerprint)):
        return claim.fingerprint
    version = masters.newest_index if like is None else int.from_bytes(like[:_VERSION_BYTES])
    try:
        mark = masters.blind("request", claim.fingerprint.hex(), version=version)
    except MasterKeysError:
        return b""  # that key was taken away; nobody knows any more what the request was
    return version.to_bytes(_VERSION_BYTES) + mark


def _kept_headers(answer: Response) -> dict[str, str]:
    return {name: answer.headers[name] for name in _KEPT_HEADERS if name in answer.headers}


def _json(row: dict[str, Any]) -> str:
    return to_json(row).decode()


def _hex(value: bytes | memoryview) -> str:
    """Bytes as PostgreSQL writes them."""
    return "\\x" + value.hex()


def _usable(key: str | None) -> str:
    if key is None:
        raise Problem(KEY_MISSING)
    bare = key.strip().removeprefix('"').removesuffix('"')
    usable = 22 <= len(bare) <= 128 and bare.isascii() and bare.isprintable()
    # The key is kept for 72 hours. Digits of a UUID, or with letters in one piece as in a hash, are nobody's number.
    if not usable or (holds_my_number(bare) and holds_my_number(_HASHED.sub("#", bare))):
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
