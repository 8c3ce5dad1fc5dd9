"""The directory and its two files: what comes in, what comes again, and what can be found."""

import pytest

from shared.auth import Role
from tests.service.referral_region import AGENCIES, PROGRAMMES, keeper_of, take_in
from tests.world import KAGOSHIMA, KIRISHIMA, Running


async def names(referral: Running, path: str, **params: str) -> list[str]:
    answer = await referral.as_("anybody", Role.OBSERVER).get(path, params=params)
    assert answer.status_code == 200, answer.text
    return [item["name"] for item in answer.json()["items"]]


async def test_both_files_come_in_and_can_be_found(referral: Running) -> None:
    agencies = await take_in(referral, "/v1/agency-imports", AGENCIES)
    programmes = await take_in(referral, "/v1/programme-imports", PROGRAMMES.encode("cp932"))
    assert (agencies["created"], programmes["created"], programmes["rejected"]) == (2, 3, 0)
    assert await names(referral, "/v1/agencies", municipality=KIRISHIMA) == ["桜の会"]
    assert await names(referral, "/v1/programmes") == ["桜の居場所", "桜の就労準備", "座間の居場所"]
    assert await names(referral, "/v1/programmes", municipality=KAGOSHIMA) == ["桜の居場所", "桜の就労準備"]
    assert await names(referral, "/v1/programmes", municipality=KIRISHIMA) == ["桜の居場所"]
    assert await names(referral, "/v1/programmes", function="work_readiness") == ["桜の就労準備"]
    assert await names(referral, "/v1/programmes", stage="drop_in") == ["桜の居場所", "座間の居場所"]
    assert await names(referral, "/v1/programmes", agency_id="zama-npo") == ["座間の居場所"]


async def test_a_programme_without_an_area_of_its_own_shows_its_agencys(referral: Running) -> None:
    await take_in(referral, "/v1/agency-imports", AGENCIES)
    await take_in(referral, "/v1/programme-imports", PROGRAMMES)
    first, second, third = (await referral.as_().get("/v1/programmes")).json()["items"]
    assert first["municipalities"] == [KAGOSHIMA, KIRISHIMA]
    assert second["municipalities"] == [KAGOSHIMA]
    assert (first["needs"], first["capacity_state"]) == (["isolation", "people"], "has_room")
    assert (third["capacity_state"], first["agency_name"]) == ("unknown", "桜の会")


async def test_the_same_file_again_changes_nothing_and_a_new_one_updates(referral: Running) -> None:
    await take_in(referral, "/v1/agency-imports", AGENCIES)
    await take_in(referral, "/v1/programme-imports", PROGRAMMES)
    before = await referral.rows("SELECT id, version FROM programme ORDER BY agency_id, programme_code")
    again = await take_in(referral, "/v1/programme-imports", PROGRAMMES)
    assert (again["created"], again["updated"], again["unchanged"]) == (0, 0, 3)
    changed = await take_in(referral, "/v1/programme-imports", PROGRAMMES.replace("空きあり", "満員"))
    assert (changed["updated"], changed["unchanged"]) == (1, 2)
    after = await referral.rows("SELECT id, version FROM programme ORDER BY agency_id, programme_code")
    assert [row["id"] for row in after] == [row["id"] for row in before]
    assert [row["version"] for row in after] == [2, 1, 1]
    renamed = await take_in(referral, "/v1/agency-imports", AGENCIES.replace("桜の会", "桜の輪"))
    assert (renamed["updated"], renamed["unchanged"]) == (1, 1)


@pytest.mark.parametrize(
    ("path", "content", "column"),
    [
        ("/v1/agency-imports", AGENCIES.replace("7000012050002", "7000012050003"), "法人番号"),
        ("/v1/agency-imports", AGENCIES.replace("462012 462187", "462012 462188"), "対象地域コード"),
        ("/v1/agency-imports", AGENCIES.replace("462012 462187", ""), "対象地域コード"),
        ("/v1/programme-imports", PROGRAMMES.replace("居場所,,isolation p", "喫茶,,isolation p"), "段階"),
        ("/v1/programme-imports", PROGRAMMES.replace("space,4,居場所", "space,7,居場所"), "系統"),
        ("/v1/programme-imports", PROGRAMMES.replace("zama-npo", "nobody-npo"), "機関ID"),
        ("/v1/programme-imports", PROGRAMMES.replace("空きあり", "たぶん"), "空き状況"),
    ],
)
async def test_a_wrong_cell_is_told_with_its_column(referral: Running, path: str, content: str, column: str) -> None:
    if path == "/v1/programme-imports":
        await take_in(referral, "/v1/agency-imports", AGENCIES)
    keeper = keeper_of(referral)
    answer = await keeper.post(path, content=content.encode(), headers={"Content-Type": "text/csv"})
    assert answer.status_code == 201, answer.text
    assert [error["column"] for error in answer.json()["errors"]] == [column]


async def test_only_the_keeper_of_the_directory_takes_files_in(referral: Running) -> None:
    for path in ("/v1/agency-imports", "/v1/programme-imports"):
        answer = await referral.as_().post(path, content=AGENCIES.encode(), headers={"Content-Type": "text/csv"})
        assert answer.status_code == 403


async def test_lists_go_on_page_by_page(referral: Running) -> None:
    await take_in(referral, "/v1/agency-imports", AGENCIES)
    await take_in(referral, "/v1/programme-imports", PROGRAMMES)
    for path, total in (("/v1/agencies", 2), ("/v1/programmes", 3)):
        found = [item["name"] for item in await referral.as_().whole(path, limit=1)]
        assert len(found) == len(set(found)) == total
