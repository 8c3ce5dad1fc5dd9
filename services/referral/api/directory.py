"""支援機関・事業の名簿, to look at: lists, entries, their versions, what waits to be confirmed, coordinators."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from fastapi import Path, Query, Response
from pydantic import BaseModel, Field

from services.referral.api.listed import (
    KINDS,
    AgencyAnswer,
    Confirmed,
    Kind,
    NamedCoordinator,
    ProgrammeAnswer,
    Stale,
    ToConfirmAnswer,
    VersionAnswer,
    example,
    found,
    shown_agency,
    shown_programme,
)
from services.referral.api.rows import KnownFunction, KnownKind
from services.referral.domain.directory import ACTS, freshness
from services.referral.domain.options import Stage
from services.referral.tables import directory as tables
from services.referral.tables import listing
from services.referral.tables.vocabulary import vocabulary
from shared.auth import Caller, Role, requires
from shared.codes import AgencyId, MomentAsWritten, MunicipalityCode
from shared.problems import NOT_FOUND, Problem
from shared.service import Now, Page, Pages, Transaction, day_in_japan, etag, number, page, router

directory = router(tag="directory")

_At = Annotated[
    MomentAsWritten | None, Query(description="Only the version that held at this moment, with its offset (+09:00).")
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
        needs=[{"code": "isolation", "japanese": "孤立", "english": "Isolation"}],
        professions=[{"code": "nurse", "japanese": "看護師", "english": "Nurse"}],
        kinds=[{"code": "npo", "japanese": "NPO・市民団体", "english": "Non-profit or citizens' group"}],
        industries=[{"code": "textile", "japanese": "繊維・縫製", "english": "Textiles and sewing"}],
    )

    functions: list[WordAnswer]
    targets: list[WordAnswer]
    acts: list[WordAnswer]
    needs: list[WordAnswer] = Field(description="Needs and topics, as intake has them.")
    professions: list[WordAnswer]
    kinds: list[WordAnswer] = Field(description="Kinds of agencies.")
    industries: list[WordAnswer]


@directory.get(
    "/v1/agencies",
    dependencies=[requires(*Role)],
    summary="Agencies of the directory",
    description="支援機関の一覧。市町村・種別と、確認が古くなっているかどうかで絞り込めます。",
)
async def list_agencies(
    session: Transaction,
    _: Caller,
    now: Now,
    pages: Pages,
    municipality: Annotated[MunicipalityCode | None, Query(description="Only those who serve it.")] = None,
    kind: Annotated[KnownKind | None, Query(description="Only this kind.")] = None,
    stale: Stale = None,
) -> Page[AgencyAnswer]:
    """By id."""
    today = day_in_japan(now)
    rows = await tables.list_agencies(
        session,
        municipality=municipality,
        kind=kind,
        stale=stale,
        today=today,
        days=vocabulary().days,
        after=pages.begin(str),
        limit=pages.one_more,
    )
    return page(rows, pages, key=lambda row: (row.agency_id,), show=lambda row: shown_agency(row, today))


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
    function: Annotated[KnownFunction | None, Query(description="Only this support function.")] = None,
    stage: Annotated[Stage | None, Query(description="Only this rung of the ladder.")] = None,
    agency_id: Annotated[AgencyId | None, Query(description="Only this agency's.")] = None,
    stale: Stale = None,
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


def _getter(kind: Kind) -> Callable[..., Any]:
    async def get(
        entry_id: Annotated[kind.id_type, Path(alias=kind.id_name)],  # type: ignore[name-defined] # each kind's own
        session: Transaction,
        _: Caller,
        now: Now,
        response: Response,
    ) -> Confirmed:
        """With the ETag of its version."""
        row = await found(session, kind, entry_id)
        response.headers["ETag"] = etag(row.version)
        return kind.show(row, day_in_japan(now))

    return get


def _versions(kind: Kind) -> Callable[..., Any]:
    async def list_versions(
        entry_id: Annotated[kind.id_type, Path(alias=kind.id_name)],  # type: ignore[name-defined] # each kind's own
        session: Transaction,
        _: Caller,
        pages: Pages,
        at: _At = None,
    ) -> Page[VersionAnswer]:
        """Newest first."""
        await found(session, kind, entry_id)
        before = pages.begin(number)
        rows = await listing.list_versions(
            session, kind.name, str(entry_id), at=at, before=before, limit=pages.one_more
        )
        return page(
            rows,
            pages,
            key=lambda row: (row.version,),
            show=lambda row: VersionAnswer(version=row.version, by=row.by, at=row.at, entry=row.entry),
        )

    return list_versions


_SHOWN = {
    "agency": "支援機関の窓口・受付時間・休み・連絡方法。",
    "programme": "事業の内容と空き状況。30日以上前の空き状況は「不明」と読み、最後に聞いた内容を並べて示します。",
    "professional": "専門職の人数と、来てもらえる地域。",
    "host_workplace": "職親の受入れ段階。30日以上前の空きは「不明」と読みます。",
    "training_firm": "認定就労訓練をめざす事業者と、次に進める状態。",
}
for _kind in KINDS:
    directory.add_api_route(
        f"{_kind.path}/{{{_kind.id_name}}}",
        _getter(_kind),
        methods=["GET"],
        response_model=_kind.answer,
        dependencies=[requires(*Role)],
        name=f"get_{_kind.name}",
        summary=f"One {_kind.called}",
        description=f"{_SHOWN[_kind.name]}ETag は変更のときに If-Match で示します。",
    )
    directory.add_api_route(
        f"{_kind.path}/{{{_kind.id_name}}}/versions",
        _versions(_kind),
        methods=["GET"],
        dependencies=[requires(*Role)],
        name=f"list_{_kind.name}_versions",
        summary=f"Every version of the entry of a {_kind.called}",
        description=f"{_kind.japanese}の記載の移り変わり(新しい順)。`at` を付けると、その時点の内容だけを返します。",
    )


@directory.get(
    "/v1/agencies/{agency_id}/confirmations",
    dependencies=[requires(*Role)],
    summary="What an agency should confirm",
    description="この機関が確かめ直すべき記載(90日以上前のもの)と、空き状況・受入れ段階(30日以上前のもの)の一覧です。",
)
async def list_waiting_confirmations(
    agency_id: AgencyId, session: Transaction, _: Caller, now: Now, pages: Pages
) -> Page[ToConfirmAnswer]:
    """By kind and id; 404 where the directory has no such agency."""
    if not await tables.known_agencies(session, {agency_id}):
        raise Problem(NOT_FOUND)
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
        show=lambda row: ToConfirmAnswer(**row._asdict(), freshness=freshness(row.confirmed_on, today, days)),
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
    description="支援機能・対象者・根拠法令・課題・専門職・機関の種別・業種のコードと、そのことばです(見本の一覧で、公式のものではありません)。",
)
async def get_vocabulary(_: Caller) -> VocabularyAnswer:
    """Functions with the rung of the ladder where they usually stand."""
    known = vocabulary()
    return VocabularyAnswer(
        functions=[WordAnswer.model_validate(f, from_attributes=True) for f in known.functions.values()],
        **{
            name: _in_words(getattr(known, name)) for name in ("targets", "needs", "professions", "kinds", "industries")
        },
        acts=[WordAnswer(code=code, japanese=japanese) for code, japanese in ACTS.items()],
    )


def _in_words(listed: Mapping[str, tuple[str, str]]) -> list[WordAnswer]:
    return [WordAnswer(code=code, japanese=japanese, english=english) for code, (japanese, english) in listed.items()]
