"""The assessment service in one view."""

from fastapi import FastAPI

from services.assessment.api.agreement import agreement
from services.assessment.api.assessments import assessments
from services.assessment.api.conferences import conferences
from services.assessment.api.history import history
from services.assessment.api.instruments import rubrics
from services.assessment.api.joint import joint
from services.assessment.api.plan_reading import plan_readings
from services.assessment.api.plans import plans
from services.assessment.api.rules import rules
from services.assessment.api.tasks import tasks
from services.assessment.pages.conferences import papers
from services.assessment.pages.plan import sheets
from services.assessment.pages.progress import pages
from services.assessment.reactions import reactions
from services.assessment.sweeps import sweeps
from shared.service import Service, create_app
from shared.settings import Settings

service = Service(
    name="assessment",
    title="assessment",
    title_ja="アセスメント",
    routers=[
        assessments,
        history,
        pages,
        joint,
        conferences,
        papers,
        plans,
        plan_readings,
        sheets,
        tasks,
        agreement,
        rubrics,
        rules,
    ],
    reactions=reactions,
    sweeps=sweeps,
    tags={
        "assessments": "アセスメント(FDP など)",
        "joint": "合同の評価",
        "tasks": "すること",
        "agreement": "評価の一致度と架空事例",
        "rubrics": "評価のものさしと職種",
        "rules": "長期化のおそれの判定規則",
        "conferences": "合同ケース会議",
        "plans": "支援プラン",
    },
    keeps_persons=True,
    unwalled=frozenset({"instrument_version", "rule_version", "profession", "vignette"}),
)


def app() -> FastAPI:
    """For `uvicorn --factory`."""
    return create_app(service, Settings())
