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


def told(needs: Collection[str], topics: Collection[str], *, urgent: bool, categories: Collection[str]) -> Told:
    """What the consent's categories leave; none at all means what a referral needs, and nothing sensitive."""
    agreed = frozenset(categories)
    story = not agreed or STORY in agreed

    def shown(codes: Iterable[str]) -> tuple[str, ...]:
        return tuple(code for code in sorted(codes) if (HEALTH in agreed if code in SENSITIVE else story))

    kept = shown(needs), shown(topics)
    withheld = len(kept[0]) + len(kept[1]) < len(needs) + len(topics)
    return Told(*kept, urgent, withheld)
