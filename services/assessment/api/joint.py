"""Several eyes over HTTP: ask, give, close, agree; and nothing of another's levels before it is closed."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from services.assessment.api.assessments import CASE_CLOSED, answer_of, no_answer, refusal
from services.assessment.api.shapes import Level, SeatShape, Words
from services.assessment.domain.instruments import Answer
from services.assessment.domain.joint import Refused, Seat
from services.assessment.handlers import joint as handlers
from services.assessment.handlers.assessments import NoAnswer
from services.assessment.handlers.joint import Eye, NotBegun, Shown
from services.assessment.tables.joint import Row
from shared.auth import Caller, Role, requires
from shared.bus.envelope import new_id
from shared.codes import Code
from shared.problems import CONSENT_MISSING, Problem, ProblemType, invalid
from shared.service import Body, Now, Page, Pages, Transaction, page, router

joint = router(tag="joint")

_JOINT: JsonDict = {
    "joint_id": "01939c2a-1c00-7a11-8b22-3c4d5e6f7100",
    "case_id": "01939c1e-7a10-7c44-9f55-0b8b1f1a2c3d",
    "conference_id": None,
    "instrument": "fdp",
    "rubric": "fdp-sample-1",
    "chair": "kagoshima-desk",
    "state": "rating",
    "seats": [{"agency": "kagoshima-desk", "profession": "career_consultant"}],
    "waiting": [{"agency": "kagoshima-desk", "profession": "career_consultant"}],
    "begun_at": "2026-11-30T01:00:00Z",
    "closed_at": None,
    "agreed_at": None,
}
_REFUSALS = {
    "not_a_member": ProblemType(
        "not_a_member",
        403,
        "Your agency has no such seat in this joint rating",
        "この合同の評価に、自機関のその職種の席はありません",
    ),
    "closed": ProblemType(
        "joint_closed", 409, "It is closed: the levels stand side by side", "締め切られ、評価はもう並べられています"
    ),
    "given_already": ProblemType(
        "given_already",
        409,
        "This seat has given its levels; they are not changed",
        "この席の評価はもう出されています。出したあとは変えられません",
    ),
    "still_hidden": ProblemType(
        "still_hidden",
        409,
        "Not all are in yet, and nobody has seen them: close it first",
        "まだ全員の評価がそろっていません。先に締め切ってください",
    ),
    "not_the_chair": ProblemType(
        "not_the_chair", 403, "The chair does that", "進行役(合同の評価を始めた機関)だけができます"
    ),
    "agreed_already": ProblemType(
        "agreed_already",
        409,
        "A level was agreed already; rate anew if it was wrong",
        "合意した評価はもうあります。違っていたときは、あらためて評価してください",
    ),
    "nobody_rated": ProblemType("nobody_rated", 409, "Nobody has rated yet", "まだだれも評価していません"),
    "case_closed": CASE_CLOSED,
}
_VALUES = {
    "no_such_rubric": ("/rubric", "There is no such rubric", "この名前のものさしはありません"),
    "no_such_profession": ("/seats", "A profession is not on the list", "一覧にない職種があります"),
    "not_in_conference": ("/seats", "Somebody does not sit in that conference", "その会議の構成員でない席があります"),
    "nobody_else": ("/seats", "Several eyes are two at least", "二つ以上の席が必要です"),
}


class BeginJoint(Body):
    """Whom to ask. In the lane of consent each agency must be one that consent reaches."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "seats": [
                        {"agency": "kagoshima-desk", "profession": "career_consultant"},
                        {"agency": "npo-hinata", "profession": "job_coach"},
                    ]
                }
            ]
        }
    )

    seats: list[SeatShape] = Field(min_length=1, max_length=30)
    rubric: Code | None = Field(default=None, description="Default: the version of FDP that is in use.")


class GiveLevels(Body):
    """What a member sees, unseen by the others."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "profession": "job_coach",
                    "levels": {"mental": 2, "stress": 3},
                    "reasons": {"mental": "実習の朝、二度起きられなかった。"},
                }
            ]
        }
    )

    profession: Code
    levels: dict[Code, Level] = Field(max_length=40)
    reasons: dict[Code, Words] = Field(default={}, max_length=40, description="理由, by item. Sealed.")
    rater: Code | None = Field(default=None, description="A code of the agency's own, never a name.")


class AgreeLevels(Body):
    """The agreed level for each item, with what it rests on."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"levels": {"mental": 2, "stress": 3}}]})

    levels: dict[Code, Level] = Field(max_length=40)
    evidence: dict[Code, Words] = Field(default={}, max_length=40)


