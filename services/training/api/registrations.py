"""In whose name agencies may act: kept by the platform's operator, to be read by everybody."""

from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Query
from pydantic import BaseModel, Field, StringConstraints
from sqlalchemy import Row

from services.training.api.after_words import cant
from services.training.domain.instruction import NUMBERED, Basis, Registration
from services.training.handlers import registrations as handlers
from services.training.handlers.registrations import NotStanding
from services.training.tables.registrations import list_registrations as read
from services.training.tables.registrations import registration_of
from shared.auth import Caller, Role, requires
from shared.codes import AgencyId, CorporateNumber, FreeText
from shared.problems import invalid
from shared.service import Body, Now, Page, Pages, Transaction, day_in_japan, page, router

registrations = router(tag="registrations")
_NOBODY = UUID(int=0)


class NewRegistration(Body):
    """Which agency acts in which legal entity's name, on what, under which number, and on which days."""

    agency: AgencyId = Field(examples=["kagoshima-placement"])
    basis: Basis = Field(
        description="届出(職業安定法29条)・許可・公共職業安定所・訓練実施機関・自立相談支援機関",
        examples=["free_placement_notification"],
    )
    legal_entity: CorporateNumber = Field(description="法人番号", examples=["8000020130001"])
    number: Annotated[FreeText, StringConstraints(min_length=1, max_length=60)] | None = Field(
        default=None,
        description="届出・許可番号(届出・許可のほかでは省けます。訓練実施機関は認定番号・委託契約の番号)",
        examples=["46-特-000001"],
    )
    valid_from: date = Field(examples=["2026-04-01"])
    valid_until: date | None = Field(default=None, description="この日まで(当日を含む)")
    supersedes: UUID | None = Field(default=None, description="訂正・終了する登録。その登録は以後使えません。")


class RegistrationView(BaseModel):
    """A registration; `in_force`: an act may rest on it today."""

    registration_id: UUID
    agency: str
    basis: Basis
    legal_entity: str
    number: str | None
    valid_from: date
    valid_until: date | None
    supersedes: UUID | None
    recorded_by: str
    recorded_at: datetime
    in_force: bool


@registrations.post(
    "/v1/registrations",
    status_code=201,
    summary="Register in whose name an agency acts",
    description="推薦・副署・受講指示等・選考・受講開始・出席の証明・修了等・就職の状況の記録を行う機関の法人番号と届出・許可番号を、有効期間とともに登録します(追記のみ)。",
    dependencies=[requires(Role.OPERATOR)],
)
async def register(body: NewRegistration, session: Transaction, now: Now, actor: Caller) -> RegistrationView:
    """Added to the record; to correct or end one, record another that supersedes it."""
    if body.number is None and body.basis in NUMBERED:
        raise invalid(
            "number",
            "number_missing",
            "give the number of the notification or permission",
            "届出・許可番号を書いてください",
        )
    if body.valid_until is not None and body.valid_until < body.valid_from:
        raise invalid("valid_until", "ends_before_it_begins", "it ends before it begins", "終わりが始まりより前です")
    wanted = Registration(
        _NOBODY, body.agency, body.basis, body.legal_entity, body.number, body.valid_from, body.valid_until
    )
    made = await handlers.register(session, wanted, supersedes=body.supersedes, actor=actor, now=now)
    if isinstance(made, NotStanding):
        raise cant(made)
    return RegistrationView(
        registration_id=made.id,
        agency=made.agency,
        basis=made.basis,
        legal_entity=made.legal_entity,
        number=made.number,
        valid_from=made.valid_from,
        valid_until=made.valid_until,
        supersedes=body.supersedes,
        recorded_by=actor.agency,
        recorded_at=now,
        in_force=made.covers(day_in_japan(now)),
    )


@registrations.get(
    "/v1/registrations",
    summary="List registrations",
    description="機関の法人番号と届出・許可番号の登録の一覧です。訂正された登録も残っています。",
    dependencies=[requires(*Role)],
)
async def list_registrations(
    session: Transaction, now: Now, pages: Pages, agency: Annotated[AgencyId | None, Query()] = None
) -> Page[RegistrationView]:
    """As they were recorded."""
    found = await read(session, agency, after=pages.begin(UUID), limit=pages.one_more)
    return page(found, pages, key=lambda row: (row.id,), show=lambda row: _show(row, now))


def _show(row: Row[Any], now: datetime) -> RegistrationView:
    in_force = row.standing and registration_of(row).covers(day_in_japan(now))
    return RegistrationView.model_validate(row._asdict() | {"registration_id": row.id, "in_force": in_force})
