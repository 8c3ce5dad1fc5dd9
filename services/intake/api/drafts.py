"""Half-typed sheets and records over HTTP: begin, save as it grows, take up elsewhere, put away, take out again."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Query, Response
from pydantic import BaseModel, ConfigDict, Field

from services.intake.api.persons import denied
from services.intake.domain.cases import Need, SharedFor, Topic, Urgency
from services.intake.domain.policy import Purpose
from services.intake.domain.records import MINUTES_A_DAY, With
from services.intake.domain.sheet import FieldSet
from services.intake.handlers import drafts as handlers
from services.intake.handlers.drafts import Overtaken, PutAway
from services.intake.tables import drafts as tables
from shared.auth import Caller, Role, requires
from shared.bus.envelope import new_id
from shared.codes import FreeText, LongText, PhoneText
from shared.problems import STALE, Problem, ProblemType, invalid
from shared.service import JST, Body, IfMatch, Now, Page, Pages, Transaction, etag, page, router

drafts = router(tag="drafts")
_COUNSELS = requires(Role.COUNSELLOR)
_PUT_AWAY = ProblemType(
    "draft_put_away",
    409,
    "The draft was put away, or is a case or a record already",
    "下書きは破棄されたか、すでにケースか記録になっています",
)


class DraftPerson(Body):
    """The person's fields as far as they are typed: no form is asked of them yet."""

    name: FreeText = ""
    kana: FreeText = ""
    previous_name: FreeText = ""
    sex: FreeText = ""
    birth_date: FreeText = ""
    postcode: FreeText = ""
    address: FreeText = ""
    phone: PhoneText = ""
    other_phone: PhoneText = ""
    email: FreeText = ""
    contact_note: FreeText = ""
    proxy_name: FreeText = ""
    proxy_phone: PhoneText = ""
    proxy_relation: FreeText = ""
    health_note: LongText = ""
    family_note: LongText = ""
    story: LongText = ""


class DraftConsent(Body):
    """What was said about sharing, as far as it is written down. It counts once the case is opened, and not before."""

    state: FreeText = ""
    purposes: list[SharedFor] = Field(default=[], max_length=len(SharedFor))
    recipients: list[FreeText] = Field(default=[], max_length=50)
    categories: list[FieldSet] = Field(default=[], max_length=len(FieldSet))
    valid_from: FreeText = ""
    valid_until: FreeText = ""
    text_version: FreeText = ""
    form: FreeText = ""
    witness: FreeText = ""


class DraftSheet(Body):
    """What is typed so far, the whole of it at each saving."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"topics": ["debt"], "person": {"name": "架空 は"}}]})

    municipality: FreeText = ""
    entrance: FreeText = ""
    topics: list[Topic] = Field(default=[], max_length=len(Topic))
    needs: list[Need] = Field(default=[], max_length=len(Need))
    urgent: bool | None = Field(default=None, strict=True)
    urgency: list[Urgency] = Field(default=[], max_length=len(Urgency))
    most_serious: Topic | None = None
    next_step: FreeText = ""
    next_step_on: FreeText = ""
    anchor: FreeText = ""
    consent: DraftConsent | None = None
    person: DraftPerson = DraftPerson()

    def content(self) -> dict[str, Any]:
        """Only what was typed."""
        return self.model_dump(mode="json", exclude_unset=True)


class DraftRecord(Body):
    """A support record (支援記録) as far as it is typed, the whole of it at each saving."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"way": "visit", "words": "居間で話した。来週"}]})

    on: FreeText = ""
    way: FreeText = ""
    with_whom: list[With] = Field(default=[], max_length=len(With))
    minutes: int | None = Field(default=None, strict=True, ge=0, le=MINUTES_A_DAY)
    needs: list[Need] = Field(default=[], max_length=len(Need))
    words: LongText = ""
    purpose: Literal["support", "assessment", "case_conference", "referral"] = "support"
    corrects: UUID | None = None

    def content(self) -> dict[str, Any]:
        """Only what was typed."""
        return self.model_dump(mode="json", exclude_unset=True)


