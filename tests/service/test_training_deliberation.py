"""分科会: from a motion to a decision in force, over HTTP."""

import asyncio
import csv
import io
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from shared.auth import Role
from shared.events import QuotaDecided, QuotaRatified, QuotaSuperseded
from tests.service.deliberation_room import (
    CHAIR,
    CITY,
    JEED,
    KAGOSHIMA,
    KIRISHIMA,
    RULES,
    SCHOOL,
    VOTERS,
    WORK,
    Room,
    body_of,
    code,
    done,
    line,
    planner,
)
from tests.world import ZAMA, World


@pytest.fixture
async def room(world: World) -> Room:
    return await Room(world.service("training")).set_up()


async def test_a_motion_that_passes_is_a_decision_that_seats_can_rest_on(room: Room) -> None:
    motion = await room.table(allotments=[line(4, lendable=True), line(6, [KIRISHIMA], returns_percent=50)])
    concluded = await room.voted(motion, {CHAIR: "for", CITY: "for", JEED: "against", WORK: "for"})
    assert {name: concluded[name] for name in ("outcome", "entitled", "present", "fors", "againsts")} == {
        "outcome": "passed",
        "entitled": 4,
        "present": 4,
        "fors": 3,
        "againsts": 1,
    }
    decision = await room.decision(concluded["decision_id"])
    assert (decision["number"], decision["version"], decision["state"]) == ("46-2026-001", 1, "in_force")
    assert [
        (each["municipalities"], each["seats"], each["lendable"], each["returns_percent"])
        for each in decision["allotments"]
    ] == [
        ([KAGOSHIMA], 4, True, 100),
        ([KIRISHIMA], 6, False, 50),
    ]
    granted = await room.training.rows("SELECT * FROM decision_allotment ORDER BY number")
    assert [str(row["id"]) for row in granted] == [each["decision_allotment_id"] for each in decision["allotments"]]
    (told,) = [event for event in await room.training.told() if isinstance(event, QuotaDecided)]
    assert (str(told.decision_id), told.prefecture, told.kind, told.urgent) == (
        decision["decision_id"],
        "46",
        "delegated_quota",
        False,
    )
    assert str(told.cut_off_on) == "2027-03-01"


async def test_a_motion_that_is_rejected_grants_nothing(room: Room) -> None:
    motion = await room.table()
    concluded = await room.voted(motion, {CHAIR: "for", CITY: "for", JEED: "against", WORK: "abstain"})
    assert (concluded["outcome"], concluded["decision_id"]) == ("rejected", None)
    assert await room.training.rows("SELECT FROM decision_allotment") == []
    assert await room.training.told() == []
    assert (await done(room.keeper.get(f"/v1/motions/{motion}")))["state"] == "rejected"
    assert await code(await room.put(motion, await room.meet(motion))) == "illegal_move"


async def test_without_a_quorum_nothing_is_decided_and_the_motion_may_come_back(room: Room) -> None:
    motion = await room.table()
    concluded = await room.voted(motion, {CHAIR: "for", CITY: "for"})
    assert concluded["outcome"] == "no_quorum"
    again = await room.voted(motion, {CHAIR: "for", CITY: "for", JEED: "for"})
    assert again["outcome"] == "passed"


async def test_advisers_count_neither_for_the_quorum_nor_for_the_vote(room: Room) -> None:
    motion = await room.table()
    meeting = await room.meet(motion, present=[CHAIR, CITY, SCHOOL])
    await done(room.put(motion, meeting))
    assert await code(await room.vote(motion, SCHOOL)) == "only_advises"
    assert await code(await room.vote(motion, SCHOOL, by=room.keeper)) == "only_advises"
    assert await code(await room.vote(motion, JEED)) == "was_not_there"
    for agency in (CHAIR, CITY):
        await done(room.vote(motion, agency), 201)
    assert (await done(room.conclude(motion)))["outcome"] == "no_quorum"


