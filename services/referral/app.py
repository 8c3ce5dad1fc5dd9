"""The referral service in one view."""

from fastapi import FastAPI

from services.referral import api
from services.referral.reactions import concerns, reactions
from services.referral.sweeps import errands, sweeps
from shared.service import Service, create_app
from shared.service.mail import read_mail_server
from shared.settings import Settings

service = Service(
    name="referral",
    title="referral",
    title_ja="つなぎ・支援機関",
    routers=api.routers,
    reactions=reactions,
    concerns=concerns,
    sweeps=sweeps,
    errands=errands,
    code_words=api.code_words,
    prepare=lambda app: read_mail_server(app.state.desk.settings),
    tags={
        "referrals": "つなぎ",
        "candidates": "つなぎ先の候補",
        "routing-rules": "つなぎ先の規則",
        "directory": "支援機関・事業",
        "function_map": "支援機能の地図",
        "frictions": "制度の壁",
        "numbers": "つなぎの数字",
    },
)


def app() -> FastAPI:
    """For `uvicorn --factory`."""
    return create_app(service, Settings())
