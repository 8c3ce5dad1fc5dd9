"""The words and days of the directory, read once from the file that ships with this service."""

import functools
import tomllib
from pathlib import Path

from services.referral.domain.directory import Days, Function, Vocabulary
from services.referral.domain.options import Stage

_FILE = Path(__file__).resolve().parents[1] / "directory" / "vocabulary.toml"


@functools.cache
def vocabulary() -> Vocabulary:
    """Functions, groups of people and the other lists of codes, and after how many days nobody is sure any more."""
    plain = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    return Vocabulary(
        functions={
            each["code"]: Function(each["code"], each["japanese"], each["english"], Stage(each["stage"]))
            for each in plain["functions"]
        },
        **{
            name: {each["code"]: (each["japanese"], each["english"]) for each in plain[name]}
            for name in ("targets", "needs", "professions", "kinds", "industries")
        },
        days=Days(**plain["days"]),
    )
