"""A file is kept until its commit, and for its error file; of persons, under a key of its own."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from shared import vault
from shared.auth import Actor

KEPT_FILES = timedelta(days=30)
_OLD = text("SELECT id, agency FROM import_file WHERE created_at < :before ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED")
_DELETE = text("DELETE FROM import_file WHERE id = :id")
_PURPOSE, _BASIS, _FIELDS = "support", "appi_69_2_2", ("file",)


async def put_away(session: AsyncSession, import_id: UUID, content: bytes, actor: Actor) -> bytes:
    """A file as it is kept: where the service keeps persons, sealed; else as it is."""
    if "masters" not in session.info:
        return content
    access = actor.access(vault.Action.WRITE, purpose=_PURPOSE, basis=_BASIS, fields=_FIELDS, session=session)
    key = await vault.make_key(session, import_id, access)
    return key.seal_bytes(content, _place(import_id))


async def take_out(session: AsyncSession, import_id: UUID, kept: bytes, actor: Actor) -> bytes:
    """The file again, and a line in the access log where it was sealed."""
    if "masters" not in session.info:
        return kept
    access = actor.access(vault.Action.READ, purpose=_PURPOSE, basis=_BASIS, fields=_FIELDS, session=session)
    key = (await vault.unlock(session, [import_id], access)).of(import_id)
    return key.open_bytes(kept, _place(import_id))


async def forget_file(session: AsyncSession, now: datetime) -> bool:
    """Drop one file after 30 days, and its key. What it held stands in the tables, and it may name people to call."""
    old = (await session.execute(_OLD, {"before": now - KEPT_FILES})).one_or_none()
    if old is None:
        return False
    if "masters" in session.info:
        access = vault.Access(vault.Action.ERASE, old.agency, "tsunagu", (), _PURPOSE, _BASIS, _FIELDS)
        await vault.erase(session, old.id, access, reason="file_ended")
    await session.execute(_DELETE, {"id": old.id})
    return True


def _place(import_id: UUID) -> vault.Place:
    return vault.Place("import_file", "content", str(import_id))
