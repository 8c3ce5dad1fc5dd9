"""The catalogue of course runs, its import from CSV, and which body may issue instructions where."""

import re
import unicodedata
from collections.abc import Sequence
from datetime import date, datetime, time
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

from fastapi import Query
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
)
from pydantic_core import PydanticCustomError
from sqlalchemy.ext.asyncio import AsyncSession

from services.training.api.shapes import (
    Account,
    Balance,
    CourseRun,
    LedgerEntry,
    PlaceInLine,
    SeatGrant,
    ledger_entry,
    place_in_line,
    seat_grant,
)
from services.training.domain.offers import CourseOffer, Denied
from services.training.domain.steps import Authority
from services.training.domain.trial import TRIAL, Step
from services.training.handlers import courses, places, reading
from services.training.handlers.target_groups import unknown_groups
from services.training.tables import facts
from shared.auth import Actor, Caller, Role, requires
from shared.codes import AgencyId, Code, DayAsWritten, FreeText, MomentAsWritten, MunicipalityCode
from shared.problems import FORBIDDEN, Problem, invalid
from shared.service import Body, Now, Page, Pages, Transaction, day_in_japan, number, page, router
from shared.service.imports import Became, Fault, FileRow, import_router


class System(StrEnum):
    """Training systems (訓練種別)."""

    PUBLIC_IN_HOUSE = "public_in_house"
    PUBLIC_COMMISSIONED = "public_commissioned"
    COMMISSIONED_DISABILITY = "commissioned_disability"
    DISABILITY_SCHOOL = "disability_school"
    JOB_SEEKER_BASIC = "job_seeker_basic"
    JOB_SEEKER_PRACTICAL = "job_seeker_practical"


class CourseField(StrEnum):
    """Fields of training (分野)."""

    BASIC = "basic"
    CARE = "care"
    MEDICAL_OFFICE = "medical_office"
    IT = "it"
    WEB_DESIGN = "web_design"
    SALES_OFFICE = "sales_office"
    REGIONAL_NEEDS = "regional_needs"
    OTHER = "other"


AnySystem = StrEnum("AnySystem", {each.name: each.value for each in System} | {"TRIAL": TRIAL})  # type: ignore[misc]
"""職親の受入れ stands beside the training systems, and in no plan of seats and no decision."""
AnyField = StrEnum("AnyField", {each.name: each.value for each in (*CourseField, *Step)})  # type: ignore[misc]
"""分野; of a trial place its step (受入れ段階)."""


catalogue = router(tag="course-runs")


@catalogue.get(
    "/v1/course-runs",
    summary="List course runs with their free seats",
    description="訓練コースの一覧です。自治体を指定すると、その住民が使える枠があるものだけを返します。",
    dependencies=[requires(*Role)],
)
async def list_course_runs(
    session: Transaction,
    pages: Pages,
    now: Now,
    field: Annotated[AnyField | None, Query(description="分野; of a trial place its step.")] = None,
    system: Annotated[AnySystem | None, Query(description="訓練種別; `trial`: places at host workplaces.")] = None,
    municipality: Annotated[MunicipalityCode | None, Query(description="Open to people of this municipality.")] = None,
    with_free: Annotated[bool, Query(description="Only with a free seat.")] = False,
) -> Page[CourseRun]:
    """A page, by first day of the course."""
    found = await reading.list_course_runs(
        session,
        field=field,
        system=system,
        municipality=municipality,
        with_free=with_free,
        now=now,
        after=pages.begin(lambda starts_on, run_id: (date.fromisoformat(starts_on), UUID(run_id))),
        limit=pages.one_more,
    )
    return page(found, pages, key=lambda row: (row.starts_on, row.id), show=CourseRun.model_validate)


@catalogue.get(
    "/v1/course-runs/{course_run_id}",
    summary="Read a course run",
    description="訓練コースと、枠ごとの空き・待ちを返します。",
    dependencies=[requires(*Role)],
)
async def get_course_run(course_run_id: UUID, session: Transaction, now: Now) -> CourseRun:
    """A course run with its pools."""
    return CourseRun.model_validate(await reading.get_course_run(session, course_run_id, now))


@catalogue.get(
    "/v1/course-runs/{course_run_id}/pools/{pool_id}/grant",
    summary="Which decision granted a pool's seats",
    description="枠の席がどの分科会の決定によるものか、その決定がいまも効力を持つかを返します。一般枠に決定はありません。",
    dependencies=[requires(*Role)],
)
async def get_pool_grant(course_run_id: UUID, pool_id: UUID, session: Transaction, now: Now) -> SeatGrant:
    """None, for seats that are for all; nor for seats that were delegated before decisions were needed."""
    return seat_grant(await reading.get_grant(session, pool_id, course_run_id=course_run_id, now=now))


