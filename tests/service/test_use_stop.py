"""利用停止: what is known about a person is kept, and told to nobody but the person."""

from uuid import UUID

import pytest

from tests.world import Running, World

PERSON = {"name": "架空 花子", "story": "長い話"}


@pytest.fixture
def intake(world: World) -> Running:
    return world.service("intake")


async def opened(intake: Running) -> UUID:
    consent = {"state": "given", "purposes": ["referral"], "recipients": ["career-center"]}
    answer = await intake.as_().post("/v1/cases", {"person": PERSON, "next_step": "電話する", "consent": consent})
    assert answer.status_code == 201, answer.text
    return UUID(answer.json()["case_id"])


async def test_from_then_on_it_is_used_for_telling_the_person_alone(intake: Running) -> None:
    case_id = await opened(intake)
    desk, center = intake.as_(), intake.as_("career-center", municipalities=[])
    path = f"/v1/cases/{case_id}"
    assert (await center.get(f"{path}/person", params={"purpose": "referral"})).status_code == 200
    stopped = await desk.post(f"{path}/use-stop", {"reason": "persons_request"})
    assert (stopped.status_code, stopped.json()["use_stopped"]) == (200, True)

    told = await desk.get(f"{path}/person", params={"purpose": "disclosure"})
    assert told.json()["person"]["name"] == PERSON["name"]
    for caller, purpose in ((desk, "support"), (desk, "referral"), (center, "referral")):
        refused = await caller.get(f"{path}/person", params={"purpose": purpose})
        assert (refused.status_code, refused.json()["code"]) == (403, "use_stopped"), purpose
    version = (await desk.get(path)).headers["etag"]
    for refused in (
        await desk.get(f"{path}/records"),
        await desk.get(f"{path}/hand-over-sheet.csv"),
        await desk.get(f"{path}/hand-over-sheet.html"),
        await desk.patch(f"{path}/person", {"name": "別の名"}, etag='"1"'),
        await desk.patch(path, {"next_step": "訪ねる"}, etag=version),
    ):
        assert (refused.status_code, refused.json()["code"]) == (403, "use_stopped"), refused.request.url
    assert (await desk.get(path)).json()["next_step"] is None
    assert [case["next_step"] for case in (await desk.get("/v1/cases")).json()["items"]] == [None]

    resumed = await desk.post(f"{path}/use-stop/lifting", {"reason": "ended"})
    assert resumed.json()["use_stopped"] is False
    assert (await desk.get(path)).json()["next_step"] == "電話する"
    kinds = [entry["kind"] for entry in await desk.whole(f"{path}/timeline")]
    assert kinds[-2:] == ["use_stopped", "use_resumed"]


async def test_only_the_holder_stops_the_use_and_only_once(intake: Running) -> None:
    path = f"/v1/cases/{await opened(intake)}/use-stop"
    other = await intake.as_("kagoshima-work").post(path, {"reason": "persons_request"})
    assert (other.status_code, other.json()["code"]) == (403, "not_the_holder")
    far = await intake.as_("zama-desk", municipalities=["142166"]).post(path, {"reason": "persons_request"})
    assert far.status_code == 404
    assert (await intake.as_().post(path, {"reason": "because"})).status_code == 422
    assert (await intake.as_().post(f"{path}/lifting", {"reason": "ended"})).json()["code"] == "use_not_stopped"
    assert (await intake.as_().post(path, {"reason": "objection"})).status_code == 200
    assert (await intake.as_().post(path, {"reason": "objection"})).json()["code"] == "use_stopped_already"


async def test_a_case_whose_use_is_stopped_is_closed_and_erased_like_every_other(intake: Running) -> None:
    desk, path = intake.as_(), f"/v1/cases/{await opened(intake)}"
    await desk.post(f"{path}/use-stop", {"reason": "persons_request"})
    assert (await desk.post(f"{path}/closing", {"interruption": "person_wishes"})).status_code == 200
    assert (await desk.post(f"{path}/erasure", {"reason": "persons_request"})).status_code == 202
    await intake.sweep()
    told = await desk.get(f"{path}/person", params={"purpose": "disclosure"})
    assert told.status_code == 410
    assert (await desk.post(f"{path}/use-stop", {"reason": "objection"})).json()["code"] == "erased"
