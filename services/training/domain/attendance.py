"""Attendance, certified month by month, and the rule of 80 %: in whole days, so that nothing is rounded.

An absence that was excused is no presence: the allowance asks for four days in five *even with* excused days, so they
stay among the days that were held. Late and early days are the school's to count as present or not: no rule is known.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

_NEEDS, _OF = 4, 5
"""80 %: four days in five."""


class Excuse(StrEnum):
    """Why an absence is excused; the codes are ours."""

    ILLNESS = "illness"
    CARE = "care"
    BEREAVEMENT = "bereavement"
    JOB_INTERVIEW = "job_interview"
    PUBLIC_DUTY = "public_duty"
    DISASTER = "disaster"
    TRANSPORT = "transport"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Month:
    """What a school certifies: days of training held, and of these attended; `to_come`: days planned after it.

    `excused`: by reason; None where the reason is not told.
    """

    month: date
    held: int
    present: int
    excused: Mapping[Excuse | None, int]
    to_come: int | None = None

    @property
    def days_excused(self) -> int:
        """All of them together."""
        return sum(self.excused.values())


@dataclass(frozen=True, slots=True)
class Uncertifiable:
    """The rule that stands against a certificate, and the field."""

    reason: str
    about: str


def certify(said: Month, *, starts_on: date, ends_on: date, left_on: date | None, today: date) -> Uncertifiable | None:
    """Whether a month can be certified: it is in the course, over, and its days add up."""
    last = ends_on if left_on is None else min(left_on, ends_on)
    if said.month.day != 1:
        return Uncertifiable("not_a_month", "month")
    begins, ends = max(starts_on, said.month), min(last, _last_day(said.month))
    if begins > ends:
        return Uncertifiable("month_not_in_the_course", "month")
    if today < ends:
        return Uncertifiable("month_is_not_over", "month")
    if min(said.held, said.present, *said.excused.values(), said.to_come or 0) < 0:
        return Uncertifiable("days_do_not_add_up", "days_present")
    if said.held > (ends - begins).days + 1:
        return Uncertifiable("more_days_than_there_are", "days_held")
    if said.present + said.days_excused > said.held:
        return Uncertifiable("days_do_not_add_up", "days_present")
    if said.to_come is not None and said.to_come > (last - ends).days:
        return Uncertifiable("more_days_than_there_are", "days_to_come")
    return None


def _last_day(month: date) -> date:
    return (month.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Reckoned:
    """The rule, with every number it is made of."""

    held: int
    present: int
    excused: int
    needed: int
    """Days that had to be attended: the least whole number that is 80 % of those held."""

    @property
    def unexcused(self) -> int:
        """Absent without a reason: shown; what it does to the allowance is Hello Work's to say."""
        return self.held - self.present - self.excused

    @property
    def meets(self) -> bool:
        """Whether 80 % were attended; where nothing was held, nothing was missed."""
        return self.present >= self.needed

    @property
    def short_by(self) -> int:
        """Days that are missing."""
        return max(0, self.needed - self.present)


def reckon(months: Collection[Month]) -> Reckoned:
    """80 % of one month, for its allowance, or of all months that are certified."""
    held = sum(each.held for each in months)
    needed = -(-held * _NEEDS // _OF)
    return Reckoned(held, sum(each.present for each in months), sum(each.days_excused for each in months), needed)


class Standing(StrEnum):
    """How a person's attendance stands over all certified months."""

    ON_TRACK = "on_track"
    MONTH_BELOW = "month_below"
    """The last month was below 80 %, which is what its allowance asks; all together are not."""
    BELOW = "below"
    """Below 80 % so far, and it can still be reached."""
    OUT_OF_REACH = "out_of_reach"
    """Even if every day to come is attended, 80 % of the course can't be reached."""


def standing(months: Collection[Month]) -> Standing:
    """From the standing certificates. Without the days to come nothing is said to be out of reach."""
    if not months:
        return Standing.ON_TRACK
    last, so_far = max(months, key=lambda each: each.month), reckon(months)
    if so_far.meets:
        return Standing.ON_TRACK if reckon([last]).meets else Standing.MONTH_BELOW
    to_come = last.to_come
    if to_come is None:
        return Standing.BELOW
    best, whole = so_far.present + to_come, so_far.held + to_come
    return Standing.OUT_OF_REACH if best * _OF < whole * _NEEDS else Standing.BELOW
