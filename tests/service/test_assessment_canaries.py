"""A canary in every text about a person that assessment takes: sung to the holder, and heard nowhere else."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import httpx2
import pytest
import structlog

from shared.service.logs import configure_logs
from tests.service import plan_room
from tests.service.assessment_room import AXES, DESK, NPO, consented, known_case, levels
from tests.service.aviary import every_table, heard_in, topics
from tests.service.conference_table import COUNSELLOR, call, member, today
from tests.world import ZAMA, Caller, Running, World

NAMES = (
    *(f"evidence_{axis}" for axis in AXES), "reason", "agreed", "agenda", "problem", "decision", "minutes",
    "plan_problems", "plan_goal", "line_desk", "line_npo", "witness", "opinion", "sent_back", "seen", "changes",
    "remains", "given_up", "article_9_agenda", "article_9_minutes", "article_9_decision",
)  # fmt: skip
SONG = {name: f"金糸雀{number:02}の歌" for number, name in enumerate(NAMES)}
CANARIES = list(SONG.values())


def heard(text: str | bytes) -> set[str]:
    return heard_in(text, CANARIES)


@pytest.fixture
def database_log(world: World) -> Callable[[], bytes]:
    before = len(world.postgres.log.read_bytes())
    return lambda: world.postgres.log.read_bytes()[before:]


async def post(caller: Caller, path: str, body: Any) -> Any:
    answer = await caller.post(path, body)
    assert answer.status_code in {200, 201}, f"{path}: {answer.text}"
    assert heard(answer.text) == set(), f"{path} gives words back, and its answer is kept in the clear"
    return answer.json()


async def rated(running: Running, case_id: UUID) -> None:
    desk, npo = running.as_(), running.as_(NPO)
    evidence = {axis: SONG[f"evidence_{axis}"] for axis in AXES}
    await post(desk, f"/v1/cases/{case_id}/assessments", {"levels": levels(1, 3, 3, 3, 3), "evidence": evidence})
    seats = [{"agency": DESK, "profession": COUNSELLOR}, {"agency": NPO, "profession": "job_coach"}]
    joint = await post(desk, f"/v1/cases/{case_id}/joint_ratings", {"seats": seats})
    path = f"/v1/joint_ratings/{joint['joint_id']}"
    given = {"levels": levels(1, 3, 3, 3, 3)}
    await post(npo, f"{path}/levels", {**given, "profession": "job_coach", "reasons": {"mental": SONG["reason"]}})
    await post(desk, f"{path}/levels", {**given, "profession": COUNSELLOR})
    await post(desk, f"{path}/agreed", {**given, "evidence": {"mental": SONG["agreed"]}})


async def met(running: Running, case_id: UUID, lane: str, prefix: str = "") -> str:
    desk = running.as_()
    held = (await call(desk, running, case_id, lane=lane)).json()
    path = f"/v1/conferences/{held['conference_id']}"
    await post(desk, f"{path}/agenda", {"words": SONG[f"{prefix}agenda"]})
    if not prefix:
        await post(desk, f"{path}/problems", {"need": "housing", "note": SONG["problem"]})
    await post(desk, f"{path}/open", {})
    decision = {"decision": "action", "owner": NPO, "due_on": today(running, 7).isoformat()}
    await post(desk, f"{path}/decisions", decision | {"words": SONG[f"{prefix}decision"]})
    await post(desk, f"{path}/minutes", {"words": SONG[f"{prefix}minutes"]})
    await post(desk, f"{path}/conclude", {"present": [member(DESK, COUNSELLOR), member(NPO)]})
    return path


async def planned(running: Running, case_id: UUID) -> list[str]:
    desk, city = running.as_(), plan_room.city(running)
    lines = (
        plan_room.line("desk", SONG["line_desk"], "weekly"),
        plan_room.line("agency", SONG["line_npo"], "monthly", agency=NPO),
    )
    content = plan_room.body(*lines, problems=SONG["plan_problems"], goal=SONG["plan_goal"])
    first = (await post(desk, f"/v1/cases/{case_id}/plans", content))["plan_id"]

    async def do(caller: Caller, plan_id: str, name: str, version: int = 1, **words: str) -> None:
        await post(caller, f"/v1/plans/{plan_id}/{name}", plan_room.said(name, version) | words)

    await do(desk, first, "agree", witness=SONG["witness"])
    await do(desk, first, "hear", words=SONG["opinion"])
    await do(city, first, "send_back", words=SONG["sent_back"])
    tag = (await desk.get(f"/v1/plans/{first}")).headers["ETag"]
    revised = await desk.post(f"/v1/plans/{first}/revise", content, headers={"If-Match": tag})
    assert (revised.status_code, heard(revised.text)) == (200, set())
    await do(desk, first, "agree", 2)
    await do(desk, first, "hear", 2)
    await do(city, first, "decide", 2)
    await do(desk, first, "monitor", seen=SONG["seen"])
    await do(desk, first, "evaluate", changes=SONG["changes"], remains=SONG["remains"])
    (second,) = [each["plan_id"] for each in await desk.whole(f"/v1/cases/{case_id}/plans") if each["plan_id"] != first]
    await do(desk, second, "give_up", words=SONG["given_up"])
    return [first, second]


async def test_no_canary_is_heard_where_it_does_not_belong(
    world: World, database_log: Callable[[], bytes], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    running = world.service("assessment")
    configure_logs(world.settings("assessment", log_level="debug"))
    case_id = await known_case(running)
    await consented(running, case_id, NPO, categories=("story", "health"))
    await rated(running, case_id)
    conferences = [
        await met(running, case_id, "consent"),
        await met(running, case_id, "shien_kaigi_art9", "article_9_"),
    ]
    plans = await planned(running, case_id)
    await _are_sung_to_the_holder(running.as_(), case_id, conferences, plans)

    for answer in [
        *await _refusals(running.as_(), case_id, conferences[0]),
        await _broken(running, case_id, monkeypatch),
    ]:
        assert answer.status_code >= 400
        assert heard(answer.text) == set(), answer.request.url.path
    await _are_not_in_another_municipality(running, case_id, plans)
    assert heard((await running.anonymous.get("/metrics")).text) == set()
    assert heard(await topics(world, running)) == set()
    assert heard(await every_table(world)) == set()

    structlog.get_logger().info(CANARIES[-1])
    logged = capfd.readouterr()
    assert heard(logged.out + logged.err) == {CANARIES[-1]}, "the last line is ours, and shows that we listen"
    assert heard(database_log()) == set()


async def _are_sung_to_the_holder(desk: Caller, case_id: UUID, conferences: list[str], plans: list[str]) -> None:
    """Or the silence elsewhere would prove nothing."""
    ratings = await desk.whole(f"/v1/cases/{case_id}/assessments")
    texts = [f"/v1/cases/{case_id}/assessments/{each['assessment_id']}/evidence" for each in ratings]
    joints = await desk.whole(f"/v1/cases/{case_id}/joint_ratings")
    texts += [f"/v1/joint_ratings/{each['joint_id']}/reasons" for each in joints]
    texts += [f"{path}/record" for path in conferences]
    texts += [f"/v1/plans/{plan}/{what}" for plan in plans for what in ("content", "steps", "sheet.html")]
    said = [(await desk.get(path)).text for path in texts]
    assert heard("".join(said)) == set(CANARIES)


async def _refusals(desk: Caller, case_id: UUID, conference: str) -> list[httpx2.Response]:
    mine = SONG["minutes"]
    return [
        await desk.post(f"/v1/cases/{case_id}/assessments", {"levels": {mine: 3}}),
        await desk.post(f"/v1/cases/{case_id}/assessments", {"levels": {"mental": mine}}),
        await desk.post(f"/v1/cases/{case_id}/assessments", {"levels": {"mental": 9}, "evidence": {"mental": mine}}),
        await desk.post(f"/v1/cases/{case_id}/assessments", {"levels": {}, "evidence": {mine: mine}, mine: mine}),
        await desk.post(f"/v1/cases/{case_id}/plans", plan_room.body(goal=mine, monitor_on=mine)),
        await desk.post(f"{conference}/minutes", {"words": mine}),
        await desk.get(f"/v1/cases/{mine}/assessments"),
        await desk.get("/v1/tasks", params={"until": mine}),
    ]


async def _broken(running: Running, case_id: UUID, monkeypatch: pytest.MonkeyPatch) -> httpx2.Response:
    async def breaks(*_: Any, **__: Any) -> None:
        raise RuntimeError(f"could not write {SONG['agreed']}") from ValueError(SONG["reason"])

    with monkeypatch.context() as patched:
        patched.setattr("services.assessment.tables.assessments.add_evidence", breaks)
        body = {"levels": levels(3, 3, 3, 3, 3), "evidence": {"mental": SONG["agreed"]}}
        answer = await running.as_().post(f"/v1/cases/{case_id}/assessments", body)
    assert answer.status_code == 500
    return answer


async def _are_not_in_another_municipality(running: Running, case_id: UUID, plans: list[str]) -> None:
    far = running.as_("zama-desk", municipalities=[ZAMA])
    asked = 0
    for path, operations in running.app.openapi()["paths"].items():
        where = path.replace("{case_id}", str(case_id)).replace("{plan_id}", plans[0])
        if "get" in operations and path.startswith("/v1/") and "{" not in where:
            answer = await far.get(where)
            assert answer.status_code < 500
            assert heard(answer.text) == set(), path
            asked += 1
    assert asked >= 15
