"""The dashboard in one view."""

import asyncio

from fastapi import FastAPI

from services.dashboard import pages
from services.dashboard.api import feed, figures, reference
from services.dashboard.handlers import Lookout
from services.dashboard.reactions import copy_to_feed
from services.dashboard.sweeps import sweeps
from shared.service import Service, create_app
from shared.settings import Settings


def prepare(app: FastAPI) -> None:
    """Static files, and what those who look on share.

    Whoever runs the server sets `app.state.ending` when a stop is asked for (uvicorn's `handle_exit`): the lifespan
    ends only after the last open stream, so it can't be what ends them.
    """
    app.mount("/static", pages.assets, name="static")
    app.state.ending = asyncio.Event()
    app.state.lookout = Lookout(app.state.desk.database, app.state.ending)


service = Service(
    name="dashboard",
    title="dashboard",
    title_ja="ダッシュボード",
    routers=[pages.router, feed, figures, reference],
    projection=copy_to_feed,
    sweeps=sweeps,
    tags={"feed": "イベントの流れ", "figures": "集計値"},
    prepare=prepare,
)


def app() -> FastAPI:
    """For `uvicorn --factory`."""
    return create_app(service, Settings())