@catalogue.get(
    "/v1/course-runs/{course_run_id}/line",
    summary="Who waits for a course run",
    description="待ちの順番です。ケース番号は、自分の自治体のものだけが見えます。",
    dependencies=[requires(Role.COUNSELLOR, Role.PLACEMENT, Role.HELLO_WORK, Role.PLANNER, Role.PROVIDER)],
)
async def list_line(
    course_run_id: UUID, session: Transaction, pages: Pages, now: Now, actor: Caller
) -> Page[PlaceInLine]:
    """Pool by pool, in the order of asking; `position` is by the rule that holds, as in `place` of a request."""
    found = await reading.list_line(
        session,
        course_run_id,
        after=pages.begin(lambda pool_kind, pool_of, line_no: (pool_kind, pool_of, number(line_no))),
        limit=pages.one_more,
    )
    positions = await places.read_positions(session, [course_run_id], now)
    return page(
        found,
        pages,
        key=lambda row: (row.pool_kind, row.pool_of, row.line_no),
        show=lambda row: place_in_line(row, positions[row.seat_request_id], named=actor.serves(row.municipality)),
    )


@catalogue.get(
    "/v1/course-runs/{course_run_id}/accounts",
    summary="Replay a course run's ledger of seats",
    description="枠の台帳(複式)を最初から足し合わせた、口座ごとの残高です。`at` でその時点の残高も出せます。",
    dependencies=[requires(*Role)],
)
async def list_accounts(
    course_run_id: UUID,
    session: Transaction,
    at: Annotated[AwareDatetime | None, Query(description="As of a moment; else now.")] = None,
) -> list[Balance]:
    """Summed up anew from the entries; never read from a counter."""
    return [Balance.model_validate(row) for row in await reading.replay(session, course_run_id, at=at)]


@catalogue.get(
    "/v1/course-runs/{course_run_id}/entries",
    summary="The entries behind a number of seats",
    description="枠の台帳のうち、一つの科目(口座)の記帳を古い順に返します。足し合わせると残高になります。",
    dependencies=[requires(Role.COUNSELLOR, Role.PLACEMENT, Role.HELLO_WORK, Role.PLANNER, Role.PROVIDER)],
)
async def list_ledger_entries(
    course_run_id: UUID,
    session: Transaction,
    pages: Pages,
    actor: Caller,
    account: Account,
    pool_id: Annotated[UUID | None, Query(description="For `free`, `held` and `filled`: of which pool.")] = None,
) -> Page[LedgerEntry]:
    """Oldest first."""
    if (account in {Account.FREE, Account.HELD, Account.FILLED}) != (pool_id is not None):
        raise invalid(
            "pool_id",
            "account_of_a_pool",
            "free, held and filled are a pool's accounts; outside and run are the course run's",
            "free・held・filled には枠(pool_id)を指定し、outside・run には指定しないでください",
            place="query",
        )
    found = await reading.list_entries(
        session,
        course_run_id,
        account=account,
        pool_id=pool_id,
        after=pages.begin(lambda entry_id: number(entry_id, bits=64)) or 0,
        limit=pages.one_more,
    )
    return page(
        found,
        pages,
        key=lambda row: (row.entry_id,),
        show=lambda row: ledger_entry(row, named=row.municipality is None or actor.serves(row.municipality)),
    )


# --- import ---------------------------------------------------------------------------------------------------------


_MOST_DELEGATED = 200
"""More municipalities than any prefecture has (北海道: 179)."""


def delegated_as_written(value: Any) -> Any:
    """「462012:4 462187+462250:2」 as seats by whose they are, alone or together; the rest is left to the validator."""
    if not isinstance(value, str):
        return value
    written = value.replace("、", " ").replace("：", ":").replace("＋", "+").replace(",", " ").split()
    pairs = [part.partition(":") for part in written]
    if len(pairs) > _MOST_DELEGATED or len({_in_order(whose) for whose, _, _ in pairs}) != len(pairs):
        return value
    return {whose: seats for whose, _, seats in pairs}


def _in_order(whose: str) -> str:
    return "+".join(sorted(whose.split("+")))


_CODE: TypeAdapter[str] = TypeAdapter(MunicipalityCode)
_GROUP: TypeAdapter[str] = TypeAdapter(Code)


