"""Several eyes over HTTP: hidden everywhere until all are in, side by side, agreed once, and counted as agreement."""

import asyncio
import re
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.assessment.domain.agreement import Agreement, weighted_kappa
from shared.auth import Role
from shared.database import Acting
from shared.events import AssessmentRecorded, CaseClosed, ConsentWithdrawn
from tests.service.assessment_room import AXES, DESK, NPO, consented, known_case, levels, rate, told_of
from tests.world import KAGOSHIMA, KIRISHIMA, Caller, Running, World

CLINIC = "kagoshima-clinic"
SEATS = [
    {"agency": DESK, "profession": "career_consultant"},
    {"agency": NPO, "profession": "job_coach"},
    {"agency": CLINIC, "profession": "nurse"},
]
PROFESSION = {each["agency"]: each["profession"] for each in SEATS}


@pytest.fixture
def running(world: World) -> Running:
    return world.service("assessment")


@pytest.fixture
async def case_id(running: Running) -> UUID:
    case_id = await known_case(running)
    await consented(running, case_id, NPO, CLINIC, categories=("story", "health"))
    return case_id


async def begin(running: Running, case_id: UUID, **more: Any) -> str:
    answer = await running.as_().post(f"/v1/cases/{case_id}/joint_ratings", {"seats": SEATS, **more})
    assert answer.status_code == 201, answer.text
    return f"/v1/joint_ratings/{answer.json()['joint_id']}"


async def give(running: Running, path: str, agency: str, *values: int | str | None, **more: Any) -> Any:
    body = {"profession": PROFESSION[agency], "levels": levels(*values), **more}
    return await running.as_(agency).post(f"{path}/levels", body)


async def every_answer(caller: Caller, case_id: UUID, path: str) -> str:
    """Whatever a caller can ask about the case, this joint rating, agreement and tasks, as one text."""
    asked = [
        path,
        f"{path}/reasons",
        f"/v1/cases/{case_id}/joint_ratings",
        f"/v1/cases/{case_id}/assessments",
        f"/v1/cases/{case_id}/comparison",
        "/v1/agreement",
        "/v1/agreement/drift",
        "/v1/tasks",
        "/v1/tasks?whose=held",
        "/v1/rules/replay",
    ]
    answers = [(await caller.get(each)).text for each in asked]
    return re.sub(r"urn:uuid:[0-9a-f-]+", "", "\n".join(answers))


async def test_hidden_ratings_are_seen_by_no_endpoint_event_or_count_before_the_closing(
    running: Running, case_id: UUID
) -> None:
    path = await begin(running, case_id)
    callers = [running.as_(), running.as_(NPO), running.as_(CLINIC), running.as_("kagoshima-city", *Role)]
    before = [await every_answer(caller, case_id, path) for caller in callers]
    told = len(await running.rows("SELECT 1 FROM outbox"))
    given = await give(
        running, path, CLINIC, 1, 1, 1, 1, 1, reasons={"mental": "診察の様子から重いと見た。"}, rater="n-12"
    )
    assert given.status_code == 201, given.text
    assert '"levels"' not in given.text
    after = [await every_answer(caller, case_id, path) for caller in callers]
    # The chair alone learns that one less is waited for; everybody else finds everything as it was.
    assert after[1] == before[1]
    assert after[3] == before[3]
    waiting = (await running.as_().get(path)).json()["waiting"]
    assert waiting == [each for each in SEATS if each["agency"] != CLINIC]
    assert after[0].replace(_waiting(SEATS[0], SEATS[1]), "") == before[0].replace(_waiting(*SEATS), "")
    assert (await running.as_(CLINIC).get(path)).json()["seen"][0]["levels"] == levels(1, 1, 1, 1, 1)
    assert len(await running.rows("SELECT 1 FROM outbox")) == told
    assert await running.rows("SELECT 1 FROM co_rating") == []
    for agency in (DESK, NPO):
        acting = Acting(agency, frozenset({KAGOSHIMA}))
        for table in ("joint_eye", "joint_reason"):
            assert await running.rows_for(acting, f"SELECT 1 FROM {table}") == []


def _waiting(*seats: dict[str, str]) -> str:
    seats_ = sorted(seats, key=lambda seat: (seat["agency"], seat["profession"]))
    inside = ",".join(f'{{"agency":"{s["agency"]}","profession":"{s["profession"]}"}}' for s in seats_)
    return f'"waiting":[{inside}]'


