"""How long referrals take between two agencies, why they are declined, and each agency's own give-back page."""

from datetime import date, datetime, time, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Depends, Query, Response
from pydantic import BaseModel, ConfigDict

from services.referral.api.function_map import CSV, EncodingWanted, few_enough
from services.referral.domain.numbers import Measure, Milestone, Span, is_by_person
from services.referral.handlers import numbers as handlers
from services.referral.handlers.layouts import layout
from services.referral.handlers.number_lines import give_back_lines, pair_lines
from services.referral.handlers.numbers import Declined, Period
from shared.auth import Caller, Role, requires
from shared.codes import DayAsWritten
from shared.problems import invalid
from shared.service import JST, LongPages, Now, Page, Pages, Transaction, day_in_japan, moment, page, router
from shared.service.exports import Encoding, across, csv_answer

numbers = router(tag="numbers")

READERS = (
    *(Role.COUNSELLOR, Role.PLACEMENT, Role.HELLO_WORK, Role.PROVIDER),
    *(Role.DIRECTORY, Role.RULES, Role.PLANNER, Role.OBSERVER),
)
"""Every role of an agency: each has a page of its own to read. Emergencies and operation come beside one of these."""
_LONGEST = 366
_SPAN: dict[str, Any] = {"hours": 30.5, "working_days": 2}
_MEASURE: dict[str, Any] = {
    "reached": 12,
    "median": _SPAN,
    "ninetieth": {"hours": 120.0, "working_days": 5},
    "waiting": 3,
    "longest_waiting": {"hours": 400.2, "working_days": 12},
    "unanswered": 2,
    "ended": 1,
    "least_median": {"hours": 44.0, "working_days": 2},
    "least_ninetieth": {"hours": 300.0, "working_days": 9},
}
_FOUR: dict[str, Any] = {milestone.value: _MEASURE for milestone in Milestone}
_DECLINED: dict[str, Any] = {"receiver": "sakurajima-npo", "reason": "no_capacity", "side": "agency", "referrals": 4}


class SpanAnswer(BaseModel):
    """A time that was waited. The percentile is taken of hours and of working days each by itself."""

    model_config = ConfigDict(json_schema_extra={"examples": [_SPAN]})

    hours: float
    working_days: int

    @classmethod
    def of(cls, span: Span | None) -> "SpanAnswer | None":
        """None stays None."""
        return None if span is None else cls(hours=span.hours, working_days=span.working_days)


class MeasureAnswer(BaseModel):
    """How long one milestone takes from the sending, by nearest rank; who still waits for it, and who did in vain.

    `unanswered`: it ended in silence (expired, or taken back with `no_answer`). The figures with `least` count those
    who wait at their time so far, and the unanswered until they ended.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [_MEASURE]})

    reached: int
    median: SpanAnswer | None
    ninetieth: SpanAnswer | None
    waiting: int
    longest_waiting: SpanAnswer | None
    unanswered: int
    ended: int
    least_median: SpanAnswer | None
    least_ninetieth: SpanAnswer | None

    @classmethod
    def of(cls, measure: Measure) -> "MeasureAnswer":
        """As it was measured."""
        return cls(
            reached=measure.reached,
            median=SpanAnswer.of(measure.median),
            ninetieth=SpanAnswer.of(measure.ninetieth),
            waiting=measure.waiting,
            longest_waiting=SpanAnswer.of(measure.longest_waiting),
            unanswered=measure.unanswered,
            ended=measure.ended,
            least_median=SpanAnswer.of(measure.least_median),
            least_ninetieth=SpanAnswer.of(measure.least_ninetieth),
        )


class FourAnswer(BaseModel):
    """The four milestones."""

    model_config = ConfigDict(json_schema_extra={"examples": [_FOUR]})

    receive: MeasureAnswer
    accept: MeasureAnswer
    start: MeasureAnswer
    close: MeasureAnswer


class PairAnswer(FourAnswer):
    """How one agency answers another. Who asks for a case (`request`) is its sender here, and its holder the receiver;
    what follows the answer is the asker's own work, and counts in neither `start` nor `close`.
    """

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"sender": "kagoshima-desk", "receiver": "sakurajima-npo", **_FOUR}]}
    )

    sender: str
    receiver: str


class DeclinedAnswer(BaseModel):
    """How often an agency declined what it was asked, for one reason."""

    model_config = ConfigDict(json_schema_extra={"examples": [_DECLINED]})

    receiver: str
    reason: str
    side: Literal["agency", "person"]
    referrals: int


class HopsAnswer(BaseModel):
    """So many cases were referred so many times, one after another."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"hops": 2, "cases": 14}]})

    hops: int
    cases: int


