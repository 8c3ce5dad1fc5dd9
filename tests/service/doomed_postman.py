"""Carries one mail with a link, and kills itself with SIGKILL at a given point of it.

`python -m tests.service.doomed_postman DATABASE SMTP CUT`
"""

import asyncio
import os
import signal
import sys
from dataclasses import replace
from datetime import datetime
from typing import Any

from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncSession

from services.referral.sweeps import errands
from shared.database import connect
from shared.service.app import errand_once
from shared.service.clock import Clock
from shared.service.transaction import Desk
from shared.settings import Settings

CUTS = ("taken up, before the commit", "committed, before the mail", "mailed, before it is noted", "noted")


def die() -> None:
    """Without a goodbye to anybody."""
    os.kill(os.getpid(), signal.SIGKILL)


async def main(url: str, smtp: str, cut: str) -> None:
    """One mail, up to the cut."""
    (errand,) = errands
    settings = Settings(service="referral", database_url=url, smtp_url=SecretStr(smtp), mail_from="tsunagu@example.jp")
    database = connect(settings.database_url, schema="referral", pool=2)
    database.carries["settings"] = settings

    async def take(session: AsyncSession, now: datetime) -> Any:
        taken = await errand.take(session, now)
        if cut == CUTS[0]:
            die()
        return taken

    async def carry(taken: Any, given: Settings) -> Any:
        if cut == CUTS[1]:
            die()
        came_of_it = await errand.carry(taken, given)
        if cut == CUTS[2]:
            die()
        return came_of_it

    assert await errand_once(replace(errand, take=take, carry=carry), Desk(database, Clock(), settings))
    die()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
