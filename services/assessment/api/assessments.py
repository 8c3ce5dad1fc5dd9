"""Rating a case and reading its ratings: permissions, status codes, one call into the handlers each."""

from collections.abc import Mapping
from typing import Annotated, assert_never
from uuid import UUID

from fastapi import Query

from services.assessment.api.shapes import (
    NOT_OBSERVED,
    AssessmentAnswer,
    AxisChange,
    Because,
    ComparisonAnswer,
    DueAnswer,
    EvidenceAnswer,
    RatingPoint,
    RecordAssessment,
    RecordedAnswer,
)
from services.assessment.domain.fdp import Axis, Risk
from services.assessment.domain.instruments import FDP, Answer, Fault, Found, Instrument
from services.assessment.domain.progress import Progress
from services.assessment.domain.rule import Rule, assess_prolongation, explain
from services.assessment.handlers import assessments as handlers
from services.assessment.handlers.assessments import Given, NoAnswer, NotRecorded, Recorded
from services.assessment.handlers.rules import list_rules
from services.assessment.tables.assessments import Rated
from shared.auth import Caller, Role, requires
from shared.bus.envelope import new_id
from shared.codes import Code
from shared.problems import INVALID, NOT_FOUND, Problem, ProblemType, invalid
from shared.service import Now, Page, Pages, Transaction, number, page, router
from shared.service.accesses import AccessEntry

assessments = router(tag="assessments")

CASE_CLOSED = ProblemType(
    "case_closed", 409, "The case is closed: who is not supported is not rated", "終結したケースは評価できません"
)
_REFUSALS = {
    "case_closed": CASE_CLOSED,
    "corrected_already": ProblemType(
        "corrected_already",
        409,
        "Another assessment corrects this one; correct that one",
        "このアセスメントはすでに訂正されています。訂正後のものを訂正してください",
    ),
}
_VALUES = {
    "no_such_rubric": ("/rubric", "There is no such rubric", "この名前のものさしはありません"),
    "no_such_profession": (
        "/raters",
        "A profession is not on the list; see GET /assessment/v1/professions",
        "一覧にない職種があります。職種の一覧を確かめてください",
    ),
    "nothing_to_correct": ("/corrects", "This case has no such assessment", "その評価はこのケースにありません"),
    "another_instrument": (
        "/corrects",
        "That assessment was made with another instrument",
        "別のものさしの評価は訂正できません",
    ),
}
FAULTS = {
    Fault.ITEM_UNKNOWN: ("This version has no such item", "この版にない項目があります"),
    Fault.LEVEL_UNKNOWN: ("This version has no such level for it", "この版にない段階です"),
}


@assessments.post(
    "/v1/cases/{case_id}/assessments",
    status_code=201,
    summary="Record an assessment",
    description="評価を記録します。FDP(5軸×5段階)では、長期化のおそれとその理由、機関がすべきことと期日を返します。"
    "記録は書き換えません。誤りは `corrects` で新しい評価を加えて訂正します。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def record_assessment(
    case_id: UUID, body: RecordAssessment, session: Transaction, now: Now, actor: Caller
) -> RecordedAnswer:
    """Add a rating. A case opened in the last seconds may not have arrived yet: 404 `case_not_known`, try again."""
    if body.rated_at is not None and body.rated_at > now:
        raise invalid("/rated_at", "in_the_future", "Nobody has rated in the future", "未来の日時は記録できません")
    raters = {rater.code: rater for rater in body.raters}
    given = Given(
        answer=answer_of(body.levels),
        setting=body.setting.value,
        rubric=body.rubric,
        raters=tuple(raters),
        professions=tuple(dict.fromkeys(r.profession for r in raters.values() if r.profession is not None)),
        evidence=body.evidence,
        rated_at=body.rated_at,
        corrects=body.corrects,
    )
    outcome = await handlers.record_assessment(session, case_id, given, assessment_id=new_id(), actor=actor, now=now)
    match outcome:
        case Recorded():
            dues = [] if outcome.follows is None else outcome.follows.dues
            return RecordedAnswer(
                **dict(show(outcome.rated, outcome.instrument, outcome.rule)),
                duties=[DueAnswer(duty=due.duty, due_on=due.on) for due in dues],
            )
        case NoAnswer():
            raise no_answer(outcome.instrument, outcome.faults)
        case NotRecorded(reason):
            raise refusal(_REFUSALS[reason]) if reason in _REFUSALS else _value(reason)
        case _:
            assert_never(outcome)


