"""The actor: on whose behalf a request is made. Agencies act, not persons' accounts."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Column, ColumnElement, and_, false, or_
from sqlalchemy.ext.asyncio import AsyncSession

from shared.database import Acting
from shared.vault import Access, Action


class Role(StrEnum):
    """What a caller may do; a token may carry several."""

    COUNSELLOR = "counsellor"
    """相談支援員: cases, consent, screening, assessments, referrals of the own agency."""
    RULES = "rules"
    """Publishes what a region decided: versions of instruments, of the prolongation rule, the list of professions."""
    DIRECTORY = "directory"
    """Keeps the directory of agencies and programmes."""
    PLANNER = "planner"
    """Keeps course runs and their pools (JEED, prefecture)."""
    PLACEMENT = "placement"
    """無料職業紹介 of a municipality (職業安定法 Art. 29): nominates for a seat; instructs where that is delegated."""
    HELLO_WORK = "hello_work"
    """公共職業安定所: countersigns nominations and issues training instructions."""
    PROVIDER = "provider"
    """Training provider: enrols."""
    EMERGENCY = "emergency"
    """緊急閲覧: may declare an emergency, to read one case without consent for an hour."""
    OBSERVER = "observer"
    """Dashboards: reads the public event stream."""
    OPERATOR = "operator"
    """Runs the platform; may rehearse faults where the region is invented."""


@dataclass(frozen=True, slots=True)
class Actor:
    """A verified caller."""

    subject: str
    agency: str
    kind: str
    municipalities: frozenset[str]
    roles: frozenset[str]
    authority: tuple[str, ...]
    """Everything this caller stands for, sorted: a kept answer is given again only to one who stands for as much."""

    def serves(self, municipality: str) -> bool:
        """Whether the municipality's records are this agency's business. A prefecture's code covers its towns."""
        return municipality in self.municipalities or f"prefecture:{municipality[:2]}" in self.municipalities

    @property
    def acting(self) -> Acting:
        """What the database is told about this caller."""
        return Acting(self.agency, self.municipalities)

    def access(
        self, action: Action, *, purpose: str, basis: str, fields: Iterable[str], session: AsyncSession
    ) -> Access:
        """This caller's access to a person's data, for the log; the session knows which request it belongs to."""
        return Access(
            action=action,
            agency=self.agency,
            actor=self.subject,
            roles=tuple(sorted(self.roles)),
            purpose=purpose,
            basis=basis,
            fields=tuple(fields),
            request_id=getattr(session.info.get("origin"), "cause", None),
        )


def served(municipality: Column[Any], municipalities: Collection[str]) -> ColumnElement[bool]:
    """`Actor.serves`, as a condition on a table's column.

    A prefecture is a range of codes: PostgreSQL lets only comparisons go before row-level security, and use an index.
    """
    codes = [code for code in municipalities if not code.startswith("prefecture:")]
    prefectures = [int(code.removeprefix("prefecture:")) for code in municipalities if code not in codes]
    ranges = [and_(municipality >= f"{number:02}", municipality < f"{number + 1:02}") for number in prefectures]
    return or_(false(), *([municipality.in_(codes)] if codes else []), *ranges)
