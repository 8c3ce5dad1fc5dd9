"""The lines of the directory's five files: which columns there are, what may stand in them, and how they are written.

Columns are named as Japanese offices name them. `gif` has the item names of the Government Interoperability Framework
(政府相互運用性フレームワーク: 434 法人・事業所, 451-4 行政サービス・制度, 451-7 行政サービス拠点・支援機関等); they are
read with their prefix and without it, and written where somebody asks for them.
"""

import functools
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    FailFast,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticCustomError

from services.referral.api import cells
from services.referral.domain.directory import Channel, Room, is_legal_basis, nearest, room_fault
from services.referral.domain.firms import Firm, FirmState, firm_fault
from services.referral.domain.options import Capacity, Stage
from services.referral.tables.vocabulary import vocabulary
from shared.codes import EMAIL_FORM, AgencyId, Code, CorporateNumber, DayAsWritten, MunicipalityCode
from shared.service.imports import FileRow, zero_put_back

STAGES = {
    "訪問": Stage.OUTREACH,
    "アウトリーチ": Stage.OUTREACH,
    "居場所": Stage.DROP_IN,
    "就労準備": Stage.WORK_READINESS,
    "就労準備支援": Stage.WORK_READINESS,
    "就労訓練": Stage.WORK_TRAINING,
    "認定就労訓練": Stage.WORK_TRAINING,
    "就労体験": Stage.WORK_TRAINING,
    "職業訓練": Stage.VOCATIONAL_TRAINING,
    "一般就労": Stage.JOB,
    "就職": Stage.JOB,
    "定着": Stage.RETENTION,
    "定着支援": Stage.RETENTION,
}
CAPACITIES = {
    "空きあり": Capacity.HAS_ROOM,
    "満員": Capacity.FULL,
    "待機": Capacity.WAITING_LIST,
    "待機あり": Capacity.WAITING_LIST,
    "要相談": Capacity.ASK_FIRST,
    "不明": Capacity.UNKNOWN,
}
CHANNELS = {
    "アカウント": Channel.ACCOUNT,
    "メール": Channel.EMAIL,
    "電子メール": Channel.EMAIL,
    "郵送": Channel.LETTER,
    "手紙": Channel.LETTER,
}
FIRM_STATES = {
    "関心あり": FirmState.INTERESTED,
    "申請中": FirmState.APPLYING,
    "認定": FirmState.CERTIFIED,
    "失効": FirmState.LAPSED,
}
_LONGEST_CODE = 64


@functools.cache
def _words(of: str) -> Mapping[str, str]:
    return vocabulary().words(of)


@functools.cache
def _codes_by_word(of: str) -> Mapping[str, str]:
    return {unicodedata.normalize("NFKC", word): code for code, word in _words(of).items()}


@functools.lru_cache(1_000)
def _nearest(of: str, written: str) -> str | None:
    """Looked for once: a file repeats its slips, and each takes a millisecond."""
    return nearest(written, _words(of))


def _listed(of: str, *also: str) -> BeforeValidator:
    """A code of the vocabulary's list, or its word, or one of these; any other is refused with the nearest."""

    def read(code: Any) -> Any:
        if not isinstance(code, str) or code in also:
            return code
        written = unicodedata.normalize("NFKC", code).strip()
        if (found := _codes_by_word(of).get(written, written)) not in _words(of):
            near = _nearest(of, written) if len(written) <= _LONGEST_CODE else None
            raise PydanticCustomError("not_in_vocabulary", "no such code", {"nearest": near} if near else None)
        return found

    return BeforeValidator(read)


def _legal_basis(code: str) -> str:
    if not is_legal_basis(code):
        raise PydanticCustomError("legal_basis", "no act that is known here")
    return code


