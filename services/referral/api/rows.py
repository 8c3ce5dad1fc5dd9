"""The lines of the directory's five files: which columns there are, what may stand in them, and how they are written.

Columns are named as Japanese offices name them. `also` takes the item names of the Government Interoperability
Framework (政府相互運用性フレームワーク: 451-4 行政サービス・制度, 451-7 行政サービス拠点・支援機関等), with their
prefix and without it.
"""

import functools
import unicodedata
from collections.abc import Callable, Mapping
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
from shared.service.imports import FileRow

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
CHANNELS = {"アカウント": Channel.ACCOUNT, "メール": Channel.EMAIL, "郵送": Channel.LETTER}
FIRM_STATES = {
    "関心あり": FirmState.INTERESTED,
    "申請中": FirmState.APPLYING,
    "認定": FirmState.CERTIFIED,
    "失効": FirmState.LAPSED,
}


@functools.cache
def _functions_by_word() -> Mapping[str, str]:
    functions = vocabulary().functions.values()
    return {unicodedata.normalize("NFKC", function.japanese): function.code for function in functions}


def _known_function(code: Any) -> Any:
    """The office's own word, or our code."""
    if not isinstance(code, str):
        return code
    written = unicodedata.normalize("NFKC", code)
    return _functions_by_word().get(written, written)


def _listed_function(code: str) -> str:
    return _listed(code, vocabulary().functions)


def _listed_target(code: str) -> str:
    return _listed(code, vocabulary().targets)


def _listed(code: str, known: Mapping[str, Any]) -> str:
    if code not in known:
        near = nearest(code, known)
        raise PydanticCustomError("not_in_vocabulary", "no such code", {"nearest": near} if near else None)
    return code


def _legal_basis(code: str) -> str:
    if not is_legal_basis(code):
        raise PydanticCustomError("legal_basis", "no act that is known here")
    return code


# One wrong code is enough to say of a cell; it may hold a thousand.
Areas = Annotated[tuple[MunicipalityCode, ...], FailFast(), BeforeValidator(cells.split)]
Codes = Annotated[tuple[Code, ...], FailFast(), BeforeValidator(cells.split)]
KnownFunction = Annotated[Code, BeforeValidator(_known_function), AfterValidator(_listed_function)]
Targets = Annotated[
    tuple[Annotated[Code, AfterValidator(_listed_target)], ...], FailFast(), BeforeValidator(cells.split)
]
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


class DirectoryRow(FileRow):
    """A line of any of them, that can be written again as it was read."""

    writes: ClassVar[Mapping[str, Callable[[Any], str]]] = {}
    """How a field is written where its value as it stands wouldn't do."""

    @classmethod
    def header(cls) -> list[str]:
        """The columns, by their Japanese names."""
        return [field.alias or name for name, field in cls.model_fields.items()]

    @classmethod
    def line(cls, entry: Mapping[str, Any]) -> list[str]:
        """An entry as it is kept, as cells under that header."""
        return [cls.writes.get(name, cells.plain)(entry[name]) for name in cls.model_fields]


class AgencyRow(DirectoryRow):
    """A line of the agencies' file."""

    key: ClassVar = ("agency_id",)
    also: ClassVar = {
        **dict.fromkeys(("pd:ID", "ID"), "agency_id"),
        **dict.fromkeys(("pd:法人番号", "legalEntityNumber"), "corporate_number"),
        **dict.fromkeys(("pd:名称", "pd:法人名", "法人名", "tradeName"), "name"),
        **dict.fromkeys(("pd:名称（カナ）", "名称（カナ）", "名称(カナ)", "tradeNameKana"), "kana"),
        **dict.fromkeys(("pd:種別情報", "種別情報", "typeInformation"), "kind"),
        **dict.fromkeys(("pd:全国地方公共団体コード", "全国地方公共団体コード"), "municipality"),
        "serviceAreaCityCode": "municipalities_served",
        **dict.fromkeys(("pd:連絡先電話番号", "連絡先電話番号"), "phone"),
        **dict.fromkeys(("pd:連絡先メールアドレス", "連絡先メールアドレス"), "contact_email"),
    }
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
    kind: Code = Field(alias="種別")
    municipality: MunicipalityCode = Field(alias="所在地コード")
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
    also: ClassVar = {
        **dict.fromkeys(("ad:実施組織・支援機関", "実施組織・支援機関"), "agency_id"),
        **dict.fromkeys(("ad:制度番号", "制度番号"), "programme_code"),
        **dict.fromkeys(("ad:タイトル（制度名）", "タイトル（制度名）", "制度名"), "name"),
        **dict.fromkeys(("ad:サービス種別", "サービス種別"), "function"),
        **dict.fromkeys(("ad:地域", "地域"), "municipalities"),
        **dict.fromkeys(("ad:お困りごと", "お困りごと"), "needs"),
        **dict.fromkeys(("ad:対象者", "対象者"), "for_whom"),
        **dict.fromkeys(("ad:対象者条件", "対象者条件"), "conditions"),
        **dict.fromkeys(("ad:根拠法令", "根拠法令"), "legal_basis"),
    }
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
    needs: Codes = Field(alias="対応する課題", default=())
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
    profession: Code = Field(alias="専門職")
    count: cells.Places = Field(alias="人数")
    municipalities: Areas = Field(alias="対象地域コード", default=())
    confirmed_by: cells.Name = Field(alias="確認者")
    confirmed_on: DayAsWritten = Field(alias="確認日")


class WorkplaceRow(DirectoryRow):
    """A line of the host workplaces' file."""

    key: ClassVar = ("agency_id", "workplace_code")
    writes: ClassVar = {"steps": cells.write_steps}
    agency_id: AgencyId = Field(alias="機関ID")
    workplace_code: Code = Field(alias="事業所コード")
    corporate_number: CorporateNumber | None = Field(alias="法人番号", default=None)
    name: cells.Name = Field(alias="事業所名")
    municipality: MunicipalityCode = Field(alias="所在地コード")
    industry: Code = Field(alias="業種コード")
    steps: Steps = Field(alias="受入れ段階", default=())
    confirmed_by: cells.Name = Field(alias="確認者")
    confirmed_on: DayAsWritten = Field(alias="確認日")


class FirmRow(DirectoryRow):
    """A line of the file of firms on the way to certified work training. Its state is judged last, by what it needs."""

    key: ClassVar = ("agency_id", "firm_code")
    writes: ClassVar = {"state": cells.word(FIRM_STATES)}
    agency_id: AgencyId = Field(alias="機関ID")
    firm_code: Code = Field(alias="事業者コード")
    corporate_number: CorporateNumber | None = Field(alias="法人番号", default=None)
    name: cells.Name = Field(alias="事業者名")
    municipality: MunicipalityCode = Field(alias="所在地コード")
    industry: Code = Field(alias="業種コード")
    follow_up_on: DayAsWritten | None = Field(alias="次の連絡日", default=None)
    certified_on: DayAsWritten | None = Field(alias="認定日", default=None)
    certified_by: MunicipalityCode | None = Field(alias="認定者コード", default=None)
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
