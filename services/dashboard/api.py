"""The feed and the figures over HTTP: pages, and streams of server-sent events for those who don't speak Kafka."""

from collections.abc import AsyncIterator
from functools import cache
from typing import Annotated, Any

from fastapi import Depends, Header, Query, Request, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from pydantic.config import JsonDict

from services.dashboard.domain import Figures
from services.dashboard.handlers import Lookout, ended_by_outage
from services.dashboard.tables import Page
from shared.auth import Role, public, requires
from shared.bus.contracts import asyncapi as asyncapi_document
from shared.events import EVENTS
from shared.problems import INVALID, Problem, ProblemType
from shared.service import router

feed = router(tag="feed")
figures = router(tag="figures")
reference = router()

PLACE_LOST = ProblemType(
    "feed_place_lost", 410, "The feed can't be continued from there", "その位置からは続けられません"
)
_COME_BACK_AFTER = 1000  # milliseconds, after a stream ended
_TELL_PLACE_EVERY = 1000  # numbers, where a filter lets nothing through
_FIGURES = TypeAdapter(Figures)
_FIGURES_EXAMPLE = {
    "as_of": "2026-11-23T06:00:00Z",
    "position": 1187,
    "funnel": [{"stage": "opened", "cases": 300}, {"stage": "consented", "cases": 273}],
    "seats": [
        {
            "course_run_id": "019d44e0-0b5e-7d3a-8a52-6c1f0e9d7a21",
            "course_number": "46-kiso-01",
            "field": "basic",
            "starts_on": "2026-12-28",
            "applications_close_at": "2026-12-14T07:00:00Z",
            "provider": "school-hibiki",
            "pools": [
                {
                    "pool_id": "019d44e0-0b60-7c11-9e3b-4f5a6b7c8d90",
                    "kind": "delegated",
                    "municipality": "462012",
                    "granted": 4,
                    "held": 1,
                    "filled": 3,
                    "waiting": 2,
                }
            ],
        }
    ],
    "lag_seconds": 0.2,
}


async def lookout(request: Request) -> Lookout:
    """What the app looks on with; see `app.py`."""
    found: Lookout = request.app.state.lookout
    return found


async def chosen_types(
    types: Annotated[
        list[str],
        Query(
            max_length=100,
            description="Only events of these types; repeat it or separate by commas. Default: all.",
            examples=[["jp.tsunagu.training.seat-held.v1"]],
        ),
    ] = [],  # noqa: B006  (FastAPI copies defaults)
) -> list[str]:
    """422 for a type nobody tells, which would otherwise be waited for in vain."""
    chosen = [name for given in types for name in given.split(",") if name]
    if not set(chosen) <= set(EVENTS):
        raise Problem(
            INVALID,
            detail="There is no such event type; /asyncapi.json lists them.",
            detail_ja="その種類のイベントはありません。種類の一覧は /asyncapi.json にあります。",
        )
    return chosen


Looking = Annotated[Lookout, Depends(lookout)]
Types = Annotated[list[str], Depends(chosen_types)]
After = Annotated[
    int | None, Query(ge=0, lt=2**62, description="Continue after this number. Default: from the oldest that is kept.")
]


async def place(
    lookout: Looking,
    after: After = None,
    last_event_id: Annotated[
        str | None, Header(pattern=r"^[0-9]{0,18}$", description="Sent by an EventSource that comes back; wins.")
    ] = None,
) -> int:
    """Where to go on from. Checked before the stream begins, while it can still be answered with a status."""
    wanted = int(last_event_id) if last_event_id else after
    page = await lookout.page(after=wanted, types=(), limit=0)
    return page.first - 1 if wanted is None else _reached(page, wanted)


def _reached(page: Page, wanted: int) -> int:
    if not page.reaches(wanted):
        raise Problem(
            PLACE_LOST,
            detail=f"The feed holds the numbers {page.first} to {page.last}. Load what you need anew, then go on from"
            " there, or leave `after` and Last-Event-ID out.",
            detail_ja=f"いま残っているのは {page.first} 番から {page.last} 番までです。必要なデータを読み直してから、"
            "after と Last-Event-ID を付けずに始めてください。",
        )
    return wanted


class FeedLine(BaseModel):
    """One event with its number in the feed."""

    seq: int
    event: dict[str, Any]