class DraftSaved(BaseModel):
    """It lies on the server, as this version."""

    draft_id: UUID
    version: int


class DraftHead(BaseModel):
    """A draft in the list: which fields were typed, and by whom; not what."""

    model_config = ConfigDict(from_attributes=True)

    draft_id: UUID = Field(validation_alias="id")
    kind: Literal["sheet", "record"]
    case_id: UUID | None = Field(validation_alias="about", description="The case whose record it is; none of a sheet.")
    fields: list[str]
    begun_by: str
    saved_by: str
    begun_at: datetime
    saved_at: datetime
    version: int
    discarded_at: datetime | None


class DraftView(DraftHead):
    """A draft with its content."""

    content: dict[str, Any]


@drafts.post(
    "/v1/drafts",
    status_code=201,
    summary="Begin a draft",
    description="書きかけの相談受付票を保存します。書くたびに保存でき、別の端末から続けられます。",
    dependencies=[_COUNSELS],
)
async def begin_draft(
    body: DraftSheet, response: Response, session: Transaction, now: Now, actor: Caller
) -> DraftSaved:
    """From the first key typed."""
    draft_id = new_id()
    await handlers.begin_draft(session, draft_id, body.content(), actor=actor, now=now)
    response.headers["Location"] = f"drafts/{draft_id}"
    response.headers["ETag"] = etag(1)
    return DraftSaved(draft_id=draft_id, version=1)


@drafts.post(
    "/v1/cases/{case_id}/record-drafts",
    status_code=201,
    summary="Begin a draft of a support record",
    description="書きかけの支援記録を保存します。読む・一覧・破棄・復元は、受付票の下書きと同じ `/v1/drafts` です。"
    "記録を加えるときに `draft_id` で指定すると、下書きは終わります。",
    dependencies=[_COUNSELS],
)
async def begin_record_draft(
    case_id: UUID, body: DraftRecord, response: Response, session: Transaction, now: Now, actor: Caller
) -> DraftSaved:
    """By who may add a record."""
    draft_id = new_id()
    refused = await handlers.begin_record_draft(
        session, draft_id, body.content(), about=case_id, purpose=Purpose(body.purpose), actor=actor, now=now
    )
    if refused is not None:
        raise denied(refused)
    response.headers["Location"] = f"../../drafts/{draft_id}"
    response.headers["ETag"] = etag(1)
    return DraftSaved(draft_id=draft_id, version=1)


@drafts.put(
    "/v1/cases/{case_id}/record-drafts/{draft_id}",
    summary="Save a draft of a support record",
    description="いま書いてある支援記録の全体を保存します(前の版と入れ替わります)。",
    dependencies=[_COUNSELS],
)
async def save_record_draft(
    case_id: UUID,
    draft_id: UUID,
    body: DraftRecord,
    read: IfMatch,
    response: Response,
    session: Transaction,
    now: Now,
    actor: Caller,
) -> DraftSaved:
    """The whole of it, by version."""
    saved = await handlers.save_draft(session, draft_id, body.content(), about=case_id, read=read, actor=actor, now=now)
    return _saved(saved, draft_id, response)


@drafts.get(
    "/v1/drafts",
    summary="List the agency's drafts",
    description="自機関の下書き(受付票と支援記録)の一覧です(新しい順)。"
    "破棄したものは、消されるまで(標準 30 日)戻せます。",
    dependencies=[_COUNSELS],
)
async def list_drafts(
    session: Transaction,
    actor: Caller,
    pages: Pages,
    discarded: Annotated[bool, Query(description="破棄したものを見る")] = False,
    kind: Annotated[Literal["sheet", "record"] | None, Query(description="受付票(sheet)か支援記録(record)")] = None,
    case_id: Annotated[UUID | None, Query(description="このケースの支援記録の下書きだけを見る")] = None,
) -> Page[DraftHead]:
    """Those that became nothing yet."""
    found = await tables.find_drafts(
        session,
        actor.agency,
        discarded=discarded,
        kind=kind,
        about=case_id,
        before=pages.begin(UUID),
        limit=pages.one_more,
    )
    return page(found, pages, key=lambda draft: (draft.id,), show=DraftHead.model_validate)


