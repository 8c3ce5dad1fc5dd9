"""The shapes of a referral on the wire."""

from datetime import datetime
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from services.referral.domain.moves import DeclineReason, Progress, State, WithdrawReason
from shared.service import Body

_ID = "01920000-0000-7000-8000-000000000001"
_CASE = "01920000-0000-7000-8000-0000000000c1"


class SendBody(Body):
    """To a programme, or to a course run: exactly one of the two."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"case_id": _CASE, "programme_id": "01920000-0000-7000-8000-0000000000a1"}]}
    )

    case_id: UUID
    programme_id: UUID | None = None
    course_run_id: UUID | None = None
    hold_until: AwareDatetime | None = Field(
        default=None, description="Only for a course: until when a seat should be held."
    )
    task_id: UUID | None = Field(
        default=None, description="The task of a joint case conference that came back and is carried out hereby."
    )


class DeclineBody(Body):
    """Why it can't be taken on."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "no_capacity"}]})

    reason: DeclineReason


class WithdrawBody(Body):
    """Why it is taken back."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "person_wishes"}]})

    reason: WithdrawReason = WithdrawReason.OTHER


class ReferralAnswer(BaseModel):
    """A referral as its parties see it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "referral_id": _ID,
                    "case_id": _CASE,
                    "municipality": "462012",
                    "sender": "kagoshima-desk",
                    "receiver": "sakurajima-npo",
                    "programme_id": "01920000-0000-7000-8000-0000000000a1",
                    "course_run_id": None,
                    "state": "declined",
                    "responsible_agency": "kagoshima-desk",
                    "progress": None,
                    "reason": "no_capacity",
                    "sent_at": "2026-04-01T00:30:00Z",
                    "version": 2,
                    "next_moves": [],
                    "next_candidates": f"/v1/cases/{_CASE}/candidates",
                }
            ]
        }
    )

    referral_id: UUID
    case_id: UUID
    municipality: str
    sender: str
    receiver: str
    programme_id: UUID | None
    course_run_id: UUID | None
    state: State
    responsible_agency: str
    progress: Progress | None
    reason: str | None
    sent_at: datetime
    version: int
    next_moves: list[str] = Field(description="What the caller may do now.")
    next_candidates: str | None = Field(
        description="For the sender, once this way is closed: where to look next, under this service's address."
    )


class StepAnswer(BaseModel):
    """One step: what was done, by whom, when."""

    version: int
    step: str
    by: str = Field(description="An agency; or `training`, or `person` for what follows from consent.")
    reason: str | None
    at: datetime


class ReferralWithSteps(ReferralAnswer):
    """A referral with everything that happened to it."""

    steps: list[StepAnswer]