# One wrong code is enough to say of a cell; it may hold a thousand.
Place = Annotated[MunicipalityCode, BeforeValidator(zero_put_back)]
Areas = Annotated[
    tuple[MunicipalityCode, ...], FailFast(), BeforeValidator(zero_put_back), BeforeValidator(cells.split)
]
KnownFunction = Annotated[Code, _listed("functions")]
FunctionOnMap = Annotated[Code, _listed("functions", "none")]
KnownKind = Annotated[Code, _listed("kinds")]
Profession = Annotated[Code, _listed("professions")]
Industry = Annotated[Code, _listed("industries")]
Targets = Annotated[tuple[Annotated[Code, _listed("targets")], ...], FailFast(), BeforeValidator(cells.split)]
Needs = Annotated[tuple[Annotated[Code, _listed("needs")], ...], FailFast(), BeforeValidator(cells.split)]
LegalBasis = Annotated[Code, AfterValidator(_legal_basis)]
Email = Annotated[str, StringConstraints(strip_whitespace=True, max_length=254, pattern=EMAIL_FORM)]
WorkingDays = Annotated[int, Field(ge=1, le=60)]
Closed = Annotated[
    tuple[Annotated[int, Field(ge=0, le=6)], ...],
    FailFast(),
    BeforeValidator(cells.read_weekdays),
    AfterValidator(lambda days: tuple(sorted(set(days)))),
]
ClosedDays = Annotated[
    tuple[DayAsWritten, ...],
    FailFast(),
    BeforeValidator(cells.split),
    AfterValidator(lambda days: tuple(sorted(set(days)))),
    Field(max_length=400),
]
Hours = Annotated[
    tuple[cells.OpeningHours, ...],
    FailFast(),
    BeforeValidator(cells.read_hours),
    AfterValidator(cells.in_order),
    Field(max_length=50),
]
Desks = Annotated[tuple[cells.Desk, ...], FailFast(), BeforeValidator(cells.read_desks), Field(max_length=20)]
Conditions = Annotated[
    tuple[cells.Condition, ...], FailFast(), BeforeValidator(cells.read_conditions), Field(max_length=20)
]
Steps = Annotated[
    tuple[cells.StepPlaces, ...], FailFast(), BeforeValidator(cells.read_steps), AfterValidator(cells.steps_once)
]


class Columns(StrEnum):
    """By which names a file's columns go."""

    OURS = "ours"
    GIF = "gif"


def _by_gif(gif: Mapping[str, str], **others: Sequence[str]) -> dict[str, str]:
    """Every name that a field has there, with its prefix and without; `others`: English, older and half-width ones."""
    also = {name: field for field, full in gif.items() for name in (full, full.partition(":")[2])}
    also |= {name: field for field, names in others.items() for name in names}
    return also


class DirectoryRow(FileRow):
    """A line of any of them, that can be written again as it was read."""

    writes: ClassVar[Mapping[str, Callable[[Any], str]]] = {}
    """How a field is written where its value as it stands wouldn't do."""
    gif: ClassVar[Mapping[str, str]] = {}
    """What the framework calls a field, where it has a name for it."""

    @classmethod
    def header(cls, columns: Columns = Columns.OURS) -> list[str]:
        """The columns, by their Japanese names, or by the framework's where it has them."""
        gif = cls.gif if columns is Columns.GIF else {}
        return [gif.get(name, field.alias or name) for name, field in cls.model_fields.items()]

    @classmethod
    def line(cls, entry: Mapping[str, Any]) -> list[str]:
        """An entry as it is kept, as cells under that header."""
        return [cls.writes.get(name, cells.plain)(entry[name]) for name in cls.model_fields]


_TRADE_NAME = ("pd:商号または名称", "商号または名称", "tradeName")
_OF_A_PLACE = {
    "corporate_number": "pd:法人番号",
    "municipality": "pd:全国地方公共団体コード",
    "industry": "pd:事業種目",
}


