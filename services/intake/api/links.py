"""The same person at two doors, over HTTP: search, candidates, links, and questions to other municipalities' desks.

An answer names cases and fields that agree, never a value; of another municipality it names the municipality.
"""

from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from services.intake.api.persons import denied
from services.intake.api.shapes import Email, Kana, Phone, Words
from services.intake.domain.cases import Case
from services.intake.domain.links import Answer, Linking, Refused, Step, Unlinking
from services.intake.domain.matching import Likelihood, MatchReason
from services.intake.domain.policy import Denied
from services.intake.handlers import inquiries, matching
from services.intake.handlers import links as handlers
from services.intake.handlers.inquiries import ConsentMissing, Repeated
from services.intake.handlers.links import Linked
from services.intake.handlers.matching import Candidate
from shared.auth import Caller, Role, requires
from shared.bus.envelope import new_id
from shared.codes import DayAsWritten, MunicipalityCode
from shared.problems import CONSENT_MISSING, Problem, ProblemType, invalid
from shared.service import Body, Now, Page, Pages, Reading, Transaction, page, router

links = router(tag="links")
_COUNSELS = requires(Role.COUNSELLOR)
_REFUSALS = {
    "linked_already": ProblemType(
        "linked_already", 409, "The two cases are linked already", "二つのケースはすでに結び付けられています"
    ),
    "not_linked": ProblemType(
        "not_linked", 409, "The two cases are not linked", "二つのケースは結び付けられていません"
    ),
}
_ASKED_ALREADY = ProblemType(
    "asked_already", 409, "This was asked already; wait for the answer", "すでに照会しています。回答を待ってください"
)
_ANSWERED_ALREADY = ProblemType(
    "answered_already", 409, "Your agency has answered already", "自機関はすでに回答しています"
)


class SearchPersons(Body):
    """What is known of who came: at least one of them."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"kana": "カゴシマ ハナコ", "birth_date": "昭和60年4月1日"}]}
    )

    name: Annotated[Words, Field(max_length=100)] | None = None
    kana: Annotated[Kana, Field(max_length=100)] | None = None
    previous_name: Annotated[Words, Field(max_length=100)] | None = None
    birth_date: DayAsWritten | None = Field(default=None, description="Narrows down; alone it finds nobody.")
    phone: Phone | None = None
    other_phone: Phone | None = None
    email: Email | None = None

    @model_validator(mode="after")
    def _something_is_sought(self) -> Self:
        if not self.values().keys() - {"birth_date"}:
            raise PydanticCustomError("nothing_to_find_by", "something to find somebody by is needed")
        return self

    def values(self) -> dict[str, str]:
        """The fields that were sent, as they are kept."""
        return {name: str(value) for name, value in self.model_dump(mode="json", exclude_none=True).items()}


class CandidateView(BaseModel):
    """A case that may be of the same person: never a certainty, and never what stands in it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "case_id": "01939c1e-7a10-7c44-9f55-0b8b1f1a2c3d",
                    "number": "2026-000123",
                    "municipality": "462012",
                    "holder_agency": "kagoshima-npo",
                    "status": "open",
                    "likelihood": "likely",
                    "score": 95,
                    "agrees": ["reading_and_birth_date", "phone"],
                    "other_birth_date": False,
                    "masked": [],
                    "link": None,
                }
            ]
        }
    )

    case_id: UUID
    number: str
    municipality: str
    holder_agency: str
    status: Literal["open", "closed"]
    likelihood: Likelihood
    score: int = Field(description="0 to 95: the sum of the best reasons. Twins may reach 50.")
    agrees: list[MatchReason]
    other_birth_date: bool = Field(description="Another day of birth stands there: mostly another person.")
    masked: list[str] = Field(description="Sets of fields that were not compared for this caller.")
    link: Step | None = Field(description="What was decided about the two cases before.")


class PersonsFound(BaseModel):
    """Likeliest first."""

    items: list[CandidateView]
    more: bool = Field(description="There are more than these: ask for another field.")