def _municipalities(whose: str) -> str:
    """Codes joined by +, each once, in their order."""
    codes = [_CODE.validate_python(code) for code in whose.split("+")]
    if len(set(codes)) != len(codes):
        raise ValueError("named twice")
    return "+".join(sorted(codes))


def _groups(whose: str) -> str:
    """Codes of target groups joined by +, each once, in their order."""
    codes = [_GROUP.validate_python(code) for code in whose.split("+")]
    if len(set(codes)) != len(codes):
        raise ValueError("named twice")
    return "+".join(sorted(codes))


def _hour_as_written(value: Any) -> Any:
    """「9:00」 as people and spreadsheets write it; a clock in Japan, without an offset."""
    found = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)(?::00)?", unicodedata.normalize("NFKC", str(value)).strip())
    if found is None:
        raise PydanticCustomError("hour_of_the_day", "an hour of the day was expected")
    return time(int(found[1]), int(found[2]))


_Hour = Annotated[time, BeforeValidator(_hour_as_written)]
Groups = Annotated[str, AfterValidator(_groups)]
Whose = Annotated[str, AfterValidator(_municipalities)]
Text = Annotated[FreeText, StringConstraints(min_length=1, max_length=300)]
Seats = Annotated[int, Field(ge=0, le=1000)]


class CourseRunRow(FileRow):
    """One course run per line."""

    key: ClassVar = ("course_number",)
    course_number: Code = Field(alias="講座番号")
    title: Text = Field(alias="講座名")
    system: AnySystem = Field(alias="訓練種別")
    field: AnyField = Field(alias="分野")
    provider: AgencyId = Field(alias="実施機関ID")
    site_municipality: MunicipalityCode = Field(alias="所在地コード")
    starts_on: DayAsWritten = Field(alias="開始日")
    ends_on: DayAsWritten = Field(alias="終了日")
    capacity: Seats = Field(alias="定員")
    applications_close_at: MomentAsWritten = Field(alias="応募締切")
    hold_hours: Annotated[int, Field(ge=1, le=2400)] | None = Field(default=None, alias="仮押さえ時間")
    hold_days: Annotated[int, Field(ge=1, le=60)] | None = Field(default=None, alias="仮押さえ営業日")
    offer_days: Annotated[int, Field(ge=1, le=20)] = Field(default=3, alias="案内回答営業日")
    delegated: Annotated[dict[Whose, Annotated[int, Field(ge=1, le=1000)]], BeforeValidator(delegated_as_written)] = (
        Field(default_factory=dict, alias="委ねる枠")
    )
    min_enrolment: Annotated[int | None, Field(ge=1, le=1000)] = Field(default=None, alias="最少開講人数")
    cancel_decision_on: DayAsWritten | None = Field(default=None, alias="中止決定日")
    priority: Annotated[dict[Groups, Annotated[int, Field(ge=1, le=1000)]], BeforeValidator(delegated_as_written)] = (
        Field(default_factory=dict, alias="優先枠")
    )
    priority_opens_at: MomentAsWritten | None = Field(default=None, alias="優先枠の開放")
    host_workplace_id: UUID | None = Field(default=None, alias="職親ID")
    host_workplace_name: Text | None = Field(default=None, alias="職親名")
    from_time: _Hour | None = Field(default=None, alias="開始時刻")
    until_time: _Hour | None = Field(default=None, alias="終了時刻")
    source: Text = Field(alias="出典")
    checked_on: DayAsWritten = Field(alias="確認日")


