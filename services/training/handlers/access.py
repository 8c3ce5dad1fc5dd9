"""The way to what followed a seat: policy is asked, the log is written, and only then is it read."""

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from services.training.domain.policy import Hidden, NoBasis, Reads, Reasons, Standing, decide
from services.training.tables import cases
from shared import vault
from shared.auth import Actor, Role
from shared.consent import FOR_TRAINING, consent_gap
from shared.problems import NO_BASIS, NOT_FOUND, Problem
from shared.service import day_in_japan

OWN_DUTY = "appi_69_2_2"
_PURPOSE = "training"


async def reach(session: AsyncSession, request: Row[Any], *, reasons: bool, actor: Actor, now: datetime) -> Reasons:
    """Let the caller read a request's record, and say so in the log; which reasons, if it asks for any."""
    match decide(await _standing(session, request, actor, now)):
        case Hidden():
            raise Problem(NOT_FOUND)
        case NoBasis():
            raise Problem(NO_BASIS)
        case Reads() as reads:
            shown = reads.reasons if reasons else Reasons.NONE
            fields = ["attendance", "outcomes", *(["absence_reasons"] if shown is not Reasons.NONE else [])]
            await note(session, [request.case_id], fields, basis=reads.basis, actor=actor)
            return shown


async def note(
    session: AsyncSession, case_ids: Collection[UUID], fields: Collection[str], *, basis: str, actor: Actor
) -> None:
    """Who reads what about whom: it stands in the log before the answer leaves."""
    access = actor.access(vault.Action.READ, purpose=_PURPOSE, basis=basis, fields=fields, session=session)
    await vault.note_access(session, set(case_ids), access)


async def _standing(session: AsyncSession, request: Row[Any], actor: Actor, now: datetime) -> Standing:
    serves = actor.serves(request.municipality)
    consent = (await cases.find_case(session, request.case_id)).consent
    return Standing(
        trains=Role.PROVIDER in actor.roles and request.provider_agency == actor.agency,
        is_office=serves and Role.HELLO_WORK in actor.roles,
        own_municipality=request.municipality in actor.municipalities,
        serves=serves,
        consented=consent_gap(consent, purposes=FOR_TRAINING, receiver=actor.agency, today=day_in_japan(now)) is None,
    )
