"""What has been kept long enough is told to its holder, and erased when the notice has run out."""

import tomllib
from collections.abc import Mapping
from datetime import datetime, time, timedelta
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncSession

from services.intake.domain.erasure import Reason
from services.intake.domain.retention import ENDINGS, EVERYWHERE, Periods, class_of, closed_before, read_periods
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
        (municipality, ending.value, datetime.combine(closed_before(today, years), time.min, tzinfo=JST))
        for municipality, own in rules.items()
        for ending in ENDINGS
        for years in (own.years(class_of(ending)),)
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
