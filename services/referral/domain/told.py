"""What a receiver is told of a case by a referral: codes only, and of those what the person agreed to share."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

STORY, HEALTH = "story", "health"
"""Two of the sets in which intake keeps what was told; the others hold no codes that this service knows."""
SENSITIVE = frozenset({"health", "violence", "illness", "disability"})
"""Needs and topics that tell of illness, disability or harm (要配慮個人情報, 個人情報保護法 Art. 2(3))."""


@dataclass(frozen=True, slots=True)
class Told:
    """Needs and topics on record, as far as they may be known there."""

    needs: tuple[str, ...]
    topics: tuple[str, ...]
    urgent: bool
    withheld: bool
    """Something is on record that the consent doesn't cover."""


def agreed(code: str, categories: Collection[str]) -> bool:
    """Whether a need or topic may be passed on; no categories at all: what a referral needs, and nothing sensitive."""
    if code in SENSITIVE:
        return HEALTH in categories
    return not categories or STORY in categories


def told(needs: Collection[str], topics: Collection[str], *, urgent: bool, categories: Collection[str]) -> Told:
    """What the consent's categories leave."""

    def shown(codes: Iterable[str]) -> tuple[str, ...]:
        return tuple(code for code in sorted(codes) if agreed(code, categories))

    kept = shown(needs), shown(topics)
    withheld = len(kept[0]) + len(kept[1]) < len(needs) + len(topics)
    return Told(*kept, urgent, withheld)


@dataclass(frozen=True, slots=True)
class Reading:
    """What of a case's needs somebody may read: all, for who holds it; or as far as it was told by a referral."""

    whole: bool = False
    categories: frozenset[str] | None = None
    """What the person agreed may be passed on; None: nothing was told."""

    def of(self, codes: Iterable[str]) -> tuple[str, ...]:
        """Those of them that may be read."""
        return tuple(code for code in codes if self.holds(code))

    @property
    def urgency(self) -> bool:
        """Whether it may be read that the case is urgent: a referral tells it."""
        return self.whole or self.categories is not None

    @property
    def levels(self) -> bool:
        """Whether FDP levels may be read, and what follows from them: no referral tells them."""
        return self.whole

    def holds(self, code: str) -> bool:
        """Whether this one may be read."""
        return self.whole or (self.categories is not None and agreed(code, self.categories))


NOTHING = Reading()
