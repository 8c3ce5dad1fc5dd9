"""Intake without encryption and without its access log: what the real one is measured against, and nothing else.

`python -m bench.unsealed run` is `python -m shared.service run` with a vault that seals nothing and logs nothing.
"""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from shared import vault
from shared.service.__main__ import cli
from shared.vault import DataKey, Place, Unlocked


class _Open(DataKey):
    """A key that leaves everything as it is."""

    def __init__(self) -> None:
        super().__init__("nobody", bytes(32))

    def seal(self, text: str, place: Place) -> bytes:
        """The text's bytes."""
        return text.encode()

    def open(self, sealed: bytes, place: Place) -> str:
        """The text."""
        return sealed.decode()


_KEY = _Open()


async def _make_key(*_: Any) -> DataKey:
    return _KEY


async def _unlock(_session: Any, subjects: Collection[UUID], _access: Any) -> Unlocked:
    return Unlocked(dict.fromkeys(subjects, _KEY))


def main() -> None:
    """The service's own command, on this vault."""
    vars(vault).update(make_key=_make_key, unlock=_unlock)
    cli()


if __name__ == "__main__":
    main()
