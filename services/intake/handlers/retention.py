"""What has been kept long enough ends: a case after a notice to its holder, every other record by the clock alone."""

import tomllib
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from pathlib import Path
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.intake.domain.erasure import Reason
from services.intake.domain.retention import (
    ENDINGS,
    EVERYWHERE,
    OF_AGENCIES,
    Periods,
    RecordClass,
    class_of,
    read_periods,
)
from services.intake.tables import cases
from services.intake.tables import retention as tables
from shared import vault
from shared.service import JST, day_in_japan


def periods(session: AsyncSession) -> Mapping[str, Periods]:
    """The installation's own periods, or ours. A file that can't be read erases nobody: the sweep fails."""
    own: Path | None = session.info["settings"].retention_path
    return read_periods(tomllib.loads(own.read_text(encoding="utf-8")) if own is not None else {})


async def give_notice(session: AsyncSession, now: datetime) -> bool:
    """Tell one case's holder that it has been kept long enough. False when there is none."""
    today, rules = day_in_japan(now), periods(session)
    befores = [
        (municipality, ending.value, _moment(own.began_before(class_of(ending), today)))
        for municipality, own in rules.items()
        for ending in ENDINGS
    ]
    due = await tables.lock_due(session, befores, latest=max(before for _, _, before in befores))
    if due is None:
        return False
    erase_on = today + timedelta(days=rules.get(due.municipality, rules[EVERYWHERE]).notice_days)
    await tables.add_notice(session, due.id, due.custody_number, now=now, erase_on=erase_on)
    await cases.note(session, due.id, "retention_over", {"erase_on": erase_on.isoformat()}, at=now)
    return True


async def erase_over(session: AsyncSession, now: datetime) -> bool:
    """Order one case to be erased whose notice has run out. False when there is none."""
    over = await tables.lock_over(session, day_in_japan(now))
    if over is None:
        return False
    reason = Reason.RETENTION_OVER.value
    ordered = await vault.order_erasure(
        session, [over.id], agency=over.holder_agency, actor="tsunagu-intake", reason=reason
    )
    if ordered:
        await cases.note(session, over.id, "erasure_ordered", {"reason": reason, "by": "tsunagu-intake"}, at=now)
    return bool(ordered)


async def end_over(session: AsyncSession, now: datetime) -> bool:
    """End one record of any other class that was kept long enough. False when there is none."""
    today, rules = day_in_japan(now), periods(session)
    for kept_as in tables.KEPT:
        befores = {
            municipality: _moment(own.began_before(kept_as, today))
            for municipality, own in rules.items()
            if municipality == EVERYWHERE or kept_as not in OF_AGENCIES
        }
        record_id = await tables.find_over(session, kept_as, befores)
        if record_id is not None:
            await _end(session, kept_as, record_id)
            return True
    return False


async def _end(session: AsyncSession, kept_as: RecordClass, record_id: UUID) -> None:
    """With its key, where it has one of its own. Nothing, if somebody took it out again meanwhile."""
    ended = await tables.end(session, kept_as, record_id)
    if ended is not None and kept_as in OF_AGENCIES:
        await vault.order_erasure(
            session, [record_id], agency=ended.agency, actor="tsunagu-intake", reason=f"{kept_as}_ended"
        )


def _moment(day: date) -> datetime:
    return datetime.combine(day, time.min, tzinfo=JST)
