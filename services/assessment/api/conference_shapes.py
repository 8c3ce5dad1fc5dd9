"""What goes over the wire about conferences: bodies, answers, and an example of each."""

from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.config import JsonDict

from services.assessment.api.shapes import SeatShape, Words
from shared.codes import AgencyId, Code, DayAsWritten, LongText
from shared.service import Body

LaneName = Literal["consent", "shien_kaigi_art9"]
Clock = Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
DecisionName = Literal["referral", "seat", "reassessment", "consent_to_seek", "action"]

_MEMBER: JsonDict = {"agency": "kagoshima-npo", "profession": "employment_supporter"}
CONFERENCE: JsonDict = {
    "conference_id": "01939c2a-1c00-7a11-8b22-3c4d5e6f70b1",
    "case_id": "01939c1e-7a10-7c44-9f55-0b8b1f1a2c3d",
    "lane": "consent",
    "state": "called",
    "chair": "kagoshima-desk",
    "held_on": "2026-12-10",
    "begins_at": "14:00",
    "by_duty": True,
    "reason": None,
    "members": [{**_MEMBER, "answer": "asked", "present": None}],
    "legal": ["invite", "postpone", "cancel", "answer", "put_on_agenda", "map_problem", "rate_jointly"],
    "version": 1,
}


class MemberShape(Body):
    """Whom to ask: an agency, and the profession with which it sits there."""

    model_config = ConfigDict(json_schema_extra={"examples": [_MEMBER]})

    agency: AgencyId
    profession: Code = Field(description="職種: one of GET /assessment/v1/professions.")


class CallConference(Body):
    """A joint case conference about a case."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"lane": "consent", "held_on": "令和8年12月10日", "begins_at": "14:00", "members": [_MEMBER]}]
        }
    )

    lane: LaneName = Field(description="consent: 本人同意; shien_kaigi_art9: 支援会議(生活困窮者自立支援法 第9条).")
    held_on: DayAsWritten
    begins_at: Clock | None = None
    members: list[MemberShape] = Field(min_length=1, max_length=60)


class InviteMembers(Body):
    """More members."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"members": [_MEMBER]}]})

    members: list[MemberShape] = Field(min_length=1, max_length=60)


class PostponeConference(Body):
    """Another day."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"held_on": "2026-12-17"}]})

    held_on: DayAsWritten


class CancelConference(Body):
    """It is not held, or broken off."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "person_wishes"}]})

    reason: Literal["not_needed", "person_wishes", "no_day_found", "mistake"]


class AnswerInvitation(Body):
    """Whether the caller's agency comes: for one of its places, or for all."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"coming": True}]})

    coming: bool
    profession: Code | None = None


class PutOnAgenda(Body):
    """What is to be talked about. Sealed, and in no event."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"words": "住まいが決まるまでの居場所について"}]})

    words: Words


class MapProblem(Body):
    """A need, who covers it today, and who could; instead of what was said of that need before."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"need": "housing", "covered_by": [], "could": ["kagoshima-npo"], "note": "退去の期限は月末。"}
            ]
        }
    )

    need: Code
    covered_by: list[AgencyId] = Field(default=[], max_length=30)
    could: list[AgencyId] = Field(default=[], max_length=30)
    note: Words | None = None


class RateJointly(Body):
    """The members rate, each for itself."""

    model_config = ConfigDict(json_schema_extra={"examples": [{}]})

    seats: list[SeatShape] | None = Field(
        default=None, min_length=1, max_length=30, description="Default: every member that didn't say no."
    )
    rubric: Code | None = Field(default=None, description="Default: the version of FDP that is in use.")


class OpenConference(Body):
    """It begins."""


class DecideBody(Body):
    """Something that is to happen, by whom, until when. Nobody is told before the conference concludes."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "decision": "referral",
                    "owner": "kagoshima-desk",
                    "due_on": "2026-12-20",
                    "programme_id": "01939c2a-1c00-7a11-8b22-3c4d5e6f70c4",
                }
            ]
        }
    )

    decision: DecisionName
    owner: AgencyId
    due_on: DayAsWritten
    programme_id: UUID | None = Field(default=None, description="事業: for a referral, and for nothing else.")
    course_run_id: UUID | None = Field(default=None, description="コース: for a seat, and for nothing else.")
    words: Words | None = Field(default=None, description="What is to be done; an action needs it. Sealed.")


class UndoDecision(Body):
    """It was not decided after all."""


class WriteMinutes(Body):
    """議事録, as it stands now; what was written before stays in the history."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"words": "住まいの確保を先に進めることで一致した。"}]})

    words: Annotated[LongText, Field(min_length=1)]


class ConcludeConference(Body):
    """Who was there. Every decision begins with it."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"present": [_MEMBER]}]})

    present: list[SeatShape] = Field(min_length=1, max_length=120)


class MemberAnswer(BaseModel):
    """A place in the meeting; `present` is null until it is concluded."""

    agency: str
    profession: str
    answer: str
    present: bool | None


class ConferenceAnswer(BaseModel):
    """A joint case conference (合同ケース会議), without any words, and what the caller may do with it today."""

    model_config = ConfigDict(json_schema_extra={"examples": [CONFERENCE]})

    conference_id: UUID
    case_id: UUID
    lane: LaneName
    state: str
    chair: str
    held_on: date
    begins_at: str | None
    by_duty: bool = Field(description="It is to meet the prolongation rule's duty.")
    reason: str | None
    members: list[MemberAnswer]
    legal: list[str]
    version: int


class DecisionAnswer(BaseModel):
    """A decision, and how far it has come. A task of its own from the conclusion on (`/v1/tasks/{task_id}`)."""

    task_id: UUID
    decision: str
    owner: str
    due_on: date
    state: str
    programme_id: UUID | None
    course_run_id: UUID | None
    referral_id: UUID | None
    reason: str | None


class DecidedAnswer(ConferenceAnswer):
    """The conference, with the decision that was written down."""

    task_id: UUID


class WholeConference(ConferenceAnswer):
    """The same with what it decided."""

    decisions: list[DecisionAnswer]


class SaidAnswer(BaseModel):
    """Words, and who wrote them when."""

    words: str
    written_by: str
    at: datetime


class ProblemAnswer(BaseModel):
    """A line of the problem map: covered; open: somebody could; missing: nobody could, in this region."""

    need: str
    covered_by: list[str]
    could: list[str]
    standing: str
    note: str | None
    withheld: bool = Field(description="There is a note, and it tells of illness, which the consent leaves out.")
    written_by: str


class DecisionInWords(DecisionAnswer):
    """The same with its words."""

    words: str | None


class RecordOfConference(BaseModel):
    """Everything that was written in it, as far as the reader may see today."""

    conference_id: UUID
    agenda: list[SaidAnswer]
    problems: list[ProblemAnswer]
    decisions: list[DecisionInWords]
    minutes: SaidAnswer | None
    own_record_only: bool = Field(description="Art. 9, and not its day: what the members wrote has stayed in it.")


class ConferenceStep(BaseModel):
    """One thing that happened to a conference."""

    number: int
    name: str
    state: str
    held_on: date
    reason: str | None
    by: str
    at: datetime


class ConferenceSteps(BaseModel):
    """All of them, the oldest first."""

    steps: list[ConferenceStep]
