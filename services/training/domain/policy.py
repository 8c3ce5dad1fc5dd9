"""Who may read what is on record about somebody's training, and on which legal basis; what isn't granted is denied.

Reasons of absence and of leaving tell of illness: special-care data. They are for the school that wrote them, for the
person's municipality, and for Hello Work, which judges the allowance by them; for others a day is excused, or not.
"""

from dataclasses import dataclass
from enum import StrEnum


class Ground(StrEnum):
    """Why an agency may read."""

    SCHOOL = "school"
    """It trains the person, and certifies."""
    OFFICE = "office"
    """公共職業安定所: it instructs, and judges the allowance."""
    MUNICIPALITY = "municipality"
    """It supports the person."""
    CONSENT = "consent"
    """The person's consent to training reaches to it."""


class Reasons(StrEnum):
    """Which reasons of absence and of leaving it may read."""

    NONE = "none"
    OWN = "own"
    """Those that it wrote itself."""
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Standing:
    """How an agency stands to a request."""

    trains: bool
    is_office: bool
    """公共職業安定所 of the person's municipality or prefecture."""
    own_municipality: bool
    """It serves the person's very municipality, and not only the prefecture."""
    serves: bool
    consented: bool


@dataclass(frozen=True, slots=True)
class Reads:
    """The record, on this ground."""

    ground: Ground
    reasons: Reasons

    @property
    def basis(self) -> str:
        """The legal basis, as it stands in the access log (DOMAIN.md 2)."""
        return _BASIS[self.ground]


@dataclass(frozen=True, slots=True)
class NoBasis:
    """It may know of the request, and not of what followed."""


@dataclass(frozen=True, slots=True)
class Hidden:
    """For this agency there is no such request."""


_BASIS = {
    Ground.SCHOOL: "appi_69_2_2",
    Ground.OFFICE: "appi_69_2_3",
    Ground.MUNICIPALITY: "appi_69_2_2",
    Ground.CONSENT: "consent",
}


def decide(standing: Standing) -> Reads | NoBasis | Hidden:
    """How much of a record an agency reads."""
    if standing.trains:
        return Reads(Ground.SCHOOL, Reasons.OWN)
    if standing.is_office:
        return Reads(Ground.OFFICE, Reasons.ALL)
    if standing.own_municipality:
        return Reads(Ground.MUNICIPALITY, Reasons.ALL)
    if standing.serves and standing.consented:
        return Reads(Ground.CONSENT, Reasons.NONE)
    return NoBasis() if standing.serves else Hidden()