@assessments.get(
    "/v1/cases/{case_id}/assessments",
    summary="List assessments",
    description="支援ケースの評価を番号順に返します。訂正されたものも含みます。"
    "担当機関、同意の及ぶ機関はすべてを、そのほかは自機関の評価を読めます。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def list_assessments(
    case_id: UUID,
    session: Transaction,
    now: Now,
    actor: Caller,
    pages: Pages,
    instrument: Annotated[Code | None, Query(description="ものさし, e.g. fdp; all of them by default.")] = None,
) -> Page[AssessmentAnswer]:
    """By number, each in the version it was given in."""
    found = await handlers.list_assessments(
        session,
        case_id,
        instrument=instrument,
        actor=actor,
        now=now,
        after=pages.begin(number) or 0,
        limit=pages.one_more,
    )
    rules = await _rules(session)
    return page(
        found,
        pages,
        key=lambda pair: (pair[0].number,),
        show=lambda pair: show(pair[0], pair[1], _rule_of(pair[0], rules)),
    )


@assessments.get(
    "/v1/cases/{case_id}/assessments/{assessment_id}/evidence",
    summary="Read the evidence of an assessment",
    description="評価の根拠(項目ごとの記述)を返します。閲覧は根拠とともに記録されます。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def read_evidence(
    case_id: UUID, assessment_id: UUID, session: Transaction, now: Now, actor: Caller
) -> EvidenceAnswer:
    """As far as the caller may see; the log is written before the answer leaves."""
    found = await handlers.read_evidence(session, case_id, assessment_id, actor=actor, now=now)
    if found is None:
        raise Problem(NOT_FOUND)
    words, withheld = found
    return EvidenceAnswer(assessment_id=assessment_id, evidence=dict(words), withheld=sorted(withheld))


