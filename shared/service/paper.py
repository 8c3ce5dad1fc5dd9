"""Pages for A4 paper: server-rendered, with their style inside, that run nothing and load nothing.

A service's template extends `sheet.html` and fills its blocks; it finds `era` and `local` for days and moments,
`place` for codes of municipalities. What a page holds about a person was read, and logged, before it is made.
"""

import base64
import hashlib
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any

from fastapi.responses import HTMLResponse
from jinja2 import ChoiceLoader, Environment, FileSystemLoader, StrictUndefined

from shared.codes import place_name
from shared.service.clock import JST
from shared.service.exports import in_era

_SHEET = Path(__file__).parent / "sheet"


def paper(
    folder: Path, template: str, *, demo: bool, status: int = 200, forms: bool = False, **values: Any
) -> HTMLResponse:
    """A template of the service's own folder as a page to print; `demo` says on it that all of it is invented.

    A style sheet of the template's own name, where there is one, follows on ours. `forms`: it may send a form to us.
    """
    style, policy = _style(folder / Path(template).with_suffix(".css"))
    html = _environment(folder).get_template(template).render(demo=demo, style=style, **values)
    headers = {
        "Content-Language": "ja",
        "Content-Security-Policy": policy + (" 'self'" if forms else " 'none'"),
        "Cache-Control": "no-store",
    }
    return HTMLResponse(html, status, headers=headers)


@cache
def _style(own: Path) -> tuple[str, str]:
    """What stands in the page, and the policy that lets nothing else stand there."""
    style = "".join(path.read_text(encoding="utf-8") for path in (_SHEET / "sheet.css", own) if path.exists())
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return style, (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; frame-ancestors 'none'; form-action"
    )


@cache
def _environment(folder: Path) -> Environment:
    environment = Environment(
        loader=ChoiceLoader([FileSystemLoader(folder), FileSystemLoader(_SHEET)]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"era": era, "local": local, "place": place_name}
    return environment


def era(day: date) -> str:
    """A day in both calendars, as people read it."""
    return f"{in_era(day)}({day.isoformat()})"


def local(moment: datetime) -> str:
    """A moment in Japan's time."""
    there = moment.astimezone(JST)
    return f"{era(there.date())} {there:%H:%M}"