class CloseJoint(Body):
    """Who has not answered by now does not."""


class JointHead(BaseModel):
    """A joint rating without what anybody saw. `waiting`: for the chair, who has not answered; else null."""

    model_config = ConfigDict(json_schema_extra={"examples": [_JOINT]})

    joint_id: UUID
    case_id: UUID
    conference_id: UUID | None
    instrument: str
    rubric: str
    chair: str
    state: str
    seats: list[SeatShape]
    waiting: list[SeatShape] | None
    begun_at: datetime
    closed_at: datetime | None
    agreed_at: datetime | None


class EyeAnswer(BaseModel):
    """What one seat saw."""

    agency: str
    profession: str
    levels: dict[str, int | None]
    not_observed: list[str]


class GapAnswer(BaseModel):
    """An item that was seen two levels apart, or more: by whom low, by whom high. Read the reasons of both."""

    item: str
    item_ja: str
    lowest: int
    highest: int
    low: list[SeatShape]
    high: list[SeatShape]


class JointAnswer(JointHead):
    """With the levels that the caller may see: its own, and everybody's once it is closed."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{**_JOINT, "seen": [], "gaps": [], "agreed": None, "agreed_not_observed": []}]}
    )

    seen: list[EyeAnswer]
    gaps: list[GapAnswer]
    agreed: dict[str, int | None] | None
    agreed_not_observed: list[str]


class AgreedAnswer(JointHead):
    """It is agreed, and the case's rating; null in a statutory meeting's lane, where it stays."""

    assessment_id: UUID | None
    prolongation_risk: str | None


class ReasonAnswer(BaseModel):
    """What one seat gave as reason, by item."""

    agency: str
    profession: str
    reasons: dict[str, str]


class ReasonsAnswer(BaseModel):
    """Everybody's, as far as the caller may see. `withheld`: items about illness, which consent doesn't name."""

    joint_id: UUID
    reasons: list[ReasonAnswer]
    withheld: list[str]


@joint.post(
    "/v1/cases/{case_id}/joint_ratings",
    status_code=201,
    summary="Begin a joint rating",
    description="合同の評価を始めます。各機関の評価は、全員がそろうか進行役が締め切るまで、ほかの機関には見えません。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def begin_joint(case_id: UUID, body: BeginJoint, session: Transaction, now: Now, actor: Caller) -> JointHead:
    """The caller chairs it."""
    seats = frozenset(Seat(each.agency, each.profession) for each in body.seats)
    outcome = await handlers.begin_joint(
        session, case_id, seats, rubric=body.rubric, joint_id=new_id(), actor=actor, now=now
    )
    return begun(outcome)


def begun(outcome: Shown | NotBegun) -> JointHead:
    """A joint rating that was begun, or the problem why not."""
    match outcome:
        case Shown():
            return _head(outcome.row, outcome)
        case NotBegun("not_covered", agencies):
            raise Problem(
                CONSENT_MISSING,
                detail=f"The person's consent doesn't reach: {', '.join(agencies)}.",
                detail_ja=f"本人の同意が及んでいない機関があります: {'、'.join(agencies)}",
            )
        case NotBegun(reason):
            if reason in _REFUSALS:
                raise refusal(_REFUSALS[reason])
            pointer, english, japanese = _VALUES[reason]
            raise invalid(pointer, reason, english, japanese)


@joint.get(
    "/v1/cases/{case_id}/joint_ratings",
    summary="List joint ratings",
    description="支援ケースの合同の評価を、始めた順に返します。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def list_joints(case_id: UUID, session: Transaction, now: Now, actor: Caller, pages: Pages) -> Page[JointHead]:
    """Those that the caller may see."""
    found = await handlers.list_joints(
        session, case_id, after=pages.begin(UUID), limit=pages.one_more, actor=actor, now=now
    )
    return page(found, pages, key=lambda row: (row.id,), show=_head)


@joint.get(
    "/v1/joint_ratings/{joint_id}",
    summary="Read a joint rating",
    description="締め切るまでは自機関の評価だけが、締め切ったあとは全員の評価が並んで見えます。"
    "二段階以上の違いは `gaps` に出ます。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def get_joint(joint_id: UUID, session: Transaction, now: Now, actor: Caller) -> JointAnswer:
    """For the chair, its members and the holder."""
    shown = await handlers.get_joint(session, joint_id, actor=actor, now=now)
    titles = {item.code: item.japanese for item in shown.instrument.items}
    agreed = shown.row.agreed
    return JointAnswer(
        **dict(_head(shown.row, shown)),
        seen=[
            EyeAnswer(
                agency=seat.agency,
                profession=seat.profession,
                levels={item: answer.levels.get(item) for item in titles},
                not_observed=sorted(answer.not_observed),
            )
            for seat, answer in sorted(shown.seen.items())
        ],
        gaps=[
            GapAnswer(
                item=gap.item,
                item_ja=titles[gap.item],
                lowest=gap.lowest,
                highest=gap.highest,
                low=[_seat(seat) for seat in gap.low],
                high=[_seat(seat) for seat in gap.high],
            )
            for gap in shown.gaps
        ],
        agreed=None if agreed is None else {item: agreed.levels.get(item) for item in titles},
        agreed_not_observed=[] if agreed is None else sorted(agreed.not_observed),
    )


@joint.get(
    "/v1/joint_ratings/{joint_id}/reasons",
    summary="Read the reasons of a joint rating",
    description="評価の理由を返します。見える範囲は評価と同じです。閲覧は記録されます。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def read_reasons(joint_id: UUID, session: Transaction, now: Now, actor: Caller) -> ReasonsAnswer:
    """Both reasons of a gap stand here."""
    said, withheld = await handlers.read_reasons(session, joint_id, actor=actor, now=now)
    return ReasonsAnswer(
        joint_id=joint_id,
        reasons=[
            ReasonAnswer(agency=seat.agency, profession=seat.profession, reasons=dict(words))
            for seat, words in sorted(said.items())
        ],
        withheld=sorted(withheld),
    )


@joint.post(
    "/v1/joint_ratings/{joint_id}/levels",
    status_code=201,
    summary="Give a member's levels",
    description="自機関の評価を一度だけ出します。全員がそろうと、評価が並びます。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def give_levels(joint_id: UUID, body: GiveLevels, session: Transaction, now: Now, actor: Caller) -> JointHead:
    """Once; the answer shows nobody's levels."""
    eye = Eye(body.profession, answer_of(body.levels), body.rater, body.reasons)
    return _went(await handlers.give_levels(session, joint_id, eye, actor=actor, now=now))