NOT_YOUR_PREFECTURE = (
    "Only for places that you serve: send the row to the planner there",
    "担当する地域の講座だけを書けます。その地域の担当に送ってください",
)
_DENIED = {
    "not_your_prefecture": NOT_YOUR_PREFECTURE,
    "nothing_to_open": (
        "No seats are kept for target groups that could open to all",
        "開放の日時は、優先枠があるときだけ書いてください",
    ),
    "hold_in_hours_and_days": (
        "A seat is held for hours or for working days: fill in one of the two",
        "仮押さえは時間か営業日のどちらか一方で書いてください",
    ),
    "ends_before_it_starts": ("The course ends before it starts", "終了日が開始日より前です"),
    "delegated_above_capacity": ("More seats are delegated than there are", "委ねる枠の合計が定員を超えています"),
    "below_what_is_taken": ("Fewer seats than are held or filled", "すでに仮押さえ・受講中の人数を下回っています"),
    "no_decision_in_force": (
        "No decision in force delegates seats of this course run to these municipalities: have it decided first",
        "この講座の枠をこの市町村に委ねる、効力のある分科会の決定がありません。先に決定を記録してください",
    ),
    "more_than_allotted": (
        "More than what the decision in force has left for these municipalities: take fewer, or have more decided",
        "効力のある決定の残りの席数を超えています。席数を減らすか、決定を改めてください",
    ),
    "cut_off_passed": (
        "The decision's cut-off has passed, and seats that nobody held went back: write what stayed, or decide anew",
        "枠の戻る日を過ぎ、押さえられていない席は戻りました。残った席数を書くか、改めて決定してください",
    ),
    "more_needed_than_seats": ("More people are needed than there are seats", "最少開講人数が定員を超えています"),
    "cancels_after_start": ("Decided after the course starts", "中止決定日が開始日より後です"),
    "course_cancelled": (
        "The course run is cancelled: offer another under a number of its own",
        "中止した講座です。新しい講座は別の講座番号で登録してください",
    ),
    "changed_since": (
        "The course run changed late after the day on which this row was checked: check it again, and send the new day",
        "確認日の後に講座の変更がありました。内容を確かめ直し、新しい確認日で送ってください",
    ),
    "two_seats_at_a_time": (
        "On these days somebody would have two seats at a time: make the change with a trial, which shows who",
        "この日程では同じ期間に二つの席を持つ人が出ます。変更の試算(change-trials)で対象者を確かめて変更してください",
    ),
    "step_of_a_trial": (
        "Of a trial place the field is its step (visit, half_day, week, paid_trial, job), and of nothing else",
        "職親の受入れ(trial)の分野は受入れ段階(visit・half_day・week・paid_trial・job)で、ほかの訓練では使えません",
    ),
    "host_of_a_trial": (
        "A trial place names its host workplace: the id in the directory, and the name",
        "職親の受入れには、名簿の職親IDと職親名を書いてください",
    ),
    "only_of_a_trial": (
        "A host workplace, or hours of the day, are given for trial places alone",
        "職親と時刻は、職親の受入れ(trial)だけに書けます",
    ),
    "no_plan_quota": (
        "Trial places are in no plan and no decision: leave the delegated seats out, or keep some for target groups",
        "職親の受入れは計画枠・決定の対象ではありません。委ねる枠を空にしてください(優先枠は使えます)",
    ),
    "hours_of_a_day": (
        "Give both hours of the day, the first before the second",
        "開始時刻と終了時刻を両方、早い順に書いてください",
    ),
    "trial_stays": (
        "Step and host of a trial place stay: offer another under a number of its own",
        "職親の受入れの段階と職親は変えられません。別の講座番号で登録してください",
    ),
    "people_wait_for_these_seats": ("People wait for these seats", "この枠を待っている人がいます"),
}


async def take_course_runs(
    session: AsyncSession, rows: Sequence[CourseRunRow], actor: Actor, now: datetime
) -> list[Became | Fault]:
    """Lines become course runs: new, changed, or nothing new."""
    outcomes: dict[str, Became | Fault] = {row.course_number: _NO_SUCH_GROUP for row in rows if _unknown(session, row)}
    offers = [_offer(row) for row in rows if row.course_number not in outcomes]
    for offer, came in zip(offers, await courses.offer_course_runs(session, offers, actor=actor, now=now), strict=True):
        outcomes[offer.course_number] = _denied(came) if isinstance(came, Denied) else came.became
    return [outcomes[row.course_number] for row in rows]


_NO_SUCH_GROUP = Fault(
    "優先枠",
    "unknown_target_group",
    "Take codes of GET /v1/target-groups",
    "GET /v1/target-groups にある符号で書いてください",
)


def _unknown(session: AsyncSession, row: CourseRunRow) -> list[str]:
    return unknown_groups(session, (code for groups in row.priority for code in groups.split("+")))


def _offer(row: CourseRunRow) -> CourseOffer:
    return CourseOffer(
        course_number=row.course_number,
        title=row.title,
        provider_agency=row.provider,
        site_municipality=row.site_municipality,
        system=row.system.value,
        field=row.field.value,
        starts_on=row.starts_on,
        ends_on=row.ends_on,
        applications_close_at=row.applications_close_at,
        capacity=row.capacity,
        hold_hours=row.hold_hours,
        hold_days=row.hold_days,
        offer_days=row.offer_days,
        source=row.source,
        checked_on=row.checked_on,
        delegated=row.delegated,
        min_enrolment=row.min_enrolment,
        cancel_decision_on=row.cancel_decision_on,
        priority=row.priority,
        priority_opens_at=row.priority_opens_at,
        host_workplace_id=row.host_workplace_id,
        host_workplace_name=row.host_workplace_name,
        from_time=row.from_time,
        until_time=row.until_time,
    )


