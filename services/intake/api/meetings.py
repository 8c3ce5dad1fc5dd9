"""Statutory meetings over HTTP (支援会議・調整会議): members only, on their day, and nothing of it anywhere else."""

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from services.intake.api.cases import only_municipality
from services.intake.api.persons import denied
from services.intake.api.shapes import whole
from services.intake.domain.cases import Topic
from services.intake.domain.meetings import MeetingKind, NotConvened
from services.intake.domain.policy import Denied
from services.intake.handlers import meetings as handlers
from services.intake.tables.meetings import Convocation
from shared.auth import Caller, Role, requires
from shared.bus.envelope import new_id
from shared.codes import AgencyId, DayAsWritten, LongText, MunicipalityCode
from shared.problems import Problem, ProblemType, invalid
from shared.service import Body, Now, Page, Pages, Transaction, page, router

meetings = router(tag="meetings")

_MEMBERS = requires(Role.COUNSELLOR, Role.PLACEMENT, Role.HELLO_WORK, Role.PROVIDER)
_REFUSALS = {
    "meeting_of_consent": ProblemType(
        "meeting_of_consent",
        409,
        "The support co-ordination meeting needs consent, and has no lane of its own",
        "支援調整会議は本人の同意に基づくため、ここでは開けません。目的「case_conference」の同意で情報を共有してください",
    ),
    "not_the_desk": ProblemType(
        "not_the_desk",
        403,
        "Only the municipality or its desk convenes this meeting",
        "この会議を開けるのは、その市町村またはその窓口だけです",
    ),
}


class ConveneMeeting(Body):
    """Which meeting, on which day, about what, and with whom. The convening desk is a member."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "kind": "shien_kaigi",
                    "held_on": "2026-12-04",
                    "topic": "withdrawal",
                    "members": ["kagoshima-npo", "kagoshima-hello-work"],
                }
            ]
        }
    )

    municipality: MunicipalityCode | None = Field(default=None, description="Default: the caller's only municipality.")
    kind: MeetingKind
    held_on: DayAsWritten
    topic: Topic
    members: list[AgencyId] = Field(min_length=1, max_length=100, description="Agencies; on that day, and no other.")


class MeetingView(BaseModel):
    """A meeting. Members see whose cases are on the agenda on its day; the convening desk always does."""

    meeting_id: UUID
    municipality: str
    kind: str
    basis: str
    held_on: date
    topic: str
    convened_by: str
    members: list[str]
    cases: list[UUID]


class PutCase(Body):
    """A case for the agenda."""

    case_id: UUID


class WriteNote(Body):
    """What was said about the case, on the meeting's topic."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"text": "民生委員が玄関先で会えた。食事はとれている"}]})

    text: Annotated[LongText, AfterValidator(whole), Field(min_length=1)]


class NoteWritten(BaseModel):
    """It lies sealed."""

    note_id: UUID


class NoteView(BaseModel):
    """What a member wrote; each reading is logged."""

    model_config = ConfigDict(from_attributes=True)

    note_id: UUID = Field(validation_alias="id")
    written_by: str
    at: datetime
    text: str | None = Field(description="保存期間を過ぎたものは null です。")


