"""Another agency's list becomes cases, each line once: what is known already is left as it is, and said."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy.ext.asyncio import AsyncSession

from services.intake.domain.cases import Contradicted
from services.intake.handlers import cases
from services.intake.handlers.cases import Opening
from services.intake.handlers.drafts import NoSuchDraft
from services.intake.tables import lists as tables
from shared.auth import Actor
from shared.bus.envelope import new_id
from shared.vault import masters_of

Became = Literal["created", "unchanged", "differs"]


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a list: the other agency's number, the whole of what it says, and the case that it would be."""

    number: str
    whole: str
    opening: Opening


async def take_lines(session: AsyncSession, lines: Sequence[Line], *, actor: Actor, now: datetime) -> list[Became]:
    """Open a case for each line that is new. The importing agency holds them; it has the person before it."""
    blind = masters_of(session).blind
    prints = [
        (blind("listed_number", f"{actor.agency}/{line.number}"), blind("listed_line", line.whole)) for line in lines
    ]
    known = await tables.find_listed(session, actor.agency, [number for number, _ in prints])
    became: list[Became] = []
    for line, (number, whole) in zip(lines, prints, strict=True):
        if number in known:
            became.append("unchanged" if known[number] == whole else "differs")
            continue
        case = await cases.open_case(session, line.opening, case_id=new_id(), actor=actor, now=now)
        assert not isinstance(case, Contradicted | NoSuchDraft), "a list withdraws no consent and names no draft"
        await tables.add_listed(session, actor.agency, number, whole, case.id)
        became.append("created")
    return became
