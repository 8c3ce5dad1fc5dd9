"""Three meetings that are never mixed, and what the two statutory ones bind: their day, their members, their topic.

支援会議 (生活困窮者自立支援法 Art. 9) speaks of people who are not connected yet, or have not agreed; 調整会議
(生活保護法 Art. 27-3) of people on public assistance. Both are closed, and their members are bound to secrecy. The
support co-ordination meeting (支援調整会議) needs the person's consent, and so has no lane here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum


class Basis(StrEnum):
    """The legal ground of an access. There is no other (個人情報保護法 Art. 69(2); the Acts named above)."""

    CONSENT = "consent"
    SHIEN_KAIGI = "shien_kaigi_art9"
    CHOSEI_KAIGI = "chosei_kaigi_27_3"
    OWN_DUTY = "appi_69_2_2"
    """The agency's own statutory duty, as far as needed."""
    OTHER_DUTY = "appi_69_2_3"
    """Another public body's statutory duty, with good reason."""
    INTEREST = "appi_69_2_4"
    """Clearly in the person's interest."""
    EMERGENCY = "emergency"
    """Life or body is in danger, and the person can't be asked in time."""


class MeetingKind(StrEnum):
    """会議の種類."""

    SHIEN_KAIGI = "shien_kaigi"
    """支援会議, Art. 9: no consent needed, closed."""
    CHOSEI_KAIGI_27_3 = "chosei_kaigi_27_3"
    """調整会議, 生活保護法 Art. 27-3: the same for people on public assistance."""
    SHIEN_CHOSEI_KAIGI = "shien_chosei_kaigi"
    """支援調整会議: with consent, for the purpose case_conference."""


BASIS_OF: Mapping[MeetingKind, Basis] = {
    MeetingKind.SHIEN_KAIGI: Basis.SHIEN_KAIGI,
    MeetingKind.CHOSEI_KAIGI_27_3: Basis.CHOSEI_KAIGI,
    MeetingKind.SHIEN_CHOSEI_KAIGI: Basis.CONSENT,
}
CONVENORS: Mapping[MeetingKind, frozenset[str]] = {
    MeetingKind.SHIEN_KAIGI: frozenset({"self_reliance_desk", "welfare_office", "municipality"}),
    MeetingKind.CHOSEI_KAIGI_27_3: frozenset({"welfare_office", "municipality"}),
}
"""Which kinds of agency call a statutory meeting: the municipality or its desk (Art. 9(1)); who carries out public
assistance (保護の実施機関, Art. 27-3(1))."""


@dataclass(frozen=True, slots=True)
class Meeting:
    """A statutory meeting, as far as what is said in it is bound by it; for reading, with who wrote the note."""

    kind: MeetingKind
    held_on: date
    convened_by: str
    members: frozenset[str]
    """Agencies, on that day; the convening desk is one."""
    written_by: str | None = None

    @property
    def basis(self) -> Basis:
        """The one basis that opens it."""
        return BASIS_OF[self.kind]


@dataclass(frozen=True, slots=True)
class NotConvened:
    """It can't be: meeting_of_consent, not_the_desk, in_the_past."""

    reason: str


def convene(
    kind: MeetingKind, held_on: date, *, by: str, by_kind: str, members: frozenset[str], today: date
) -> Meeting | NotConvened:
    """Call a statutory meeting. What needs consent is none, and a day that is over has no members."""
    if kind not in CONVENORS:
        return NotConvened("meeting_of_consent")
    if by_kind not in CONVENORS[kind]:
        return NotConvened("not_the_desk")
    if held_on < today:
        return NotConvened("in_the_past")
    return Meeting(kind, held_on, by, members | {by})