class HopsAlarmAnswer(BaseModel):
    """A case that was passed about."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "case_id": "01920000-0000-7000-8000-0000000000c1",
                    "municipality": "462012",
                    "hops": 3,
                    "raised_at": "2026-11-30T03:00:00Z",
                }
            ]
        }
    )

    case_id: UUID
    municipality: str
    hops: int
    raised_at: datetime


class GiveBackAnswer(BaseModel):
    """What an agency gets back for taking part. What it asked of others is `sent`, cases that it asked for included.

    `outcomes`: of the cases that it passed to others; `own_outcomes`: of those that came to it, its own work.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "agency_id": "kagoshima-desk",
                    "agency_name": "鹿児島市くらし・しごと相談室",
                    "since": "2025-12-01",
                    "until": "2026-11-30",
                    "sent": 16,
                    "sent_requests": 1,
                    "answered_us": _FOUR,
                    "received": 16,
                    "received_requests": 2,
                    "we_answered": _FOUR,
                    "declined": [_DECLINED],
                    "states": {"in_service": 9, "declined": 2},
                    "outcomes": {"employed": 4},
                    "own_outcomes": {"completed": 2},
                }
            ]
        }
    )

    agency_id: str
    agency_name: str
    since: date
    until: date
    sent: int
    sent_requests: int
    answered_us: FourAnswer
    received: int
    received_requests: int
    we_answered: FourAnswer
    declined: list[DeclinedAnswer]
    states: dict[str, int]
    outcomes: dict[str, int]
    own_outcomes: dict[str, int]


async def period(
    now: Now,
    since: Annotated[
        DayAsWritten | None, Query(alias="from", description="Sent on this day or later; else a year ago.")
    ] = None,
    until: Annotated[
        DayAsWritten | None, Query(alias="to", description="Sent on this day or before; else today.")
    ] = None,
) -> Period:
    """Days of Japan, both included; a year at the most."""
    last = until or day_in_japan(now)
    first = since or last - timedelta(days=_LONGEST - 1)
    if not timedelta(0) <= last - first < timedelta(days=_LONGEST):
        raise invalid(
            "from", "period", "Give at most a year, in order", "期間は順に、一年以内で指定してください", place="query"
        )
    begin = datetime.combine(first, time.min, tzinfo=JST)
    return Period(begin, datetime.combine(last + timedelta(days=1), time.min, tzinfo=JST) - timedelta(microseconds=1))


Chosen = Annotated[Period, Depends(period)]


@numbers.get(
    "/v1/numbers/pairs",
    dependencies=[requires(*READERS)],
    summary="Times per pair of agencies",
    description="つなぎの受け取り・受諾・利用開始・終了までの時間を、機関の組ごとに(中央値と90%点、最近順位法)。"
    "まだ返事のないものは waiting に数えます。自機関のつなぎと、担当する市町村のつなぎが対象です。",
)
async def times_by_pair(
    chosen: Chosen, session: Transaction, now: Now, actor: Caller, pages: LongPages
) -> Page[PairAnswer]:
    """By sender and receiver."""
    pairs = await handlers.times_by_pair(session, chosen, actor, now)
    begin = pages.begin(lambda sender, receiver: (sender, receiver))
    rest = [pair for pair in pairs if begin is None or pair > begin]
    return page(
        rest[: pages.one_more],
        pages,
        key=lambda pair: pair,
        show=lambda pair: PairAnswer(sender=pair[0], receiver=pair[1], **_four(pairs[pair])),
    )


@numbers.get(
    "/v1/numbers/pairs.csv",
    dependencies=[requires(*READERS)],
    summary="Times per pair of agencies, as CSV",
    description="機関の組ごとの所要時間(CSV)。",
    response_class=Response,
    responses=CSV,
)
async def export_pairs(
    chosen: Chosen, session: Transaction, now: Now, actor: Caller, encoding: EncodingWanted = Encoding.CP932
) -> Response:
    """A line for each milestone."""
    columns = layout(session, "pair_times")
    lines = await pair_lines(session, await handlers.times_by_pair(session, chosen, actor, now))
    return csv_answer(columns.title, across(columns, few_enough(lines)), encoding)


