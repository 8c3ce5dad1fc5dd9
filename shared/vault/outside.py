"""Lines in a file outside the database, written durably: what the database alone could be made to forget."""

import os
from collections.abc import Iterable
from pathlib import Path

_TAIL = 4_096


def last_lines(path: Path) -> list[str]:
    """The end of the file; the first line may be the rest of one."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
            return file.read().decode("ascii", "ignore").splitlines()
    except FileNotFoundError:
        return []


def append_lines(path: Path, lines: Iterable[str]) -> None:
    """Durably, and after a line of its own end: a crash may have torn the last one."""
    whole = "".join(f"{line}\n" for line in lines)
    with path.open("ab") as file:
        if file.tell() and _ends_torn(path):
            whole = "\n" + whole
        file.write(whole.encode())
        file.flush()
        os.fsync(file.fileno())


def _ends_torn(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"
