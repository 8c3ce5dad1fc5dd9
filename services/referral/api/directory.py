"""支援機関・事業の名簿, to look at: lists, entries, their versions, what waits to be confirmed, coordinators."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Query, Response
from pydantic import AwareDatetime, BaseModel

from services.referral.api.listed import (
    AgencyAnswer,
    NamedCoordinator,
    ProgrammeAnswer,
    VersionAnswer,
    WaitingAnswer,
    example,
    shown_agency,
    shown_programme,
)
from services.referral.domain.directory import ACTS, freshness
from services.referral.domain.options import Stage
from services.referral.tables import directory as tables
from services.referral.tables import listing
from services.referral.tables.vocabulary import vocabulary
from shared.auth import Caller, Role, requires
from shared.codes import AgencyId, Code, MunicipalityCode
from shared.problems import NOT_FOUND, Problem
from shared.service import Now, Page, Pages, Paging, Transaction, day_in_japan, etag, number, page, router

directory = router(tag="directory")

_Stale = Annotated[bool | None, Query(description="Only entries that nobody vouches for any more, or only others.")]
_At = Annotated[
    AwareDatetime | None, Query(description="Only the version that held at this moment, with its offset (+09:00).")
]


class WordAnswer(BaseModel):
    """A code in words."""

    code: str
    japanese: str
    english: str | None = None
    stage: Stage | None = None


class VocabularyAnswer(BaseModel):
    """The codes of the directory in words. Functions and groups of people are a sample list, not an official one."""

    model_config = example(
        functions=[{"code": "drop_in_space", "japanese": "居場所", "english": "Drop-in space", "stage": "drop_in"}],
        targets=[{"code": "youth", "japanese": "若者", "english": "Young people"}],
        acts=[{"code": "self_reliance_act", "japanese": "生活困窮者自立支援法"}],
    )

    functions: list[WordAnswer]
    targets: list[WordAnswer]
    acts: list[WordAnswer]


@directory.get(
    "/v1/agencies",
    dependencies=[requires(*Role)],
    summary="Agencies of the directory",
    description="支援機関の一覧。市町村と、確認が古くなっているかどうかで絞り込めます。",
)
async def list_agencies(
    session: Transaction,
    _: Caller,
    now: Now,
    pages: Pages,
    municipality: Annotated[MunicipalityCode | None, Query(description="Only those who serve it.")] = None,
    stale: _Stale = None,
) -> Page[AgencyAnswer]:
    """By id."""
    today = day_in_japan(now)
    rows = await tables.list_agencies(
        session,
        municipality=municipality,
        stale=stale,
        today=today,
        days=vocabulary().days,
        after=pages.begin(str),
        limit=pages.one_more,
    )
    return page(rows, pages, key=lambda row: (row.agency_id,), show=lambda row: shown_agency(row, today))


@directory.get(
    "/v1/agencies/{agency_id}",
    dependencies=[requires(*Role)],
    summary="One agency",
    description="支援機関の窓口・受付時間・休み・連絡方法。ETag は変更のときに If-Match で示します。",
)
async def get_agency(
    agency_id: AgencyId, session: Transaction, _: Caller, now: Now, response: Response
) -> AgencyAnswer:
    """With the ETag of its version."""
    row = await listing.find_entry(session, "agency", agency_id)
    if row is None:
        raise Problem(NOT_FOUND)
    response.headers["ETag"] = etag(row.version)
    return shown_agency(row, day_in_japan(now))


@directory.get(
    "/v1/programmes",
    dependencies=[requires(*Role)],
    summary="Programmes of the directory",
    description="事業の一覧。市町村・支援機能・段階・機関・確認の古さで絞り込めます。",
)
async def list_programmes(
    session: Transaction,
    _: Caller,
    now: Now,
    pages: Pages,
    municipality: Annotated[MunicipalityCode | None, Query(description="Only what is offered there.")] = None,
    function: Annotated[Code | None, Query(description="Only this support function.")] = None,
    stage: Annotated[Stage | None, Query(description="Only this rung of the ladder.")] = None,
    agency_id: Annotated[AgencyId | None, Query(description="Only this agency's.")] = None,
    stale: _Stale = None,
) -> Page[ProgrammeAnswer]:
    """By agency and the agency's own code."""
    today = day_in_japan(now)
    rows = await tables.list_programmes(
        session,
        municipality=municipality,
        function=function,
        stage=stage,
        agency_id=agency_id,
        stale=stale,
        today=today,
        days=vocabulary().days,
        after=pages.begin(lambda agency_id, code: (agency_id, code)),
        limit=pages.one_more,
    )
    return page(
        rows,
        pages,
        key=lambda row: (row.agency_id, row.programme_code),
        show=lambda row: shown_programme(row, today),
    )