class AgencyRow(DirectoryRow):
    """A line of the agencies' file."""

    key: ClassVar = ("agency_id",)
    gif: ClassVar = {
        "agency_id": "pd:ID",
        "corporate_number": "pd:法人番号",
        "name": "pd:名称",
        "kana": "pd:名称（カナ）",
        "kind": "pd:種別情報",
        "municipality": "pd:全国地方公共団体コード",
        "phone": "pd:連絡先電話番号",
        "contact_email": "pd:連絡先メールアドレス",
    }
    also: ClassVar = _by_gif(
        gif,
        corporate_number=("legalEntityNumber",),
        name=("pd:法人名", "法人名", *_TRADE_NAME),
        kana=("名称(カナ)", "pd:商号または名称（カナ）", "商号または名称（カナ）", "tradeNameKana"),
        kind=("typeInformation",),
        municipalities_served=("serviceAreaCityCode",),
    )
    writes: ClassVar = {
        "desks": cells.write_desks,
        "opening_hours": cells.write_hours,
        "closed_weekdays": cells.write_weekdays,
        "contact_channel": cells.word(CHANNELS),
    }
    agency_id: AgencyId = Field(alias="機関ID")
    corporate_number: CorporateNumber | None = Field(alias="法人番号", default=None)
    name: cells.Name = Field(alias="名称")
    kana: cells.Name = Field(alias="カナ")
    kind: KnownKind = Field(alias="種別")
    municipality: Place = Field(alias="所在地コード")
    municipalities_served: Areas = Field(alias="対象地域コード", min_length=1)
    phone: cells.Phone | None = Field(alias="電話", default=None)
    confirmed_by: cells.Name = Field(alias="確認者")
    confirmed_on: DayAsWritten = Field(alias="確認日")
    desks: Desks = Field(alias="窓口", default=())
    opening_hours: Hours = Field(alias="受付時間", default=())
    closed_weekdays: Closed = Field(alias="定休日", default=(5, 6))
    closed_days: ClosedDays = Field(alias="休業日", default=())
    contact_email: Email | None = Field(alias="連絡先メール", default=None)
    contact_channel: Annotated[Channel, cells.named(CHANNELS)] | None = Field(alias="連絡方法", default=None)

    @field_validator("contact_channel")
    @classmethod
    def _reachable(cls, channel: Channel | None, info: ValidationInfo) -> Channel | None:
        if channel is Channel.EMAIL and not info.data.get("contact_email"):
            raise PydanticCustomError("email_needed", "an address is needed")
        return channel


class ProgrammeRow(DirectoryRow):
    """A line of the programmes' file."""

    key: ClassVar = ("agency_id", "programme_code")
    gif: ClassVar = {
        "agency_id": "ad:実施組織・支援機関",
        "programme_code": "ad:制度番号",
        "name": "ad:タイトル（制度名）",
        "function": "ad:サービス種別",
        "municipalities": "ad:地域",
        "needs": "ad:お困りごと",
        "for_whom": "ad:対象者",
        "conditions": "ad:対象者条件",
        "legal_basis": "ad:根拠法令",
    }
    also: ClassVar = _by_gif(gif, name=("制度名",))
    writes: ClassVar = {
        "stage": cells.word(STAGES),
        "capacity_state": cells.word(CAPACITIES),
        "conditions": cells.write_conditions,
    }
    agency_id: AgencyId = Field(alias="機関ID")
    programme_code: Code = Field(alias="事業コード")
    name: cells.Name = Field(alias="事業名")
    function: KnownFunction = Field(alias="支援機能")
    strand: int = Field(alias="系統", ge=1, le=6)
    stage: Annotated[Stage, cells.named(STAGES)] = Field(alias="段階")
    municipalities: Areas = Field(alias="対象地域コード", default=())
    needs: Needs = Field(alias="対応する課題", default=())
    capacity_state: Annotated[Capacity, cells.named(CAPACITIES)] = Field(alias="空き状況", default=Capacity.UNKNOWN)
    confirmed_on: DayAsWritten = Field(alias="確認日")
    confirmed_by: cells.Name | None = Field(alias="確認者", default=None)
    for_whom: Targets = Field(alias="対象者コード", default=())
    conditions: Conditions = Field(alias="利用条件", default=())
    legal_basis: LegalBasis | None = Field(alias="根拠", default=None)
    starts_on: DayAsWritten | None = Field(alias="開始日", default=None)
    ends_on: DayAsWritten | None = Field(alias="終了日", default=None)
    capacity_total: cells.Places | None = Field(alias="定員", default=None)
    capacity_free: cells.Places | None = Field(alias="空き数", default=None)
    capacity_confirmed_on: DayAsWritten | None = Field(alias="空き確認日", default=None)
    acknowledge_days: WorkingDays | None = Field(alias="受領期限(日)", default=None)
    contact_days: WorkingDays | None = Field(alias="初回連絡期限(日)", default=None)
    start_days: Annotated[int, Field(ge=1, le=250)] | None = Field(alias="開始期限(日)", default=None)

    @field_validator("ends_on")
    @classmethod
    def _after_its_start(cls, day: Any, info: ValidationInfo) -> Any:
        if day is not None and (starts := info.data.get("starts_on")) is not None and day < starts:
            raise PydanticCustomError("ends_before_it_starts", "ends before it starts")
        return day

    @field_validator("capacity_free")
    @classmethod
    def _possible(cls, free: int | None, info: ValidationInfo) -> int | None:
        state = info.data.get("capacity_state", Capacity.UNKNOWN)
        fault = room_fault(Room(state, info.data.get("capacity_total"), free))
        if fault is not None:
            raise PydanticCustomError(fault.value, "room that can't be")
        return free


