"""Agreement between agencies over HTTP, and vignettes to practise on; never a case, never a worker."""

from datetime import date
from typing import Annotated
from uuid import UUID

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from services.assessment.api.assessments import answer_of, no_answer
from services.assessment.api.shapes import Level, Title, Words
from services.assessment.domain.agreement import Agreement, Undefined
from services.assessment.domain.instruments import FDP
from services.assessment.handlers import agreement as handlers
from services.assessment.handlers.agreement import Pair, Quarter, RatedAlready
from services.assessment.handlers.assessments import NoAnswer
from services.assessment.tables.agreement import Vignette
from shared.auth import Caller, Role, requires
from shared.bus.envelope import new_id
from shared.codes import Code
from shared.problems import Problem, ProblemType, invalid
from shared.service import Body, Now, Page, Pages, Reading, Transaction, page, router

agreement = router(tag="agreement")

RATED_ALREADY = ProblemType(
    "rated_already",
    409,
    "Your agency has rated this vignette this quarter",
    "自機関は今四半期、この架空事例をもう評価しています",
)
_KAPPA: JsonDict = {
    "kappa": 0.61,
    "low": 0.48,
    "high": 0.74,
    "n": 120,
    "exact": 0.55,
    "few": False,
    "undefined": None,
}
_LONG_AGO = date(2000, 1, 1)


class KappaAnswer(BaseModel):
    """Weighted kappa with its 95 % interval; null and `undefined` where there is none. `n`: co-ratings."""

    model_config = ConfigDict(json_schema_extra={"examples": [_KAPPA]})

    kappa: float | None
    low: float | None
    high: float | None
    n: int
    exact: float | None
    few: bool = Field(description="Too few for a judgement.")
    undefined: str | None = Field(description="no_ratings, or no_variation: both always said one level.")


class PairAnswer(BaseModel):
    """Two agencies and an item; null: the whole region together."""

    agencies: list[str] | None
    item: str
    agreement: KappaAnswer


class AgreementAnswer(BaseModel):
    """Agreement between agencies (評価の一致度), by item."""

    instrument: str
    pairs: list[PairAnswer]


class QuarterAnswer(BaseModel):
    """The caller's agency beside all others in a quarter. `higher`: how often it said more than they did."""

    begins_on: date
    item: str
    agreement: KappaAnswer
    higher: int
    same: int
    lower: int
    drifted: bool


class DriftAnswer(BaseModel):
    """Quarter by quarter."""

    instrument: str
    agency: str
    quarters: list[QuarterAnswer]


class PublishVignette(Body):
    """An invented person (架空事例) that agencies rate for practice."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "title": "A man of 34 at home",
                    "title_ja": "自宅で過ごす34歳の男性(架空)",
                    "story": "Has not worked for six years. Talks with his mother, goes out at night.",
                    "story_ja": "6年間働いていない。母とは話す。夜は外に出る。",
                }
            ]
        }
    )

    instrument: Code = FDP
    title: Title
    title_ja: Title
    story: Words
    story_ja: Words


class RateVignette(Body):
    """What the agency sees."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"levels": {"mental": 3, "environment": 2}}]})

    levels: dict[Code, Level] = Field(max_length=40)


class SeenAnswer(BaseModel):
    """What an agency saw this quarter."""

    agency: str
    levels: dict[str, int]
    not_observed: list[str]


class VignetteAnswer(BaseModel):
    """A vignette."""

    vignette_id: UUID
    instrument: str
    title: str
    title_ja: str
    story: str
    story_ja: str


class VignetteSeen(VignetteAnswer):
    """With what all agencies saw this quarter; for one that has rated it."""

    seen: list[SeenAnswer]


_Since = Annotated[date, Query(description="From the quarter that begins on this day.")]


@agreement.get(
    "/v1/agreement",
    summary="Read the agreement between agencies",
    description="機関どうしの評価の一致度(重み付きκ係数と95%信頼区間)を項目ごとに返します。"
    "地域全体と、自機関が加わった組です。担当者ごとの数は出しません。",
    dependencies=[requires(Role.COUNSELLOR, Role.RULES)],
)
async def read_agreement(
    session: Reading,
    now: Now,
    actor: Caller,
    instrument: Annotated[Code, Query(description="ものさし")] = FDP,
    vignettes: Annotated[bool, Query(description="架空事例の評価から")] = False,
    since: _Since = _LONG_AGO,
) -> AgreementAnswer:
    """Every pair, for who publishes the region's rules."""
    found = await handlers.read_agreement(
        session,
        instrument,
        vignette=vignettes,
        since=since,
        everybody=Role.RULES in actor.roles,
        actor=actor,
        now=now,
    )
    return AgreementAnswer(instrument=instrument, pairs=[_pair(each) for each in found])


