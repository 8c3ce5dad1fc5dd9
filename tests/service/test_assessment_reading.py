"""Ratings are read by who holds the case, by whom the person agreed to, and by each agency its own."""

from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.events import (
    CaseClosed,
    CaseErased,
    CaseHandedOver,
    CaseOpened,
    CaseReopened,
    ConsentGiven,
    ConsentPending,
    ConsentRefused,
    ConsentWithdrawn,
    Event,
)
from tests.world import KAGOSHIMA, ZAMA, Caller, Running, World

DESK, NPO = "kagoshima-desk", "kagoshima-npo"
LEVELS = {"levels": {"mental": 2}}


@pytest.fixture
def running(world: World) -> Running:
    return world.service("assessment")


def opened(case_id: UUID) -> CaseOpened:
    return CaseOpened(
        case_id=case_id,
        municipality=KAGOSHIMA,
        agency_id=DESK,
        entrance="walk_in",
        opened_at=datetime(2026, 11, 23, tzinfo=UTC),
    )


def consented(case_id: UUID, version: int = 1, **changes: Any) -> ConsentGiven:
    return ConsentGiven(case_id=case_id, consent_version=version, **{"purposes": ["assessment"], **changes})


def closed(case_id: UUID, agency: str = DESK) -> CaseClosed:
    return CaseClosed(case_id=case_id, agency_id=agency, ended="goal_reached")


def erased(case_id: UUID) -> CaseErased:
    at = datetime(2031, 11, 23, tzinfo=UTC)
    return CaseErased(case_id=case_id, agency_id=DESK, reason="persons_request", erased_at=at)


async def rated_case(running: Running) -> UUID:
    """A case that its opener rated once."""
    case_id = uuid4()
    await running.hear(opened(case_id))
    assert (await rate(running.as_(), case_id)).status_code == 201
    return case_id


async def rate(caller: Caller, case_id: UUID) -> Any:
    return await caller.post(f"/v1/cases/{case_id}/assessments", LEVELS)


async def read(caller: Caller, case_id: UUID) -> list[str] | tuple[int, str]:
    """Whose ratings are shown, or why not; list and comparison never disagree."""
    listed = await caller.get(f"/v1/cases/{case_id}/assessments")
    compared = await caller.get(f"/v1/cases/{case_id}/comparison")
    assert listed.status_code == compared.status_code
    if listed.status_code != 200:
        assert listed.json()["code"] == compared.json()["code"]
        assert listed.json()["title_ja"]
        return listed.status_code, listed.json()["code"]
    shown: list[str] = [item["rated_by"] for item in listed.json()["items"]]
    ends = [compared.json()[end] for end in ("initial", "latest")]
    assert [end["rated_by"] for end in ends if end] == [shown[0], shown[-1]] if shown else ends == [None, None]
    return shown


async def test_the_holder_reads_all_and_serving_the_municipality_is_no_basis(running: Running) -> None:
    case_id = await rated_case(running)
    assert await read(running.as_(), case_id) == [DESK]
    assert await read(running.as_(NPO), case_id) == (403, "no_basis")
    assert await read(running.as_("zama-desk", municipalities=[ZAMA]), case_id) == (404, "case_not_known")


async def test_an_agency_reads_what_it_rated_itself(running: Running) -> None:
    case_id = await rated_case(running)
    assert (await rate(running.as_(NPO), case_id)).status_code == 201
    assert await read(running.as_(NPO), case_id) == [NPO]
    assert await read(running.as_(NPO, municipalities=[ZAMA]), case_id) == [NPO], "also when it serves elsewhere now"
    assert await read(running.as_(), case_id) == [DESK, NPO]


@pytest.mark.parametrize("purpose", ["assessment", "case_conference"])
async def test_whom_the_person_agreed_to_reads_all(running: Running, purpose: str) -> None:
    case_id = await rated_case(running)
    await running.hear(consented(case_id, purposes=[purpose], recipients=[NPO, "zama-desk"]))
    assert await read(running.as_(NPO), case_id) == [DESK]
    assert await read(running.as_("zama-desk", municipalities=[ZAMA]), case_id) == [DESK], "it is named"
    assert await read(running.as_("kagoshima-work"), case_id) == (403, "no_basis")


async def test_consent_that_names_nobody_opens_nothing_to_another_municipality(running: Running) -> None:
    case_id = await rated_case(running)
    await running.hear(consented(case_id, recipients=[]))
    assert await read(running.as_(NPO), case_id) == [DESK]
    assert await read(running.as_("zama-desk", municipalities=[ZAMA]), case_id) == (404, "case_not_known")


