"""What the command lines say of themselves, and to whoever gives a command wrongly: in Japanese and English."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer

import all_in_one
from demo.__main__ import cli as demo
from shared.service.__main__ import cli as service
from shared.service.commands import take

LINES = {"all_in_one.py": all_in_one.cli, "python -m shared.service": service, "python -m demo": demo}
JAPANESE = re.compile("[ぁ-んァ-ヶ一-龠]")
ENGLISH = re.compile(r"[A-Za-z]{2,}.*[A-Za-z]{2,}|\b[a-z]{4,}\b")


def commands(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    yield name, command
    for word, each in getattr(command, "commands", {}).items():
        yield from commands(f"{name} {word}", each)


COMMANDS = dict(pair for name, cli in LINES.items() for pair in commands(name, typer.main.get_command(cli)))


def given(command: str, *more: str) -> list[str]:
    line = next(line for line in LINES if command.startswith(line))
    return [line, *command.removeprefix(line).split(), *more]


@pytest.fixture
def says(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Give a command; what it ends with and says."""
    monkeypatch.setenv("COLUMNS", "300")
    for name in ("TSUNAGU_SERVICE", "TSUNAGU_ADMIN_DATABASE_URL", "TSUNAGU_ISSUER_KEY"):
        monkeypatch.delenv(name, raising=False)

    def say(command: str, *more: str) -> tuple[int, str]:
        arguments = given(command, *more)
        monkeypatch.setattr("sys.argv", arguments)
        with pytest.raises(SystemExit) as ended:
            take(LINES[arguments[0]])
        told = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, told.out + told.err

    return say


def both(text: str) -> bool:
    return bool(JAPANESE.search(text) and ENGLISH.search(text))


def test_the_commands_are_there() -> None:
    assert {
        "python -m shared.service parked drop",
        "python -m shared.service keys rewrap",
        "all_in_one.py token",
    } <= set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_help_is_in_both_languages(name: str, says: Any) -> None:
    command = COMMANDS[name]
    texts = {"itself": command.help} | {each.name: each.help for each in command.params}
    assert {what for what, text in texts.items() if not both(text or "")} == set()
    code, said = says(name, "--help")
    (own,) = [line for line in said.splitlines() if "--help " in line]
    assert (code, both(own.replace("--help", ""))) == (0, True)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_given_wrongly_is_refused_in_both_languages(name: str, says: Any) -> None:
    wrong: list[tuple[str, ...]] = [("--no-such-option",)]
    command = COMMANDS[name]
    if hasattr(command, "commands"):
        wrong.append(("nosuchcommand",))
    elif any(each.required for each in command.params):
        wrong.append(())
    wrong += [(each.opts[0], "x") for each in command.params if each.opts[0] in {"--port", "--persons"}]
    for more in wrong:
        code, said = says(name, *more)
        assert code == 2, said
        assert both(said.splitlines()[0]), said
        assert "Traceback" not in said


@pytest.mark.parametrize(
    ("command", "setting", "code", "words"),
    [
        ("python -m shared.service verify custody /nowhere --service nowhere", {}, 2, "nowhere というサービス"),
        ("python -m shared.service keys next /nowhere --to /nowhere-else", {}, 1, "/nowhere (No such file"),
        (
            "python -m shared.service access verify /nowhere --checkpoints /nowhere",
            {},
            1,
            "ファイルを読み書きできません",
        ),
        ("python -m shared.service keys status", {}, 1, "サービス名が指定されていません"),
        ("python -m shared.service run", {"TRANSPORT": "pigeon"}, 2, "TSUNAGU_TRANSPORT: "),
        ("python -m shared.service run", {"DATABASE_PASSWORD_FILE": "/nowhere"}, 1, "/nowhere (No such file"),
    ],
)
def test_what_keeps_a_command_from_its_work_is_said_without_a_trace(
    command: str, setting: dict[str, str], code: int, words: str, says: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in setting.items():
        monkeypatch.setenv(f"TSUNAGU_{name}", value)
    ended, said = says(command)
    assert (ended, both(said), words in said) == (code, True, True), said
    assert "Traceback" not in said
    assert "pigeon" not in said
