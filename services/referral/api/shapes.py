"""The shapes of a referral on the wire."""

from datetime import date, datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator
from pydantic.config import JsonDict
from pydantic_core import PydanticCustomError

from services.referral.domain.links import LinkState
from services.referral.domain.states import (
    Clock,
    DeclineReason,
    Missing,
    NoPlace,
    Outcome,
    Progress,
    State,
    Tier,
    Verb,
    WithdrawReason,
)
from shared.service import Body

_ID = "01920000-0000-7000-8000-000000000001"
_CASE = "01920000-0000-7000-8000-0000000000c1"
_PROGRAMME = "01920000-0000-7000-8000-0000000000a1"


def _shown(*examples: JsonDict) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [*examples]})


class TargetBody(Body):
    """To a programme, or to a course run: exactly one of the two."""

    model_config = _shown({"programme_id": _PROGRAMME})

    programme_id: UUID | None = None
    course_run_id: UUID | None = None


_KNOWINGLY = (
    "Although an open referral to the same programme is there, its period is over, or it serves other towns, as a 409"
    " has said."
)
_INSTEAD_OF = (
    "The referral of this case that waits for a place (`waits.clock`) and is sent on hereby. Without it, the only one"
    " that was for the same need. Only for who has to place it, and for who holds the case."
)
GivenVerb = Literal["refer", "transfer"]


class SendBody(TargetBody):
    """What is referred, where, and how. `refer`: the case's holder stays; `transfer`: it moves on acceptance."""

    model_config = _shown({"case_id": _CASE, "programme_id": _PROGRAMME, "verb": "refer"})

    case_id: UUID
    verb: GivenVerb = "transfer"
    hold_until: AwareDatetime | None = Field(
        default=None, description="Only for a course: until when a seat should be held."
    )
    task_id: UUID | None = Field(
        default=None, description="The task of a joint case conference that came back and is carried out hereby."
    )
    instead_of: UUID | None = Field(default=None, description=_INSTEAD_OF)
    draft: bool = Field(default=False, description="Only written down: nobody but the own agency sees it.")
    knowingly: bool = Field(default=False, description=_KNOWINGLY)


class SendDraftBody(Body):
    """How a draft is sent."""

    model_config = _shown({"knowingly": False})

    instead_of: UUID | None = Field(default=None, description=_INSTEAD_OF)
    knowingly: bool = Field(default=False, description=_KNOWINGLY)


class RerouteBody(TargetBody):
    """To which better place."""

    knowingly: bool = Field(default=False, description=_KNOWINGLY)


class PartBody(TargetBody):
    """One of several."""

    verb: GivenVerb = "refer"


class SendTogetherBody(Body):
    """To several receivers under one parent. `parts`: each does its part; `first`: the first to accept has it."""

    model_config = _shown(
        {
            "case_id": _CASE,
            "mode": "first",
            "parts": [
                {"programme_id": _PROGRAMME, "verb": "transfer"},
                {"programme_id": "01920000-0000-7000-8000-0000000000a2", "verb": "transfer"},
            ],
        }
    )

    case_id: UUID
    mode: Literal["parts", "first"] = "parts"
    parts: list[PartBody] = Field(min_length=2, max_length=10)
    knowingly: bool = Field(default=False, description=_KNOWINGLY)

    @model_validator(mode="after")
    def _moves_the_case_once(self) -> Self:
        if self.mode == "parts" and sum(part.verb == "transfer" for part in self.parts) > 1:
            raise PydanticCustomError(
                "one_transfer_only", "a case has one holder: only one of the parts may be a transfer, refer the others"
            )
        return self


class RequestBody(Body):
    """For a programme of the caller's own."""

    model_config = _shown({"case_id": _CASE, "programme_id": _PROGRAMME})

    case_id: UUID
    programme_id: UUID


class DeclineBody(Body):
    """Why it can't be taken on."""

    model_config = _shown({"reason": "no_capacity"})

    reason: DeclineReason


class WithdrawBody(Body):
    """Why it is taken back."""

    model_config = _shown({"reason": "person_wishes"})

    reason: WithdrawReason = WithdrawReason.OTHER


class ReturnBody(Body):
    """What was not told, and is needed to answer. The words themselves belong on the case's sheet, in intake."""

    model_config = _shown({"missing": ["wishes", "assessment"]})

    missing: Annotated[list[Missing], Field(min_length=1, max_length=len(Missing))]


class ReviewBody(Body):
    """On which day somebody looks again."""

    model_config = _shown({"review_on": "2027-01-15"})

    review_on: date


class NoPlaceBody(Body):
    """Why it is not sent on."""

    model_config = _shown({"reason": "nothing_fits"})

    reason: NoPlace


class OutcomeBody(Body):
    """What came of it."""

    model_config = _shown({"outcome": "started"})

    outcome: Outcome


