"""Ratings to look at and to print: a radar with its table twin. Codes and levels only, and no words about them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from uuid import UUID

from fastapi import Query, Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from services.assessment.domain.instruments import FDP, Instrument
from services.assessment.domain.progress import Progress
from services.assessment.domain.radar import Corner, corners, rings, sides, spokes
from services.assessment.domain.rule import assess_prolongation, explain
from services.assessment.handlers import assessments as handlers
from services.assessment.handlers.rules import list_rules
from services.assessment.tables.assessments import Rated
from shared.auth import Caller, Role, requires
from shared.codes import Code
from shared.problems import NOT_FOUND, Problem
from shared.service import Now, Transaction, day_in_japan, router
from shared.service.paper import paper

pages = router(tag="assessments")

TEMPLATES = Path(__file__).resolve().parent.parent / "templates"
_SVG = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True)


@dataclass(frozen=True, slots=True)
class Shape:
    """One rating in the radar."""

    label: str
    corners: Sequence[Corner | None]
    dashed: bool

    @property
    def points(self) -> list[Corner]:
        """Those that were observed."""
        return [corner for corner in self.corners if corner is not None]

    @property
    def sides(self) -> list[tuple[Corner, Corner]]:
        """The lines between them."""
        return sides(self.corners)

    @property
    def whole(self) -> bool:
        """Whether everything was observed, so that the shape may be filled."""
        return None not in self.corners


Wanted = Annotated[Code, Query(description="ものさし, e.g. fdp")]


@pages.get(
    "/v1/cases/{case_id}/progress.svg",
    summary="Draw first and last",
    description="最初と最新の評価をレーダー図(SVG)で返します。白黒で印刷できます。",
    dependencies=[requires(Role.COUNSELLOR)],
    response_class=Response,
    responses={200: {"content": {"image/svg+xml": {}}, "description": "SVG"}},
)
async def draw_progress(
    case_id: UUID, session: Transaction, now: Now, actor: Caller, instrument: Wanted = FDP
) -> Response:
    """404 as long as nothing was rated."""
    progress, rated, versions = await handlers.read_progress(session, case_id, instrument, actor=actor, now=now)
    if progress is None:
        raise Problem(NOT_FOUND)
    drawn = radar(progress, rated, versions[progress.points[-1].version])
    headers = {"Content-Security-Policy": "default-src 'none'; style-src 'none'", "Cache-Control": "no-store"}
    return Response(drawn, media_type="image/svg+xml", headers=headers)


@pages.get(
    "/v1/cases/{case_id}/progress.html",
    summary="Progress to print",
    description="評価の推移を、レーダー図と表で A4 の紙に印刷する頁で返します。根拠の記述は含みません。",
    dependencies=[requires(Role.COUNSELLOR)],
    response_class=HTMLResponse,
    responses={200: {"description": "HTML"}},
)
async def print_progress(
    case_id: UUID, session: Transaction, now: Now, actor: Caller, instrument: Wanted = FDP
) -> HTMLResponse:
    """Radar, table, who rated when; and what the flag says."""
    progress, rated, versions = await handlers.read_progress(session, case_id, instrument, actor=actor, now=now)
    shown = await handlers.instrument_in_use(session, instrument, now)
    if progress is not None:
        shown = versions[progress.points[-1].version]
    return paper(
        TEMPLATES,
        "progress.html",
        demo=session.info["settings"].demo,
        instrument=shown,
        progress=progress,
        rated=rated,
        titles={item.code: item.japanese for item in shown.items},
        days={point.id: day_in_japan(point.rated_at).isoformat() for point in progress.points} if progress else {},
        radar="" if progress is None else radar(progress, rated, shown),
        flag=None if progress is None else await _flag(session, rated[progress.points[-1].id]),
        notice=notice(progress),
    )


def radar(progress: Progress, rated: Mapping[UUID, Rated], instrument: Instrument) -> str:
    """First and last in one net: the first dashed, so that a black-and-white copy tells them apart."""
    items = list(instrument.levels)
    ends = dict.fromkeys((progress.points[0].id, progress.points[-1].id))
    shapes = [
        Shape(
            f"{'最初' if place == 0 and len(ends) > 1 else '最新'} {day_in_japan(rated[end].rated_at).isoformat()}",
            corners(items, rated[end].levels, instrument.levels),
            dashed=place == 0 and len(ends) > 1,
        )
        for place, end in enumerate(ends)
    ]
    return _SVG.get_template("radar.svg").render(
        title=f"{instrument.japanese} {' → '.join(shape.label for shape in shapes)}",
        titles={item.code: item.japanese for item in instrument.items},
        spokes=spokes(items),
        rings=rings(items, max(instrument.levels.values())),
        shapes=shapes,
    )


def notice(progress: Progress | None) -> str | None:
    """What has to be said beside a comparison over two versions."""
    if progress is None or len(progress.versions) < 2:
        return None
    first, last = progress.versions
    return f"最初は {first}、最新は {last} の文言による評価です。段階の文言が違います。"


async def _flag(session: Transaction, latest: Rated) -> str | None:
    if latest.rule_version is None:
        return None
    rule = next(each.rule for each in await list_rules(session) if each.rule.version == latest.rule_version)
    return explain(assess_prolongation(handlers.axes(latest.levels), rule), rule).japanese
