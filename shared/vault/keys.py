"""The keys of the cases, and the log of who was given them: one statement, so that neither goes without the other."""

# ruff: noqa: S608  (put together from this file's own words; every value is bound)

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from shared.database import Hot
from shared.vault.access import Access, Action
from shared.vault.masters import MasterKeys
from shared.vault.sealing import DataKey

_ASKED = "unnest(CAST(:subjects AS uuid[])) AS subject_id"
_LOG = (
    "logged AS (INSERT INTO access_log"
    " (subject_id, action, agency, actor, roles, purpose, basis, fields, request_id)"
    " SELECT subject_id, CAST(:action AS text), CAST(:agency AS text), CAST(:actor AS text), CAST(:roles AS text[]),"
    " CAST(:purpose AS text), CAST(:basis AS text), CAST(:fields AS text[]), CAST(:request_id AS text)"
    " FROM {subjects} RETURNING id, subject_id),"
    " queued AS (INSERT INTO access_unsealed (log_id) SELECT id FROM logged)"
)
_LOGGED = f"WITH {_LOG.format(subjects=_ASKED)}"
# Where there is no key (any more), nothing is opened: an entry would tell the person of a reading that was none.
_UNLOCK = Hot(
    "WITH opened AS (SELECT subject_id, master_version, wrapped FROM data_key"
    " WHERE subject_id = ANY (CAST(:subjects AS uuid[])) ORDER BY subject_id),"
    f" {_LOG.format(subjects='opened')} SELECT subject_id, master_version, wrapped FROM opened"
)
_MAKE = Hot(
    f"{_LOGGED} INSERT INTO data_key (subject_id, master_version, wrapped)"
    " SELECT subject_id, CAST(:master_version AS integer), CAST(:wrapped AS bytea) FROM logged"
)
_ERASE = Hot(
    f"{_LOGGED}, gone AS (DELETE FROM data_key WHERE subject_id IN (SELECT subject_id FROM logged))"
    " INSERT INTO erasure (subject_id, erased_by, reason)"
    " SELECT subject_id, CAST(:agency AS text), CAST(:reason AS text) FROM logged"
    " ON CONFLICT DO NOTHING RETURNING subject_id"
)
_NOTE = Hot(f"{_LOGGED} SELECT FROM logged")
_HAS_KEY = Hot("SELECT EXISTS (SELECT FROM data_key WHERE subject_id = :subject)")
_OLD = text(
    "SELECT subject_id, master_version, wrapped FROM data_key WHERE master_version < :newest"
    " ORDER BY subject_id LIMIT :limit FOR UPDATE SKIP LOCKED"
)
_REWRAP = Hot(
    "UPDATE data_key k SET master_version = CAST(:newest AS integer), wrapped = n.wrapped"
    " FROM unnest(CAST(:subjects AS uuid[]), CAST(:wrapped AS bytea[])) AS n(subject_id, wrapped)"
    " WHERE k.subject_id = n.subject_id"
)


class Erased(Exception):
    """The case's key was destroyed, and with it everything that was sealed with it."""


@dataclass(frozen=True, slots=True)
class Unlocked:
    """Keys that were handed out, by case. A case without one was erased, or never had anything to seal."""

    keys: Mapping[UUID, DataKey]

    def of(self, subject: UUID) -> DataKey:
        """The key of a case. Raises `Erased`."""
        try:
            return self.keys[subject]
        except KeyError:
            raise Erased from None


def masters_of(session: AsyncSession) -> MasterKeys:
    """The ring that the service was started with; every session of its database carries it."""
    masters: MasterKeys = session.info["masters"]
    return masters


async def has_key(session: AsyncSession, subject: UUID) -> bool:
    """Whether anything was ever sealed about a case here, and can still be opened. Hands out nothing."""
    return bool((await _HAS_KEY.rows(session, {"subject": subject}))[0][0])


async def make_key(session: AsyncSession, subject: UUID, access: Access) -> DataKey:
    """The first key of a case, logged as the write that it is made for."""
    key, version, wrapped = masters_of(session).new_key(str(subject))
    await _MAKE.rows(session, _entry(access, [subject]) | {"master_version": version, "wrapped": wrapped})
    return key


async def unlock(session: AsyncSession, subjects: Collection[UUID], access: Access) -> Unlocked:
    """Keys of cases for one access, which stands in the log, in this transaction, once they are handed out.

    The route commits before its answer leaves. So where the log could not be written there is no answer, and where
    there is an answer it was logged.
    """
    masters = masters_of(session)
    rows = await _UNLOCK.rows(session, _entry(access, sorted(subjects)))
    return Unlocked(
        {
            row["subject_id"]: DataKey(
                str(row["subject_id"]),
                masters.unwrap(str(row["subject_id"]), row["master_version"], row["wrapped"]),
            )
            for row in rows
        }
    )


async def note_access(session: AsyncSession, subjects: Collection[UUID], access: Access) -> None:
    """Log an access that opens nothing, and yet tells something about persons: that a search found them."""
    if subjects:
        await _NOTE.rows(session, _entry(access, sorted(subjects)))


async def erase(session: AsyncSession, subject: UUID, access: Access, *, reason: str) -> bool:
    """Destroy a case's key, and leave a tombstone. False if there is one already."""
    assert access.action is Action.ERASE
    return bool(await _ERASE.rows(session, _entry(access, [subject]) | {"reason": reason}))


async def rewrap(session: AsyncSession, *, limit: int = 500) -> int:
    """Wrap some keys anew that an older master key wraps; how many. Killed in between, it is simply run again."""
    masters = masters_of(session)
    old = (await session.execute(_OLD, {"newest": masters.newest, "limit": limit})).all()
    if old:
        wrapped = [
            masters.wrap(str(row.subject_id), masters.unwrap(str(row.subject_id), row.master_version, row.wrapped))[1]
            for row in old
        ]
        subjects = [row.subject_id for row in old]
        await _REWRAP.rows(session, {"newest": masters.newest, "subjects": subjects, "wrapped": wrapped})
    return len(old)


def _entry(access: Access, subjects: list[UUID]) -> dict[str, Any]:
    return {
        "subjects": subjects,
        "action": access.action.value,
        "agency": access.agency,
        "actor": access.actor,
        "roles": list(access.roles),
        "purpose": access.purpose,
        "basis": access.basis,
        "fields": list(access.fields),
        "request_id": access.request_id,
    }
