"""Lists by keyset: `limit` and an opaque `cursor`, so that rows added meanwhile are neither skipped nor repeated."""

import base64
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Query, Request

from shared.problems import INVALID, Problem

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Paging:
    """How many, and after which key (the last row's sort values as texts); `filters` binds a cursor to its list."""

    limit: int
    after: tuple[str, ...] | None
    filters: str


async def paging(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=100, description="At most this many.")] = 50,
    cursor: Annotated[
        str | None, Query(max_length=512, description="`next_cursor` of the page before, with the same filters.")
    ] = None,
) -> Paging:
    """Read the two parameters. 422 for a cursor that isn't of this list."""
    others = sorted(
        (name, value) for name, value in request.query_params.multi_items() if name not in {"cursor", "limit"}
    )
    filters = hashlib.sha256(f"{request.url.path}{others}".encode()).hexdigest()[:12]
    return Paging(limit, None if cursor is None else _opened(cursor, filters), filters)


Pages = Annotated[Paging, Depends(paging)]


def page(rows: Sequence[T], paging: Paging, key: Callable[[T], tuple[Any, ...]]) -> tuple[Sequence[T], str | None]:
    """Cut a list that was read with one row too many, and say where the next page begins."""
    if len(rows) <= paging.limit:
        return rows, None
    shown = rows[: paging.limit]
    after = [str(value) for value in key(shown[-1])]
    token = json.dumps([_seal(paging.filters, after), *after]).encode()
    return shown, base64.urlsafe_b64encode(token).decode().rstrip("=")


def _seal(filters: str, after: Sequence[str]) -> str:
    """Notices damage and mix-ups. No secret: a forged cursor only leads its maker about in a list he may read."""
    return hashlib.sha256(json.dumps([filters, *after]).encode()).hexdigest()[:12]


def _opened(cursor: str, filters: str) -> tuple[str, ...]:
    try:
        sealed, *after = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if not after or not all(isinstance(value, str) for value in after) or sealed != _seal(filters, after):
            raise ValueError("another list's cursor, or a damaged one")
    except (ValueError, TypeError, RecursionError):
        raise Problem(
            INVALID,
            detail="The cursor belongs to another list, or is damaged. Start without one.",
            detail_ja="続きの位置が正しくありません。cursor なしで最初から読み直してください。",
        ) from None
    return tuple(after)
