"""The pages behind a one-time link, for whoever has no account: no cookie, no script, and GET changes nothing.

A form's key against repeats is the link itself, which answers once; so it needs no Idempotency-Key.
"""

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, assert_never

from fastapi import Form, Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, ConfigDict, Field

from services.referral.api import answer_words as words
from services.referral.api.words import WORDS_JA
from services.referral.domain.links import WINDOW
from services.referral.domain.moves import Said
from services.referral.domain.states import DeclineReason, Missing, Outcome
from services.referral.handlers.door import Looked, Seen, Throttled, Unknown, answer, look
from shared.auth import public
from shared.codes import place_name
from shared.service import Now, Reading, day_in_japan, router
from shared.service.paper import paper
from shared.settings import Settings

door = router()

TEMPLATES = Path(__file__).resolve().parent.parent / "templates"
_LONGEST_WAIT = timedelta(days=366)
_NEVER_INDEXED = {"X-Robots-Tag": "noindex, nofollow, noarchive"}


class AnswerForm(BaseModel):
    """What a form sends. Every choice is a code or a day; there is nowhere to write."""

    model_config = ConfigDict(hide_input_in_errors=True, extra="ignore")

    secret: str = Field(default="", max_length=200)
    move: str = Field(default="", max_length=20)
    reason: str = Field(default="", max_length=40)
    missing: list[str] = Field(default=[], max_length=20)
    review_on: str = Field(default="", max_length=10)
    outcome: str = Field(default="", max_length=40)


@door.get("/a", include_in_schema=False, dependencies=[public], response_class=HTMLResponse)
async def ask_for_code(session: Reading) -> HTMLResponse:
    """Where the code of a letter is typed."""
    return _page("code", here="a", demo=_demo(session))


@door.get("/a/{secret}", include_in_schema=False, dependencies=[public], response_class=HTMLResponse)
async def open_link(secret: str, request: Request, session: Reading, now: Now) -> HTMLResponse:
    """What it is about; nothing happens by opening it."""
    looked = await look(session, secret, address=_address(request), now=now)
    return shown(looked, secret, now, here="../a", demo=_demo(session))


@door.post("/a", include_in_schema=False, dependencies=[public], response_class=HTMLResponse)
async def answer_by_link(
    form: Annotated[AnswerForm, Form()], request: Request, session: Reading, now: Now
) -> HTMLResponse:
    """Look by a typed code, or make a move."""
    secret, address = form.secret.strip(), _address(request)
    if not form.move:
        return shown(await look(session, secret, address=address, now=now), secret, now, here="a", demo=_demo(session))
    said = _said(form, day_in_japan(now))
    if said is None:
        looked = await look(session, secret, address=address, now=now)
        return shown(looked, secret, now, here="a", demo=_demo(session), chosen=form.move)
    looked = await answer(session, secret, form.move, said, address=address, now=now)
    return shown(looked, secret, now, here="a", demo=_demo(session))


def _said(form: AnswerForm, today: date) -> Said | None:
    """What came with the move; None: something has to be chosen yet."""
    match words.ASKS.get(form.move):
        case "reason":
            return Said(reason=form.reason) if form.reason in set(DeclineReason) else None
        case "missing":
            missing = tuple(dict.fromkeys(each for each in form.missing if each in set(Missing)))
            return Said(missing=missing) if missing else None
        case "review_on":
            day = _day(form.review_on)
            return Said(day=day) if day is not None and today < day <= today + _LONGEST_WAIT else None
        case "outcome":
            return Said(outcome=form.outcome) if form.outcome in set(Outcome) else None
        case _:
            return Said()


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def shown(
    looked: Looked, secret: str, now: datetime, *, here: str, demo: bool, chosen: str | None = None
) -> HTMLResponse:
    """What is behind the door, as a page; `here`: where its forms go; `chosen`: the move that lacks something yet."""
    match looked:
        case Unknown():
            return _page("unknown", status=404, here=here, demo=demo)
        case Throttled():
            made = _page("throttled", status=429, here=here, demo=demo, minutes=WINDOW // timedelta(minutes=1))
            made.headers["Retry-After"] = str(int(WINDOW.total_seconds()))
            return made
        case Seen(standing=standing):
            today = day_in_japan(now)
            return _page(
                standing.value,
                status=422 if chosen is not None and looked.asking is not None else 200,
                here=here,
                demo=demo,
                seen=looked,
                secret=secret,
                chosen=chosen,
                place="" if looked.asking is None else place_name(looked.asking.municipality),
                needs=() if looked.asking is None else [WORDS_JA.get(code, code) for code in looked.asking.needs],
                first_day=today + timedelta(days=1),
                latest_day=today + _LONGEST_WAIT,
            )
        case _:
            assert_never(shown)


def _page(kind: str, *, demo: bool, status: int = 200, **values: Any) -> HTMLResponse:
    blank = {"seen": None, "secret": "", "chosen": None, "needs": (), "minutes": 0, "place": ""}
    made = paper(
        TEMPLATES,
        "answer.html",
        demo=demo,
        status=status,
        forms=True,
        kind=kind,
        words=words,
        **blank | values,
    )
    made.headers.update(_NEVER_INDEXED)
    return made


def _demo(session: Reading) -> bool:
    settings: Settings = session.info["settings"]
    return settings.demo


def _address(request: Request) -> str:
    """From where it comes, as the gateway tells it."""
    return "" if request.client is None else request.client.host
