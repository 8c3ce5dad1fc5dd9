"""The pages people open: the start page and the reference. HTML with the numbers in it; scripts only keep them fresh.

Every address in a page is relative, so the pages work under any prefix, on any origin, and behind any gateway.
"""

import io
import json
from collections.abc import Mapping
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from services.dashboard.domain import FIELDS, STAGES, CourseRun, Figures, share
from services.dashboard.handlers import OUTAGE, Lookout
from shared.auth import public
from shared.problems import UNAVAILABLE, Problem
from shared.service import JST

Language = Literal["ja", "en"]

HERE = Path(__file__).parent
REIWA_BEGINS = date(2019, 5, 1)
SERVICES = ("intake", "assessment", "referral", "training", "dashboard")
DOCUMENTS = (*SERVICES, "events")
SHOWN_AT_FIRST = 20  # course runs; a region has 50 and more, and a page of 50 tables is not read

# Nothing comes from elsewhere, and nothing inline runs. The viewer of the reference writes its own styles.
POLICY = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
VIEWER_POLICY = (
    f"{POLICY}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; worker-src 'self' blob:"
)

router = APIRouter(include_in_schema=False, dependencies=[public])
assets = StaticFiles(directory=HERE / "static")


async def current_figures(request: Request) -> Figures:
    """The figures now; while the database is away, the last ones, which say themselves of when they are."""
    lookout: Lookout = request.app.state.lookout
    try:
        return await lookout.figures()
    except OUTAGE:
        if lookout.last_figures is None:
            raise Problem(UNAVAILABLE, headers={"Retry-After": "2"}) from None
        return lookout.last_figures


async def demonstration(request: Request) -> bool:
    """Whether this region is invented, and every page says so."""
    demo: bool = request.app.state.desk.settings.demo
    return demo


async def language(lang: Annotated[str, Query(max_length=10)] = "ja") -> Language:
    """What the reader asked for; a language we don't have is no reason to show an error to a person."""
    return "en" if lang == "en" else "ja"


Reader = Annotated[Language, Depends(language)]


@router.get("/", response_class=HTMLResponse)
async def start(
    figures: Annotated[Figures, Depends(current_figures)],
    demo: Annotated[bool, Depends(demonstration)],
    lang: Reader,
    field: Annotated[str, Query(max_length=40)] = "",
    free: bool = False,
    every: bool = False,
) -> HTMLResponse:
    """What runs, how far cases came, which seats are left."""
    chosen = field if field in FIELDS else ""
    return page(
        "start.html",
        lang,
        POLICY,
        demo=demo,
        figures=figures,
        stages=STAGES,
        runs=[(run, _matches(run, chosen, free)) for run in figures.seats],
        chosen=chosen,
        only_free=free,
        every=every,
        limit=SHOWN_AT_FIRST,
    )


@router.get("/reference", response_class=HTMLResponse)
async def reference(
    demo: Annotated[bool, Depends(demonstration)],
    lang: Reader,
    doc: Annotated[str, Query(max_length=20)] = "intake",
) -> HTMLResponse:
    """The contracts, REST and events, in one viewer without any CDN."""
    return page("reference.html", lang, VIEWER_POLICY, demo=demo, doc=doc if doc in DOCUMENTS else "intake")


def page(template: str, lang: Language, policy: str, **values: Any) -> HTMLResponse:
    html = _environment(lang).get_template(template).render(lang=lang, services=SERVICES, fields=FIELDS, **values)
    # The numbers are from now; a copy from a cache would say otherwise and look the same.
    headers = {
        "Content-Language": lang,
        "Content-Security-Policy": policy,
        "Cache-Control": "no-store",
    }
    return HTMLResponse(html, headers=headers)


def _matches(run: CourseRun, field: str, only_free: bool) -> bool:
    return (not field or run.field == field) and (not only_free or run.free > 0)


def drawing_of(run: CourseRun) -> str:
    """What a course run's rows were drawn from, numbers apart; where it differs, the script asks for a new drawing."""
    deadline = int(run.applications_close_at.timestamp() * 1000)
    pools = [str(pool.pool_id) for pool in run.pools]
    return " ".join([run.course_number, run.field, run.starts_on.isoformat(), str(deadline), *pools])


def day(value: date, lang: Language) -> str:
    """A day as an office writes it: 令和8年4月1日, or 1 April 2026."""
    if lang == "en":
        return f"{value.day} {value:%B %Y}"
    if value < REIWA_BEGINS:
        return f"{value.year}年{value.month}月{value.day}日"
    year = value.year - 2018
    return f"令和{'元' if year == 1 else year}年{value.month}月{value.day}日"


def moment(value: datetime, lang: Language) -> str:
    """A moment by the clock of Japan, to the minute."""
    local = value.astimezone(JST)
    return f"{day(local.date(), lang)}{' ' if lang == 'ja' else ', '}{local:%H:%M}"


def municipality(code: str | None, lang: Language) -> str:
    """The name people use; a code we have no name for is still better than nothing."""
    names = _municipalities().get(code or "", {})
    return names.get(lang, code or "")


@cache
def _municipalities() -> Mapping[str, Mapping[str, str]]:
    names: dict[str, dict[str, str]] = json.loads((HERE / "locale" / "municipalities.json").read_text("utf-8"))
    return names


@cache
def _environment(lang: Language) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        extensions=["jinja2.ext.i18n"],
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.install_gettext_translations(_translations(lang), newstyle=True)  # type: ignore[attr-defined]
    environment.filters["day"] = lambda value: day(value, lang)
    environment.filters["moment"] = lambda value: moment(value, lang)
    environment.filters["municipality"] = lambda code: municipality(code, lang)
    environment.filters["number"] = lambda value: f"{value:,}"
    environment.globals["share"] = share
    environment.globals["drawing_of"] = drawing_of
    return environment


def _translations(lang: Language) -> NullTranslations:
    """English stands in the templates; every other language is a catalogue, read as people edit it (.po)."""
    source = HERE / "locale" / f"{lang}.po"
    if not source.exists():
        return NullTranslations()
    compiled = io.BytesIO()
    with source.open("rb") as file:
        write_mo(compiled, read_po(file, locale=lang))
    compiled.seek(0)
    return Translations(compiled)