async def test_with_the_last_one_all_stand_side_by_side_and_a_gap_keeps_both_reasons(
    running: Running, case_id: UUID
) -> None:
    path = await begin(running, case_id)
    await give(running, path, DESK, 3, 4, 3, 3, None, reasons={"mental": "窓口では落ち着いている。"})
    await give(running, path, NPO, 3, 3, 3, 3, 3)
    last = await give(running, path, CLINIC, 3, 2, 3, 3, 3, reasons={"mental": "夜、眠れていない。"})
    assert last.json()["state"] == "side_by_side"
    for agency in (DESK, NPO, CLINIC):
        shown = (await running.as_(agency).get(path)).json()
        assert len(shown["seen"]) == 3
        (gap,) = shown["gaps"]
        assert (gap["item"], gap["lowest"], gap["highest"]) == ("mental", 2, 4)
        assert (gap["low"], gap["high"]) == ([SEATS[2]], [SEATS[0]])
        said = (await running.as_(agency).get(f"{path}/reasons")).json()
        assert {each["agency"]: each["reasons"] for each in said["reasons"]} == {
            DESK: {"mental": "窓口では落ち着いている。"},
            CLINIC: {"mental": "夜、眠れていない。"},
        }
    log = await running.rows("SELECT agency, purpose, basis FROM access_log WHERE action = 'read' ORDER BY id")
    assert [(row["agency"], row["purpose"], row["basis"]) for row in log] == [
        (DESK, "case_conference", "appi_69_2_2"),
        (NPO, "case_conference", "consent"),
        (CLINIC, "case_conference", "consent"),
    ]


async def test_the_agreed_level_is_the_cases_rating_with_its_flag_and_duties_and_there_is_one(
    running: Running, case_id: UUID
) -> None:
    path = await begin(running, case_id)
    for agency in (DESK, NPO, CLINIC):
        await give(running, path, agency, 3, 2, 3, 3, 3)
    body = {"levels": levels(3, 2, 3, 3, 3), "evidence": {"mental": "三者とも同じ見立て。"}}
    assert (await running.as_(NPO).post(f"{path}/agreed", body)).json()["code"] == "not_the_chair"
    agreed = (await running.as_().post(f"{path}/agreed", body)).json()
    assert (agreed["state"], agreed["prolongation_risk"]) == ("agreed", "true")
    second = await running.as_().post(f"{path}/agreed", {"levels": levels(5, 5, 5, 5, 5)})
    assert (second.status_code, second.json()["code"]) == (409, "agreed_already")
    (told,) = await told_of(running, AssessmentRecorded)
    assert (str(told.assessment_id), told.setting) == (agreed["assessment_id"], "joint_conference")
    (listed,) = (await running.as_(NPO).get(f"/v1/cases/{case_id}/assessments")).json()["items"]
    assert sorted(listed["raters"]) == sorted([DESK, NPO, CLINIC])
    assert (await running.as_().get(path)).json()["agreed"] == levels(3, 2, 3, 3, 3)
    assert len(await running.rows("SELECT 1 FROM assessment")) == 1


async def test_two_agreed_levels_at_once_leave_one(running: Running, case_id: UUID) -> None:
    path = await begin(running, case_id)
    await give(running, path, DESK, 3, 2, 3, 3, 3)
    await running.as_().post(f"{path}/close", {})
    answers = await asyncio.gather(
        *(running.as_().post(f"{path}/agreed", {"levels": levels(n, 3, 3, 3, 3)}) for n in range(1, 6))
    )
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409]


async def test_all_give_at_once_and_one_is_the_last(running: Running, case_id: UUID) -> None:
    path = await begin(running, case_id)
    answers = await asyncio.gather(*(give(running, path, agency, 3, 3, 3, 3, 3) for agency in (DESK, NPO, CLINIC)))
    assert {answer.status_code for answer in answers} == {201}
    assert (await running.as_().get(path)).json()["state"] == "side_by_side"
    assert len(await running.rows("SELECT 1 FROM co_rating")) == 3


async def test_the_chair_closes_and_who_is_late_is_told(running: Running, case_id: UUID) -> None:
    path = await begin(running, case_id)
    assert (await running.as_().post(f"{path}/close", {})).json()["code"] == "nobody_rated"
    await give(running, path, NPO, 3, 3, 3, 3, 3)
    early = await running.as_().post(f"{path}/agreed", {"levels": levels(3, 3, 3, 3, 3)})
    assert (early.status_code, early.json()["code"]) == (409, "still_hidden")
    assert (await running.as_(NPO).post(f"{path}/close", {})).json()["code"] == "not_the_chair"
    assert (await running.as_().post(f"{path}/close", {})).json()["state"] == "side_by_side"
    late = await give(running, path, CLINIC, 1, 1, 1, 1, 1)
    assert (late.status_code, late.json()["code"]) == (409, "joint_closed")
    twice = await give(running, path, NPO, 1, 1, 1, 1, 1)
    assert twice.status_code == 409