@assessments.get(
    "/v1/cases/{case_id}/accesses",
    summary="Who looked at what is written here",
    description="評価の根拠、会議、支援プランなど、ここに書かれたことを、いつ、どの機関が、何の目的と根拠で見たか・書いたかの記録です"
    "(古い順)。相談受付の記録と合わせて、本人への説明に使います。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def list_accesses(case_id: UUID, session: Transaction, actor: Caller, pages: Pages) -> Page[AccessEntry]:
    """For the agency that holds the case, to tell the person."""
    found = await handlers.list_accesses(
        session, case_id, after=pages.begin(number) or 0, limit=pages.one_more, actor=actor
    )
    return page(found, pages, key=lambda entry: (entry.id,), show=AccessEntry.model_validate)


@assessments.get(
    "/v1/cases/{case_id}/comparison",
    summary="Compare first and last",
    description="最初と最新の評価を項目ごとに比べ、その間の推移を返します。訂正された評価は数えません。"
    "版の違う評価を比べるときは、そのことを `notice` で伝えます。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def compare_assessments(
    case_id: UUID,
    session: Transaction,
    now: Now,
    actor: Caller,
    instrument: Annotated[Code, Query(description="ものさし")] = FDP,
) -> ComparisonAnswer:
    """Initial and latest rating, the change on each item, and the way in between."""
    progress, rated, versions = await handlers.read_progress(session, case_id, instrument, actor=actor, now=now)
    if progress is None:
        return ComparisonAnswer(
            case_id=case_id,
            instrument=instrument,
            initial=None,
            latest=None,
            ratings=[],
            changes=[],
            notice=None,
            notice_ja=None,
        )
    rules = await _rules(session)
    first, last = (rated[progress.points[place].id] for place in (0, -1))
    notice, notice_ja = notices(progress)
    return ComparisonAnswer(
        case_id=case_id,
        instrument=instrument,
        initial=show(first, versions[first.rubric], _rule_of(first, rules)),
        latest=show(last, versions[last.rubric], _rule_of(last, rules)),
        ratings=[
            RatingPoint(
                assessment_id=point.id,
                number=point.number,
                rubric=point.version,
                rated_at=point.rated_at,
                rated_by=rated[point.id].rated_by,
            )
            for point in progress.points
        ],
        changes=changes_of(progress, versions[last.rubric]),
        notice=notice,
        notice_ja=notice_ja,
    )


def notices(progress: Progress) -> tuple[str | None, str | None]:
    """What has to be said beside a comparison over two versions."""
    if len(progress.versions) < 2:
        return None, None
    first, last = progress.versions
    return (
        f"The first was given in {first}, the last in {last}: the words for the levels differ.",
        f"最初は {first}、最新は {last} の文言による評価です。段階の文言が違います。",
    )


def changes_of(progress: Progress, instrument: Instrument) -> list[AxisChange]:
    """Every item over time."""
    titles = {item.code: item.japanese for item in instrument.items}
    return [
        AxisChange(
            axis=step.item,
            axis_ja=titles[step.item],
            initial=step.initial,
            latest=step.latest,
            change=step.change,
            trend=step.trend,
            levels=list(step.levels),
        )
        for step in progress.steps
    ]


def show(rated: Rated, instrument: Instrument, rule: Rule | None) -> AssessmentAnswer:
    """A rating as it goes over the wire, flagged as its own version of the rule explains it."""
    found = words = None
    if rule is not None:
        found = assess_prolongation({axis: rated.levels.get(axis) for axis in Axis}, rule)
        words = explain(found, rule)
    return AssessmentAnswer(
        assessment_id=rated.id,
        case_id=rated.case_id,
        number=rated.number,
        instrument=rated.instrument,
        rubric=rated.rubric,
        setting=rated.setting,
        levels={item.code: rated.levels.get(item.code) for item in instrument.items},
        not_observed=list(rated.not_observed),
        prolongation_risk=None if rated.risk is None else rated.risk.value,
        rule_version=rated.rule_version,
        because=[
            Because(axis=r.axis, level=r.level, missing=r.level is None) for r in (found.because if found else ())
        ],
        explanation=None if words is None else words.english,
        explanation_ja=None if words is None else words.japanese,
        several_agencies=rated.risk is Risk.TRUE,
        raters=list(rated.raters),
        professions=list(rated.professions),
        rated_by=rated.rated_by,
        rated_at=rated.rated_at,
        recorded_at=rated.recorded_at,
        corrects=rated.corrects,
    )


def answer_of(levels: Mapping[str, int | bool | str | None]) -> Answer:
    """The levels as the domain knows them. What is no level at all becomes one that no version has."""
    unseen = {item for item, level in levels.items() if level in {None, NOT_OBSERVED}}
    seen = {item: level if type(level) is int else 0 for item, level in levels.items() if item not in unseen}
    return Answer(seen, frozenset(unseen))


def no_answer(instrument: Instrument, faults: tuple[Found, ...]) -> Problem:
    """The items that are wrong, by the version's own names; what was sent is not echoed."""
    known = instrument.levels
    return Problem(
        INVALID,
        errors=[
            {
                "in": "body",
                "pointer": f"/levels/{each.item}" if each.item in known else "/levels",
                "code": each.fault.value,
                "message": FAULTS[each.fault][0],
                "message_ja": FAULTS[each.fault][1],
            }
            for each in faults[:20]
        ],
    )


async def _rules(session: Transaction) -> dict[int, Rule]:
    return {published.rule.version: published.rule for published in await list_rules(session)}


def _rule_of(rated: Rated, rules: Mapping[int, Rule]) -> Rule | None:
    return None if rated.rule_version is None else rules[rated.rule_version]


def refusal(kind: ProblemType) -> Problem:
    """With what to do about it, where that is something."""
    if kind is not CASE_CLOSED:
        return Problem(kind)
    return Problem(
        kind,
        detail="If the person came back, reopen the case in intake first, and try again within seconds.",
        detail_ja="本人が再び相談に来たときは、先に相談受付でケースを再開し、数秒後にもう一度お試しください。",
    )


def _value(reason: str) -> Problem:
    pointer, english, japanese = _VALUES[reason]
    return invalid(pointer, reason if reason != "no_such_rubric" else "unknown", english, japanese)
