"""What is known about a person, over HTTP: read with a purpose, saved by version, and who looked at it."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Query, Response

from services.intake.api.shapes import PersonSheet, PersonView, SheetSaved
from services.intake.domain.meetings import Basis
from services.intake.domain.policy import Denied, Purpose
from services.intake.handlers import persons as handlers
from services.intake.handlers.persons import Overtaken
from shared.auth import Caller, Role, requires
from shared.problems import NO_BASIS, STALE, Problem, ProblemType, invalid
from shared.service import IfMatch, Now, Page, Pages, Transaction, day_in_japan, etag, number, page, router
from shared.service.accesses import AccessEntry

persons = router(tag="persons")

NOT_THE_HOLDER = ProblemType(
    "not_the_holder",
    403,
    "Only the agency that holds the case may do this: ask it",
    "担当機関だけができる操作です。担当機関に頼んでください",
)
_DENIALS = {
    "no_basis": NO_BASIS,
    "not_yours": NOT_THE_HOLDER,
    "meeting_to_come": ProblemType("meeting_to_come", 403, "The meeting is on another day", "会議の当日にだけできます"),
    "meeting_over": ProblemType(
        "meeting_over",
        403,
        "The meeting is over: what was said in it stays there",
        "会議は終わりました。会議で話されたことは、会議の外では読めません",
    ),
    "not_a_public_body": ProblemType(
        "not_a_public_body",
        403,
        "On this basis (Art. 69(2)(iii)) only a public body may read; your agency is registered as another kind",
        "この根拠(法第69条第2項第3号)で読めるのは行政機関等だけです。自機関の種別の登録を確かめるか、担当機関に尋ねてください",
    ),
    "other_purpose": ProblemType("other_purpose", 403, "Not for this purpose", "この目的では行えません"),
    "use_stopped": ProblemType(
        "use_stopped",
        403,
        "At the person's request this data is not used, but to be disclosed to them",
        "利用停止の対象です。本人への開示のほかには使えません",
    ),
}
_READERS = (Role.COUNSELLOR, Role.PLACEMENT, Role.HELLO_WORK, Role.PROVIDER, Role.EMERGENCY)
"""Whose work may need something of it: policy says how much."""
AskedBasis = Annotated[
    Basis | None, Query(description="根拠。省くと、届くものが順に選ばれます。`emergency` は必ず指定します。")
]


def denied(decision: Denied) -> Problem:
    """Why nothing is shown or written."""
    return Problem(_DENIALS[decision.reason])


@persons.get(
    "/v1/cases/{case_id}/person",
    summary="Read the reception sheet",
    description="相談受付票を読みます。目的ごとに見える範囲が決まり、閲覧は根拠とともに記録されます。",
    dependencies=[requires(*_READERS)],
)
async def get_person(
    case_id: UUID,
    response: Response,
    session: Transaction,
    now: Now,
    actor: Caller,
    purpose: Annotated[Purpose, Query(description="利用目的")] = Purpose.SUPPORT,
    basis: AskedBasis = None,
) -> PersonView:
    """As far as the purpose and a legal basis reach; the log is written before the answer leaves."""
    person = await handlers.get_person(session, case_id, purpose=purpose, basis=basis, actor=actor, now=now)
    if isinstance(person, Denied):
        raise denied(person)
    response.headers["ETag"] = etag(person.version)
    return PersonView(
        case_id=case_id,
        version=person.version,
        basis=person.basis,
        person=dict(person.values),
        masked=sorted(person.masked),
    )


@persons.patch(
    "/v1/cases/{case_id}/person",
    summary="Save the reception sheet",
    description="相談受付票の項目を書きます。省いた項目はそのまま残り、null の項目は空になります。前の版も残ります。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def change_person(
    case_id: UUID,
    body: PersonSheet,
    read: IfMatch,
    response: Response,
    session: Transaction,
    now: Now,
    actor: Caller,
) -> SheetSaved:
    """By who holds the case. Who is late is told who wrote which field, and loses nothing."""
    refuse_unborn(body, "/birth_date", now)
    saved = await handlers.change_person(session, case_id, body.values(), read=read, actor=actor, now=now)
    match saved:
        case Denied():
            raise denied(saved)
        case Overtaken():
            raise _overtaken(saved)
        case version:
            response.headers["ETag"] = etag(version)
            return SheetSaved(version=version)


@persons.get(
    "/v1/cases/{case_id}/accesses",
    summary="Who looked at the person's data",
    description="この方の情報を、いつ、どの機関が、何の目的と根拠で見たか・書いたかの記録です(古い順)。本人への説明に使います。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def list_accesses(
    case_id: UUID, session: Transaction, now: Now, actor: Caller, pages: Pages
) -> Page[AccessEntry]:
    """For the agency that holds the case, to tell the person."""
    found = await handlers.list_accesses(
        session, case_id, after=pages.begin(number) or 0, limit=pages.one_more, actor=actor, now=now
    )
    if isinstance(found, Denied):
        raise denied(found)
    return page(found, pages, key=lambda entry: (entry.id,), show=AccessEntry.model_validate)


def refuse_unborn(sheet: PersonSheet, pointer: str, now: datetime) -> None:
    """Nobody who comes to a counter is born tomorrow; mostly an era was mixed up."""
    if sheet.birth_date is not None and sheet.birth_date > day_in_japan(now):
        raise invalid(
            pointer,
            "in_the_future",
            "A birth date can't lie in the future; check the era",
            "生年月日が未来の日付です。元号を確かめてください",
        )


def _overtaken(saved: Overtaken) -> Problem:
    return Problem(
        STALE,
        detail="Somebody saved this sheet after you read it. Read it again; what you typed is still yours to send.",
        detail_ja="読んだあとに、ほかの方が保存しました。読み直してください。入力した内容は失われていません。",
        errors=[
            {
                "in": "body",
                "pointer": f"/{each.field}",
                "code": "written_since",
                "message": f"Written by {each.by}",
                "message_ja": f"{each.by} が書きました",
                "by": each.by,
                "at": each.at.isoformat(),
            }
            for each in saved.written
        ],
    )
