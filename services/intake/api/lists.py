"""他機関の相談者名簿: another agency's list as CSV, in two steps; each line opens a case, and none opens two."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, FailFast, Field
from sqlalchemy.ext.asyncio import AsyncSession

from services.intake.api.shapes import Kana, Line, Phone, Postcode, Story, Words
from services.intake.domain.cases import FIRST_STEP, Consent, ConsentState, Entrance, Topic
from services.intake.handlers import lists as handlers
from services.intake.handlers.cases import Opening
from services.intake.handlers.exports import words_of
from shared.auth import Actor, Role
from shared.codes import DayAsWritten, MunicipalityCode
from shared.service import day_in_japan
from shared.service.imports import Became, Fault, FileRow, import_router

MOST_LINES = 2_000
"""Each line is a case with its key, its log entry and its event."""

_SAID = {
    "あり": ConsentState.GIVEN,
    "同意": ConsentState.GIVEN,
    "なし": ConsentState.REFUSED,
    "不同意": ConsentState.REFUSED,
    "まだ": ConsentState.NOT_YET,
    "未取得": ConsentState.NOT_YET,
}


def _codes(table: str) -> Mapping[str, str]:
    """Code by word, from the layout that comes along: what is written out can be read in again."""
    return {_plain(word): code for code, word in words_of("reception_list", table).items()}


def _plain(cell: str) -> str:
    return unicodedata.normalize("NFKC", cell).strip()


def _named(words: Mapping[str, Any]) -> BeforeValidator:
    return BeforeValidator(lambda cell: words.get(_plain(cell), cell) if isinstance(cell, str) else cell)


def _split(cell: Any) -> Any:
    """Several topics in one cell, between 、 or ; or lines. Words that hold a 、 themselves are found first."""
    if not isinstance(cell, str):
        return cell
    rest, found = re.sub(r"[;,\n]", "、", _plain(cell)), []
    for word, code in sorted(_codes("topic").items(), key=lambda item: len(item[0]), reverse=True):
        if word in rest:
            found.append(code)
            rest = rest.replace(word, "")
    return tuple(dict.fromkeys([*found, *(part.strip() for part in rest.split("、") if part.strip())]))


_Topics = Annotated[tuple[Topic, ...], FailFast(), BeforeValidator(_split)]


class ListedRow(FileRow):
    """A line of the list."""

    key: ClassVar = ("number",)
    number: Annotated[Line, Field(max_length=60)] = Field(alias="番号")
    municipality: MunicipalityCode = Field(alias="市町村コード")
    name: Annotated[Words, Field(max_length=100)] | None = Field(alias="氏名", default=None)
    kana: Annotated[Kana, Field(max_length=100)] | None = Field(alias="ふりがな", default=None)
    sex: Annotated[Literal["male", "female", "other"], _named(_codes("sex"))] | None = Field(alias="性別", default=None)
    birth_date: DayAsWritten | None = Field(alias="生年月日", default=None)
    postcode: Postcode | None = Field(alias="郵便番号", default=None)
    address: Annotated[Words, Field(max_length=300)] | None = Field(alias="住所", default=None)
    phone: Phone | None = Field(alias="電話番号", default=None)
    topics: _Topics = Field(alias="相談内容", default=())
    story: Story | None = Field(alias="相談の内容", default=None)
    consent: Annotated[ConsentState, _named(_SAID)] | None = Field(alias="同意", default=None)
    next_step: Line | None = Field(alias="次の対応", default=None)
    next_step_on: DayAsWritten | None = Field(alias="次の対応の期日", default=None)


_PERSON = ("name", "kana", "sex", "birth_date", "postcode", "address", "phone", "story")


async def take_list(
    session: AsyncSession, rows: Sequence[ListedRow], actor: Actor, now: datetime
) -> list[Became | Fault]:
    """Lines become cases."""
    today = day_in_japan(now)
    good = [row for row in rows if row.birth_date is None or row.birth_date <= today]
    lines = [handlers.Line(row.number, row.model_dump_json(), _opening(row, today)) for row in good]
    became = iter(await handlers.take_lines(session, lines, actor=actor, now=now))
    outcomes: list[Became | Fault] = []
    for row in rows:
        if row.birth_date is not None and row.birth_date > today:
            outcomes.append(_UNBORN)
            continue
        outcome = next(became)
        outcomes.append(_DIFFERS if outcome == "differs" else outcome)
    return outcomes


def _opening(row: ListedRow, today: date) -> Opening:
    person = {name: str(value) for name in _PERSON if (value := getattr(row, name)) is not None}
    return Opening(
        municipality=row.municipality,
        entrance=Entrance.AGENCY_SHEET.value,
        topics=tuple(topic.value for topic in row.topics),
        needs=(),
        urgent=None,
        urgency=(),
        most_serious=None,
        next_step_on=row.next_step_on or today,
        anchor=None,
        # What a list says of a yes names no purpose and no text, so it is no consent yet: it has to be asked for.
        consent=None if row.consent in {None, ConsentState.GIVEN} else Consent(row.consent or ConsentState.NOT_YET),
        witness=None,
        sheet=person | {"next_step": row.next_step or FIRST_STEP},
    )


_DIFFERS = Fault(
    "番号",
    "differs_from_its_case",
    "This number became a case already, and says something else now: change the case",
    "この番号は取り込み済みで、内容が違います。ケースの受付票を直してください",
)
_UNBORN = Fault(
    "生年月日",
    "in_the_future",
    "A birth date can't lie in the future; check the era",
    "生年月日が未来の日付です。元号を確かめてください",
)

lists = import_router(
    path="/v1/case-imports",
    tag="cases",
    role=Role.COUNSELLOR,
    row=ListedRow,
    take=take_list,
    title_ja="他機関の相談者名簿",
    most_rows=MOST_LINES,
)
