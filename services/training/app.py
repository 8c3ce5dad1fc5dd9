"""The service in one view."""

from fastapi import FastAPI

from services.training.api.afterwards import course_of_training
from services.training.api.agreements import agreements
from services.training.api.catalogue import catalogue_courses
from services.training.api.catalogue_imports import catalogue_imports, catalogue_previews
from services.training.api.courses import authorities, catalogue, course_imports
from services.training.api.cut_offs import cut_offs
from services.training.api.deliberation import committees
from services.training.api.late_changes import changes
from services.training.api.line import line_rules, places
from services.training.api.motions import decisions, motions
from services.training.api.papers import papers_on_paper
from services.training.api.plans import training_plans
from services.training.api.region_settings import settings
from services.training.api.registrations import registrations
from services.training.api.report import reports
from services.training.api.seats import requests
from services.training.api.selection import results
from services.training.reactions import reactions
from services.training.sweeps import sweeps
from shared.service import Service, create_app
from shared.settings import Settings

service = Service(
    name="training",
    title="training",
    title_ja="訓練",
    routers=[
        *(catalogue, cut_offs, requests, results, course_of_training, authorities, registrations, course_imports),
        *(training_plans, committees, motions, decisions, catalogue_courses, catalogue_imports, catalogue_previews),
        *(places, line_rules, reports, agreements, changes, settings, papers_on_paper),
    ],
    reactions=reactions,
    sweeps=sweeps,
    logs_reads=True,
    tags={
        "course-runs": "訓練コース",
        "catalogue": "訓練コースの目録",
        "cut-offs": "枠の戻る日",
        "seat-agreements": "枠の貸借・交換",
        "seat-requests": "枠の申込み",
        "late-changes": "講座の変更・中止",
        "region-settings": "地域の取決め",
        "line": "待ちの列と案内",
        "line-rules": "待ちの順番の規則",
        "selection": "選考",
        "training-records": "受講の記録",
        "authorities": "受講指示の権限",
        "registrations": "届出・許可の登録",
        "course-run-imports": "訓練コースの取込み",
        "sub-committees": "分科会",
        "motions": "分科会の案と採決",
        "decisions": "分科会の決定",
        "training-plans": "訓練計画枠",
        "training-report": "訓練の年次報告",
    },
)


def app() -> FastAPI:
    """For `uvicorn --factory`."""
    return create_app(service, Settings())
