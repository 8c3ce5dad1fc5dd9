"""Who comes, and with what: invented persons as plain data, the same for the same seed."""

import random
from dataclasses import dataclass, field
from typing import Any

KAGOSHIMA, KIRISHIMA, SATSUMASENDAI, KANOYA, AIRA = "462012", "462187", "462152", "462039", "462250"
PLACEMENTS = {KAGOSHIMA: "kagoshima-placement", KIRISHIMA: "kirishima-placement"}
OTHER_PLACEMENT = "chiiki-placement"
HELLO_WORK = "hello-work-demo"
AXES = ("interpersonal", "mental", "stress", "thinking", "environment")

_DOORS = (
    ("kagoshima-desk", KAGOSHIMA, "walk_in", 34),
    ("kirishima-desk", KIRISHIMA, "phone", 18),
    ("satsumasendai-desk", SATSUMASENDAI, "walk_in", 10),
    ("kanoya-desk", KANOYA, "letter", 10),
    ("aira-desk", AIRA, "phone", 10),
    ("npo-hinata", KAGOSHIMA, "outreach", 10),
    ("ibasho-sakura", KAGOSHIMA, "drop_in", 4),
    ("shakyo-minami", KANOYA, "agency_sheet", 4),
)
_NEEDS = (
    "health", "daily_living", "isolation", "family", "housing", "income",
    "mind", "people", "tasks", "experience", "goals", "education",
)  # fmt: skip


@dataclass(slots=True)
class Person:
    """One invented person: the door, what is agreed to, the way they go, and what became of it."""

    number: int
    agency: str
    municipality: str
    entrance: str
    consent: str
    needs: list[str]
    levels: dict[str, int | None]
    way: str
    """popular (the course everybody wants), course, or programme."""
    lets_expire: bool
    goes_until: str
    """held, instructed or enrolled: how far the chain is played for those who get a seat."""
    case_id: str = ""
    waits_for: str = ""
    declined: list[str] = field(default_factory=list)
    accepted_by: str = ""
    seat_request_id: str = ""
    seat_state: str = ""
    seconds_to_seat: float | None = None

    @property
    def placement(self) -> str:
        """The free job placement that speaks for the person's municipality."""
        return PLACEMENTS.get(self.municipality, OTHER_PLACEMENT)


def invent(count: int, seed: int) -> list[Person]:
    """`count` persons. The first few let their hold run out, so that somebody in line moves up."""
    dice = random.Random(seed)
    persons = [_one(number, dice) for number in range(count)]
    for person in persons[:3]:
        person.agency, person.municipality, person.entrance = "kagoshima-desk", KAGOSHIMA, "walk_in"
        person.consent, person.way, person.lets_expire = "given", "popular", True
    return persons


def _one(number: int, dice: random.Random) -> Person:
    agency, municipality, entrance, _ = dice.choices(_DOORS, weights=[door[3] for door in _DOORS])[0]
    levels: dict[str, Any] = {axis: dice.choices((1, 2, 3, 4, 5), weights=(6, 14, 30, 32, 18))[0] for axis in AXES}
    if dice.random() < 0.1:
        levels[dice.choice(AXES)] = None
    return Person(
        number=number,
        agency=agency,
        municipality=municipality,
        entrance=entrance,
        consent=dice.choices(("given", "not_yet", "refused"), weights=(82, 12, 6))[0],
        needs=sorted(dice.sample(_NEEDS, k=dice.randint(1, 4))),
        levels=levels,
        way=dice.choices(("popular", "course", "programme"), weights=(35, 30, 35))[0],
        lets_expire=False,
        goes_until=dice.choices(("held", "instructed", "enrolled"), weights=(30, 25, 45))[0],
    )
