"""The columns of this service's files: as an office's own layout says, where it has one, and else as ours does."""

from collections.abc import Collection
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncSession

from shared.service.exports import Layout, read_layout

FOLDER = Path(__file__).resolve().parent.parent / "layouts"


def layout(session: AsyncSession, name: str, fields: Collection[str]) -> Layout:
    """The layout of a file that knows these fields."""
    own: Path | None = session.info["settings"].layouts_path
    candidates = [] if own is None else [own / f"{name}.toml"]
    path = next((each for each in candidates if each.is_file()), FOLDER / f"{name}.toml")
    return read_layout(path.read_text(encoding="utf-8-sig"), fields)