async def test_a_body_votes_for_its_own_seat_only(room: Room) -> None:
    motion = await room.table()
    await done(room.put(motion, await room.meet(motion)))
    assert (await room.vote(motion, JEED, by=body_of(room.training, CITY))).status_code == 403
    other = room.training.as_("jeed-planner", Role.PLANNER, municipalities=["prefecture:14"])
    assert (await room.vote(motion, JEED, by=other)).status_code == 403
    stranger = body_of(room.training, "kagoshima-npo")
    answer = await stranger.post(f"/v1/motions/{motion}/votes", {"member_id": str(uuid4()), "choice": "for"})
    assert answer.status_code == 403
    await done(room.vote(motion, JEED, "against", by=room.keeper, dissent="実績が足りない"), 201)
    (ballot,) = (await done(room.keeper.get(f"/v1/motions/{motion}")))["ballots"]
    assert [(each["agency"], each["choice"], each["dissent"], each["recorded_by"]) for each in ballot["votes"]] == [
        (JEED, "against", "実績が足りない", "kencho-planner")
    ]


async def test_two_votes_of_one_seat_at_once_are_one(room: Room) -> None:
    motion = await room.table()
    await done(room.put(motion, await room.meet(motion)))
    answers = await asyncio.gather(*(room.vote(motion, CITY, choice) for choice in ("for", "against", "for")))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409]
    assert {await code(answer) for answer in answers if answer.status_code == 409} == {"already_voted"}
    assert len(await room.training.rows("SELECT FROM vote")) == 1


async def test_a_vote_is_closed_once_all_who_are_there_have_voted(room: Room) -> None:
    motion = await room.table()
    meeting = await room.meet(motion)
    await done(room.put(motion, meeting))
    for agency in VOTERS[:3]:
        await done(room.vote(motion, agency), 201)
    assert await code(await room.conclude(motion)) == "votes_are_missing"
    assert await code(await room.keeper.post(f"{room.path}/meetings/{meeting}/close", {})) == "votes_open"
    await done(room.vote(motion, WORK, "abstain"), 201)
    assert (await done(room.conclude(motion)))["outcome"] == "passed"
    assert await code(await room.vote(motion, CHAIR)) == "illegal_move"


async def test_whoever_joins_after_the_roll_was_called_changes_no_quorum(room: Room) -> None:
    motion = await room.table()
    await done(room.put(motion, await room.meet(motion, present=[CHAIR, CITY, JEED])))
    await room.seat("late-body")
    assert await code(await room.vote(motion, "late-body", by=room.keeper)) == "not_on_the_roll"
    for agency in (CHAIR, CITY, JEED):
        await done(room.vote(motion, agency), 201)
    concluded = await done(room.conclude(motion))
    assert (concluded["outcome"], concluded["entitled"]) == ("passed", 4)


async def test_a_written_resolution_needs_a_majority_of_all_and_answers_in_time(room: Room) -> None:
    first, second = await room.table(), await room.table(allotments=[line(2, [KIRISHIMA])])
    until = await room.now() + timedelta(days=3)
    meeting = await room.meet(first, second, answers_by=until)
    for motion in (first, second):
        await done(room.put(motion, meeting))
    assert (await room.vote(first, CHAIR, by=room.keeper)).status_code == 403, "hands are not seen in writing"
    for agency in (CHAIR, CITY, JEED):
        await done(room.vote(first, agency), 201)
    for agency, choice in ((CHAIR, "for"), (CITY, "for"), (JEED, "abstain")):
        await done(room.vote(second, agency, choice), 201)
    assert await code(await room.conclude(first)) == "votes_are_missing"
    room.training.pass_time(timedelta(days=3, seconds=1))
    assert await code(await room.vote(first, WORK)) == "answers_by_passed"
    assert (await done(room.conclude(first)))["outcome"] == "passed"
    rejected = await done(room.conclude(second))
    assert (rejected["outcome"], rejected["fors"], rejected["present"]) == ("rejected", 2, 3)
    await done(room.keeper.post(f"{room.path}/meetings/{meeting}/close", {}))


