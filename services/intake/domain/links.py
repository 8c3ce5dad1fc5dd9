"""Cases of one person (名寄せ): a person decides that they are, and may take it back. Nothing is ever merged."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID


class Step(StrEnum):
    """What was decided about two cases."""

    LINKED = "linked"
    UNLINKED = "unlinked"


class Linking(StrEnum):
    """By what it is known that they are of one person."""

    PERSON_SAYS = "person_says"
    DOCUMENTS = "documents"
    SUPPORTER_KNOWS = "supporter_knows"


class Unlinking(StrEnum):
    """Why it is taken back."""

    OTHER_PERSON = "other_person"
    """Twins, a parent and a child, the same name by chance."""
    PERSON_WISHES = "person_wishes"
    BY_MISTAKE = "by_mistake"


class Answer(StrEnum):
    """What a desk answers to another municipality's."""

    KNOWN = "known"
    """The person is known here: said only with consent given here."""
    NOT_KNOWN = "not_known"
    WILL_GET_IN_TOUCH = "will_get_in_touch"
    """Tells nothing of whether the person is known."""


@dataclass(frozen=True, slots=True)
class Link:
    """How two cases stand to one another: the last entry about them, if there is any."""

    number: int = 0
    step: Step | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """It does not follow on what stands: linked_already, not_linked."""

    reason: str


def pair(one: UUID, other: UUID) -> tuple[UUID, UUID]:
    """Two cases in the order in which they are kept and locked."""
    return (one, other) if one < other else (other, one)


def link(present: Link) -> Link | Refused:
    """They are of one person."""
    if present.step is Step.LINKED:
        return Refused("linked_already")
    return Link(present.number + 1, Step.LINKED)


def unlink(present: Link) -> Link | Refused:
    """They are not, or are not to be seen together."""
    if present.step is not Step.LINKED:
        return Refused("not_linked")
    return Link(present.number + 1, Step.UNLINKED)
