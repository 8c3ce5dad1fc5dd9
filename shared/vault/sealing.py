"""Sealing: AES-256-GCM (NIST SP 800-38D) with a random nonce, bound to the place the value stands in.

A sealed value that is copied to another column, row or case does not open there: whoever can write to the database
still can't make one person's illness appear in another person's file.
"""

import secrets
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
_NONCE_BYTES = 12
_FORM = b"\x01"
"""The first byte: which form follows. Another algorithm would be another byte, readable beside this one."""


class Unsealable(Exception):
    """The value was not sealed with this key for this place, or was changed since. Carries no value."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sealed value stands. `row` is everything that names the row."""

    table: str
    column: str
    row: str

    @property
    def bound(self) -> bytes:
        """The additional authenticated data; the separator can't stand in any part."""
        return f"{self.table}\x1f{self.column}\x1f{self.row}".encode()


class DataKey:
    """The key of one case, open in memory for as long as a request takes."""

    __slots__ = ("_cipher", "subject")

    def __init__(self, subject: str, key: bytes) -> None:
        self.subject = subject
        self._cipher = AESGCM(key)

    def seal(self, text: str, place: Place) -> bytes:
        """The text as bytes that only this key opens, and only in this place."""
        return self.seal_bytes(text.encode(), place)

    def seal_bytes(self, content: bytes, place: Place) -> bytes:
        """The same for what is no text, such as a file."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return _FORM + nonce + self._cipher.encrypt(nonce, content, self._bound(place))

    def open(self, sealed: bytes, place: Place) -> str:
        """The text again. Raises `Unsealable`."""
        try:
            return self.open_bytes(sealed, place).decode()
        except ValueError:
            raise Unsealable from None

    def open_bytes(self, sealed: bytes, place: Place) -> bytes:
        """What `seal_bytes` sealed. Raises `Unsealable`."""
        if sealed[:1] != _FORM:
            raise Unsealable
        nonce, rest = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        try:
            return self._cipher.decrypt(nonce, rest, self._bound(place))
        except (InvalidTag, ValueError):
            raise Unsealable from None

    def _bound(self, place: Place) -> bytes:
        return self.subject.encode() + b"\x1f" + place.bound

    def __repr__(self) -> str:
        return f"DataKey({self.subject})"
