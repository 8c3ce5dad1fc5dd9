"""Make the environment that `make` works in: a virtual environment with the pinned packages of one list.

    python ops/bootstrap.py run|dev

It needs nothing but the standard library, and does nothing when the environment already fits. The first lines stay
readable for old Pythons, so that these too can say in plain words what is missing.
"""

import hashlib
import importlib.util
import os
import re
import subprocess
import sys
import time
from pathlib import Path

OLDEST = (3, 11)
ROOT = Path(__file__).resolve().parent.parent
# Resolved: several checkouts may share one environment through a link, and making it anew would empty it for all.
ENVIRONMENT = (ROOT / ".venv").resolve()
PYTHON = ENVIRONMENT / "bin" / "python"
PIP = ENVIRONMENT / "bin" / "pip"
LISTS = ("run", "dev")  # dev.txt holds all that run.txt holds


class Trouble(Exception):
    """What is wrong and what to do about it, in Japanese and English."""


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or arguments[0] not in LISTS:
        print("usage: python ops/bootstrap.py " + "|".join(LISTS), file=sys.stderr)
        return 2
    try:
        with only_one():
            prepare(arguments[0])
    except Trouble as trouble:
        print("\n" + str(trouble), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\n中断しました。同じコマンドで続けられます。\nInterrupted. The same command goes on from here.")
        return 130
    return 0


def prepare(name: str) -> None:
    """Bring the environment to what the list says; silent and quick when it already is there."""
    pins = ROOT / "requirements" / f"{name}.txt"
    if is_ready(name, pins):
        return
    check_python()
    if not works():
        create_environment()
    install(pins)
    stamp(name).write_text(fingerprint(pins), encoding="utf-8")


def is_ready(name: str, pins: Path) -> bool:
    if not PYTHON.exists():
        return False
    wanted = fingerprint(pins)
    return stamp(name).exists() and stamp(name).read_text(encoding="utf-8") == wanted


def stamp(name: str) -> Path:
    return ENVIRONMENT / f"installed-{name}"


def fingerprint(pins: Path) -> str:
    """The list's content and the place: scripts in a moved environment would still call the old one."""
    return hashlib.sha256(f"{ENVIRONMENT}\n".encode() + pins.read_bytes()).hexdigest()


def check_python() -> None:
    if sys.version_info < OLDEST:
        found = ".".join(str(part) for part in sys.version_info[:3])
        raise Trouble(
            f"Python 3.11 以上が必要です（見つかったもの: {found}, {sys.executable}）。\n"
            f"Python 3.11 or later is needed; found {found} at {sys.executable}."
        )
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        package = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
        raise Trouble(
            f"この Python には仮想環境の部品 (venv, ensurepip) がありません: {sys.executable}\n"
            f"  Debian / Ubuntu では:  sudo apt install {package}\n"
            f"This Python lacks what makes a virtual environment (venv, ensurepip): {sys.executable}\n"
            f"  On Debian or Ubuntu:  sudo apt install {package}"
        )


def works() -> bool:
    """Whether the environment's own Python starts and has pip, and its scripts call this place.

    An upgrade of the machine may have broken it, and a folder that was moved holds scripts that call the old one.
    """
    if not PYTHON.exists() or not PIP.exists() or str(ENVIRONMENT) not in PIP.read_text(encoding="utf-8"):
        return False
    question = "import sys, pip; sys.exit(sys.version_info < (3, 11))"
    return subprocess.run([PYTHON, "-c", question], capture_output=True, check=False).returncode == 0


def create_environment() -> None:
    say(f"仮想環境を作っています / Making the environment: .venv (Python {sys.version.split()[0]})")
    made = subprocess.run(
        [sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)], capture_output=True, text=True, check=False
    )
    if made.returncode != 0:
        raise Trouble(
            "仮想環境を作れませんでした。空き容量と書き込み権限を確かめてください。\n"
            "The environment could not be made. Look at free disk space and at the permission to write here.\n\n"
            + tail(made.stdout + made.stderr)
        )


def install(pins: Path) -> None:
    """Install exactly what is pinned, every file checked against its hash, with one line that shows how far it is."""
    expected = len(re.findall(r"^[a-z0-9][a-z0-9._-]*==", pins.read_text(encoding="utf-8"), flags=re.MULTILINE))
    command = [
        str(PYTHON), "-m", "pip", "install", "--require-hashes", "--no-input", "--disable-pip-version-check",
        "--progress-bar", "off", "--requirement", str(pins),
    ]  # fmt: skip
    say(f"部品を入れています（初回だけ、1 分ほど） / Installing {expected} packages (once, about a minute)")
    progress = Progress(expected)
    said: list[str] = []
    environment = {**os.environ, "PIP_USER": "0"}  # noqa: TID251 - runs before shared.settings can be imported
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8"
    ) as pip:
        assert pip.stdout is not None
        for line in pip.stdout:
            said.append(line)
            progress.follow(line)
    if pip.returncode != 0:
        progress.stop()
        raise Trouble(
            "部品を入れられませんでした。ネットワークとプロキシを確かめて、同じコマンドをもう一度実行してください。\n"
            "The packages could not be installed. Look at the network and the proxy, then try the same command again.\n"
            "\n" + tail("".join(said))
        )
    progress.finish()


class Progress:
    """One line that grows on a terminal; a first and a last line in a log."""

    def __init__(self, expected: int) -> None:
        self.expected = expected
        self.done = 0
        self.started = time.monotonic()
        self.live = sys.stdout.isatty()

    def follow(self, line: str) -> None:
        if line.startswith(("Collecting ", "Requirement already satisfied: ", "Ignoring ")):
            self.done = min(self.done + 1, self.expected)
            self.draw(re.split(r"[ =<>;:]", line.split(": ", 1)[-1].removeprefix("Collecting "), maxsplit=1)[0])
        elif line.startswith("Installing collected packages"):
            self.draw("展開中 / unpacking")

    def draw(self, word: str) -> None:
        if self.live:
            filled = 30 * self.done // self.expected
            bar = "#" * filled + "." * (30 - filled)
            print(f"\r  [{bar}] {self.done:>3}/{self.expected}  {word.strip():<24.24}", end="", flush=True)

    def stop(self) -> None:
        if self.live:
            print()

    def finish(self) -> None:
        self.done = self.expected
        self.draw("")
        self.stop()
        say(f"準備ができました / Ready ({time.monotonic() - self.started:.0f} s)")


def only_one() -> "OneAtATime":
    return OneAtATime(ROOT / "requirements")


class OneAtATime:
    """A lock on a folder: `make run` in one terminal and `make test` in another must not install into each other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.handle = -1

    def __enter__(self) -> None:
        import fcntl  # noqa: PLC0415 - not on every system that may want to read the message above

        self.handle = os.open(self.folder, os.O_RDONLY)
        fcntl.flock(self.handle, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        os.close(self.handle)


def tail(text: str) -> str:
    return "\n".join("  | " + line for line in text.strip().splitlines()[-12:])


def say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
