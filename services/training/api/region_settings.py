"""What a prefecture decided about applications, answers and towns that people can reach."""

from datetime import date
from typing import Annotated

from fastapi import Path
from pydantic import BaseModel, Field

from services.training.api.courses import Prefecture, Text
from services.training.tables import region_settings as tables
from services.training.tables.region_settings import RegionSetting
from shared.auth import Caller, Role, requires
from shared.codes import MunicipalityCode
from shared.problems import FORBIDDEN, Problem
from shared.service import Body, Now, Transaction, day_in_japan, router

settings = router(tag="region-settings")


class NewRegionSetting(Body):
    """What was decided, by whom, and from which day."""

    prefecture: Prefecture = Field(examples=["46"])
    max_open_applications: int | None = Field(
        default=None, ge=1, le=100, description="同時に申し込める件数: left out, as many as people like.", examples=[2]
    )
    alternatives_within_days: int = Field(default=60, ge=1, le=366, description="代わりの講座の開始日の範囲(日)")
    answer_within_days: int = Field(default=3, ge=1, le=30, description="返事を求める期限(開庁日)")
    neighbours: dict[MunicipalityCode, list[MunicipalityCode]] = Field(
        default_factory=dict, max_length=200, description="通える市町村", examples=[{"462012": ["462187"]}]
    )
    in_force_from: date = Field(examples=["2026-10-01"])
    decided_by: Text = Field(examples=["鹿児島県地域職業能力開発促進協議会"])


class RegionSettingView(BaseModel):
    """What holds in a prefecture today."""

    prefecture: str
    max_open_applications: int | None
    alternatives_within_days: int
    answer_within_days: int
    neighbours: dict[str, list[str]]
    in_force_from: date | None = Field(description="None while nothing was decided.")
    decided_by: str | None


@settings.post(
    "/v1/region-settings",
    status_code=201,
    summary="Record what a prefecture decided about applications",
    description="同時に申し込める件数、代わりの講座の範囲、返事の期限、通える市町村を記録します(追記のみ)。",
    dependencies=[requires(Role.PLANNER)],
)
async def record_region_setting(
    body: NewRegionSetting, session: Transaction, now: Now, actor: Caller
) -> RegionSettingView:
    """Added to the record; the planner's own prefecture only."""
    if not actor.serves(f"{body.prefecture}0000"):
        raise Problem(
            FORBIDDEN,
            detail="Only for a prefecture that you serve.",
            detail_ja="担当する都道府県についてだけ記録できます。",
        )
    values = body.model_dump(exclude={"prefecture"})
    await tables.add_setting(session, body.prefecture, RegionSetting(**values), recorded_by=actor.agency, now=now)
    found = await tables.read_setting(session, body.prefecture, day_in_japan(now))
    return RegionSettingView.model_validate(
        {"prefecture": body.prefecture} | {name: getattr(found, name) for name in values}
    )


@settings.get(
    "/v1/region-settings/{prefecture}",
    summary="What a prefecture decided about applications",
    description="申込みの件数・代わりの講座・返事の期限・通える市町村について、いま効力のある決定を返します。",
    dependencies=[requires(*Role)],
)
async def get_region_setting(
    prefecture: Annotated[Prefecture, Path()], session: Transaction, now: Now
) -> RegionSettingView:
    """As in force today, Japan's time."""
    found = await tables.read_setting(session, prefecture, day_in_japan(now))
    names = [name for name in RegionSettingView.model_fields if name != "prefecture"]
    return RegionSettingView.model_validate({"prefecture": prefecture} | {name: getattr(found, name) for name in names})