@pytest.mark.parametrize(
    ("agency", "profession", "values", "status"),
    [
        (NPO, "job_coach", (0, 3, 3, 3, 3), 422),
        (NPO, "job_coach", (6, 3, 3, 3, 3), 422),
        (NPO, "nurse", (3, 3, 3, 3, 3), 403),
        ("kagoshima-city", "nurse", (3, 3, 3, 3, 3), 404),
    ],
)
async def test_who_has_no_seat_and_what_is_no_level_stores_nothing(
    running: Running, case_id: UUID, agency: str, profession: str, values: tuple[int, ...], status: int
) -> None:
    path = await begin(running, case_id)
    body = {"profession": profession, "levels": levels(*values)}
    answer = await running.as_(agency).post(f"{path}/levels", body)
    assert answer.status_code == status, answer.text
    assert await running.rows("SELECT 1 FROM joint_eye") == []


async def test_an_agency_that_consent_does_not_reach_is_not_asked(running: Running) -> None:
    case_id = await known_case(running)
    await consented(running, case_id, NPO)
    answer = await running.as_().post(f"/v1/cases/{case_id}/joint_ratings", {"seats": SEATS})
    assert (answer.status_code, answer.json()["code"]) == (409, "consent_missing")
    assert CLINIC in answer.json()["detail"]
    one = await running.as_().post(f"/v1/cases/{case_id}/joint_ratings", {"seats": SEATS[:1]})
    assert (one.status_code, one.json()["errors"][0]["code"]) == (422, "nobody_else")
    odd = [SEATS[0], {"agency": NPO, "profession": "magician"}]
    assert (await running.as_().post(f"/v1/cases/{case_id}/joint_ratings", {"seats": odd})).status_code == 422


async def test_withdrawn_consent_ends_it_for_the_members_and_not_for_the_holder(
    running: Running, case_id: UUID
) -> None:
    path = await begin(running, case_id)
    await give(running, path, NPO, 3, 3, 3, 3, 3)
    await running.hear(ConsentWithdrawn(case_id=case_id, consent_version=2))
    assert (await running.as_(NPO).get(path)).status_code == 404
    assert (await give(running, path, CLINIC, 3, 3, 3, 3, 3)).status_code == 404
    assert (await running.as_().get(path)).status_code == 200


async def test_words_about_illness_are_withheld_from_members_unless_consent_names_them(running: Running) -> None:
    case_id = await known_case(running)
    await consented(running, case_id, NPO, CLINIC)
    path = await begin(running, case_id)
    for agency in (DESK, NPO, CLINIC):
        reasons = {"mental": f"{agency}の心の見立て", "thinking": f"{agency}の考え"}
        await give(running, path, agency, 3, 3, 3, 3, 3, reasons=reasons)
    said = (await running.as_(NPO).get(f"{path}/reasons")).json()
    assert said["withheld"] == ["mental"]
    shown = {each["agency"]: sorted(each["reasons"]) for each in said["reasons"]}
    assert shown == {DESK: ["thinking"], NPO: ["mental", "thinking"], CLINIC: ["thinking"]}
    assert (await running.as_().get(f"{path}/reasons")).json()["withheld"] == []


async def test_nobody_is_asked_about_a_closed_case_and_a_stranger_hears_of_none(
    running: Running, case_id: UUID
) -> None:
    far = running.as_("kirishima-desk", municipalities=[KIRISHIMA])
    path = await begin(running, case_id)
    assert {
        (await far.get(path)).status_code,
        (await far.get(f"/v1/cases/{case_id}/joint_ratings")).status_code,
        (await far.post(f"/v1/cases/{case_id}/joint_ratings", {"seats": SEATS})).status_code,
        (await far.get(f"/v1/joint_ratings/{uuid4()}")).status_code,
    } == {404}
    await running.hear(CaseClosed(case_id=case_id, agency_id=DESK, ended="goal_reached"))
    refused = await running.as_().post(f"/v1/cases/{case_id}/joint_ratings", {"seats": SEATS})
    assert (refused.status_code, refused.json()["code"]) == (409, "case_closed")
    assert (await give(running, path, NPO, 3, 3, 3, 3, 3)).status_code == 409


# --- agreement ------------------------------------------------------------------------------------------------------