class WaitsAnswer(BaseModel):
    """What is waited for, from whom, since when and until when (working days of who has to act)."""

    clock: Clock
    agency_id: str
    since: date
    due_on: date
    tier: Tier | None = Field(
        default=None,
        description="How far silence has come: remind (at half, whoever has to act was reminded), second (at the end,"
        " told to the whole municipality); null: it is in time.",
    )
    link: LinkState | None = Field(
        default=None,
        description="Of an agency without an account, in lists and with the referral itself: how its one-time link"
        " stands. `to_print` and `failed` have not gone out; so the clock is `deliver`, and waits for the sender.",
    )


class ReferralAnswer(BaseModel):
    """A referral as its parties see it."""

    model_config = _shown(
        {
            "referral_id": _ID,
            "case_id": _CASE,
            "municipality": "462012",
            "verb": "transfer",
            "sender": "kagoshima-desk",
            "receiver": "sakurajima-npo",
            "coordinator": "kagoshima-city",
            "programme_id": _PROGRAMME,
            "course_run_id": None,
            "state": "decline_pending",
            "responsible_agency": "kagoshima-desk",
            "waits": {
                "clock": "decide",
                "agency_id": "kagoshima-city",
                "since": "2026-04-01",
                "due_on": "2026-04-03",
                "tier": "remind",
                "link": None,
            },
            "progress": None,
            "reason": "no_capacity",
            "outcome": None,
            "missing": [],
            "review_on": None,
            "proposed_programme_id": None,
            "proposed_course_run_id": None,
            "group_id": None,
            "rerouted_from": None,
            "sent_at": "2026-04-01T00:30:00Z",
            "version": 3,
            "next_moves": ["confirm_decline", "overrule_forward", "overrule_back"],
            "next_candidates": None,
        }
    )

    referral_id: UUID
    case_id: UUID
    municipality: str
    verb: Verb
    sender: str
    receiver: str
    coordinator: str = Field(description="調整役: looks at a decline, and takes over what nobody answers.")
    programme_id: UUID | None
    course_run_id: UUID | None
    state: State
    responsible_agency: str
    waits: WaitsAnswer | None = Field(description="Null where nobody is waited for.")
    progress: Progress | None
    reason: str | None
    outcome: str | None = Field(description="The newest; all of them stand with the referral itself.")
    missing: list[str] = Field(description="Of a returned one: what the receiver was not told.")
    review_on: date | None
    proposed_programme_id: UUID | None = Field(
        description="Where the coordinator may look next, as it was when this way was closed."
    )
    proposed_course_run_id: UUID | None
    group_id: UUID | None
    rerouted_from: UUID | None
    sent_at: datetime
    version: int
    next_moves: list[str] = Field(description="What the caller may do now.")
    next_candidates: str | None = Field(
        description="Once this way is closed, as long as a place is looked for: where, under this service's address."
    )


class StepAnswer(BaseModel):
    """One step: what was done, by whom, when."""

    version: int = Field(description="That of the referral; of what its clock said, the one at which it stood.")
    step: str = Field(
        description="A move; or remind and second, what its clock said; or placed: that nobody looks for a place any"
        " more, with the reason."
    )
    by: str = Field(
        description="An agency; or `training`, `person` for what follows from consent, `clock`, and `service` for what"
        " follows from another referral."
    )
    reason: str | None
    at: datetime
    waits_for: str | None = Field(default=None, description="Of remind, second and placed: who was waited for.")
    by_link: bool = Field(default=False, description="By a one-time link, from an agency without an account.")
    receiver_before: str | None = Field(
        default=None, description="Of change_course: the school that the referral named until then."
    )
    course_run_before: UUID | None = Field(default=None, description="The same of the course run.")


class ToldAnswer(BaseModel):
    """What the receiver is told of the case here. Words about the person are read in intake, on the same consent."""

    needs: list[str]
    topics: list[str]
    urgent: bool
    withheld: bool = Field(description="More is on record than the person agreed to share.")
    basis: Literal["consent"] = "consent"


class OutcomeAnswer(BaseModel):
    """What came of it, one by one."""

    number: int
    outcome: str
    by: str
    at: datetime
    corrects: list[int] = Field(default_factory=list, description="Which of them stand no more since.")


class ReferralWithSteps(ReferralAnswer):
    """A referral with everything that happened to it."""

    steps: list[StepAnswer]
    outcomes: list[OutcomeAnswer]
    chain: list[UUID] = Field(description="The referrals that led here by rerouting, the first one first.")
    next_id: UUID | None = Field(description="Of a rerouted one: the referral that follows.")
    told: ToldAnswer | None = Field(description="Null where it has ended, or the consent covers it no more.")


class TogetherAnswer(BaseModel):
    """What was sent under one parent."""

    group_id: UUID
    mode: str
    referrals: list[ReferralAnswer]
