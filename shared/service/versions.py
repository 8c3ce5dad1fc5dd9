"""ETag and If-Match: a row that two people may change has a version, and who is late is told."""

from typing import Annotated

from fastapi import Depends, Header

from shared.problems import IF_MATCH_MISSING, STALE, Problem


def etag(version: int) -> str:
    """The strong ETag of a version."""
    return f'"{version}"'


async def if_match(
    if_match: Annotated[str | None, Header(description="The ETag that was read.")] = None,
) -> int:
    """The version that the caller read. 428 without one; `*`, any version at all, says nothing of what was read."""
    if if_match is None or if_match.strip() == "*":
        raise Problem(IF_MATCH_MISSING)
    digits = if_match.strip().removeprefix('"').removesuffix('"')
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 9):
        raise Problem(STALE)
    return int(digits)


IfMatch = Annotated[int, Depends(if_match)]


def expect(version: int, read: int) -> None:
    """412 unless the row still has the version that the caller read. Call it with the row locked."""
    if version != read:
        raise Problem(STALE)
