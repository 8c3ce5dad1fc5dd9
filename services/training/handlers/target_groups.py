"""For whom seats may be kept (優先枠の対象者): the office's own list of codes and words, or ours."""

import tomllib
from collections.abc import Iterable
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncSession

from services.training.handlers.layouts import FOLDER
from shared.problems import Problem
from shared.service.exports import LAYOUT_BROKEN

_NAME = "target_groups.toml"


def target_groups(session: AsyncSession) -> dict[str, tuple[str, str]]:
    """The codes, with their words in Japanese and English."""
    own: Path | None = session.info["settings"].layouts_path
    path = own / _NAME if own is not None and (own / _NAME).is_file() else FOLDER / _NAME
    try:
        groups = tomllib.loads(path.read_text(encoding="utf-8-sig"))["group"]
        return {each["code"]: (each["words"], each.get("words_en", each["words"])) for each in groups}
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise Problem(
            LAYOUT_BROKEN,
            detail=f"{_NAME}: each [[group]] has a code and words.",
            detail_ja=f"{_NAME}: [[group]] ごとに code と words を書いてください。",
        ) from error


def unknown_groups(session: AsyncSession, named: Iterable[str]) -> list[str]:
    """Those that are not in the list."""
    known = target_groups(session)
    return sorted(set(named) - set(known))
