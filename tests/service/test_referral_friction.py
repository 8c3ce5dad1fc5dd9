"""制度の壁 over HTTP: one click, once a day; counted by quarter, and a list for each year's proposals."""

import asyncio
import csv
import io
from datetime import date, timedelta
from typing import Any
from uuid import uuid4

import pytest

from shared.auth import Role
from shared.events import FrictionRecorded
from tests.service.referral_region import Region, code, opened
from tests.world import KAGOSHIMA, KIRISHIMA, ZAMA, World


@pytest.fixture
async def region(world: World) -> Region:
    return await Region(world.service("referral")).ready()


async def click(region: Region, boundary: str = "insured_only", **more: Any) -> Any:
    body = {"case_id": str(region.case_id), "boundary": boundary, **more}
    return await region.desk.post("/v1/frictions", body)


def fiscal_year(day: date) -> int:
    return day.year if day.month > 3 else day.year - 1


async def of_many_cases(region: Region, many: int, municipality: str, boundary: str = "age_limit") -> None:
    caller = region.running.as_("desk-there", municipalities=[municipality])
    for _ in range(many):
        case = uuid4()
        await region.running.hear(opened(case, municipality=municipality))
        answer = await caller.post("/v1/frictions", {"case_id": str(case), "boundary": boundary})
        assert answer.status_code == 201, answer.text


async def test_the_list_of_boundaries_has_words_in_both_languages(region: Region) -> None:
    found = (await region.desk.get("/v1/friction-boundaries")).json()
    assert len(found) >= 12
    assert len({each["code"] for each in found}) == len(found)
    for each in found:
        assert all(each[name] for name in ("ja", "en", "scheme", "scheme_ja", "scheme_en"))
        assert each["en"].isascii()
        assert not each["ja"].isascii()


async def test_one_click_records_which_boundary_blocked_a_person(region: Region) -> None:
    answer = await click(region, programme_id=region.programmes["sakura-npo/ibasho"])
    assert answer.status_code == 201, answer.text
    record = answer.json()
    assert (record["municipality"], record["boundary"], record["agency_id"]) == (
        *(KAGOSHIMA, "insured_only", "kagoshima-desk"),
    )
    assert await region.running.told() == [
        FrictionRecorded(
            case_id=region.case_id, boundary="insured_only", municipality=KAGOSHIMA, agency="kagoshima-desk"
        )
    ]
    assert await region.desk.whole("/v1/frictions") == [record]


async def test_the_same_boundary_is_recorded_once_a_day(region: Region) -> None:
    first, second = await click(region), await click(region)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json()
    assert (await click(region, "age_limit")).status_code == 201
    region.running.pass_time(timedelta(days=1))
    assert (await click(region)).status_code == 201
    assert len(await region.running.told()) == 3
    assert len(await region.desk.whole("/v1/frictions", limit=1)) == 3
    assert len(await region.desk.whole("/v1/frictions", boundary="age_limit")) == 1


async def test_clicks_at_once_are_one_record(region: Region) -> None:
    answers = await asyncio.gather(*(click(region) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 200, 201]
    assert len(await region.running.told()) == 1


@pytest.mark.parametrize(
    ("body", "pointer"),
    [({"boundary": "no_such_wall"}, "/boundary"), ({"programme_id": str(uuid4())}, "/programme_id")],
)
async def test_what_is_unknown_is_named_with_its_remedy(region: Region, body: dict[str, str], pointer: str) -> None:
    answer = await click(region, **body)
    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["pointer"]) == (422, pointer)
    assert error["message"]
    assert error["message_ja"]
    assert next(iter(body.values())) not in answer.text
    assert await region.running.told() == []


async def test_only_whose_business_the_case_is_records_for_it(region: Region) -> None:
    stranger = region.running.as_("zama-desk", municipalities=[ZAMA])
    body = {"case_id": str(region.case_id), "boundary": "insured_only"}
    assert code(await stranger.post("/v1/frictions", body)) == (404, "case_not_known")
    assert code(await region.desk.post("/v1/frictions", body | {"case_id": str(uuid4())})) == (404, "case_not_known")
    opener = region.running.as_("kagoshima-desk", municipalities=[ZAMA])
    assert (await opener.post("/v1/frictions", body)).status_code == 201
    assert await stranger.whole("/v1/frictions") == []
    assert len(await region.desk.whole("/v1/frictions", case_id=str(region.case_id))) == 1
    await region.running.rows("UPDATE case_fact SET holder = 'zama-desk' WHERE case_id = $1", region.case_id)
    assert (await stranger.post("/v1/frictions", body)).status_code == 200


