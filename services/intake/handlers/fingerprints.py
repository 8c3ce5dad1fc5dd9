"""Fingerprints of a sheet, written with it: what is compared changes in the transaction in which the sheet does."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.intake.domain.matching import (
    CONTACT_FIELDS,
    IDENTITY,
    IDENTITY_FIELDS,
    Kind,
    comparable,
    compared_as,
    reindexed,
)
from services.intake.domain.meetings import Basis
from services.intake.domain.policy import Purpose
from services.intake.handlers.access import by_itself, values_of
from services.intake.tables import cases, persons
from services.intake.tables import matching as tables
from shared import vault
from shared.auth import Actor

COMPARED_FIELDS = (*IDENTITY_FIELDS, *CONTACT_FIELDS)


def made(masters: vault.MasterKeys, values: Mapping[str, str], version: int) -> dict[Kind, bytes]:
    """The fingerprints of some values, by one version of the index key."""
    return {
        kind: masters.blind(compared_as(kind), value, version=version) for kind, value in comparable(values).items()
    }


async def begin(session: AsyncSession, case_id: UUID, values: Mapping[str, str]) -> None:
    """Of a new case's sheet."""
    masters = vault.masters_of(session)
    version = masters.newest_index
    await tables.begin_index(session, case_id, made(masters, values, version), version=version)


async def change(
    session: AsyncSession, case_id: UUID, written: Mapping[str, str | None], *, basis: Basis, actor: Actor
) -> None:
    """Of a locked case, some of whose fields were written: old telephones and names find nobody any more."""
    kinds = reindexed(written)
    version = await tables.index_version(session, case_id) if kinds else None
    if not version:
        return  # nothing of it is compared; or the sweep, which waits for the case, makes all of them
    values = {field: value for field, value in written.items() if value is not None}
    rest = [field for field in IDENTITY_FIELDS if field not in written]
    if kinds & IDENTITY and rest:
        # Names and the day of birth are compared together, so the others are read, and the log says so.
        read = await values_of(
            session, [case_id], vault.Action.READ, rest, purpose=Purpose.SUPPORT, basis=basis, actor=actor
        )
        values |= read.get(case_id, {})
    fingerprints = made(vault.masters_of(session), values, version)
    await tables.replace_index(
        session, case_id, kinds, {kind: mark for kind, mark in fingerprints.items() if kind in kinds}
    )


async def make_anew(session: AsyncSession, now: datetime) -> bool:  # noqa: ARG001 - a sweep is given the time
    """Make one case's fingerprints by the newest key, which are by an older one or not made yet. False: none left."""
    masters = vault.masters_of(session)
    case_id = await tables.take_outdated(session, masters.newest_index)
    if case_id is None:
        return False
    case = await cases.find_case(session, case_id)
    assert case is not None
    access = by_itself(vault.Action.READ, case.holder_agency, COMPARED_FIELDS)
    unlocked = await vault.unlock(session, [case_id], access)
    values = (await persons.find_values(session, unlocked, [case_id], COMPARED_FIELDS))[case_id]
    await tables.replace_index(session, case_id, frozenset(Kind), made(masters, values, masters.newest_index))
    await tables.set_index_version(session, case_id, masters.newest_index)
    return True