@pytest.mark.parametrize(
    "changes",
    [
        {"purposes": ["referral", "training"]},
        {"recipients": ["kagoshima-work"]},
        {"valid_until": date(2026, 1, 31)},
        {"valid_from": date(2190, 1, 31)},
    ],
)
async def test_consent_that_does_not_reach_so_far_is_no_basis(running: Running, changes: dict[str, Any]) -> None:
    case_id = await rated_case(running)
    await running.hear(consented(case_id, **changes))
    assert await read(running.as_(NPO), case_id) == (403, "no_basis")


@pytest.mark.parametrize("no", [ConsentWithdrawn, ConsentRefused, ConsentPending])
async def test_a_newer_word_counts_and_an_older_one_never_comes_back(running: Running, no: type[Event]) -> None:
    case_id = await rated_case(running)
    await running.hear(consented(case_id, 1, recipients=[NPO, "zama-desk"]))
    await running.hear(no(case_id=case_id, consent_version=2))  # type: ignore[call-arg]
    await running.hear(consented(case_id, 1))
    assert await read(running.as_(NPO), case_id) == (403, "no_basis")
    assert await read(running.as_("zama-desk", municipalities=[ZAMA]), case_id) == (404, "case_not_known")
    assert await read(running.as_(), case_id) == [DESK], "the record of what was rated stays with its holder"


async def test_ratings_go_with_the_case_to_its_new_holder(running: Running) -> None:
    case_id = await rated_case(running)
    far = running.as_("zama-npo", municipalities=[ZAMA])
    await running.hear(CaseHandedOver(case_id=case_id, agency_id="zama-npo", before=DESK))
    assert await read(far, case_id) == [DESK]
    assert (await rate(far, case_id)).status_code == 201
    assert await read(running.as_(), case_id) == [DESK], "its own"
    await running.hear(closed(case_id, "zama-npo"), CaseReopened(case_id=case_id, agency_id=NPO))
    assert await read(running.as_(NPO), case_id) == [DESK, "zama-npo"]
    assert await read(far, case_id) == ["zama-npo"]


async def test_an_older_word_about_the_holder_changes_nothing(running: Running) -> None:
    case_id = await rated_case(running)
    await running.hear(CaseHandedOver(case_id=case_id, agency_id=NPO, before=DESK))
    running._offset = 0  # a replay of what came before, under ids that were forgotten
    await running.hear(closed(case_id))
    await running.hear(opened(case_id))
    assert await read(running.as_(NPO), case_id) == [DESK]
    assert (await rate(running.as_(NPO), case_id)).status_code == 201


async def test_a_closed_case_is_not_rated_until_it_is_reopened(running: Running) -> None:
    case_id = await rated_case(running)
    await running.hear(closed(case_id))
    before = await running.told()
    answer = await rate(running.as_(), case_id)
    assert (answer.status_code, answer.json()["code"]) == (409, "case_closed")
    assert "再開" in answer.json()["detail_ja"]
    assert len(await running.rows("SELECT 1 FROM assessment")) == 1
    assert await running.told() == before
    assert await read(running.as_(), case_id) == [DESK], "what was rated is still read by who held it last"
    assert (await rate(running.as_("zama-desk", municipalities=[ZAMA]), case_id)).status_code == 404
    await running.hear(CaseReopened(case_id=case_id, agency_id=NPO))
    assert (await rate(running.as_(), case_id)).status_code == 201, "of the case's municipality"


async def test_an_erased_case_is_neither_rated_nor_read(running: Running) -> None:
    case_id = await rated_case(running)
    await running.hear(consented(case_id, recipients=[NPO]), closed(case_id), erased(case_id))
    for agency in (DESK, NPO):
        answer = await rate(running.as_(agency), case_id)
        assert (answer.status_code, answer.json()["code"]) == (410, "erased")
        assert await read(running.as_(agency), case_id) == (410, "erased")
    assert await read(running.as_("zama-desk", municipalities=[ZAMA]), case_id) == (404, "case_not_known")
    assert len(await running.rows("SELECT 1 FROM assessment")) == 1


async def test_what_is_heard_of_a_case_before_its_opening_makes_no_case(running: Running) -> None:
    case_id = uuid4()
    await running.hear(consented(case_id), closed(case_id), erased(case_id))
    assert await read(running.as_(), case_id) == (404, "case_not_known")