@joint.post(
    "/v1/joint_ratings/{joint_id}/close",
    summary="Close a joint rating",
    description="進行役が締め切ります。まだ出していない席の評価は、もう入りません。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def close_joint(joint_id: UUID, body: CloseJoint, session: Transaction, now: Now, actor: Caller) -> JointHead:
    """By the chair."""
    _ = body
    return _went(await handlers.close_joint(session, joint_id, actor=actor, now=now))


@joint.post(
    "/v1/joint_ratings/{joint_id}/agreed",
    status_code=201,
    summary="Record the agreed levels",
    description="話し合って合意した評価を、一度だけ記録します。ケースの評価となり、長期化のおそれも判定されます。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def agree_joint(joint_id: UUID, body: AgreeLevels, session: Transaction, now: Now, actor: Caller) -> AgreedAnswer:
    """By the chair, after all were seen."""
    answer: Answer = answer_of(body.levels)
    outcome = await handlers.agree_joint(
        session, joint_id, answer, evidence=body.evidence, assessment_id=new_id(), actor=actor, now=now
    )
    if not isinstance(outcome, tuple):
        raise _refused(outcome)
    shown, recorded = outcome
    risk = None if recorded is None or recorded.rated.risk is None else recorded.rated.risk.value
    return AgreedAnswer(
        **dict(_head(shown.row, shown)),
        assessment_id=None if recorded is None else recorded.rated.id,
        prolongation_risk=risk,
    )


def _went(outcome: Shown | Refused | NoAnswer) -> JointHead:
    if isinstance(outcome, Shown):
        return _head(outcome.row, outcome)
    raise _refused(outcome)


def _refused(outcome: Refused | NoAnswer) -> Problem:
    if isinstance(outcome, NoAnswer):
        return no_answer(outcome.instrument, outcome.faults)
    return refusal(_REFUSALS[outcome.reason])


def _head(row: Row, shown: Shown | None = None) -> JointHead:
    waiting = None if shown is None or shown.waiting is None else [_seat(seat) for seat in sorted(shown.waiting)]
    return JointHead(
        joint_id=row.id,
        case_id=row.case_id,
        conference_id=row.conference_id,
        instrument=row.instrument,
        rubric=row.rubric,
        chair=row.joint.chair,
        state=row.joint.state.value,
        seats=[_seat(seat) for seat in sorted(row.joint.seats)],
        waiting=waiting,
        begun_at=row.begun_at,
        closed_at=row.closed_at,
        agreed_at=row.agreed_at,
    )


def _seat(seat: Seat) -> SeatShape:
    return SeatShape(agency=seat.agency, profession=seat.profession)