_EXAMPLE: JsonDict = {
    "items": [
        {
            "seq": 1041,
            "event": {
                "specversion": "1.0",
                "id": "019d44f4-9b2c-7c51-8f0e-2a6d1c9e7b10",
                "source": "/services/referral",
                "type": "jp.tsunagu.referral.referral-received.v1",
                "subject": "019d44f0-3a10-7b6e-9a51-5d2f7c1e0b44",
                "time": "2026-11-23T06:00:00.000000Z",
                "datacontenttype": "application/json",
                "dataschema": "urn:tsunagu:contract:jp.tsunagu.referral.referral-received.v1",
                "partitionkey": "019d44f0-3a10-7b6e-9a51-5d2f7c1e0b44",
                "sequence": "0000000002",
                "by": "npo-hinata",
                "data": {
                    "case_id": "019d44f0-3a10-7b6e-9a51-5d2f7c1e0b44",
                    "referral_id": "019d44f3-77aa-7e02-b8c4-90ab12cd34ef",
                    "receiver": "npo-hinata",
                },
            },
        }
    ],
    "after": 1041,
    "last": 1187,
}


class FeedPage(BaseModel):
    """Some events, and where to go on."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    items: list[FeedLine]
    after: Annotated[int, Field(description="For the next request; beyond the last item where a filter skipped some.")]
    last: Annotated[int, Field(description="The newest number there is: equal to `after` when everything was read.")]


@feed.get(
    "/v1/feed",
    dependencies=[requires(Role.OBSERVER)],
    response_model=FeedPage,
    summary="Read events by page",
    description="公開イベントの写しを番号順に読みます。`after` に前回の `after` を渡すと続きが読めます。",
)
async def read_feed(
    lookout: Looking,
    types: Types,
    after: After = None,
    limit: Annotated[int, Query(ge=1, le=500, description="At most this many.")] = 100,
) -> Response:
    page = await lookout.page(after=after, types=types, limit=limit)
    if after is not None:
        _reached(page, after)
    # The events go out as they came in, byte for byte, not parsed and written again.
    items = ",".join(f'{{"seq":{line.seq},"event":{line.value}}}' for line in page.lines)
    body = f'{{"items":[{items}],"after":{page.reached},"last":{page.last}}}'
    return Response(body.encode(), media_type="application/json", headers={"Cache-Control": "no-store"})


@feed.get(
    "/v1/events",
    dependencies=[requires(Role.OBSERVER)],
    response_class=EventSourceResponse,
    summary="Follow events as they happen",
    description="公開イベントを Server-Sent Events で受け取ります。`id` は通し番号で、切れたあとは Last-Event-ID の"
    "続きから漏れも重複もなく届きます。5分ごとに一度切れます。つなぎ直してください。",
)
async def follow_events(
    lookout: Looking, types: Types, place: Annotated[int, Depends(place)]
) -> AsyncIterator[ServerSentEvent]:
    yield ServerSentEvent(comment="open", retry=_COME_BACK_AFTER)
    told = seen = place
    with ended_by_outage():
        async for page in lookout.follow_feed(after=place, types=types):
            if page.first > seen + 1:
                told = page.first - 1
                yield ServerSentEvent(event="reset", id=str(told), data={"first": page.first, "last": page.last})
            for line in page.lines:
                told = line.seq
                yield ServerSentEvent(event=line.type, id=str(told), raw_data=line.value)
            seen = max(page.reached, page.first - 1)
            if seen >= told + _TELL_PLACE_EVERY:
                told = seen
                yield _so_far(told)
        if seen > told:
            yield _so_far(seen)


def _so_far(seq: int) -> ServerSentEvent:
    """Nothing to act on, but where to come back to: otherwise a listener to rare events would be left behind."""
    return ServerSentEvent(comment="nothing for you so far", id=str(seq))


@figures.get(
    "/v1/figures",
    dependencies=[public],
    responses={200: {"content": {"application/json": {"examples": {"a small region": {"value": _FIGURES_EXAMPLE}}}}}},
    summary="Read the figures",
    description="地域の集計値です。件数だけで、個人の情報は含みません。",
)
async def read_figures(lookout: Looking, response: Response) -> Figures:
    response.headers["Cache-Control"] = "no-store"
    return await lookout.figures()


@figures.get(
    "/v1/figures/stream",
    dependencies=[public],
    response_class=EventSourceResponse,
    summary="Follow the figures",
    description="集計値が変わるたびに、多くても1秒に2回、全体を `figures` として送ります。",
)
async def follow_figures(lookout: Looking) -> AsyncIterator[ServerSentEvent]:
    with ended_by_outage():
        async for now in lookout.follow_figures():
            yield ServerSentEvent(
                event="figures",
                id=str(now.position),
                raw_data=_FIGURES.dump_json(now).decode(),
                retry=_COME_BACK_AFTER,
            )


@reference.get("/asyncapi.json", dependencies=[public], include_in_schema=False)
async def asyncapi() -> dict[str, Any]:
    """Every event, as the code has it; of those who listen, this service knows itself alone."""
    return _asyncapi()


@cache
def _asyncapi() -> dict[str, Any]:
    return asyncapi_document({"dashboard": ["*"]})
