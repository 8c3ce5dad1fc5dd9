"""The access log's chain: what was sealed can't be edited, deleted, inserted or reordered without being found.

A seal covers the entries since the one before it: its digest is SHA-256 over the digest before, its own number, and the
digest of each entry. Checkpoints (number and digest of a seal) lie outside the database, for a chain that only its
owner keeps could be written anew from any point on. `verify` needs an export and the checkpoints, and nothing else.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

COLUMNS = (
    "id", "at", "subject_id", "action", "agency", "actor", "roles", "purpose", "basis", "fields", "request_id",
)  # fmt: skip
"""What an entry consists of; every one is part of its digest."""


@dataclass(frozen=True, slots=True)
class Seal:
    """A sealed batch: which entries, in their order, and the digest over them and all before."""

    number: int
    entries: tuple[int, ...]
    digest: str


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What is written down outside the database."""

    number: int
    digest: str


def genesis(log: str) -> str:
    """What stands before the first seal of a log: no two logs begin alike."""
    return hashlib.sha256(f"tsunagu access log\x1f{log}".encode()).hexdigest()


def next_seal(before: Seal | None, entries: Sequence[Mapping[str, Any]], *, log: str) -> Seal:
    """The seal over the entries that follow."""
    number = 1 if before is None else before.number + 1
    digest = _digest(genesis(log) if before is None else before.digest, number, entries)
    return Seal(number, tuple(entry["id"] for entry in entries), digest)


def _digest(before: str, number: int, entries: Sequence[Mapping[str, Any]]) -> str:
    whole = hashlib.sha256(bytes.fromhex(before))
    whole.update(number.to_bytes(8, "big") + len(entries).to_bytes(8, "big"))
    for entry in entries:
        whole.update(entry_digest(entry))
    return whole.hexdigest()


def entry_digest(entry: Mapping[str, Any]) -> bytes:
    """One entry's digest, over its columns in a fixed order and form."""
    plain = [entry[column] for column in COLUMNS]
    return hashlib.sha256(json.dumps(plain, ensure_ascii=False, separators=(",", ":")).encode()).digest()


# --- the export, and its verification -------------------------------------------------------------------------------


def export_lines(
    log: str, sealed: Iterable[tuple[Seal, Sequence[Mapping[str, Any]]]], unsealed: Iterable[Mapping[str, Any]]
) -> Iterator[str]:
    """An export: a line for each entry, after them the line of the seal that covers them; at last the unsealed."""
    yield _line({"log": log, "form": 1})
    for seal, entries in sealed:
        for entry in entries:
            yield _line({"entry": {column: entry[column] for column in COLUMNS}})
        yield _line({"seal": {"number": seal.number, "entries": list(seal.entries), "digest": seal.digest}})
    for entry in unsealed:
        yield _line({"entry": {column: entry[column] for column in COLUMNS}})


def checkpoint_line(checkpoint: Checkpoint) -> str:
    """A line of the checkpoints' file."""
    return _line({"number": checkpoint.number, "digest": checkpoint.digest})


def read_checkpoints(lines: Iterable[str]) -> list[Checkpoint]:
    """The checkpoints of a file; a line torn by a crash is passed over, since the next one repeats its work."""
    found = []
    for line in lines:
        try:
            plain = json.loads(line)
            found.append(Checkpoint(int(plain["number"]), str(plain["digest"])))
        except (ValueError, KeyError, TypeError):
            continue
    return found


@dataclass(slots=True)
class Verdict:
    """What the verifier found. `findings` is empty exactly when nothing was touched."""

    entries: int = 0
    seals: int = 0
    findings: list[str] = field(default_factory=list)


def verify(lines: Iterable[str], checkpoints: Sequence[Checkpoint]) -> Verdict:
    """Whether an export is the log as it was written. Every deviation is a finding that says where."""
    verdict = Verdict()
    seals: dict[int, str] = {}
    open_entries: list[Mapping[str, Any]] = []
    before: Seal | None = None
    log: str | None = None
    for number, line in enumerate(lines, start=1):
        try:
            plain = json.loads(line, object_pairs_hook=_once_each)
            match plain:
                case {"log": str(name), "form": 1} if log is None:
                    log = name
                case {"entry": dict(entry)} if log is not None and entry.keys() == set(COLUMNS):
                    open_entries.append(entry)
                    verdict.entries += 1
                case {"seal": {"number": int(), "entries": list(), "digest": str()}} if log is not None:
                    before = _check_seal(verdict, plain["seal"], before, open_entries, log)
                    seals[before.number] = before.digest
                    open_entries = []
                    verdict.seals += 1
                case _:
                    verdict.findings.append(f"{number} 行目: 書き出しの行ではありません / not a line of an export")
        except (ValueError, KeyError, TypeError):
            verdict.findings.append(f"{number} 行目: 読めません / it can't be read")
    if log is None:
        verdict.findings.append("1 行目: 書き出しの見出しがありません / line 1: the export's head is missing")
    verdict.findings += [
        f"記録 {entry.get('id')}: 封印されていません / entry {entry.get('id')}: in no seal" for entry in open_entries
    ]
    _check_checkpoints(verdict, seals, checkpoints)
    return verdict


def _check_seal(
    verdict: Verdict, told: Mapping[str, Any], before: Seal | None, entries: Sequence[Mapping[str, Any]], log: str
) -> Seal:
    seal = Seal(told["number"], tuple(told["entries"]), told["digest"])
    right = next_seal(before, entries, log=log)
    if seal.number != right.number:
        verdict.findings.append(f"封印 {seal.number}: {right.number} のはずです / {right.number} was to come")
    elif seal.entries != right.entries:
        verdict.findings.append(
            f"封印 {seal.number}: 前にある記録と合いません"
            f" / seal {seal.number}: it covers other entries than those that stand before it"
        )
    elif seal.digest != right.digest:
        verdict.findings.append(
            f"封印 {seal.number}: その中、または前の記録が書き換えられています"
            f" / seal {seal.number}: an entry of it, or one before, was changed"
        )
    return seal


def _check_checkpoints(verdict: Verdict, seals: Mapping[int, str], checkpoints: Sequence[Checkpoint]) -> None:
    if not checkpoints and seals:
        verdict.findings.append(
            "控えがありません。ほかに鎖を保証するものがありません"
            " / checkpoints: there are none, so nobody else vouches for the chain"
        )
    for checkpoint in checkpoints:
        if checkpoint.number not in seals:
            verdict.findings.append(
                f"封印 {checkpoint.number}: 控えにあり、ここにありません"
                f" / seal {checkpoint.number}: written down outside, and missing here"
            )
        elif seals[checkpoint.number] != checkpoint.digest:
            verdict.findings.append(
                f"封印 {checkpoint.number}: 控えと違います"
                f" / seal {checkpoint.number}: another digest was written down outside"
            )
    last = max((checkpoint.number for checkpoint in checkpoints), default=0)
    if checkpoints and seals and max(seals) > last:
        verdict.findings.append(
            f"封印 {max(seals)}: 控え({last} まで)より新しい"
            f" / seal {max(seals)}: newer than what was written down outside (up to {last})"
        )


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A name that stands twice could be read in two ways: one for the digest, one for the reader."""
    plain = dict(pairs)
    if len(plain) != len(pairs):
        raise ValueError
    return plain


def _line(plain: Mapping[str, Any]) -> str:
    return json.dumps(plain, ensure_ascii=False, separators=(",", ":"))