def _denied(outcome: Denied) -> Fault:
    message, message_ja = _DENIED[outcome.reason]
    return Fault(CourseRunRow.model_fields[outcome.about].alias, outcome.reason, message, message_ja)


course_imports = import_router(
    path="/v1/course-run-imports",
    tag="course-run-imports",
    role=Role.PLANNER,
    row=CourseRunRow,
    take=take_course_runs,
    title_ja="訓練コース",
)


# --- authority ------------------------------------------------------------------------------------------------------

authorities = router(tag="authorities")
Prefecture = Annotated[str, StringConstraints(pattern=r"^(0[1-9]|[1-3][0-9]|4[0-7])$")]


class Decision(Body):
    """What was decided, by whom, and from which day."""

    prefecture: Prefecture = Field(examples=["46"])
    mode: Literal["current_law", "delegated"] = Field(examples=["delegated"])
    in_force_from: DayAsWritten = Field(examples=["2022-10-01"])
    decided_by: Text = Field(examples=["鹿児島県地域職業能力開発促進協議会"])


class AuthorityView(BaseModel):
    """Who may issue instructions in a prefecture today."""

    prefecture: str
    mode: Authority
    in_force_from: date | None = Field(description="None while nothing was decided: then today's law applies.")
    decided_by: str | None


class AuthorityRecord(BaseModel):
    """One decision on record. To take one back that is to come, record what is to hold from its day: it is replaced."""

    model_config = ConfigDict(from_attributes=True)

    prefecture: str
    mode: Authority
    in_force_from: date
    decided_by: str
    recorded_by: str
    recorded_at: datetime
    state: Literal["in_force", "to_come", "past", "replaced"]


@authorities.get(
    "/v1/authorities",
    summary="List what was decided about instructions",
    description="受講指示を出せる機関の決定を、記録した順に返します。これから効力をもつもの(to_come)も、同じ日の決定で改められたもの(replaced)も含みます。",
    dependencies=[requires(*Role)],
)
async def list_authorities(
    session: Transaction, now: Now, pages: Pages, prefecture: Annotated[Prefecture | None, Query()] = None
) -> Page[AuthorityRecord]:
    """As they were recorded."""
    after = pages.begin(lambda record_id: number(record_id, bits=64)) or 0
    found = await facts.list_authorities(
        session, prefecture, today=day_in_japan(now), after=after, limit=pages.one_more
    )
    return page(found, pages, key=lambda row: (row.id,), show=AuthorityRecord.model_validate)


@authorities.post(
    "/v1/authorities",
    status_code=201,
    summary="Record who may issue instructions",
    description="都道府県ごとに、受講指示を出せる機関の決定を記録します(追記のみ)。",
    dependencies=[requires(Role.PLANNER)],
)
async def record_authority(body: Decision, session: Transaction, now: Now, actor: Caller) -> AuthorityView:
    """Added to the record; decisions are never changed. The planner's own prefecture only."""
    if not actor.serves(f"{body.prefecture}0000"):
        raise Problem(
            FORBIDDEN,
            detail="Only for a prefecture that you serve.",
            detail_ja="担当する都道府県についてだけ記録できます。",
        )
    await courses.record_authority(
        session,
        prefecture=body.prefecture,
        mode=Authority(body.mode),
        in_force_from=body.in_force_from,
        decided_by=body.decided_by,
        recorded_by=actor.agency,
        now=now,
    )
    return await _authority(session, body.prefecture, now)


@authorities.get(
    "/v1/authorities/{prefecture}",
    summary="Who may issue instructions today",
    description="現在、受講指示を出せる機関(現行法どおりか、委ねているか)を返します。",
    dependencies=[requires(*Role)],
)
async def get_authority(prefecture: Prefecture, session: Transaction, now: Now) -> AuthorityView:
    """As in force today, Japan's time."""
    return await _authority(session, prefecture, now)


async def _authority(session: AsyncSession, prefecture: str, now: datetime) -> AuthorityView:
    found = await facts.find_authority(session, prefecture, day_in_japan(now))
    if found is None:
        return AuthorityView(prefecture=prefecture, mode=Authority.CURRENT_LAW, in_force_from=None, decided_by=None)
    return AuthorityView(
        prefecture=prefecture,
        mode=Authority(found.mode),
        in_force_from=found.in_force_from,
        decided_by=found.decided_by,
    )
