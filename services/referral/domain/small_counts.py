"""Small counts of people, and what may be said of them to those whose business they are not (少数の秘匿)."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

LEAST_SHOWN = 5
"""From so many people on a count is shown to everybody. None at all is shown, too: nobody is recognised by it."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A count, of people or of their records, as a reader sees it: exactly, or only that it is at least so many."""

    count: int | None
    at_least: int
    below: int | None = None
    """With a count of its own that is hidden: fewer different people than this stand behind it. Of a coarse one: so
    many it is not."""

    @property
    def at_most(self) -> int | None:
        """How many people there are at most, where what is shown says so."""
        return self.count if self.below is None else self.below - 1

    @property
    def text_ja(self) -> str:
        """As it stands on paper."""
        if self.count is not None:
            return f"{self.count}"
        if self.below is None:
            return f"{self.at_least}以上"
        return f"{self.below}未満" if self.below <= LEAST_SHOWN else f"{self.at_least}〜{self.below - 1}"


@lru_cache(maxsize=4_096)  # a map has tens of thousands of counts, most of them the same few
def show(count: int, *, own: bool, people: int | None = None) -> Shown:
    """A count for a reader: whole to the municipality's own agencies, and to others unless few people are behind it.

    `people`: how many different ones, where one may have several of what is counted.
    """
    if own or count == 0 or (count if people is None else people) >= LEAST_SHOWN:
        return Shown(count, count)
    return Shown(None, 1, below=LEAST_SHOWN)


STEP = LEAST_SHOWN - 1
"""A coarse count is one of 1 to 4, 5 to 8, 9 to 12, and so on. By fives, five hidden ones whose union is 20 or more
would be known for four each; by as many as one of them may be, no number of them adds up to a border."""


def coarse(shown: Shown) -> Shown:
    """What is counted of the same people elsewhere, too: nobody finds the few by whom two such counts differ."""
    if shown.count == 0 or shown.below is not None:
        return shown
    least = shown.at_least - (shown.at_least - 1) % STEP
    return Shown(None, least, None if shown.count is None else least + STEP)


def show_part(count: int, *, own: bool, of: Iterable[Shown]) -> Shown:
    """A count of some of those behind other counts: hidden as well where the rest of a shown one is few people."""
    shown = show(count, own=own)
    rests = (whole.count - count for whole in of if whole.count is not None)
    if own or shown.count is None or not any(0 < rest < LEAST_SHOWN for rest in rests):
        return shown
    return Shown(None, min(count, LEAST_SHOWN))


def total(parts: Iterable[Shown]) -> Shown:
    """A sum of what is shown: exact only if every part is, so that no hidden part can be reckoned back from it.

    This is the secondary suppression: the sum itself is hidden, and no further part. Its lower bound is made of what
    is shown anyway, so that whatever the hidden counts are, the reader sees the same.
    """
    every = list(parts)
    least = sum(part.at_least for part in every)
    return Shown(least if all(part.count is not None for part in every) else None, least)


def union(people: Shown, records: Iterable[Shown], count: int) -> Shown:
    """How many different people stand behind a count of people and counts of what they have: exact only if each of
    these is, and else the most sure. Where all of them stand behind one count, that one says it.
    """
    every = [people, *records]
    if all(part.count is not None for part in every):
        return Shown(count, count)
    some = [part for part in every if part.at_least]
    if len(some) == 1:
        return some[0]
    # Who has many records is one person: a shown number of records says only that it isn't few people.
    return Shown(None, max(people.at_least, *(min(part.at_least, LEAST_SHOWN) for part in every)))