@agreement.get(
    "/v1/agreement/drift",
    summary="Read the agency's drift over quarters",
    description="自機関の評価が、四半期ごとに、ほかの機関とどう違ってきたかを返します。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def read_drift(
    session: Reading,
    now: Now,
    actor: Caller,
    instrument: Annotated[Code, Query(description="ものさし")] = FDP,
    vignettes: Annotated[bool, Query(description="架空事例の評価から")] = False,
    since: _Since = _LONG_AGO,
) -> DriftAnswer:
    """`drifted`: the agreement lies outside of what the quarter before left open."""
    found = await handlers.read_drift(session, instrument, vignette=vignettes, since=since, actor=actor, now=now)
    return DriftAnswer(instrument=instrument, agency=actor.agency, quarters=[_quarter(each) for each in found])


@agreement.post(
    "/v1/vignettes",
    status_code=201,
    summary="Publish a vignette",
    description="練習のための架空事例を公開します。実在の方のことは書かないでください。",
    dependencies=[requires(Role.RULES)],
)
async def publish_vignette(body: PublishVignette, session: Transaction, now: Now, actor: Caller) -> VignetteAnswer:
    """Of an invented person."""
    made = Vignette(new_id(), body.instrument, body.title, body.title_ja, body.story, body.story_ja, actor.agency)
    published = await handlers.publish_vignette(session, made, now=now)
    if published is None:
        raise invalid("/instrument", "unknown", "There is no such instrument", "このものさしはありません")
    return _vignette(published)


@agreement.get(
    "/v1/vignettes",
    summary="List vignettes",
    description="架空事例を、公開した順に返します。",
    dependencies=[requires(Role.COUNSELLOR, Role.RULES)],
)
async def list_vignettes(session: Reading, pages: Pages) -> Page[VignetteAnswer]:
    """All of them."""
    found = await handlers.list_vignettes(session, after=pages.begin(UUID), limit=pages.one_more)
    return page(found, pages, key=lambda each: (each.id,), show=_vignette)


@agreement.get(
    "/v1/vignettes/{vignette_id}",
    summary="Read a vignette",
    description="架空事例と、自機関が今四半期に評価していれば、ほかの機関の評価も返します。",
    dependencies=[requires(Role.COUNSELLOR, Role.RULES)],
)
async def read_vignette(vignette_id: UUID, session: Reading, now: Now, actor: Caller) -> VignetteSeen:
    """Who has not rated sees nobody's levels."""
    vignette, seen = await handlers.read_vignette(session, vignette_id, actor=actor, now=now)
    return VignetteSeen(
        **dict(_vignette(vignette)),
        seen=[
            SeenAnswer(agency=seat.agency, levels=dict(answer.levels), not_observed=sorted(answer.not_observed))
            for seat, answer in sorted(seen.items())
        ],
    )


@agreement.post(
    "/v1/vignettes/{vignette_id}/levels",
    status_code=201,
    summary="Rate a vignette",
    description="架空事例を、四半期に一度、機関として評価します。",
    dependencies=[requires(Role.COUNSELLOR)],
)
async def rate_vignette(
    vignette_id: UUID, body: RateVignette, session: Transaction, now: Now, actor: Caller
) -> list[SeenAnswer]:
    """Once a quarter; what the others saw is shown for it."""
    outcome = await handlers.rate_vignette(session, vignette_id, answer_of(body.levels), actor=actor, now=now)
    match outcome:
        case NoAnswer():
            raise no_answer(outcome.instrument, outcome.faults)
        case RatedAlready():
            raise Problem(RATED_ALREADY)
        case seen:
            return [
                SeenAnswer(agency=seat.agency, levels=dict(answer.levels), not_observed=sorted(answer.not_observed))
                for seat, answer in sorted(seen.items())
            ]


def _pair(pair: Pair) -> PairAnswer:
    agencies = None if pair.agencies is None else list(pair.agencies)
    return PairAnswer(agencies=agencies, item=pair.item, agreement=_kappa(pair.found))


def _quarter(quarter: Quarter) -> QuarterAnswer:
    return QuarterAnswer(
        begins_on=quarter.begins_on,
        item=quarter.item,
        agreement=_kappa(quarter.found),
        higher=quarter.higher,
        same=quarter.same,
        lower=quarter.lower,
        drifted=quarter.drifted,
    )


def _kappa(found: Agreement | Undefined) -> KappaAnswer:
    if isinstance(found, Undefined):
        return KappaAnswer(kappa=None, low=None, high=None, n=found.n, exact=None, few=True, undefined=found.reason)
    low, high = found.interval
    return KappaAnswer(
        kappa=round(found.kappa, 4),
        low=round(low, 4),
        high=round(high, 4),
        n=found.n,
        exact=round(found.exact, 4),
        few=found.few,
        undefined=None,
    )


def _vignette(vignette: Vignette) -> VignetteAnswer:
    return VignetteAnswer(
        vignette_id=vignette.id,
        instrument=vignette.instrument,
        title=vignette.title,
        title_ja=vignette.title_ja,
        story=vignette.story,
        story_ja=vignette.story_ja,
    )
