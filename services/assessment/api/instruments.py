"""Instruments over HTTP: the words for the levels, to be shown next to each level while rating; and who sits in."""

from typing import Annotated

from fastapi import Path, Query, Response

from services.assessment.api.shapes import (
    AnchorShape,
    ItemShape,
    ProfessionAnswer,
    ProfessionsAnswer,
    PublishRubric,
    PutProfession,
    RubricAnswer,
)
from services.assessment.domain.instruments import Anchor, Fault, Found, Instrument, Item
from services.assessment.handlers import instruments as handlers
from services.assessment.handlers.instruments import NotPublished
from services.assessment.tables.instruments import Published
from shared.auth import Caller, Role, requires
from shared.codes import Code
from shared.problems import CONFLICT, INVALID, Problem, invalid
from shared.service import IfMatch, Now, Page, Pages, Transaction, etag, page, router

rubrics = router(tag="rubrics")

_FAULTS = {
    Fault.LEVEL_LEFT_OUT: ("A level is left out", "抜けている段階があります"),
    Fault.NO_LEVELS: ("It needs two levels at least", "段階は二つ以上必要です"),
    Fault.ITEM_TWICE: ("An item is named twice", "同じ項目が二度あります"),
    Fault.ITEM_MISSING: (
        "An item of the instrument is missing; other items are another instrument",
        "このものさしの項目が足りません。項目を変えるときは別のものさしにしてください",
    ),
    Fault.ITEM_UNKNOWN: (
        "The instrument has no such item; other items are another instrument",
        "このものさしにない項目があります。項目を変えるときは別のものさしにしてください",
    ),
    Fault.OTHER_LEVELS: (
        "The instrument has fewer levels here; other levels are another instrument",
        "段階の数がこのものさしと違います。段階を変えるときは別のものさしにしてください",
    ),
}
_PROFESSIONS_NOTICE = "A sample list: the source speaks of 29 kinds and doesn't name them"
_PROFESSIONS_NOTICE_JA = "見本の一覧です。元の資料は「29種」とするだけで、内訳を挙げていません"


@rubrics.post(
    "/v1/rubrics",
    status_code=201,
    summary="Publish a version of an instrument",
    description="地域の文言による新しい版を公開します。公開した版は変えられません。以前の評価は、その時の版のまま表示されます。",
    dependencies=[requires(Role.RULES)],
)
async def publish_rubric(body: PublishRubric, session: Transaction, now: Now, actor: Caller) -> RubricAnswer:
    """Every item keeps its levels; the words are the region's own."""
    items = tuple(
        Item(
            each.item,
            each.item_en,
            each.item_ja,
            tuple(Anchor(level.level, level.text, level.text_ja) for level in each.levels),
            each.special_care,
        )
        for each in body.items
    )
    instrument = Instrument(body.instrument, body.rubric, body.title, body.title_ja, body.notice, body.notice_ja, items)
    outcome = await handlers.publish_version(
        session, instrument, effective_from=body.effective_from, actor=actor, now=now
    )
    match outcome:
        case Published():
            return _answer(outcome)
        case NotPublished("in_the_past"):
            raise invalid(
                "/effective_from",
                "in_the_past",
                "It can't hold before today",
                "今日より前の日からは適用できません",
            )
        case NotPublished():
            raise Problem(
                CONFLICT,
                detail="There is a version of this name; give this one another",
                detail_ja="この名前の版はすでにあります。別の名前を付けてください",
            )
        case faults:
            raise _faulty(body, faults)


@rubrics.get(
    "/v1/rubrics",
    summary="List the versions of instruments",
    description="ものさしの版を、ものさしと名前の順に返します。古い版も残っています。",
    dependencies=[requires(Role.COUNSELLOR, Role.RULES)],
)
async def list_rubrics(
    session: Transaction,
    actor: Caller,  # noqa: ARG001 - the wall wants to know who asks
    pages: Pages,
    instrument: Annotated[Code | None, Query(description="ものさし, e.g. fdp; all of them by default.")] = None,
) -> Page[RubricAnswer]:
    """All that were ever published."""
    after = pages.begin(lambda name, version: (str(name), str(version))) or ("", "")
    found = await handlers.list_versions(session, instrument, after=after, limit=pages.one_more)
    return page(found, pages, key=lambda each: (each.instrument.name, each.instrument.version), show=_answer)


@rubrics.get(
    "/v1/rubrics/{rubric}",
    summary="Read a version of an instrument",
    description="項目と段階の目安の文言を返します。同梱のものは見本で、公式の文言ではありません。",
    dependencies=[requires(Role.COUNSELLOR, Role.RULES)],
)
async def get_rubric(rubric: Annotated[Code, Path(examples=["fdp-sample-1"])], session: Transaction) -> RubricAnswer:
    """Items in order, levels lowest first."""
    return _answer(await handlers.get_version(session, rubric))


@rubrics.get(
    "/v1/professions",
    summary="List professions",
    description="合同ケース会議に加わる職種の一覧です。地域で直せます。",
    dependencies=[requires(Role.COUNSELLOR, Role.RULES)],
)
async def list_professions(session: Transaction) -> ProfessionsAnswer:
    """Those that are out of use as well."""
    return ProfessionsAnswer(
        notice=_PROFESSIONS_NOTICE,
        notice_ja=_PROFESSIONS_NOTICE_JA,
        professions=[
            ProfessionAnswer(
                profession=row.code,
                title=row.english,
                title_ja=row.japanese,
                in_use=row.in_use,
                version=row.version,
            )
            for row in await handlers.list_professions(session)
        ],
    )


@rubrics.put(
    "/v1/professions/{profession}",
    summary="Add or change a profession",
    description="職種を加えるか、直します。直すときは読んだ版を If-Match で示してください。",
    dependencies=[requires(Role.RULES)],
)
async def put_profession(
    profession: Annotated[Code, Path(examples=["job_coach"])],
    body: PutProfession,
    read: IfMatch,
    response: Response,
    session: Transaction,
    now: Now,
    actor: Caller,
) -> ProfessionAnswer:
    """`If-Match: "0"` adds one."""
    version = await handlers.put_profession(
        session,
        profession,
        english=body.title,
        japanese=body.title_ja,
        in_use=body.in_use,
        read=read,
        actor=actor,
        now=now,
    )
    response.headers["ETag"] = etag(version)
    return ProfessionAnswer(
        profession=profession, title=body.title, title_ja=body.title_ja, in_use=body.in_use, version=version
    )


def _faulty(body: PublishRubric, faults: list[Found]) -> Problem:
    places = {each.item: place for place, each in enumerate(body.items)}
    return Problem(
        INVALID,
        errors=[
            {
                "in": "body",
                "pointer": f"/items/{places[each.item]}" if each.item in places else "/items",
                "code": each.fault.value,
                "message": _FAULTS[each.fault][0],
                "message_ja": _FAULTS[each.fault][1],
            }
            for each in faults[:20]
        ],
    )


def _answer(published: Published) -> RubricAnswer:
    instrument = published.instrument
    return RubricAnswer(
        instrument=instrument.name,
        rubric=instrument.version,
        title=instrument.english,
        title_ja=instrument.japanese,
        notice=instrument.notice,
        notice_ja=instrument.notice_ja,
        items=[
            ItemShape(
                item=item.code,
                item_en=item.english,
                item_ja=item.japanese,
                special_care=item.special_care,
                levels=[AnchorShape(level=a.level, text=a.english, text_ja=a.japanese) for a in item.anchors],
            )
            for item in instrument.items
        ],
        effective_from=published.effective_from,
        published_by=published.published_by,
    )
