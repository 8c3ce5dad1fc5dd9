"""What a dry run or a commit came to: as it is told, and as it is kept beside the file.

Told are the uppermost errors and how many there are; kept are all of them, by kind (`Faults`). They are not made anew
from the file when somebody asks for the error file: that would take the locks of a dry run for a GET, and tell of the
tables as they are by then, not of what the report has counted.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from shared.service.imports.faults import Fault, Faults
from shared.service.imports.rows import Rows
from shared.service.imports.sheet import Sheet
from shared.service.imports.taking import Taken

_LISTED = 200
_PREVIEW_ROWS = 3
_SHORT = 60


class RowError(BaseModel):
    """What is wrong with one row; `row` counts from 2, as spreadsheets show it under the header."""

    row: int
    column: str | None
    code: str
    message: str
    message_ja: str


class Report(BaseModel):
    """What a dry run or a commit came to."""

    import_id: UUID
    status: Literal["checked", "committed"]
    encoding: str
    rows: int
    created: int
    updated: int
    unchanged: int
    rejected: int = Field(description="Rows that can't be taken.")
    errors: list[RowError] = Field(description=f"The uppermost errors of the file, {_LISTED} at the most.")
    errors_total: int = Field(description="How many errors there are. The error file has all of them.")
    errors_note: str | None = Field(description="How many are not listed here, if any, and where they are.")
    errors_note_ja: str | None
    remarks: list[RowError] = Field(
        default=[], description="Of rows that are taken: what was mended in them, or not taken as it stands there."
    )
    remarks_total: int = Field(default=0, description="How many remarks there are. The error file has all of them.")
    ignored_columns: list[str]
    preview: list[dict[str, str]] = Field(
        description="The first rows as they were read, long cells cut; none of a file about persons."
    )


def made_report(import_id: UUID, rows: Rows[Any], taken: Taken, *, keep: bool, preview: bool) -> Report:
    """The report of a file that was taken in, or would be; without `preview`, nothing of what it holds."""
    return Report(
        import_id=import_id,
        status="committed" if keep else "checked",
        encoding=rows.sheet.encoding,
        rows=len(rows.sheet.lines),
        created=taken.created,
        updated=taken.updated,
        unchanged=taken.unchanged,
        rejected=len(rows.faults.rows),
        ignored_columns=[name[:_SHORT] for name in rows.ignored_columns],
        preview=_preview(rows.sheet) if preview else [],
        **_told(rows.faults, rows.remarks),
    )


def kept_report(report: Report, faults: Faults, remarks: Faults) -> dict[str, Any]:
    """The report, every fault and every remark, for the table."""
    told = report.model_dump(mode="json", exclude={"errors", "remarks"})
    return {**told, "faults": faults.kept(), "remarks": remarks.kept()}


def read_report(kept: Mapping[str, Any]) -> tuple[Report, Faults, Faults]:
    """The same out of the table."""
    remarks = Faults.read(kept.get("remarks", ()))
    if "faults" in kept:
        faults = Faults.read(kept["faults"])
    else:  # Version 0.1.0 kept each error by itself. Its files are gone thirty days after the update; then this may go.
        faults = Faults()
        for error in kept["errors"]:
            faults.add(error["row"], [Fault(error["column"], error["code"], error["message"], error["message_ja"])])
    return Report.model_validate({**kept, **_told(faults, remarks)}), faults, remarks


def _told(faults: Faults, remarks: Faults) -> dict[str, Any]:
    listed, total = faults.first(_LISTED), faults.total
    left = total - len(listed)
    english = f"{left:,} more errors are not listed here. The error file (errors.csv) has all {total:,}."
    japanese = f"ほかに{left:,}件の誤りがあります。全{total:,}件はエラーファイル(errors.csv)にあります。"
    return {
        "errors": [RowError(row=row, **asdict(fault)) for row, fault in listed],
        "errors_total": total,
        "errors_note": english if left else None,
        "errors_note_ja": japanese if left else None,
        "remarks": [RowError(row=row, **asdict(remark)) for row, remark in remarks.first(_LISTED)],
        "remarks_total": remarks.total,
    }


def _preview(sheet: Sheet) -> list[dict[str, str]]:
    return [
        {name[:_SHORT]: cell[:_SHORT] for name, cell in zip(sheet.header, cells, strict=False)}
        for _, cells in sheet.lines[:_PREVIEW_ROWS]
    ]
