"""Whether the rows of a file are what they should be, said without the database.

A file is kept until its commit, so this is also where one that holds a My Number is refused whole.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, Self, TypeVar

from pydantic import BaseModel, ConfigDict, PrivateAttr, ValidationError
from pydantic_core import ErrorDetails

from shared.codes import holds_my_number
from shared.problems import INVALID, Problem
from shared.service.failures import words_for
from shared.service.imports.faults import Fault, Faults
from shared.service.imports.mending import Mended
from shared.service.imports.sheet import ERROR_COLUMN, Sheet, as_meant, read_sheet, unreadable

_LONGEST_CELL = 4_000
"""As `shared.codes.FreeText`. A longer one isn't searched for what else may be wrong with it."""
_NAMED = 20


class FileRow(BaseModel):
    """A line of a file. Fields carry the Japanese column name as `alias`; the English field name works as well."""

    model_config = ConfigDict(
        extra="ignore", frozen=True, validate_by_alias=True, validate_by_name=True, hide_input_in_errors=True
    )

    key: ClassVar[tuple[str, ...]]
    """The fields that say which record the line is about."""
    also: ClassVar[Mapping[str, str]] = {}
    """Further names of columns, such as another standard's, each with its field."""

    _told: frozenset[str] = PrivateAttr(frozenset())

    @property
    def told(self) -> frozenset[str]:
        """The fields that the file has a column for. Of any other it says nothing: not even that it is empty."""
        return self._told

    def of_columns(self, fields: frozenset[str]) -> Self:
        """The row, and what its file has columns for."""
        self._told = fields
        return self


R = TypeVar("R", bound=FileRow)


@dataclass(frozen=True, slots=True)
class Rows(Generic[R]):
    """A file that was looked through: the rows to take, the rows that repeat one of them, and what is wrong."""

    sheet: Sheet
    good: list[tuple[int, R]]
    repeats: dict[int, int]
    faults: Faults
    ignored_columns: list[str]
    remarks: Faults = field(default_factory=Faults)
    """What the author of a row that is taken should know: what was mended in it, or what of it didn't hold."""


def look_through(content: bytes, model: type[R]) -> Rows[R]:
    """Read a file and fit each row to the model. Raises `Problem(INVALID)` if the file as a whole can't be taken."""
    sheet = read_sheet(content)
    columns = _Columns.of(sheet, model)
    faults, remarks = Faults(), Faults()
    fitting: list[tuple[int, R]] = []
    forbidden: list[tuple[int, str | None]] = [(1, None) for name in sheet.header if holds_my_number(name)]
    for number, cells in sheet.lines:
        mended: Mended = []
        outcome = _fitted(cells, columns, model, mended)
        if isinstance(outcome, FileRow):
            fitting.append((number, outcome))
            remarks.add(number, [_fault(field, code, None, columns) for field, code in mended])
        else:
            faults.add(number, outcome)
        forbidden += [(number, name) for name in columns.forbidden(cells, outcome)]
    refuse_my_numbers(forbidden)
    good, repeats = each_record_once(fitting, columns.labels, faults)
    return Rows(sheet, good, repeats, faults, columns.ignored, remarks)


@dataclass(frozen=True, slots=True)
class _Columns:
    """Which cell of a line is which field; every other cell was not asked for."""

    width: int
    fields: dict[int, str]
    labels: dict[str, str]
    ignored: list[str]
    told: frozenset[str]

    @classmethod
    def of(cls, sheet: Sheet, model: type[FileRow]) -> "_Columns":
        labels = {name: field.alias or name for name, field in model.model_fields.items()}
        names = {**model.also, **{name: name for name in labels}, **{label: name for name, label in labels.items()}}
        fields = {place: names[column] for place, column in enumerate(sheet.header) if column in names}
        if len(set(fields.values())) < len(fields):
            raise unreadable("a column stands there twice, by two names", "同じ列が二つの名前で書かれています")
        needed = [name for name, field in model.model_fields.items() if field.is_required()]
        missing = [labels[name] for name in needed if name not in fields.values()]
        if missing:
            raise unreadable(f"columns are missing: {', '.join(missing)}", f"列がありません: {'、'.join(missing)}")
        ignored = [column for column in sheet.header if column not in {"", ERROR_COLUMN, *names}]
        return cls(len(sheet.header), fields, labels, ignored, frozenset(fields.values()))

    def forbidden(self, cells: Sequence[str], outcome: FileRow | Sequence[Fault]) -> Iterator[str | None]:
        """Columns in which a My Number stands. What its own type has let pass, such as a telephone number, is none."""
        suspected = set() if isinstance(outcome, FileRow) else {fault.column for fault in outcome}
        for place, cell in enumerate(cells):
            # A name that we don't ask for is the author's own text, and is not told.
            label = self.labels[self.fields[place]] if place in self.fields else None
            if (label is None or suspected & {label, None}) and holds_my_number(cell):
                yield label


