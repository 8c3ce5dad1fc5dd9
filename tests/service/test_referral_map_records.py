"""The records behind the numbers of the map of functions: as many as a number says, for whose business they are."""

import threading
from typing import Any
from uuid import uuid4

import pytest

from services.referral.domain.map_demand import NUMBERS
from services.referral.handlers import function_map as handlers
from services.referral.handlers.function_map import SUPPLY, NotServed
from shared.auth import Role
from tests.service.map_region import NOW, Dice, acting, drawn, take_in
from tests.service.referral_region import Region, opened
from tests.service.test_referral_function_map import PATH, WITHIN, cells, more_cases, outsider
from tests.world import KAGOSHIMA, KIRISHIMA, ZAMA, Running, World


@pytest.fixture
async def region(world: World) -> Region:
    return await Region(world.service("referral")).ready()


async def test_every_number_opens_to_the_records_behind_it(referral: Running) -> None:
    """On a region of dice: as many ids as the number says, each once, for every number of every cell."""
    region = Dice(3, municipalities=3, functions=2, programmes=90, cases=60, referrals=150).roll()
    await take_in(referral, region)
    actor, with_records, behind = acting("prefecture:46"), set(), set()
    for seen in await drawn(referral, actor):
        for number in (*SUPPLY, *NUMBERS):
            async with referral.database.transaction() as session:
                found = await handlers.records_behind(
                    *(session, number),
                    place=seen.municipality,
                    kind=seen.kind,
                    actor=actor,
                    now=NOW,
                    after=None,
                    limit=1_000,
                )
            assert not isinstance(found, NotServed)
            expected = getattr(seen.supply, number) if number in SUPPLY else getattr(seen, number).count
            if number == "places":
                expected = seen.supply.with_room  # the programmes that have them
            assert (len(found), len(set(found))) == (expected, expected), (seen.municipality, seen.kind, number)
            with_records |= {number} if expected else set()
            behind |= {(number in SUPPLY, record.what.value) for record in found}
    assert len(with_records) == 10
    people = {"case", "referral", "need_unmet"}
    assert behind == {(True, "programme"), (True, "course_run"), *((False, what) for what in people)}


async def test_records_of_people_are_opened_by_agencies_of_the_municipality_alone(region: Region) -> None:
    await more_cases(region.running, 2)
    place = {"municipality": KAGOSHIMA, "function": "drop_in_space", "stage": "drop_in", "strand": 4}
    behind = await region.desk.whole(f"{PATH}/records", **place, number="open_needs", limit=1)
    assert len(behind) == 3
    assert {"what": "case", "id": str(region.case_id)} in behind
    (programme,) = await region.desk.whole(f"{PATH}/records", **place, number="programmes")
    assert programme == {"what": "programme", "id": region.programmes["sakura-npo/ibasho"]}
    assert await region.desk.whole(f"{PATH}/records", **place, number="places", limit=1) == [programme]
    assert await region.desk.whole(f"{PATH}/records", **place, number="room_unknown") == []
    refused = await outsider(region.running).get(f"{PATH}/records", params={**place, "number": "open_needs"})
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert refused.json()["detail_ja"]
    assert (await region.desk.get(f"{PATH}/records", params={**place, "number": "rooms"})).status_code == 422
    for number in ("programmes", "places"):
        assert await outsider(region.running).whole(f"{PATH}/records", **place, number=number) == [programme]


async def test_a_sum_opens_to_the_records_of_all_its_municipalities(region: Region) -> None:
    await more_cases(region.running, 2)
    await more_cases(region.running, 3, KIRISHIMA)
    ken = region.running.as_("kagoshima-ken", Role.PLANNER, municipalities=["prefecture:46"])
    of = {"function": "drop_in_space", "stage": "drop_in", "strand": 4, "number": "open_needs"}
    (total,) = await cells(ken, f"{PATH}/totals", function="drop_in_space")
    behind = await ken.whole(f"{PATH}/records", **of, prefecture="46", limit=4)
    assert len({each["id"] for each in behind}) == total["open_needs"]["count"] == 6
    refused = await region.desk.get(f"{PATH}/records", params=of | WITHIN)
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    for wrong in (of, of | WITHIN | {"municipality": KAGOSHIMA}, of | WITHIN | {"number": "programmes"}):
        answer = await ken.get(f"{PATH}/records", params=wrong)
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/municipality"), wrong


async def test_records_are_reckoned_beside_the_requests_of_others(
    region: Region, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = set()

    def watched(reckons: Any) -> Any:
        def reckon(*given: Any) -> Any:
            threads.add(threading.get_ident())
            return reckons(*given)

        return reckon

    for name in ("offers_behind", "needs_answered"):
        monkeypatch.setattr(handlers, name, watched(getattr(handlers, name)))
    place = {"municipality": KAGOSHIMA, "function": "drop_in_space", "stage": "drop_in", "strand": 4}
    for number in ("programmes", "open_needs"):
        assert len(await region.desk.whole(f"{PATH}/records", **place, number=number)) == 1
    assert threads
    assert threading.get_ident() not in threads


async def test_an_unmet_need_behind_a_number_is_read(region: Region) -> None:
    case_id = uuid4()
    await region.running.hear(opened(case_id, needs=("debt",)))
    await region.running.sweep()
    place = {"municipality": KAGOSHIMA, "function": "none", "stage": "none", "strand": 0, "number": "unmet"}
    (record, *_) = await region.desk.whole(f"{PATH}/records", **place)
    path = f"/v1/unmet-needs/{record['id']}"
    answer = await region.desk.get(path)
    assert (answer.status_code, answer.json()["unmet_need_id"]) == (200, record["id"])
    stranger = region.running.as_("zama-desk", municipalities=[ZAMA])
    assert (await stranger.get(path)).status_code == 404