async def test_a_casting_vote_breaks_a_tie_where_the_rules_say_so(world: World) -> None:
    room = await Room(world.service("training")).set_up(chair_breaks_ties=True)
    tie = {CHAIR: "for", CITY: "for", JEED: "against", WORK: "against"}
    assert (await room.voted(await room.table(), tie))["outcome"] == "passed"
    against = {CHAIR: "against", CITY: "for", JEED: "for", WORK: "against"}
    other = await room.table(allotments=[line(1, [KIRISHIMA])])
    assert (await room.voted(other, against))["outcome"] == "rejected"


# --- amendments -----------------------------------------------------------------------------------------------------


async def test_versions_are_kept_and_what_was_voted_on_is_what_is_decided(room: Room) -> None:
    motion = await room.table()
    first = await room.keeper.get(f"/v1/motions/{motion}")
    body = {
        key: value for key, value in room.motion(allotments=[line(7)]).items() if key not in {"about", "proposed_by"}
    }
    amend = f"/v1/motions/{motion}/amend"
    headers = {"If-Match": first.headers["ETag"]}
    assert (await room.keeper.post(amend, body)).status_code == 428
    assert (await done(room.keeper.post(amend, body, headers=headers)))["version"] == 2
    assert (await room.keeper.post(amend, body, headers=headers)).status_code == 412
    meeting = await room.meet(motion)
    await done(room.put(motion, meeting))
    late = await room.keeper.post(amend, body, headers={"If-Match": '"2"'})
    assert await code(late) == "illegal_move"
    for agency in VOTERS:
        await done(room.vote(motion, agency), 201)
    decision = await room.decision((await done(room.conclude(motion)))["decision_id"])
    assert [each["seats"] for each in decision["allotments"]] == [7]
    assert await code(await room.keeper.post(amend, body, headers={"If-Match": '"2"'})) == "illegal_move"
    versions = (await done(room.keeper.get(f"/v1/motions/{motion}")))["versions"]
    assert [[each["seats"] for each in version["allotments"]] for version in versions] == [[4], [7]]


async def test_a_motion_may_be_withdrawn_while_it_is_voted_on(room: Room) -> None:
    motion = await room.table()
    meeting = await room.meet(motion)
    await done(room.put(motion, meeting))
    await done(room.vote(motion, CHAIR), 201)
    assert (await done(room.keeper.post(f"/v1/motions/{motion}/withdraw", {})))["state"] == "withdrawn"
    assert await code(await room.conclude(motion)) == "illegal_move"
    await done(room.keeper.post(f"{room.path}/meetings/{meeting}/close", {}))


async def test_what_training_teaches_is_decided_like_seats(room: Room) -> None:
    wish = {
        "system": "commissioned_disability",
        "field": "it",
        "wish": "在宅でできる訓練を",
        "target_group": "通院中の方",
    }
    decision = await room.decision(await room.decide(about="training_content", allotments=[], wish=wish))
    assert (decision["kind"], decision["wish"], decision["allotments"]) == ("training_content", wish, [])
    number = await room.keeper.post(
        f"{room.path}/motions",
        room.motion(about="training_content", allotments=[], wish=wish | {"wish": "123456789018"}),
    )
    assert number.status_code == 422
    assert "123456789018" not in number.text


# --- the committee --------------------------------------------------------------------------------------------------


async def test_one_sub_committee_for_each_prefecture_kept_by_its_own_planner(room: Room) -> None:
    body = {"prefecture": "46", "name": "分科会", "set_up_by": "協議会", "in_force_from": "2026-04-01", "rules": RULES}
    assert await code(await room.keeper.post("/v1/sub-committees", body)) == "already_set_up"
    answer = await planner(room.training, "14").post("/v1/sub-committees", body)
    assert answer.status_code == 403
    foreign = planner(room.training, "14")
    motion = await room.table()
    paths = [f"{room.path}/members", f"{room.path}/meetings", f"{room.path}/motions"]
    bodies = [
        {"agency": "x-agency", "office": "課長", "voting": True, "from_on": "2026-04-01"},
        {"held_on": "2026-12-01"},
        room.motion(),
    ]
    answers = [await foreign.post(path, each) for path, each in zip(paths, bodies, strict=True)]
    answers += [await foreign.post(f"/v1/motions/{motion}/{move}", {}) for move in ("withdraw", "conclude")]
    assert {answer.status_code for answer in answers} == {403}
    assert (await room.keeper.post(f"/v1/sub-committees/{uuid4()}/motions", room.motion())).status_code == 404