class CaseCandidates(PersonsFound):
    """Other cases that may be of the person."""

    elsewhere: list[str] = Field(
        description="Municipalities whose desk can be asked, as the person's consent covers. Nothing else is told."
    )


class LinkCases(Body):
    """名寄せ: they are of one person, and how that is known."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"other": "01939c1e-7a10-7c44-9f55-0b8b1f1a2c3d", "reason": "person_says"}]}
    )

    other: UUID
    reason: Linking


class UnlinkCases(Body):
    """It is taken back, and why."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "other_person"}]})

    reason: Unlinking


class LinkedCase(BaseModel):
    """Another case of the same person, as somebody decided. Its holder and its data stay its own."""

    case_id: UUID
    number: str
    holder_agency: str
    status: Literal["open", "closed"]
    linked: bool
    reason: str
    by: str
    at: datetime


class LinkedCases(BaseModel):
    """Those that are the caller's business."""

    items: list[LinkedCase]


class AskElsewhere(Body):
    """Which municipality's desks are asked."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"municipality": "462187"}]})

    municipality: MunicipalityCode


class AnswerInquiry(Body):
    """`known` names the own case; the asking desk is told the word alone."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"answer": "will_get_in_touch"}]})

    answer: Answer
    case_id: UUID | None = None

    @model_validator(mode="after")
    def _known_by_a_case(self) -> Self:
        if (self.answer is Answer.KNOWN) != (self.case_id is not None):
            raise PydanticCustomError("known_by_a_case", "known, by a case; else without one")
        return self


class InquirySent(BaseModel):
    """It was asked."""

    inquiry_id: UUID
    municipality: str


class InquiryAnswer(BaseModel):
    """What a desk answered."""

    agency: str
    answer: Answer
    at: datetime


class InquiryWithAnswers(InquirySent):
    """What was asked, and what was answered."""

    asked_by: str
    at: datetime
    answers: list[InquiryAnswer]


class InquiriesSent(BaseModel):
    """Oldest first."""

    items: list[InquiryWithAnswers]


class InquiryHead(BaseModel):
    """Another municipality's desk asks; about whom is not told."""

    inquiry_id: UUID
    municipality: str
    asked_by: str
    at: datetime


class InquiryView(InquiryHead):
    """With the own cases that may be the person's."""

    own_answer: Answer | None
    items: list[CandidateView]
    more: bool


@links.post(
    "/v1/persons/search",
    summary="Search for a person",
    description="受け付ける前に、同じ方のケースがすでにないかを探します。自機関と担当市町村のケースだけが対象で、"
    "値は返さず、一致した項目の名前だけを返します。示したことは相手のケースの閲覧記録に残ります。"
    "何も作らないので Idempotency-Key は要りません。送った内容は保存されません。",
    dependencies=[_COUNSELS],
)
async def search_persons(body: SearchPersons, session: Reading, actor: Caller) -> PersonsFound:
    """A POST, since what is searched for must stand in no address; and nothing of it is kept, not even for a repeat."""
    found = await matching.search_persons(session, body.values(), actor=actor)
    return PersonsFound(items=[_candidate(each) for each in found.found], more=found.more)


@links.get(
    "/v1/cases/{case_id}/candidates",
    summary="Other cases of the person",
    description="同じ方かもしれないほかのケースを、理由とともに返します(担当機関だけ)。決めるのは人です。"
    "ほかの市町村については、本人の同意があるとき、照会できる市町村だけを返します。",
    dependencies=[_COUNSELS],
)
async def find_candidates(case_id: UUID, session: Transaction, now: Now, actor: Caller) -> CaseCandidates:
    """For a person to look at and decide."""
    found = await matching.find_candidates(session, case_id, actor=actor, now=now)
    if isinstance(found, Denied):
        raise denied(found)
    return CaseCandidates(
        items=[_candidate(each) for each in found.found], more=found.more, elsewhere=list(found.elsewhere)
    )