@directory.get(
    "/v1/programmes/{programme_id}",
    dependencies=[requires(*Role)],
    summary="One programme",
    description="事業の内容と空き状況。30日以上前の空き状況は「不明」と読み、最後に聞いた内容を並べて示します。",
)
async def get_programme(
    programme_id: UUID, session: Transaction, _: Caller, now: Now, response: Response
) -> ProgrammeAnswer:
    """With the ETag of its version."""
    row = await tables.find_programme_shown(session, programme_id)
    if row is None:
        raise Problem(NOT_FOUND)
    response.headers["ETag"] = etag(row.version)
    return shown_programme(row, day_in_japan(now))


@directory.get(
    "/v1/agencies/{agency_id}/versions",
    dependencies=[requires(*Role)],
    summary="Every version of an agency's entry",
    description="支援機関の記載の移り変わり(新しい順)。`at` を付けると、その時点の内容だけを返します。",
)
async def list_agency_versions(
    agency_id: AgencyId, session: Transaction, _: Caller, pages: Pages, at: _At = None
) -> Page[VersionAnswer]:
    """Newest first."""
    return await _versions(session, "agency", agency_id, pages, at)


@directory.get(
    "/v1/programmes/{programme_id}/versions",
    dependencies=[requires(*Role)],
    summary="Every version of a programme's entry",
    description="事業の記載の移り変わり(新しい順)。`at` を付けると、その時点の内容だけを返します。",
)
async def list_programme_versions(
    programme_id: UUID, session: Transaction, _: Caller, pages: Pages, at: _At = None
) -> Page[VersionAnswer]:
    """Newest first."""
    return await _versions(session, "programme", str(programme_id), pages, at)


@directory.get(
    "/v1/agencies/{agency_id}/confirmations",
    dependencies=[requires(*Role)],
    summary="What an agency should confirm",
    description="この機関が確かめ直すべき記載(90日以上前のもの)と、空き状況(30日以上前のもの)の一覧です。",
)
async def list_waiting_confirmations(
    agency_id: AgencyId, session: Transaction, _: Caller, now: Now, pages: Pages
) -> Page[WaitingAnswer]:
    """By kind and id."""
    today, days = day_in_japan(now), vocabulary().days
    rows = await listing.list_waiting(
        session,
        agency_id,
        today=today,
        days=days,
        after=pages.begin(lambda kind, entry_id, what: (kind, entry_id, what)),
        limit=pages.one_more,
    )
    return page(
        rows,
        pages,
        key=lambda row: (row.kind, row.entry_id, row.what),
        show=lambda row: WaitingAnswer(**row._asdict(), freshness=freshness(row.confirmed_on, today, days)),
    )


@directory.get(
    "/v1/coordinators",
    dependencies=[requires(*Role)],
    summary="Who coordinates in each municipality",
    description="市町村ごとの調整役(受け手が見つからないときに預かる機関)の一覧です。",
)
async def list_coordinators(session: Transaction, _: Caller, pages: Pages) -> Page[NamedCoordinator]:
    """By municipality."""
    rows = await listing.list_coordinators(session, after=pages.begin(str), limit=pages.one_more)
    return page(
        rows,
        pages,
        key=lambda row: (row.municipality,),
        show=lambda row: NamedCoordinator.model_validate(row, from_attributes=True),
    )


@directory.get(
    "/v1/vocabulary",
    dependencies=[requires(*Role)],
    summary="The directory's codes in words",
    description="支援機能・対象者・根拠法令のコードと、そのことばです(支援機能と対象者は見本の一覧で、公式のものではありません)。",
)
async def get_vocabulary(_: Caller) -> VocabularyAnswer:
    """Functions with the rung of the ladder where they usually stand."""
    known = vocabulary()
    return VocabularyAnswer(
        functions=[WordAnswer.model_validate(f, from_attributes=True) for f in known.functions.values()],
        targets=[WordAnswer(code=code, japanese=ja, english=en) for code, (ja, en) in known.targets.items()],
        acts=[WordAnswer(code=code, japanese=japanese) for code, japanese in ACTS.items()],
    )


async def _versions(
    session: Any, kind: Literal["agency", "programme"], entry_id: str, pages: Paging, at: datetime | None
) -> Page[VersionAnswer]:
    if await listing.find_entry(session, kind, UUID(entry_id) if kind == "programme" else entry_id) is None:
        raise Problem(NOT_FOUND)
    before = pages.begin(number)
    rows = await listing.list_versions(session, kind, entry_id, at=at, before=before, limit=pages.one_more)
    return page(
        rows,
        pages,
        key=lambda row: (row.version,),
        show=lambda row: VersionAnswer(version=row.version, by=row.by, at=row.at, entry=row.entry),
    )