@meetings.post(
    "/v1/meetings",
    status_code=201,
    summary="Convene a statutory meeting",
    description="支援会議(生活困窮者自立支援法 9 条)または調整会議(生活保護法 27 条の 3)を開きます。"
    "参加機関はその日かぎりです。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def convene_meeting(body: ConveneMeeting, session: Transaction, now: Now, actor: Caller) -> MeetingView:
    """Closed; its members are bound to secrecy."""
    convened = await handlers.convene_meeting(
        session,
        meeting_id=new_id(),
        municipality=body.municipality or only_municipality(actor),
        kind=body.kind,
        held_on=body.held_on,
        topic=body.topic.value,
        members=frozenset(body.members),
        actor=actor,
        now=now,
    )
    match convened:
        case NotConvened(reason="in_the_past"):
            raise invalid("/held_on", "in_the_past", "This day is over", "過ぎた日の会議は開けません")
        case NotConvened(reason=reason):
            raise Problem(_REFUSALS[reason])
        case _:
            return _view(convened)


@meetings.get(
    "/v1/meetings",
    summary="The meetings of the own agency",
    description="自機関が参加する(した)会議です(新しい順)。議題のケースは、当日と、開いた機関にだけ見えます。",
    dependencies=[_MEMBERS],
)
async def list_meetings(session: Transaction, now: Now, actor: Caller, pages: Pages) -> Page[MeetingView]:
    """Newest first."""
    found = await handlers.list_meetings(session, before=pages.begin(UUID), limit=pages.one_more, actor=actor, now=now)
    return page(found, pages, key=lambda each: (each.id,), show=_view)


@meetings.get(
    "/v1/meetings/{meeting_id}",
    summary="Read a meeting",
    description="参加機関だけが読めます。",
    dependencies=[_MEMBERS],
)
async def get_meeting(meeting_id: UUID, session: Transaction, now: Now, actor: Caller) -> MeetingView:
    """404 for who is no member."""
    return _view(await handlers.get_meeting(session, meeting_id, actor=actor, now=now))


@meetings.post(
    "/v1/meetings/{meeting_id}/cases",
    status_code=201,
    summary="Put a case on the agenda",
    description="会議を開いた機関が、その市町村のケースを議題に載せます。本人の同意は要りません。ケースの経過には残りません。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def put_case(meeting_id: UUID, body: PutCase, session: Transaction, now: Now, actor: Caller) -> MeetingView:
    """By the convening desk, until the day is over."""
    found = await handlers.put_case(session, meeting_id, body.case_id, actor=actor, now=now)
    if isinstance(found, Denied):
        raise denied(found)
    return _view(found)


@meetings.post(
    "/v1/meetings/{meeting_id}/cases/{case_id}/notes",
    status_code=201,
    summary="Write down what was said",
    description="会議の当日に、参加機関が記録を書きます。ほかの記録・経過・出力には一切現れません。",
    dependencies=[_MEMBERS],
)
async def add_note(
    meeting_id: UUID, case_id: UUID, body: WriteNote, session: Transaction, now: Now, actor: Caller
) -> NoteWritten:
    """On the day, by a member."""
    note_id = await handlers.add_note(session, meeting_id, case_id, body.text, note_id=new_id(), actor=actor, now=now)
    if isinstance(note_id, Denied):
        raise denied(note_id)
    return NoteWritten(note_id=note_id)


@meetings.get(
    "/v1/meetings/{meeting_id}/cases/{case_id}/notes",
    summary="Read what was said",
    description="会議の当日は参加機関が読めます。終わったあとは、会議を開いた機関が、自ら書いた記録だけを読めます。",
    dependencies=[_MEMBERS],
)
async def list_notes(
    meeting_id: UUID, case_id: UUID, session: Transaction, now: Now, actor: Caller, pages: Pages
) -> Page[NoteView]:
    """In order; the access log is written before the answer leaves."""
    found = await handlers.list_notes(
        session, meeting_id, case_id, after=pages.begin(UUID), limit=pages.one_more, actor=actor, now=now
    )
    if isinstance(found, Denied):
        raise denied(found)
    return page(found, pages, key=lambda note: (note.id,), show=NoteView.model_validate)


def _view(convocation: Convocation) -> MeetingView:
    meeting = convocation.meeting
    return MeetingView(
        meeting_id=convocation.id,
        municipality=convocation.municipality,
        kind=meeting.kind,
        basis=meeting.basis,
        held_on=meeting.held_on,
        topic=convocation.topic,
        convened_by=meeting.convened_by,
        members=sorted(meeting.members),
        cases=list(convocation.cases),
    )
