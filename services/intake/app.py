"""The intake service in one view."""

from fastapi import FastAPI

from services.intake.api.cases import cases
from services.intake.reactions import reactions
from shared.service import Service, create_app
from shared.settings import Settings

service = Service(
    name="intake",
    title="intake",
    title_ja="相談受付",
    routers=[cases],
    reactions=reactions,
    tags={"cases": "相談受付・支援ケース"},
)


def app() -> FastAPI:
    """For `uvicorn --factory`."""
    return create_app(service, Settings())
