"""How every command line here is taken and refused: in Japanese and English, without a trace through the code."""

import sys
from typing import Any, NoReturn

import typer
from pydantic import ValidationError
from typer.exceptions import TyperException

from shared.database import is_outage
from shared.settings import PREFIX, Settings

_MISUSE = {
    "MissingParameter": "指定が足りません",
    "NoSuchOption": "そのオプションはありません",
    "BadParameter": "その値は使えません",
}
_HELP = "この説明を表示する / show this message and exit"


def take(cli: typer.Typer) -> NoReturn:
    """Do what the command line says, and end with its code: 2 when it can't be meant so, 1 when something is away."""
    command = typer.main.get_command(cli)
    _explain_help(command)
    try:
        code = command(standalone_mode=False)
    except TyperException as error:
        # A group without a command carries its help instead of a message.
        refuse(_misuse(error) if type(error).__name__ != "NoArgsIsHelpError" else "", error.exit_code)
    except ValidationError as error:
        if error.title != Settings.__name__:
            raise
        refuse(_wrong_settings(error))
    except Exception as error:
        words = _what_is_away(error)
        if words is None:
            raise
        refuse(words, 1)
    sys.exit(code if isinstance(code, int) else 0)


def refuse(words: str, code: int = 2) -> NoReturn:
    """End with words on the standard error, Japanese before English."""
    if words:
        typer.echo(f"✗ {words}", err=True)
    sys.exit(code)


def _misuse(error: TyperException) -> str:
    context = getattr(error, "ctx", None)
    japanese = _MISUSE.get(type(error).__name__, "コマンドの書き方が違います")
    where = f"\n  使い方 / usage: {context.command_path} --help" if context is not None else ""
    return f"{japanese} / {error.format_message()}{where}"


def _wrong_settings(error: ValidationError) -> str:
    wrong = (f"\n  {PREFIX}{'_'.join(map(str, each['loc'])).upper()}: {each['msg']}" for each in error.errors())
    return "設定の値が使えません / a setting has a value that can't be used" + "".join(wrong)


def _what_is_away(error: Exception) -> str | None:
    if isinstance(error, OSError) and error.filename is not None:
        return f"ファイルを読み書きできません / the file can't be read or written: {error.filename} ({error.strerror})"
    if is_outage(error):
        return (
            "データベースにつながりません。動いているか、TSUNAGU_DATABASE_URL を確かめてください。\n"
            "The database can't be reached: does it run, and is TSUNAGU_DATABASE_URL right?"
        )
    return None


def _explain_help(command: Any) -> None:
    """Typer's own words for --help are English alone."""
    option = command.get_help_option(typer.Context(command))
    option.help = _HELP
    for each in getattr(command, "commands", {}).values():
        _explain_help(each)
