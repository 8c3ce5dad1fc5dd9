"""The intake service in one view."""

from fastapi import FastAPI

from services.intake.api.cases import cases
from services.intake.api.custody import custody
from services.intake.api.disclosures import disclosures
from services.intake.api.drafts import drafts
from services.intake.api.emergencies import emergencies
from services.intake.api.erasure import erasure
from services.intake.api.exports import exports
from services.intake.api.links import links
from services.intake.api.lists import lists
from services.intake.api.meetings import meetings
from services.intake.api.persons import persons
from services.intake.api.records import records
from services.intake.domain.custody import check
from services.intake.handlers.emergencies import count_overdue
from services.intake.handlers.erasure import FORGETTERS
from services.intake.handlers.fingerprints import make_anew
from services.intake.reactions import reactions
from services.intake.sweeps import sweeps
from shared.service import Service, create_app
from shared.settings import Settings

service = Service(
    name="intake",
    title="intake",
    title_ja="相談受付",
    routers=[
        cases,
        drafts,
        persons,
        records,
        custody,
        links,
        disclosures,
        emergencies,
        meetings,
        exports,
        lists,
        erasure,
    ],
    reactions=reactions,
    sweeps=sweeps,
    tags={
        "cases": "相談受付・支援ケース",
        "persons": "相談者の情報と閲覧記録",
        "records": "支援記録",
        "custody": "担当と終結",
        "exports": "書き出し",
        "drafts": "下書き",
        "disclosures": "ほかの機関への提供",
        "emergencies": "緊急閲覧とその確認",
        "meetings": "支援会議・調整会議(非公開)",
        "links": "同じ方の別のケース",
        "erasure": "消去と保全",
    },
    keeps_persons=True,
    forgetters=FORGETTERS,
    ends_files=True,
    verifiers={"custody": check},
    reindex=make_anew,
    overdue={"emergency_reviews": count_overdue},
)


def app() -> FastAPI:
    """For `uvicorn --factory`."""
    return create_app(service, Settings())