@pytest.mark.parametrize("role", [Role.COUNSELLOR, Role.PLACEMENT, Role.HELLO_WORK, Role.PROVIDER])
async def test_every_role_that_meets_the_person_records_with_one_click(region: Region, role: Role) -> None:
    """The job placement and Hello Work of the town; a provider elsewhere, to whom the person was referred."""
    here = region.running.as_("hello-work", role)
    there = region.running.as_("sakura-npo", role, municipalities=[ZAMA])
    body = {"case_id": str(region.case_id), "boundary": "insured_only"}
    assert "insured_only" in {each["code"] for each in (await here.get("/v1/friction-boundaries")).json()}
    assert [(await here.post("/v1/frictions", body)).status_code for _ in range(2)] == [201, 200]
    assert len(await here.whole("/v1/frictions")) == 1
    body |= {"boundary": "age_limit"}
    assert code(await there.post("/v1/frictions", body)) == (404, "case_not_known")
    await region.send(programme_id=region.programmes["sakura-npo/ibasho"], draft=True)
    assert code(await there.post("/v1/frictions", body)) == (404, "case_not_known")
    await region.to_programme("sakura-npo/junbi")
    assert (await there.post("/v1/frictions", body)).status_code == 201
    # It reads what it wrote itself, and not what others wrote where it serves nobody.
    assert [each["boundary"] for each in await there.whole("/v1/frictions")] == ["age_limit"]


@pytest.mark.parametrize("role", [Role.DIRECTORY, Role.RULES, Role.PLANNER, Role.OBSERVER, Role.EMERGENCY])
async def test_who_sits_with_nobody_records_nothing(region: Region, role: Role) -> None:
    caller = region.running.as_("kagoshima-desk", role)
    body = {"case_id": str(region.case_id), "boundary": "insured_only"}
    assert (await caller.post("/v1/frictions", body)).status_code == 403


async def test_counts_by_quarter_hide_what_is_small_elsewhere(region: Region) -> None:
    await of_many_cases(region, 5, KAGOSHIMA)
    await of_many_cases(region, 2, KIRISHIMA)
    rows = await region.running.rows("SELECT min(recorded_on) AS day FROM friction")
    within = {"prefecture": "46", "year": fiscal_year(rows[0]["day"])}
    planner = region.running.as_("planner", Role.PLANNER, municipalities=[ZAMA])
    found = await planner.whole("/v1/friction-counts", **within, limit=1)
    assert [(each["municipality"], each["records"]["count"]) for each in found] == [(KAGOSHIMA, 5), (KIRISHIMA, None)]
    assert found[0]["quarter"][8:] == "01"
    own = region.running.as_("kirishima-city", Role.RULES, municipalities=[KIRISHIMA])
    assert [each["records"]["count"] for each in await own.whole("/v1/friction-counts", **within)] == [5, 2]
    assert await own.whole("/v1/friction-counts", **within | {"prefecture": "14"}) == []
    assert await own.whole("/v1/friction-counts", **within | {"year": 2024}) == []


async def test_one_person_on_many_days_is_few_to_others(region: Region) -> None:
    for _ in range(5):
        assert (await click(region)).status_code == 201
        region.running.pass_time(timedelta(days=1))
    rows = await region.running.rows("SELECT DISTINCT recorded_on AS day FROM friction")
    years = {fiscal_year(row["day"]) for row in rows}
    planner = region.running.as_("planner", Role.PLANNER, municipalities=[ZAMA])
    for year in years:
        within = {"prefecture": "46", "year": year}
        for each in await planner.whole("/v1/friction-counts", **within):
            assert each["records"] == {"count": None, "at_least": 1, "below": 5}
        lines = (await planner.get("/v1/friction-counts.csv", params=within)).content.decode("cp932").splitlines()
        assert [line.split(",")[-1].strip('"') for line in lines[1:]] == ["1以上", "1以上"]
    own = [await region.desk.whole("/v1/friction-counts", prefecture="46", year=year) for year in years]
    assert sum(each["records"]["count"] for found in own for each in found) == 5


async def test_a_boundary_that_nobody_knows_is_no_empty_register(region: Region) -> None:
    answer = await region.desk.get("/v1/frictions", params={"boundary": "insured_onyl"})
    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["code"], error["pointer"]) == (422, "boundary_not_known", "/boundary")
    assert "/v1/friction-boundaries" in error["message_ja"]


async def test_the_yearly_list_is_a_file_for_proposals(region: Region) -> None:
    await of_many_cases(region, 6, KAGOSHIMA)
    await of_many_cases(region, 2, KIRISHIMA)
    rows = await region.running.rows("SELECT min(recorded_on) AS day FROM friction")
    within = {"prefecture": "46", "year": fiscal_year(rows[0]["day"])}
    planner = region.running.as_("planner", Role.PLANNER, municipalities=[ZAMA])
    answer = await planner.get("/v1/friction-counts.csv", params=within)
    lines = list(csv.DictReader(io.StringIO(answer.content.decode("cp932"))))
    assert [(line["市町村"], line["市町村コード"], line["年度計"]) for line in lines] == [
        ("計", "", "7以上"),
        ("鹿児島市", KAGOSHIMA, "6"),
        ("霧島市", KIRISHIMA, "1以上"),
    ]
    assert (lines[0]["制度"], lines[0]["壁のコード"]) == ("生活困窮者自立支援", "age_limit")
    assert lines[0]["壁"].startswith("年齢の条件")


async def test_a_year_that_is_none_is_refused(region: Region) -> None:
    for params in ({"prefecture": "46", "year": 1999}, {"prefecture": "99", "year": 2026}):
        assert (await region.desk.get("/v1/friction-counts", params=params)).status_code == 422
