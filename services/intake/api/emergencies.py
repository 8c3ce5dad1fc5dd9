"""Emergency access over HTTP (緊急閲覧): declare, and review what others declared. Reading is where the data is."""

from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Row

from services.intake.api.persons import denied
from services.intake.api.shapes import Words
from services.intake.domain.emergency import Emergency, NotDeclared, Verdict
from services.intake.domain.policy import Denied
from services.intake.handlers import emergencies as handlers
from services.intake.handlers.emergencies import AlreadyReviewed
from services.intake.tables import emergencies as tables
from shared.auth import Caller, Role, requires
from shared.bus.envelope import new_id
from shared.problems import Problem, ProblemType
from shared.service import Body, Now, Page, Pages, Transaction, day_in_japan, page, router

emergencies = router(tag="emergencies")

_NOT_NEEDED = ProblemType(
    "not_needed", 409, "The agency that holds the case reads it anyway", "担当機関は緊急閲覧をしなくても読めます"
)
_OPEN = ProblemType(
    "emergency_open", 409, "Your emergency access to this case is still open", "このケースの緊急閲覧はまだ続いています"
)
_REVIEWED = ProblemType("reviewed_already", 409, "It has been reviewed already", "すでに確認されています")


class DeclareEmergency(Body):
    """Why it can't wait: a code, and what happened."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "reason": "danger_to_life",
                    "words": "本人から危険をほのめかす電話があり、担当機関の窓口は閉まっている",
                }
            ]
        }
    )

    reason: Emergency
    words: Annotated[Words, Field(min_length=20)] = Field(description="What happened; sealed, for the review.")


class EmergencyDeclared(BaseModel):
    """Until `ends_at` this caller may read this case with `basis=emergency`."""

    emergency_id: UUID
    ends_at: datetime
    review_due_on: date


class EmergencyHead(BaseModel):
    """An emergency in the list: without the words."""

    emergency_id: UUID = Field(validation_alias="id")
    case_id: UUID
    declared_by: str = Field(validation_alias="agency")
    reason: str
    declared_at: datetime
    ends_at: datetime
    review_due_on: date
    overdue: bool = Field(description="Nobody has judged it by that day, and the day is over.")
    verdict: str | None
    reviewed_by: str | None
    reviewed_at: datetime | None


class EmergencyView(EmergencyHead):
    """An emergency with the words of its reason, for who reviews it; each reading is logged."""

    words: str | None = Field(validation_alias="opened_words", description="保存期間を過ぎたものは null です。")


class ReviewEmergency(Body):
    """What the review found."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"verdict": "justified"}]})

    verdict: Verdict


@emergencies.post(
    "/v1/cases/{case_id}/emergency-accesses",
    status_code=201,
    summary="Declare an emergency",
    description="生命や身体の危険などのため、同意を待たずにこのケース一件を 60 分間だけ読めるようにします(閲覧のみ)。"
    "担当機関に直ちに知らされ、二開庁日のうちに確認を受けます。",
    dependencies=[requires(Role.EMERGENCY)],
)
async def declare_emergency(
    case_id: UUID, body: DeclareEmergency, session: Transaction, now: Now, actor: Caller
) -> EmergencyDeclared:
    """One case, one hour, one caller."""
    emergency_id = new_id()
    declared = await handlers.declare_emergency(
        session, case_id, body.reason, body.words, emergency_id=emergency_id, actor=actor, now=now
    )
    match declared:
        case Denied(reason="not_yours"):
            raise Problem(_NOT_NEEDED)
        case Denied():
            raise denied(declared)
        case NotDeclared():
            raise Problem(_OPEN)
        case _:
            return EmergencyDeclared(
                emergency_id=emergency_id, ends_at=declared.ends_at, review_due_on=declared.review_due_on
            )


@emergencies.get(
    "/v1/emergency-accesses",
    summary="Emergencies to review",
    description="自機関が担当する(していた)ケースの緊急閲覧です(古い順)。`overdue` は確認の期限を過ぎたものです。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def list_emergencies(
    session: Transaction,
    now: Now,
    actor: Caller,
    pages: Pages,
    review: Literal["waiting", "overdue", "done"] | None = None,
    case_id: Annotated[UUID | None, Query(description="Of this case alone.")] = None,
) -> Page[EmergencyHead]:
    """Those that the caller's agency is to judge, or has judged."""
    found = await tables.find_to_review(
        session,
        actor.agency,
        case_id=case_id,
        done=None if review is None else review == "done",
        due_before=day_in_japan(now) if review == "overdue" else None,
        after=pages.begin(UUID),
        limit=pages.one_more,
    )
    return page(found, pages, key=lambda row: (row.id,), show=lambda row: EmergencyHead(**_shown(row, now)))


@emergencies.get(
    "/v1/emergency-accesses/{emergency_id}",
    summary="Read an emergency",
    description="緊急閲覧の理由を、確認のために読みます。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def get_emergency(emergency_id: UUID, session: Transaction, now: Now, actor: Caller) -> EmergencyView:
    """With the words that were given."""
    found = await handlers.get_emergency(session, emergency_id, actor=actor, now=now)
    if isinstance(found, Denied):
        raise denied(found)
    row, words = found
    return EmergencyView(**_shown(row, now), opened_words=words)


@emergencies.post(
    "/v1/emergency-accesses/{emergency_id}/review",
    status_code=201,
    summary="Review an emergency",
    description="担当機関が、緊急閲覧が必要だったかを確認します。宣言した機関自身は確認できません。一度だけ記録できます。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def review_emergency(
    emergency_id: UUID, body: ReviewEmergency, session: Transaction, now: Now, actor: Caller
) -> EmergencyHead:
    """Never by who declared it."""
    reviewed = await handlers.review_emergency(session, emergency_id, body.verdict, actor=actor, now=now)
    match reviewed:
        case Denied():
            raise denied(reviewed)
        case AlreadyReviewed():
            raise Problem(_REVIEWED)
        case row:
            return EmergencyHead(**_shown(row, now))


def _shown(row: Row[Any], now: datetime) -> dict[str, Any]:
    return {**row._asdict(), "overdue": tables.declaration(row).is_overdue(day_in_japan(now))}