@links.get(
    "/v1/cases/{case_id}/links",
    summary="Linked cases",
    description="同じ方のものとして結び付けられたケースです。",
    dependencies=[_COUNSELS],
)
async def list_links(case_id: UUID, session: Transaction, actor: Caller) -> LinkedCases:
    """As they stand now."""
    return LinkedCases(
        items=[_linked(each, linked=True) for each in await handlers.list_links(session, case_id, actor=actor)]
    )


@links.post(
    "/v1/cases/{case_id}/links",
    status_code=201,
    summary="Link two cases",
    description="二つのケースが同じ方のものだと、どちらかの担当機関が記録します。担当も情報も移りません。",
    dependencies=[_COUNSELS],
)
async def link_cases(case_id: UUID, body: LinkCases, session: Transaction, now: Now, actor: Caller) -> LinkedCase:
    """A person decides; nothing is merged."""
    if body.other == case_id:
        raise invalid("/other", "itself", "A case is not linked with itself", "同じケースどうしは結び付けられません")
    done = await handlers.link_cases(session, case_id, body.other, body.reason, actor=actor, now=now)
    return _linked(_decided(done), linked=True)


@links.post(
    "/v1/cases/{case_id}/links/{other_id}/unlinking",
    summary="Unlink two cases",
    description="結び付けを取り消します。結び付けた記録も、取り消した記録も残ります。",
    dependencies=[_COUNSELS],
)
async def unlink_cases(
    case_id: UUID, other_id: UUID, body: UnlinkCases, session: Transaction, now: Now, actor: Caller
) -> LinkedCase:
    """By who holds either of them."""
    if other_id == case_id:
        raise Problem(_REFUSALS["not_linked"])
    done = await handlers.unlink_cases(session, case_id, other_id, body.reason, actor=actor, now=now)
    return _linked(_decided(done), linked=False)


@links.post(
    "/v1/cases/{case_id}/inquiries",
    status_code=201,
    summary="Ask another municipality's desk",
    description="ほかの市町村の窓口に、この方を知っているかを照会します。本人の同意(つなぎ)が要ります。"
    "相手には、だれが照会しているかと、相手自身のケースだけが見えます。",
    dependencies=[_COUNSELS],
)
async def ask_elsewhere(
    case_id: UUID, body: AskElsewhere, session: Transaction, now: Now, actor: Caller
) -> InquirySent:
    """No data of either crosses by itself."""
    if actor.serves(body.municipality):
        raise invalid(
            "/municipality",
            "own_municipality",
            "Your agency serves this municipality: look at the candidates",
            "自機関が担当する市町村です。候補を見てください",
        )
    inquiry_id = new_id()
    _refuse(
        await inquiries.ask_elsewhere(session, case_id, body.municipality, inquiry_id=inquiry_id, actor=actor, now=now),
        repeated=_ASKED_ALREADY,
    )
    return InquirySent(inquiry_id=inquiry_id, municipality=body.municipality)


@links.get(
    "/v1/cases/{case_id}/inquiries",
    summary="What was asked, and the answers",
    description="このケースから出した照会と、その回答です(担当機関だけ)。",
    dependencies=[_COUNSELS],
)
async def list_sent_inquiries(case_id: UUID, session: Transaction, now: Now, actor: Caller) -> InquiriesSent:
    """Oldest first."""
    sent = await inquiries.list_sent(session, case_id, actor=actor, now=now)
    if isinstance(sent, Denied):
        raise denied(sent)
    return InquiriesSent(
        items=[
            InquiryWithAnswers(
                inquiry_id=each.inquiry.id,
                municipality=each.inquiry.municipality,
                asked_by=each.inquiry.asked_by,
                at=each.inquiry.at,
                answers=[
                    InquiryAnswer(agency=answer.answered_by, answer=Answer(answer.answer), at=answer.at)
                    for answer in each.answers
                ],
            )
            for each in sent
        ]
    )


