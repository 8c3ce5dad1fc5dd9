"""Master keys (KEK): they wrap the keys of the cases, and nothing else. They never lie in the database.

They are lines of text, from a file or from a command that prints them (a key server's client, for instance):

    master 1 <32 bytes in base64>
    master 2 <32 bytes in base64>
    index 1 <32 bytes in base64>

The highest `master` wraps; every one unwraps. To rotate: add a line, let every process see it (they look again when
they meet a version that they don't know), run `keys rewrap`, and take the old line away once `keys status` counts none.
`index` keys the blind indexes, by which equal values are found without being read; it is rotated in the same way, with
`keys reindex`.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
import shlex
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shared.settings import SettingRefused, Settings
from shared.vault.sealing import KEY_BYTES, DataKey, Unsealable

_NONCE_BYTES = 12
_PATIENCE = 20


class MasterKeysError(SettingRefused):
    """The keys can't be read; the text says why, in Japanese and English, and never what was read."""


@dataclass(frozen=True, slots=True, repr=False)
class _Ring:
    masters: Mapping[int, bytes]
    indexes: Mapping[int, bytes]


class MasterKeys:
    """The ring of master keys. Asked for a version it doesn't know, it looks once more at where they come from."""

    def __init__(self, read: Callable[[], str]) -> None:
        self._read = read
        self._ring = _parsed(read())

    @property
    def newest(self) -> int:
        """The version that wraps new keys."""
        return max(self._ring.masters)

    @property
    def versions(self) -> list[int]:
        """Every version at hand."""
        return sorted(self._ring.masters)

    def wrap(self, subject: str, key: bytes) -> tuple[int, bytes]:
        """A case's key as it is stored, and the version of the master key that wraps it."""
        version, nonce = self.newest, secrets.token_bytes(_NONCE_BYTES)
        return version, nonce + self._cipher(version).encrypt(nonce, key, _bound(subject, version))

    def unwrap(self, subject: str, version: int, wrapped: bytes) -> bytes:
        """A case's key. Raises `Unsealable` if it was wrapped for another, `MasterKeysError` if ours is missing."""
        nonce, rest = wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:]
        try:
            return self._cipher(version).decrypt(nonce, rest, _bound(subject, version))
        except InvalidTag:
            raise Unsealable from None

    def new_key(self, subject: str) -> tuple[DataKey, int, bytes]:
        """A new key for a case: open, and as it is stored."""
        key = secrets.token_bytes(KEY_BYTES)
        version, wrapped = self.wrap(subject, key)
        return DataKey(subject, key), version, wrapped

    @property
    def newest_index(self) -> int:
        """The version that makes new fingerprints."""
        return max(self._ring.indexes)

    def blind(self, kind: str, value: str, *, version: int | None = None) -> bytes:
        """A keyed fingerprint: equal for equal values of a kind, and of no use without the key (HMAC-SHA-256).

        By the newest index key, or by the one that older fingerprints were made with.
        """
        key = self._key(lambda ring: ring.indexes, self.newest_index if version is None else version)
        return hmac.new(key, f"{kind}\x1f{value}".encode(), hashlib.sha256).digest()[:16]

    def _cipher(self, version: int) -> AESGCM:
        return AESGCM(self._key(lambda ring: ring.masters, version))

    def _key(self, of: Callable[[_Ring], Mapping[int, bytes]], version: int) -> bytes:
        if version not in of(self._ring):
            self._ring = _parsed(self._read())
        if version not in of(self._ring):
            raise MasterKeysError(
                f"マスター鍵の版 {version} がありません。鍵ファイルに戻してください。"
                f" / Master key version {version} is missing: put it back into the key file."
            )
        return of(self._ring)[version]


def read_master_keys(settings: Settings) -> MasterKeys:
    """The ring that the settings name. Raises `MasterKeysError`."""
    if settings.master_keys_command:
        command = shlex.split(settings.master_keys_command)
        return MasterKeys(lambda: _told_by(command))
    if settings.master_keys is None:
        raise MasterKeysError(
            "マスター鍵の設定がありません(TSUNAGU_MASTER_KEYS_FILE)。`python -m shared.service keys new` で作れます。"
            " / No master keys are set (TSUNAGU_MASTER_KEYS_FILE). `python -m shared.service keys new` makes some."
        )
    given = settings.master_keys

    def look_again() -> str:
        # The file, where there is one, may hold one key more than at the start.
        return (Settings().master_keys or given).get_secret_value()

    return MasterKeys(look_again)


def new_master_keys() -> str:
    """A first key of each kind, as text for a new file."""
    return f"master 1 {_random()}\nindex 1 {_random()}\n"


def with_next_master(text: str) -> str:
    """The same keys and one more: the first step of a rotation."""
    newest = max(_parsed(text).masters)
    return f"{text.rstrip()}\nmaster {newest + 1} {_random()}\n"


def with_next_index(text: str) -> str:
    """The same keys and one more for the blind indexes."""
    newest = max(_parsed(text).indexes)
    return f"{text.rstrip()}\nindex {newest + 1} {_random()}\n"


def _random() -> str:
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def _bound(subject: str, version: int) -> bytes:
    return f"data_key\x1f{subject}\x1f{version}".encode()


def _told_by(command: list[str]) -> str:
    try:
        told = subprocess.run(command, capture_output=True, check=True, timeout=_PATIENCE)  # noqa: S603 - the operator's own setting
    except (OSError, subprocess.SubprocessError):
        # Its output may hold keys, so nothing of it is told.
        raise MasterKeysError(
            "マスター鍵のコマンドが失敗しました(TSUNAGU_MASTER_KEYS_COMMAND)。"
            " / The command for the master keys failed (TSUNAGU_MASTER_KEYS_COMMAND)."
        ) from None
    return told.stdout.decode()


def _parsed(text: str) -> _Ring:
    found: dict[str, dict[int, bytes]] = {"master": {}, "index": {}}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            kind, version, encoded = line.split()
            key = base64.b64decode(encoded, validate=True)
            known = found[kind]
            if len(key) != KEY_BYTES or int(version) < 1 or int(version) in known:
                raise ValueError
            known[int(version)] = key
        except (ValueError, KeyError, binascii.Error):
            raise MasterKeysError(
                f"マスター鍵の {number} 行目が読めません(形: master 版 base64の32バイト)。"
                f" / Line {number} of the master keys can't be read (form: master VERSION 32-bytes-in-base64)."
            ) from None
    if not found["master"] or not found["index"]:
        raise MasterKeysError(
            "マスター鍵には master と index の行が一つずつ要ります。"
            " / The master keys need a line of each: master, index."
        )
    return _Ring(found["master"], found["index"])