async def test_members_come_and_go_and_their_end_is_a_fact(room: Room) -> None:
    today = await room.today()
    again = {"agency": CITY, "office": "担当課長", "voting": True, "from_on": today.isoformat()}
    assert await code(await room.keeper.post(f"{room.path}/members", again)) == "already_a_member"
    chair = again | {"agency": "other-bureau", "presides": True}
    assert await code(await room.keeper.post(f"{room.path}/members", chair)) == "chair_already_there"
    end = f"{room.path}/members/{room.seats[CITY]}/end"
    await room.meet(await room.table())
    yesterday = {"until_on": (today - timedelta(days=1)).isoformat()}
    assert await code(await room.keeper.post(end, yesterday)) == "was_there_later"
    await done(room.keeper.post(end, {"until_on": today.isoformat()}))
    assert await code(await room.keeper.post(end, {"until_on": today.isoformat()})) == "membership_ended"
    tomorrow = (today + timedelta(days=1)).isoformat()
    agencies = [
        {each["agency"] for each in await room.keeper.whole(f"{room.path}/members", on=day)}
        for day in (today.isoformat(), tomorrow)
    ]
    assert agencies == [{*VOTERS, SCHOOL}, {*VOTERS, SCHOOL} - {CITY}]
    await done(room.keeper.post(f"{room.path}/members", again | {"from_on": tomorrow}), 201)


async def test_rules_change_from_a_later_day_and_the_versions_stay(room: Room) -> None:
    today, tomorrow = await room.today(), await room.today(1)
    stricter = RULES | {"majority": {"parts": 1, "of": 1, "more_than": False}, "decided_by": "第2回"}
    early = await room.keeper.post(f"{room.path}/rules", stricter | {"in_force_from": today.isoformat()})
    assert await code(early) == "rules_begin_later"
    await done(room.keeper.post(f"{room.path}/rules", stricter | {"in_force_from": tomorrow.isoformat()}), 201)
    three = {CHAIR: "for", CITY: "for", JEED: "for", WORK: "against"}
    assert (await room.voted(await room.table(), three))["outcome"] == "passed"
    room.training.pass_time(timedelta(days=1))
    other = await room.table(allotments=[line(1, [KIRISHIMA])])
    assert (await room.voted(other, three))["outcome"] == "rejected"
    rules = await room.keeper.whole(f"{room.path}/rules")
    assert [each["rule_version"] for each in rules] == [1, 2]
    assert (await done(room.keeper.get(room.path)))["rules"]["rule_version"] == 2


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        ({"quorum": {"parts": 3, "of": 2, "more_than": False}}, "share_out_of_reach"),
        ({"majority": {"parts": 2, "of": 2, "more_than": True}}, "share_out_of_reach"),
        ({"majority": {"parts": 2, "of": 3, "more_than": False}, "chair_breaks_ties": True}, "no_tie_to_break"),
    ],
)
async def test_rules_by_which_nothing_can_be_decided_are_refused(
    world: World, rules: dict[str, object], reason: str
) -> None:
    training = world.service("training")
    body = {
        "prefecture": "46",
        "name": "分科会",
        "set_up_by": "協議会",
        "in_force_from": "2026-04-01",
        "rules": RULES | rules,
    }
    assert await code(await planner(training).post("/v1/sub-committees", body)) == reason


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"allotments": [line(municipalities=[ZAMA])]}, "other_prefecture"),
        ({"allotments": [line(municipalities=[KAGOSHIMA, KAGOSHIMA])]}, "named_twice"),
        ({"allotments": [line(1), line(2)]}, "allotted_twice"),
        ({"allotments": [line(cut_off_on="2026-03-31")]}, "cut_off_before_effect"),
        ({"ends_on": "2027-02-28"}, "cut_off_after_end"),
        ({"ends_on": "2026-03-31"}, "ends_before_it_begins"),
        ({"allotments": []}, "nothing_allotted"),
        ({"about": "training_content"}, "other_kind_of_motion"),
    ],
)
async def test_what_can_not_be_proposed_names_its_rule(room: Room, changes: dict[str, object], reason: str) -> None:
    assert await code(await room.keeper.post(f"{room.path}/motions", room.motion(**changes))) == reason
    assert await room.training.rows("SELECT FROM motion") == []