@links.get(
    "/v1/inquiries",
    summary="What other municipalities' desks ask",
    description="担当市町村あてに届いた照会です(新しい順)。本人の同意が続いているものだけが見えます。",
    dependencies=[_COUNSELS],
)
async def list_inquiries(session: Transaction, now: Now, actor: Caller, pages: Pages) -> Page[InquiryHead]:
    """Who asks; not about whom."""
    found = await inquiries.list_inquiries(
        session, actor=actor, before=pages.begin(UUID), limit=pages.one_more, now=now
    )
    return page(
        found,
        pages,
        key=lambda row: (row.id,),
        show=lambda row: InquiryHead(
            inquiry_id=row.id, municipality=row.municipality, asked_by=row.asked_by, at=row.at
        ),
    )


@links.get(
    "/v1/inquiries/{inquiry_id}",
    summary="An inquiry, with the own cases it may be about",
    description="照会と、この方のものかもしれない自分たちのケースです。照会元のケースの内容は見えません。",
    dependencies=[_COUNSELS],
)
async def get_inquiry(inquiry_id: UUID, session: Transaction, now: Now, actor: Caller) -> InquiryView:
    """Each looking stands in the log of both cases."""
    asked = await inquiries.get_inquiry(session, inquiry_id, actor=actor, now=now)
    return InquiryView(
        inquiry_id=inquiry_id,
        municipality=asked.inquiry.municipality,
        asked_by=asked.inquiry.asked_by,
        at=asked.inquiry.at,
        own_answer=None if asked.own_answer is None else Answer(asked.own_answer),
        items=[_candidate(each) for each in asked.candidates.found],
        more=asked.candidates.more,
    )


@links.post(
    "/v1/inquiries/{inquiry_id}/answers",
    status_code=204,
    summary="Answer an inquiry",
    description="照会に一度だけ答えます。「知っている」と答えるには、そのケースの担当で、本人の同意が要ります。"
    "「こちらから連絡する」は、知っているかどうかを伝えません。",
    dependencies=[_COUNSELS],
)
async def answer_inquiry(
    inquiry_id: UUID, body: AnswerInquiry, session: Transaction, now: Now, actor: Caller
) -> Response:
    """By a person; the word is all that crosses."""
    _refuse(
        await inquiries.answer_inquiry(session, inquiry_id, body.answer, body.case_id, actor=actor, now=now),
        repeated=_ANSWERED_ALREADY,
    )
    return Response(status_code=204)


def _refuse(refused: Denied | ConsentMissing | Repeated | None, *, repeated: ProblemType) -> None:
    match refused:
        case Denied():
            raise denied(refused)
        case ConsentMissing():
            raise Problem(CONSENT_MISSING)
        case Repeated():
            raise Problem(repeated)
        case None:
            pass


def _candidate(found: Candidate) -> CandidateView:
    likelihood = found.likeness.likelihood
    assert likelihood is not None
    return CandidateView(
        case_id=found.case.id,
        number=found.case.number,
        municipality=found.case.municipality,
        holder_agency=found.case.holder_agency,
        status=_status(found.case),
        likelihood=likelihood,
        score=found.likeness.score,
        agrees=list(found.likeness.reasons),
        other_birth_date=found.likeness.other_birth_date,
        masked=["contact"] if found.masked else [],
        link=found.link,
    )


def _decided(done: Linked | Refused | Denied) -> Linked:
    if isinstance(done, Denied):
        raise denied(done)
    if isinstance(done, Refused):
        raise Problem(_REFUSALS[done.reason])
    return done


def _linked(found: Linked, *, linked: bool) -> LinkedCase:
    return LinkedCase(
        case_id=found.case.id,
        number=found.case.number,
        holder_agency=found.case.holder_agency,
        status=_status(found.case),
        linked=linked,
        reason=found.reason,
        by=found.by,
        at=found.at,
    )


def _status(case: Case) -> Literal["open", "closed"]:
    return "open" if case.status == "open" else "closed"
