"""The form in which a file comes: CSV, or another that a service reads into rows of its own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from shared.service.imports.rows import FileRow, Rows, look_through
from shared.service.imports.sheet import Sheet, read_sheet


@dataclass(frozen=True, slots=True)
class Form:
    """How files of a form are read. Its rows are numbered as in `sheet`, which an error file shows as CSV."""

    called: str
    media_type: str
    schema: Callable[[type[FileRow]], Mapping[str, Any]]
    rows: Callable[[bytes, type[Any]], Rows[Any]]
    sheet: Callable[[bytes], Sheet]


def _header(row: type[FileRow]) -> Mapping[str, Any]:
    header = ",".join(field.alias or name for name, field in row.model_fields.items())
    return {"type": "string", "examples": [header]}


CSV = Form("CSV", "text/csv", _header, look_through, read_sheet)