@pytest.mark.parametrize(
    "allotment",
    [
        line(0),
        line(-1),
        line(10**9),
        line(municipalities=["462011"]),
        line(quarter=5),
        line(returns_percent=0),
        line(course_number="46-1", fiscal_year=2026),
        {"municipalities": [KAGOSHIMA], "seats": 1, "cut_off_on": "2027-01-01"},
    ],
)
async def test_an_allotment_that_says_nothing_clear_is_invalid(room: Room, allotment: dict[str, object]) -> None:
    answer = await room.keeper.post(f"{room.path}/motions", room.motion(allotments=[allotment]))
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"].startswith("/allotments/0")


async def test_a_meeting_goes_from_step_to_step(room: Room) -> None:
    motion = await room.table()
    tomorrow = (await room.today(1)).isoformat()
    meeting = (await done(room.keeper.post(f"{room.path}/meetings", {"held_on": tomorrow}), 201))["meeting_id"]
    at = f"{room.path}/meetings/{meeting}"
    assert await code(await room.keeper.post(f"{at}/convene", {})) == "nothing_on_the_agenda"
    await done(room.keeper.post(f"{at}/agenda", {"title": "案の審議", "motion_id": motion}), 201)
    again = await room.keeper.post(f"{at}/agenda", {"title": "案の審議", "motion_id": motion})
    assert await code(again) == "already_on_the_agenda"
    assert await code(await room.put(motion, meeting)) == "no_votes_are_taken"
    assert await code(await room.keeper.post(f"{at}/hold", {"present": []})) == "illegal_move"
    await done(room.keeper.post(f"{at}/convene", {}))
    assert await code(await room.keeper.post(f"{at}/hold", {"present": []})) == "not_yet_the_day"
    room.training.pass_time(timedelta(days=1))
    strange = {"present": [room.seats[CITY], str(uuid4())]}
    assert await code(await room.keeper.post(f"{at}/hold", strange)) == "no_member_that_day"
    held = await done(room.keeper.post(f"{at}/hold", {"present": [room.seats[CITY]]}))
    assert (held["takes_votes"], held["legal_steps"]) == (True, ["closed"])
    unlisted = await room.table()
    assert await code(await room.put(unlisted, meeting)) == "not_on_the_agenda"
    assert await code(await room.keeper.post(f"{at}/agenda", {"title": "追加"})) == "illegal_move"
    paper = {"title": "資料1", "kind": "statistics", "reference": "https://example.jp/1", "brought_by": CITY}
    await done(room.keeper.post(f"{at}/papers", paper), 201)
    await done(room.keeper.post(f"{at}/close", {}))
    assert await code(await room.keeper.post(f"{at}/papers", paper)) == "illegal_move"
    whole = await done(room.keeper.get(at))
    assert [each["step"] for each in whole["history"]] == ["convened", "held", "closed"]
    assert {each["agency"]: each["present"] for each in whole["roll"]} == dict.fromkeys([*VOTERS, SCHOOL], False) | {
        CITY: True
    }
    assert [each["title"] for each in whole["papers"]] == ["資料1"]
    cancelled = await room.plan([motion])
    assert (await done(room.keeper.post(f"{room.path}/meetings/{cancelled}/cancel", {})))["legal_steps"] == []
    neither = await room.keeper.post(f"{room.path}/meetings", {})
    assert await code(neither) == "day_or_answers_by"


# --- paper and files ------------------------------------------------------------------------------------------------


