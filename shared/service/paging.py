"""Lists by keyset: `limit` and an opaque `cursor`, so that rows added meanwhile are neither skipped nor repeated."""

import base64
import hashlib
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Depends, Query, Request
from pydantic import BaseModel

from shared.problems import INVALID, Problem

Row = TypeVar("Row")
Item = TypeVar("Item")
Place = TypeVar("Place")


class Page(BaseModel, Generic[Item]):
    """One page of a list."""

    items: list[Item]
    next_cursor: str | None

    @classmethod
    def model_parametrized_name(cls, params: tuple[Any, ...]) -> str:
        """`CaseAnswerPage`, as in the interface's description."""
        return f"{params[0].__name__}Page"


@dataclass(frozen=True, slots=True)
class Paging:
    """How many, and after which key (the last row's sort values as texts); `filters` binds a cursor to its list."""

    limit: int
    after: tuple[str, ...] | None
    filters: str

    @property
    def one_more(self) -> int:
        """How many rows to read: one too many says that there is a next page."""
        return self.limit + 1

    def begin(self, read: Callable[..., Place]) -> Place | None:
        """Where this page begins, read from the key's texts: `pages.begin(UUID)`. None on the first page.

        The seal of a cursor is no secret, so its texts may be forged: 422 if they don't read.
        """
        if self.after is None:
            return None
        try:
            return read(*self.after)
        except (ValueError, TypeError, OverflowError):
            raise _lost() from None


def number(text: str, *, bits: int = 32) -> int:
    """A number of a key that fits its column, or the database would refuse the whole request."""
    found = int(text)
    if not 0 <= found < 1 << bits - 1:
        raise ValueError("out of range")
    return found


def moment(text: str) -> datetime:
    """A moment of a key, in UTC."""
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError("a moment without its offset")
    return found.astimezone(UTC)


def paging(most: int, *, usual: int = 50) -> Callable[..., Awaitable[Paging]]:
    """Reads the two parameters, for a list of which a page holds `most` at the most. 422 for another list's cursor."""

    async def read(
        request: Request,
        limit: Annotated[int, Query(ge=1, le=most, description="At most this many.")] = usual,
        cursor: Annotated[
            str | None, Query(max_length=512, description="`next_cursor` of the page before, with the same filters.")
        ] = None,
    ) -> Paging:
        others = sorted(
            (name, value) for name, value in request.query_params.multi_items() if name not in {"cursor", "limit"}
        )
        filters = hashlib.sha256(f"{request.url.path}{others}".encode()).hexdigest()[:12]
        return Paging(limit, None if cursor is None else _opened(cursor, filters), filters)

    return read


Pages = Annotated[Paging, Depends(paging(100))]
LongPages = Annotated[Paging, Depends(paging(500))]
"""For a list that people read whole, such as the records of one case."""


def page(
    rows: Sequence[Row], paging: Paging, *, key: Callable[[Row], tuple[Any, ...]], show: Callable[[Row], Item]
) -> Page[Item]:
    """Cut a list that was read with `one_more`, and say where the next page begins."""
    if len(rows) <= paging.limit:
        return Page(items=[show(row) for row in rows], next_cursor=None)
    shown = rows[: paging.limit]
    after = [str(value) for value in key(shown[-1])]
    token = json.dumps([_seal(paging.filters, after), *after]).encode()
    return Page(items=[show(row) for row in shown], next_cursor=base64.urlsafe_b64encode(token).decode().rstrip("="))


def _seal(filters: str, after: Sequence[str]) -> str:
    """Notices damage and mix-ups. No secret: a forged cursor only leads its maker about in a list he may read."""
    return hashlib.sha256(json.dumps([filters, *after]).encode()).hexdigest()[:12]


def _opened(cursor: str, filters: str) -> tuple[str, ...]:
    try:
        sealed, *after = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        # A forged text must not hold what a text column refuses; every key of ours is printable.
        texts = all(isinstance(value, str) and value.isprintable() for value in after)
        if not after or not texts or sealed != _seal(filters, after):
            raise ValueError("another list's cursor, or a damaged one")
    except (ValueError, TypeError, RecursionError):
        raise _lost() from None
    return tuple(after)


def _lost() -> Problem:
    return Problem(
        INVALID,
        detail="The cursor belongs to another list, or is damaged. Start without one.",
        detail_ja="続きの位置が正しくありません。cursor なしで最初から読み直してください。",
    )
