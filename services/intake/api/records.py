"""Support records over HTTP: add what was done, correct by adding, read back page by page."""

from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Query, Response
from pydantic import BaseModel, ConfigDict, Field

from services.intake.api.drafts import no_such_draft
from services.intake.api.persons import AskedBasis, denied
from services.intake.api.shapes import Needs, Story
from services.intake.domain.policy import Denied, Purpose
from services.intake.domain.records import MINUTES_A_DAY, Way, With
from services.intake.handlers import records as handlers
from services.intake.handlers.drafts import NoSuchDraft
from services.intake.handlers.records import NoSuchRecord, Written
from services.intake.tables.records import SupportRecord
from shared.auth import Caller, Role, requires
from shared.bus.envelope import new_id
from shared.codes import DayAsWritten
from shared.problems import invalid
from shared.service import Body, LongPages, Now, Page, Transaction, day_in_japan, page, router

records = router(tag="records")


class AddRecord(Body):
    """支援記録: after a contact, once; every sheet that needs it is made from it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "on": "2026-11-27",
                    "way": "visit",
                    "with_whom": ["person", "family"],
                    "minutes": 45,
                    "needs": ["isolation", "people"],
                    "words": "居間で話した。来週、居場所を一緒に見に行く。",
                }
            ]
        }
    )

    on: DayAsWritten = Field(description="日付. The day of the contact, not after today.")
    way: Way = Field(description="方法")
    with_whom: list[With] = Field(default=[With.PERSON], min_length=1, max_length=len(With), description="相手")
    minutes: int = Field(default=0, strict=True, ge=0, le=MINUTES_A_DAY, description="分")
    needs: Needs = Field(default=[], description="Which needs it was about; of career formation, it counts as touched.")
    words: Story
    purpose: Literal["support", "assessment", "case_conference", "referral"] = Field(
        default="support", description="For an agency that works on the person's consent: what it works for."
    )
    corrects: UUID | None = Field(default=None, description="An entry of the own agency that this one stands for now.")
    draft_id: UUID | None = Field(default=None, description="The draft that this was typed in; it is done with.")


class RecordHead(BaseModel):
    """An entry without its words."""

    record_id: UUID
    case_id: UUID
    on: date
    way: str
    with_whom: list[str]
    minutes: int
    needs: list[str]
    corrects: UUID | None
    agency: str
    at: datetime


class RecordView(RecordHead):
    """An entry with its words."""

    words: str


@records.post(
    "/v1/cases/{case_id}/records",
    status_code=201,
    summary="Add a support record",
    description="支援記録(日付・方法・相手・時間・内容)を加えます。"
    "書き直すときは `corrects` に前の記録を指定します。前の記録も残ります。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def add_record(
    case_id: UUID, body: AddRecord, response: Response, session: Transaction, now: Now, actor: Caller
) -> RecordHead:
    """By who holds the case, or works on it with the person's consent."""
    if body.on > day_in_japan(now):
        raise invalid("/on", "in_the_future", "It lies in the future", "未来の日付です")
    written = Written(
        on_day=body.on,
        way=body.way,
        with_whom=list(dict.fromkeys(body.with_whom)),
        minutes=body.minutes,
        needs=list(dict.fromkeys(body.needs)),
        words=body.words,
    )
    record = await handlers.add_record(
        session,
        case_id,
        written,
        corrects=body.corrects,
        draft_id=body.draft_id,
        purpose=Purpose(body.purpose),
        record_id=new_id(),
        actor=actor,
        now=now,
    )
    match record:
        case Denied():
            raise denied(record)
        case NoSuchRecord():
            raise invalid(
                "/corrects",
                "no_such_record",
                "There is no such entry of your agency that stands; correct the newest",
                "自機関の記録のうち、その記録はないか、すでに直されています。最新の記録を直してください",
            )
        case NoSuchDraft():
            raise no_such_draft()
        case SupportRecord():
            response.headers["Location"] = f"records/{record.id}"
            return _head(record)


@records.get(
    "/v1/cases/{case_id}/records",
    summary="List support records",
    description="支援記録を新しい日から順に返します。直された記録は出ません。閲覧は根拠とともに記録されます。"
    "緊急閲覧の間は `basis=emergency` で読めます(閲覧のみ)。",
    dependencies=[requires(Role.COUNSELLOR, Role.EMERGENCY)],
)
async def list_records(
    case_id: UUID,
    session: Transaction,
    now: Now,
    actor: Caller,
    pages: LongPages,
    purpose: Annotated[Purpose, Query(description="利用目的")] = Purpose.SUPPORT,
    basis: AskedBasis = None,
) -> Page[RecordView]:
    """Those that stand, the newest first."""
    found = await handlers.find_records(
        session,
        case_id,
        purpose=purpose,
        basis=basis,
        before=pages.begin(lambda day, record_id: (date.fromisoformat(day), UUID(record_id))),
        limit=pages.one_more,
        actor=actor,
        now=now,
    )
    if isinstance(found, Denied):
        raise denied(found)
    return page(
        found,
        pages,
        key=lambda entry: (entry[0].on_day, entry[0].id),
        show=lambda entry: RecordView(**_fields(entry[0]), words=entry[1]),
    )


def _head(record: SupportRecord) -> RecordHead:
    return RecordHead(**_fields(record))


def _fields(record: SupportRecord) -> dict[str, Any]:
    return {
        "record_id": record.id,
        "case_id": record.case_id,
        "on": record.on_day,
        "way": record.way,
        "with_whom": record.with_whom,
        "minutes": record.minutes,
        "needs": record.needs,
        "corrects": record.corrects,
        "agency": record.agency,
        "at": record.at,
    }