async def test_the_minutes_print_with_votes_dissent_and_decision(room: Room) -> None:
    motion = await room.table(allotments=[line(4, [KAGOSHIMA, KIRISHIMA])])
    meeting = await room.meet(motion, present=[CHAIR, CITY, JEED])
    await done(room.put(motion, meeting))
    await done(room.vote(motion, JEED, "against", dissent="霧島市の<b>実績</b>が足りない"), 201)
    page = f"{room.path}/meetings/{meeting}/minutes.html"
    assert "これは下書きです" in (await room.keeper.get(page)).text
    for agency in (CHAIR, CITY):
        await done(room.vote(motion, agency), 201)
    await done(room.conclude(motion))
    await done(room.keeper.post(f"{room.path}/meetings/{meeting}/close", {}))
    printed = (await room.keeper.get(page)).text
    for said in ("可決:賛成 2、反対 1、棄権 0", "鹿児島市、霧島市", "欠席", "46-2026-001", "Webデザイン"):
        assert said in printed
    assert "霧島市の&lt;b&gt;実績&lt;/b&gt;が足りない" in printed
    assert "これは下書きです" not in printed


async def test_decisions_as_a_file_have_a_line_for_each_allotment(room: Room) -> None:
    first = await room.decide(allotments=[line(4), line(6, [KIRISHIMA])])
    await room.decide(allotments=[line(9)], supersedes=[first], title="=改定")
    answer = await room.keeper.get("/v1/decisions.csv", params={"prefecture": "46", "encoding": "utf-8"})
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert [(row["決定番号"], row["版"], row["市町村"], row["枠"], row["状態"]) for row in rows] == [
        ("46-2026-001", "1", "鹿児島市", "4", "別の決定に代わられた"),
        ("46-2026-001", "1", "霧島市", "6", "別の決定に代わられた"),
        ("46-2026-002", "2", "鹿児島市", "9", "効力あり"),
    ]
    assert rows[2]["件名"].startswith("'="), "no formula in a spreadsheet"
    plain = await room.keeper.get("/v1/decisions.csv", params={"prefecture": "46"})
    assert "決定番号" in plain.content.decode("cp932")


async def test_decisions_are_found_by_municipality_and_prefecture_page_by_page(room: Room) -> None:
    one = await room.decide()
    both = await room.decide(allotments=[line(2, [KAGOSHIMA, KIRISHIMA], field="care")])
    found = await room.keeper.whole("/v1/decisions", municipality=KAGOSHIMA, limit=1)
    assert [each["decision_id"] for each in found] == [one, both]
    found = await room.keeper.whole("/v1/decisions", municipality=KIRISHIMA)
    assert [each["decision_id"] for each in found] == [both]
    assert await room.keeper.whole("/v1/decisions", prefecture="14") == []
    answer = await room.keeper.get(f"/v1/decisions/{UUID(int=1)}")
    assert answer.status_code == 404


async def test_days_beyond_our_time_are_refused_and_break_nothing(room: Room) -> None:
    for path, params in (
        ("/v1/decisions", {"in_force_on": "9999-12-31"}),
        ("/v1/decisions.csv", {"in_force_on": "0001-01-01", "prefecture": "46"}),
        (f"{room.path}/members", {"on": "9999-12-31"}),
    ):
        assert (await room.keeper.get(path, params=params)).status_code == 422
    late = {"answers_by": "9999-12-31T23:59:59Z"}
    assert (await room.keeper.post(f"{room.path}/meetings", late)).status_code == 422


async def test_every_event_of_a_decision_has_the_next_number(room: Room) -> None:
    motion = await room.table()
    urgent = (await done(room.decide_urgently(motion)))["decision_id"]
    await room.voted(motion, dict.fromkeys(VOTERS, "for"))
    await room.decide(allotments=[line(9)], supersedes=[urgent])
    rows = await room.training.rows(
        "SELECT number, news FROM decision_told WHERE decision_id = $1 ORDER BY number", UUID(urgent)
    )
    assert [(row["number"], row["news"]) for row in rows] == [(1, "decided"), (2, "ratified"), (3, "superseded")]
    told = await room.training.told()
    assert [type(each) for each in told] == [QuotaDecided, QuotaRatified, QuotaDecided, QuotaSuperseded]