@drafts.get(
    "/v1/drafts/{draft_id}",
    summary="Take a draft up",
    description="下書きの中身を読みます。",
    dependencies=[_COUNSELS],
)
async def get_draft(draft_id: UUID, response: Response, session: Transaction, actor: Caller) -> DraftView:
    """On any machine of the agency."""
    typed = await handlers.get_draft(session, draft_id, actor=actor)
    response.headers["ETag"] = etag(typed.draft.version)
    head = DraftHead.model_validate(typed.draft)
    return DraftView.model_construct(**dict(head), content=dict(typed.content))


@drafts.put(
    "/v1/drafts/{draft_id}",
    summary="Save a draft",
    description="いま書いてある全体を保存します(前の版と入れ替わります)。",
    dependencies=[_COUNSELS],
)
async def save_draft(
    draft_id: UUID, body: DraftSheet, read: IfMatch, response: Response, session: Transaction, now: Now, actor: Caller
) -> DraftSaved:
    """The whole of it, by version."""
    saved = await handlers.save_draft(session, draft_id, body.content(), read=read, actor=actor, now=now)
    return _saved(saved, draft_id, response)


def _saved(saved: int | Overtaken | PutAway, draft_id: UUID, response: Response) -> DraftSaved:
    match saved:
        case Overtaken():
            raise _overtaken(saved)
        case PutAway():
            raise _put_away(saved)
        case version:
            response.headers["ETag"] = etag(version)
            return DraftSaved(draft_id=draft_id, version=version)


@drafts.post(
    "/v1/drafts/{draft_id}/discard",
    status_code=204,
    summary="Put a draft away",
    description="下書きを破棄します。保存期間(標準 30 日)のあいだは元に戻せます。",
    dependencies=[_COUNSELS],
)
async def discard_draft(draft_id: UUID, session: Transaction, now: Now, actor: Caller) -> Response:
    """On purpose, and not for good at once."""
    _refuse(await handlers.discard_draft(session, draft_id, actor=actor, now=now))
    return Response(status_code=204)


@drafts.post(
    "/v1/drafts/{draft_id}/restore",
    status_code=204,
    summary="Take a discarded draft out again",
    description="破棄した下書きを元に戻します。",
    dependencies=[_COUNSELS],
)
async def restore_draft(draft_id: UUID, session: Transaction, now: Now, actor: Caller) -> Response:
    """Until its period is over."""
    _refuse(await handlers.restore_draft(session, draft_id, actor=actor, now=now))
    return Response(status_code=204)


def no_such_draft() -> Problem:
    """What was typed in it is sent again without naming it."""
    return invalid("/draft_id", "no_such_draft", "There is no such draft any more", "その下書きはもうありません")


def _refuse(put_away: PutAway | None) -> None:
    if put_away is not None:
        raise _put_away(put_away)


def _put_away(put_away: PutAway) -> Problem:
    where = "" if put_away.case_id is None else f" (case {put_away.case_id})"
    return Problem(
        _PUT_AWAY,
        detail=f"Take it out again, or go on in the case{where}.",
        detail_ja=f"元に戻すか、ケース{where}で続けてください。",
    )


def _overtaken(saved: Overtaken) -> Problem:
    at = f"{saved.at.astimezone(JST):%Y-%m-%d %H:%M}"
    return Problem(
        STALE,
        detail=f"{saved.by} saved this draft at {at} (Japan). Read it, and save yours as another draft.",
        detail_ja=f"{saved.by} が {at} に保存しました。読み直すか、別の下書きで残してください。",
    )