def _fitted(cells: Sequence[str], columns: _Columns, model: type[R], mended: Mended) -> R | list[Fault]:
    """The row; or what is wrong with it, the line as a whole first."""
    if any(cell.strip() for cell in cells[columns.width :]):
        return [Fault(None, "too_many_cells", "More cells than columns", "列より多くの値があります")]
    values = {field: as_meant(cells[place]) for place, field in columns.fields.items() if place < len(cells)}
    too_long = [field for field, value in values.items() if len(value) > _LONGEST_CELL]
    if too_long:
        limit = {"max_length": _LONGEST_CELL}
        return [_fault(field, "string_too_long", limit, columns) for field in too_long]
    try:
        row = model.model_validate({field: value for field, value in values.items() if value}, context=mended)
        return row.of_columns(columns.told)
    except ValidationError as error:
        # The first of each cell says enough: a wrong code in it is also one too few, and may be one of a thousand.
        first: dict[str | None, ErrorDetails] = {}
        for item in error.errors(include_input=False, include_url=False):
            first.setdefault(str(item["loc"][0]) if item["loc"] else None, item)
        return [_fault(field, item["type"], item.get("ctx"), columns) for field, item in first.items()]


def _fault(field: str | None, code: str, context: Mapping[str, Any] | None, columns: _Columns) -> Fault:
    # pydantic names a field by its alias where one is missing.
    column = None if field is None else columns.labels.get(field, field)
    return Fault(column, code, *words_for(code, context))


def refuse_my_numbers(found: Sequence[tuple[int, str | None]]) -> None:
    """A file that holds one, at these rows and columns, is refused whole. Raises `Problem(INVALID)`."""
    if found:
        english, japanese = words_for("personal_number")
        words = {"code": "personal_number", "message": english, "message_ja": japanese}
        raise Problem(
            INVALID,
            detail="The file holds numbers that may not be kept here. Nothing was kept: remove them and send it anew.",
            detail_ja="ここに書いてはならない番号が含まれています。ファイルは保存していません。取り除いて送り直してください。",
            errors=[{"row": row, "column": column, **words} for row, column in found[:_NAMED]],
        )


def each_record_once(
    fitting: Sequence[tuple[int, R]], labels: Mapping[str, str], faults: Faults
) -> tuple[list[tuple[int, R]], dict[int, int]]:
    """The rows to take, and which others repeat them word for word.

    Rows that say different things about one record are all refused: which of them is right, only their author knows.
    """
    records: dict[Any, list[tuple[int, R]]] = {}
    for number, row in fitting:
        records.setdefault(tuple(getattr(row, name) for name in row.key), []).append((number, row))
    good: list[tuple[int, R]] = []
    repeats: dict[int, int] = {}
    for (first, row), *others in records.values():
        if all(other == row for _, other in others):
            good.append((first, row))
            repeats |= {number: first for number, _ in others}
        else:
            faults.add(first, [_contradiction(row, others[0][0], labels)])
            for number, _ in others:
                faults.add(number, [_contradiction(row, first, labels)])
    return good, repeats


def _contradiction(row: FileRow, other: int, labels: Mapping[str, str]) -> Fault:
    *_, column = names = [labels[name] for name in row.key]
    return Fault(
        column,
        "contradicts_another_row",
        f"Row {other} is about the same record and says otherwise",
        f"{other}行目にも同じ{'・'.join(names)}があり、内容が違います",
    )