@numbers.get(
    "/v1/numbers/declines",
    dependencies=[requires(*READERS)],
    summary="Decline reasons per agency",
    description="期間中の辞退の理由を、受けた機関ごとに。機関の理由(agency)か本人の理由(person)かを分けます。",
)
async def count_declines(chosen: Chosen, session: Transaction, actor: Caller, pages: LongPages) -> Page[DeclinedAnswer]:
    """By receiver and reason."""
    begin = pages.begin(lambda receiver, reason: (receiver, reason))
    found = await handlers.declines(session, chosen, actor)
    rest = [each for each in found if begin is None or (each.receiver, each.reason) > begin]
    return page(rest[: pages.one_more], pages, key=lambda each: (each.receiver, each.reason), show=_declined)


@numbers.get(
    "/v1/numbers/hops",
    dependencies=[requires(*READERS)],
    summary="How far cases were passed on",
    description="期間中に、何回つなぎ直されたケースが何件あるか。断り・再転・取り下げ・期限切れで戻ってから、"
    "次へつないだ回数です(まとめて送ったものは一回、下書きと申し出は数えません)。",
)
async def count_hops(chosen: Chosen, session: Transaction, actor: Caller) -> list[HopsAnswer]:
    """By number of hops: what was sent together is one, and so is what nothing came back from."""
    found = await handlers.hops(session, chosen, actor)
    return [HopsAnswer(hops=hops, cases=cases) for hops, cases in found.items()]


@numbers.get(
    "/v1/hops-alarms",
    dependencies=[requires(Role.COUNSELLOR)],
    summary="Cases that were passed about",
    description="自機関が担当するか、調整役を務める市町村の、次々に三回以上つながれたケース(たらい回しのおそれ)。",
)
async def list_hops_alarms(session: Transaction, actor: Caller, pages: Pages) -> Page[HopsAlarmAnswer]:
    """The newest alarm first."""
    rows = await handlers.list_hops_alarms(
        session, actor, after=pages.begin(lambda at, case_id: (moment(at), UUID(case_id))), limit=pages.one_more
    )
    return page(
        rows,
        pages,
        key=lambda row: (row.raised_at, row.case_id),
        show=lambda row: HopsAlarmAnswer(
            case_id=row.case_id, municipality=row.municipality, hops=row.hops, raised_at=row.raised_at
        ),
    )


@numbers.get(
    "/v1/give-back",
    dependencies=[requires(*READERS)],
    summary="The caller's own give-back page",
    description="自機関への還元ページ: 相手の返事、自機関の返事と辞退、送ったつなぎが今どうなっているか。"
    "他の機関の頁は見られません。",
)
async def give_back(chosen: Chosen, session: Transaction, now: Now, actor: Caller) -> GiveBackAnswer:
    """Of the caller's agency alone."""
    found = await handlers.give_back(session, chosen, actor.agency, now)
    return GiveBackAnswer(
        agency_id=actor.agency,
        agency_name=found.name,
        since=day_in_japan(chosen.since),
        until=day_in_japan(chosen.until),
        sent=found.sent,
        sent_requests=found.sent_requests,
        answered_us=FourAnswer(**_four(found.answered_us)),
        received=found.received,
        received_requests=found.received_requests,
        we_answered=FourAnswer(**_four(found.we_answered)),
        declined=[_declined(each) for each in found.declined],
        states=dict(sorted(found.states.items())),
        outcomes=dict(sorted(found.outcomes.items())),
        own_outcomes=dict(sorted(found.own_outcomes.items())),
    )


@numbers.get(
    "/v1/give-back.csv",
    dependencies=[requires(*READERS)],
    summary="The caller's own give-back page as CSV",
    description="自機関への還元ページ(CSV)。",
    response_class=Response,
    responses=CSV,
)
async def export_give_back(
    chosen: Chosen, session: Transaction, now: Now, actor: Caller, encoding: EncodingWanted = Encoding.CP932
) -> Response:
    """Of the caller's agency alone."""
    columns = layout(session, "give_back")
    lines = give_back_lines(await handlers.give_back(session, chosen, actor.agency, now))
    return csv_answer(f"{columns.title}_{actor.agency}", across(columns, few_enough(lines)), encoding)


def _four(measures: Any) -> dict[str, MeasureAnswer]:
    return {milestone.value: MeasureAnswer.of(measures[milestone]) for milestone in Milestone}


def _declined(declined: Declined) -> DeclinedAnswer:
    side: Literal["agency", "person"] = "person" if is_by_person(declined.reason) else "agency"
    return DeclinedAnswer(receiver=declined.receiver, reason=declined.reason, side=side, referrals=declined.referrals)
