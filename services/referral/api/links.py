"""One-time links as their sender sees them: what was sent, a new one, and the letter that is printed."""

from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal, assert_never
from uuid import UUID

import segno
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Row

from services.referral.domain.links import LinkChannel, LinkState, living_state
from services.referral.handlers import links as handlers
from services.referral.handlers.links import Letter, NoAddress, NothingToAnswer, NotMade, NotTheirs
from services.referral.tables.links import Link
from shared.auth import Caller, Role, requires
from shared.problems import FORBIDDEN, Problem, ProblemType
from shared.service import Body, Now, Transaction, day_in_japan, router
from shared.service.paper import paper
from shared.settings import Settings

links = router(tag="referrals")

TEMPLATES = Path(__file__).resolve().parent.parent / "templates"
NOTHING_TO_ANSWER = ProblemType(
    "nothing_to_answer", 409, "There is nothing to answer by a link now", "いま、リンクで答えてもらうことはありません"
)
NO_ADDRESS = ProblemType(
    "no_address", 409, "The directory has no e-mail address of the receiver", "受ける機関のメールアドレスがありません"
)
_EXAMPLE: dict[str, Any] = {
    "link_id": "01920000-0000-7000-8000-0000000000f1",
    "agency_id": "sakurajima-npo",
    "channel": "email",
    "state": "sent",
    "made_at": "2026-04-01T00:30:00Z",
    "expires_at": "2026-04-07T15:00:00Z",
    "sent_at": "2026-04-01T00:30:08Z",
    "answered_at": None,
    "tries": 1,
    "problem": None,
}


class LinkBody(Body):
    """By which way a new link goes out; a letter is made with PUT .../letter."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"channel": "email"}]})

    channel: Literal["email"] = "email"


class LinkAnswer(BaseModel):
    """A one-time link, as its sender sees it: never what opens it."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    link_id: UUID
    agency_id: str
    channel: LinkChannel
    state: LinkState
    made_at: datetime
    expires_at: datetime
    sent_at: datetime | None = Field(description="When it was handed to the mail server, or printed.")
    answered_at: datetime | None
    tries: int
    problem: str | None = Field(
        description="Why it has not gone out: unreachable, login_refused, mail_refused, address_refused,"
        " no_mail_server, no_address."
    )


class LinksAnswer(BaseModel):
    """All links of a referral, the newest first."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"items": [_EXAMPLE]}]})

    items: list[LinkAnswer]


@links.get(
    "/v1/referrals/{referral_id}/links",
    dependencies=[requires(Role.COUNSELLOR)],
    summary="One-time links of a referral, and what became of them",
    description="アカウントのない機関に送った回答リンクの一覧。送れたか、答えがあったか、いつまで使えるか。送った機関と調整役だけが見られます。",
)
async def list_links(referral_id: UUID, session: Transaction, now: Now, actor: Caller) -> LinksAnswer:
    """The newest first."""
    found = await handlers.list_links(session, referral_id, actor=actor)
    if isinstance(found, NotTheirs):
        raise _refusal(found)
    return LinksAnswer(items=[_row(each, now) for each in found])


@links.post(
    "/v1/referrals/{referral_id}/links",
    status_code=201,
    dependencies=[requires(Role.COUNSELLOR)],
    summary="Mail a new one-time link",
    description="回答リンクをメールで送り直します。前のリンクと手紙のコードは使えなくなります。",
)
async def ask_link(referral_id: UUID, body: LinkBody, session: Transaction, now: Now, actor: Caller) -> LinkAnswer:
    """It goes out within seconds; the list says when."""
    made = await handlers.ask_link(session, referral_id, actor=actor, now=now)
    if not isinstance(made, Link):
        raise _refusal(made)
    return LinkAnswer(
        link_id=made.id,
        agency_id=made.agency_id,
        channel=LinkChannel(body.channel),
        state="queued",
        made_at=made.made_at,
        expires_at=made.expires_at,
        sent_at=None,
        answered_at=None,
        tries=0,
        problem=None,
    )


@links.put(
    "/v1/referrals/{referral_id}/letter",
    dependencies=[requires(Role.COUNSELLOR)],
    summary="Make a letter with a code to print",
    description=(
        "回答コード入りの手紙(A4)を作ります。コードが見えるのはこの一度だけで、もう一度作ると新しいコードになり、"
        "前のコードとリンクは使えなくなります。"
    ),
    response_class=HTMLResponse,
    responses={200: {"description": "HTML"}},
)
async def write_letter(referral_id: UUID, session: Transaction, now: Now, actor: Caller) -> HTMLResponse:
    """Not a GET, since it makes what was sent before worthless; nor a POST, whose answer would be kept for a repeat."""
    letter = await handlers.write_letter(session, referral_id, actor=actor, now=now)
    if not isinstance(letter, Letter):
        raise _refusal(letter)
    settings: Settings = session.info["settings"]
    return printed(letter, settings.public_url, day_in_japan(now), demo=settings.demo)


def printed(letter: Letter, public_url: str, today: date, *, demo: bool) -> HTMLResponse:
    """The letter as a page of A4, folded in three for a long envelope with a window."""
    address = f"{public_url.rstrip('/')}/referral/a"
    # Without a size of its own it fills the box that the page gives it; with one it would be cut off there.
    qr = segno.make(f"{address}/{letter.code}", error="m").svg_inline(border=4, omitsize=True)
    return paper(TEMPLATES, "letter.html", demo=demo, letter=letter, address=address, qr=qr, today=today)


def _row(row: Row[Any], now: datetime) -> LinkAnswer:
    return LinkAnswer(
        link_id=row.id,
        agency_id=row.agency_id,
        channel=LinkChannel(row.channel),
        state=_state(row, now),
        made_at=row.made_at,
        expires_at=row.expires_at,
        sent_at=row.sent_at or row.printed_at,
        answered_at=row.answered_at,
        tries=row.tries or 0,
        problem=row.last_error,
    )


def _state(row: Row[Any], now: datetime) -> LinkState:
    if row.answered_at is not None:
        return "answered"
    if row.revoked_at is not None:
        return "revoked"
    return living_state(row.channel, printed_at=row.printed_at, mail=row.state, expires_at=row.expires_at, now=now)


def _refusal(outcome: NotMade) -> Problem:
    match outcome:
        case NotTheirs():
            return Problem(
                FORBIDDEN,
                detail="Only who sent a referral, and its coordinator, invite its receiver to answer.",
                detail_ja="回答リンクを扱えるのは、つなぎを送った機関と調整役だけです。",
            )
        case NothingToAnswer():
            return Problem(
                NOTHING_TO_ANSWER,
                detail="It is not the receiver's turn, or it asks for something that needs an account.",
                detail_ja="受けた機関の番ではないか、アカウントが要る操作です。つなぎの状態を確かめてください。",
            )
        case NoAddress():
            return Problem(
                NO_ADDRESS,
                detail="Have contact_email added to the directory, or make a letter (PUT .../letter).",
                detail_ja="支援機関の一覧にメールアドレスを足すか、手紙(PUT …/letter)を作ってください。",
            )
        case _:
            assert_never(outcome)
