"""The assessment service in one view."""

from fastapi import FastAPI

from services.assessment.api.assessments import assessments
from services.assessment.api.rubrics import rubrics
from services.assessment.reactions import reactions
from shared.service import Service, create_app
from shared.settings import Settings

service = Service(
    name="assessment",
    title="assessment",
    title_ja="アセスメント",
    routers=[assessments, rubrics],
    reactions=reactions,
    tags={"assessments": "アセスメント(FDP)", "rubrics": "評価のものさし"},
)


def app() -> FastAPI:
    """For `uvicorn --factory`."""
    return create_app(service, Settings())