async def test_agreement_is_kappa_over_everything_that_was_rated_together(running: Running) -> None:
    said = [(1, 1), (2, 1), (3, 3), (3, 4), (5, 5), (4, 4)]
    for mine, theirs in said:
        case_id = await known_case(running)
        await consented(running, case_id, NPO)
        path = (await running.as_().post(f"/v1/cases/{case_id}/joint_ratings", {"seats": SEATS[:2]})).json()["joint_id"]
        await give(running, f"/v1/joint_ratings/{path}", DESK, 3, mine, 3, 3, None)
        await give(running, f"/v1/joint_ratings/{path}", NPO, 3, theirs, 3, 4, 3)
    counts = [[0] * 5 for _ in range(5)]
    for mine, theirs in said:
        counts[mine - 1][theirs - 1] += 1
    expected = weighted_kappa(counts)
    assert isinstance(expected, Agreement)
    found = (await running.as_().get("/v1/agreement")).json()["pairs"]
    region = {each["item"]: each["agreement"] for each in found if each["agencies"] is None}
    assert region["mental"]["kappa"] == round(expected.kappa, 4)
    assert (region["mental"]["n"], region["mental"]["few"]) == (6, True)
    assert (region["interpersonal"]["kappa"], region["interpersonal"]["undefined"]) == (None, "no_variation")
    assert region["environment"]["undefined"] == "no_ratings"
    assert {tuple(each["agencies"]) for each in found if each["agencies"]} == {(DESK, NPO)}
    other = (await running.as_(CLINIC).get("/v1/agreement")).json()["pairs"]
    assert [each for each in other if each["agencies"]] == []
    rules = (await running.as_("council", Role.RULES).get("/v1/agreement")).json()["pairs"]
    assert len([each for each in rules if each["agencies"]]) == len(AXES)
    text = str(found)
    assert "career_consultant" not in text  # never per worker


async def test_drift_shows_an_agency_beside_the_others_quarter_by_quarter(running: Running) -> None:
    for shift in (0, 2):
        for level in (1, 2, 3):
            case_id = await known_case(running)
            await consented(running, case_id, NPO)
            made = await running.as_().post(f"/v1/cases/{case_id}/joint_ratings", {"seats": SEATS[:2]})
            path = f"/v1/joint_ratings/{made.json()['joint_id']}"
            await give(running, path, DESK, 3, level, 3, 3, 3)
            await give(running, path, NPO, 3, level + shift, 3, 3, 3)
        running.pass_time(timedelta(days=95))
    for agency, side in ((DESK, "lower"), (NPO, "higher")):
        quarters = (await running.as_(agency).get("/v1/agreement/drift")).json()["quarters"]
        mental = [each for each in quarters if each["item"] == "mental"]
        assert [each["same"] for each in mental] == [3, 0]
        assert [each[side] for each in mental] == [0, 3]
        assert mental[0]["agreement"]["kappa"] == 1


async def test_vignettes_are_rated_once_a_quarter_and_show_the_others_only_then(running: Running) -> None:
    story = {"title": "A", "title_ja": "架空の方", "story": "At home.", "story_ja": "自宅で過ごす。"}
    council = running.as_("council", Role.RULES)
    assert (await running.as_().post("/v1/vignettes", story)).status_code == 403
    vignette = (await council.post("/v1/vignettes", story)).json()["vignette_id"]
    path = f"/v1/vignettes/{vignette}"
    await running.as_().post(f"{path}/levels", {"levels": levels(1, 2, 3, 4, 5)})
    assert (await running.as_(NPO).get(path)).json()["seen"] == []
    seen = (await running.as_(NPO).post(f"{path}/levels", {"levels": levels(1, 2, 3, 4, "not_observed")})).json()
    assert {each["agency"] for each in seen} == {DESK, NPO}
    again = await running.as_(NPO).post(f"{path}/levels", {"levels": levels(5, 5, 5, 5, 5)})
    assert (again.status_code, again.json()["code"]) == (409, "rated_already")
    bad = await running.as_(CLINIC).post(f"{path}/levels", {"levels": {"luck": 1}})
    assert bad.status_code == 422
    on_cases = (await running.as_().get("/v1/agreement")).json()["pairs"]
    assert {each["agreement"]["n"] for each in on_cases} == {0}
    on_vignettes = (await running.as_().get("/v1/agreement", params={"vignettes": True})).json()["pairs"]
    assert {each["item"]: each["agreement"]["n"] for each in on_vignettes if each["agencies"] is None} == {
        **dict.fromkeys(AXES, 1),
        "environment": 0,
    }
    running.pass_time(timedelta(days=95))
    assert (await running.as_(NPO).post(f"{path}/levels", {"levels": levels(3, 3, 3, 3, 3)})).status_code == 201
    listed = [page async for page in running.as_().pages("/v1/vignettes", limit=1)]
    assert [each["vignette_id"] for page in listed for each in page] == [vignette]


async def test_a_rating_alone_tells_nothing_of_agreement(running: Running, case_id: UUID) -> None:
    await rate(running.as_(), case_id, 3, 3, 3, 3, 3)
    assert await running.rows("SELECT 1 FROM co_rating") == []