class ProfessionalRow(DirectoryRow):
    """A line of the professionals' file."""

    key: ClassVar = ("agency_id", "profession")
    agency_id: AgencyId = Field(alias="機関ID")
    profession: Profession = Field(alias="専門職")
    count: cells.Places = Field(alias="人数")
    municipalities: Areas = Field(alias="対象地域コード", default=())
    confirmed_by: cells.Name = Field(alias="確認者")
    confirmed_on: DayAsWritten = Field(alias="確認日")


class WorkplaceRow(DirectoryRow):
    """A line of the host workplaces' file."""

    key: ClassVar = ("agency_id", "workplace_code")
    gif: ClassVar = {"workplace_code": "pd:事業所ID", "name": "pd:事業所名"} | _OF_A_PLACE
    also: ClassVar = _by_gif(
        gif,
        workplace_code=("businessPlaceId",),
        name=("businessPlaceName", *_TRADE_NAME),
        corporate_number=("legalEntityNumber",),
        industry=("businessCategory",),
    )
    writes: ClassVar = {"steps": cells.write_steps}
    agency_id: AgencyId = Field(alias="機関ID")
    workplace_code: Code = Field(alias="事業所コード")
    corporate_number: CorporateNumber | None = Field(alias="法人番号", default=None)
    name: cells.Name = Field(alias="事業所名")
    municipality: Place = Field(alias="所在地コード")
    industry: Industry = Field(alias="業種コード")
    steps: Steps = Field(alias="受入れ段階", default=())
    confirmed_by: cells.Name = Field(alias="確認者")
    confirmed_on: DayAsWritten = Field(alias="確認日")
    steps_said_on: DayAsWritten | None = Field(alias="受入れ確認日", default=None)


class FirmRow(DirectoryRow):
    """A line of the file of firms on the way to certified work training. Its state is judged last, by what it needs."""

    key: ClassVar = ("agency_id", "firm_code")
    gif: ClassVar = {"firm_code": "pd:ID", "name": "pd:商号または名称"} | _OF_A_PLACE
    also: ClassVar = _by_gif(
        gif,
        name=("tradeName", "pd:事業所名", "事業所名"),
        corporate_number=("legalEntityNumber",),
        industry=("businessCategory",),
    )
    writes: ClassVar = {"state": cells.word(FIRM_STATES)}
    agency_id: AgencyId = Field(alias="機関ID")
    firm_code: Code = Field(alias="事業者コード")
    corporate_number: CorporateNumber | None = Field(alias="法人番号", default=None)
    name: cells.Name = Field(alias="事業者名")
    municipality: Place = Field(alias="所在地コード")
    industry: Industry = Field(alias="業種コード")
    follow_up_on: DayAsWritten | None = Field(alias="次の連絡日", default=None)
    certified_on: DayAsWritten | None = Field(alias="認定日", default=None)
    certified_by: Place | None = Field(alias="認定者コード", default=None)
    confirmed_by: cells.Name = Field(alias="確認者")
    confirmed_on: DayAsWritten = Field(alias="確認日")
    state: Annotated[FirmState, cells.named(FIRM_STATES)] = Field(alias="状態")

    @field_validator("state")
    @classmethod
    def _fits(cls, state: FirmState, info: ValidationInfo) -> FirmState:
        days = {name: info.data.get(name) for name in ("follow_up_on", "certified_on", "certified_by")}
        fault = firm_fault(Firm(state, **days))
        if fault is not None:
            raise PydanticCustomError(fault.value, "something is missing")
        return state
