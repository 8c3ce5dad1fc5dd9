"""The demonstration region: the real notice's quota and real codes; agencies, courses and persons that are invented."""

import csv
from collections import Counter
from datetime import date
from io import StringIO

import pytest

from demo.client import REGION, demo_agencies, municipality_names
from demo.load import (
    as_file,
    coordinators,
    course_run_file,
    directory_file,
    invented_number,
    neighbours,
    popular_course_file,
)
from demo.persons import invent
from demo.play import POPULAR_SEATS
from services.referral.api.rows import AgencyRow, DirectoryRow, FirmRow, ProfessionalRow, ProgrammeRow, WorkplaceRow
from services.referral.domain.options import Stage
from shared.codes import is_corporate_number, is_municipality_code
from shared.service.imports.rows import look_through

TODAY = date(2026, 11, 25)


def rows(name: str, encoding: str = "cp932") -> list[dict[str, str]]:
    return list(csv.DictReader(StringIO((REGION / name).read_bytes().decode(encoding))))


AGENCIES, PROGRAMMES, COURSES = (
    rows("agencies.csv"),
    rows("programmes.csv", "utf-8-sig"),
    rows("course_runs.csv", "utf-8-sig"),
)


def test_the_seats_are_those_of_the_notice_of_kagoshima_for_october_to_december_2022() -> None:
    seats: Counter[str] = Counter()
    for course in COURSES:
        seats[course["分野"]] += int(course["定員"])
    assert seats.pop("basic") == 326
    assert seats == {
        "care": 80, "medical_office": 75, "it": 59, "web_design": 60, "sales_office": 72, "regional_needs": 48,
        "other": 48,
    }  # fmt: skip
    assert seats.total() == 442


def test_every_code_is_real_and_every_number_is_right_but_nobodys() -> None:
    codes = set(municipality_names()) | {code for each in demo_agencies() for code in each["municipalities"]}
    codes |= {row["所在地コード"] for row in (*AGENCIES, *COURSES)}
    assert [code for code in codes if not is_municipality_code(code) and not code.startswith("prefecture:")] == []
    numbers = {row["法人番号"] for row in AGENCIES} - {""} | {invented_number(row["機関ID"]) for row in AGENCIES}
    assert [number for number in numbers if not (is_corporate_number(number) and number[1:5] == "9999")] == []


def test_cities_that_border_on_one_another_are_neighbours_of_one_another() -> None:
    known, names = neighbours(), municipality_names()
    assert known.keys() == names.keys()
    assert [(town, near) for town, all_near in known.items() for near in all_near if town not in known[near]] == []
    assert [town for town, near in known.items() if town in near or len(set(near)) < len(near)] == []
    assert [names[town] for town, near in known.items() if not near] == ["西之表市", "奄美市"], "islands"
    assert {names[near] for near in known["462012"]} == {
        "日置市", "薩摩川内市", "姶良市", "垂水市", "指宿市", "南さつま市", "南九州市",
    }  # fmt: skip


def test_the_regions_directory_fits_the_lists_of_codes() -> None:
    files: dict[str, type[DirectoryRow]] = {
        "agencies.csv": AgencyRow,
        "programmes.csv": ProgrammeRow,
        "professionals.csv": ProfessionalRow,
        "host_workplaces.csv": WorkplaceRow,
        "training_firms.csv": FirmRow,
    }
    for name, row in files.items():
        found = look_through(directory_file(name, TODAY), row)
        assert (found.faults.words(), found.ignored_columns) == ({}, []), name


def test_who_and_what_is_invented_says_so() -> None:
    names = [each["name"] for each in demo_agencies()]
    names += [row["名称"] for row in AGENCIES] + [row["講座名"] for row in COURSES]
    assert [name for name in names if not name.startswith("(架空)")] == []


def test_whoever_is_named_in_a_file_is_in_the_directory_and_can_call() -> None:
    listed, callers = {row["機関ID"] for row in AGENCIES}, {each["agency"] for each in demo_agencies()}
    named = {row["機関ID"] for row in PROGRAMMES} | {row["実施機関ID"] for row in COURSES}
    assert named <= listed
    assert named <= callers
    for name in ("professionals.csv", "host_workplaces.csv", "training_firms.csv"):
        assert {row["機関ID"] for row in rows(name, "utf-8-sig")} <= callers
    assert set(coordinators()) == set(municipality_names())
    assert set(coordinators().values()) <= callers


def test_every_rung_of_the_ladder_has_a_programme_but_the_courses_own() -> None:
    assert {row["段階"] for row in PROGRAMMES} == {stage.value for stage in Stage} - {"vocational_training"}


def test_the_directory_is_confirmed_on_the_day_on_which_it_is_loaded() -> None:
    for name, encoding in (("agencies.csv", "cp932"), ("programmes.csv", "utf-8-sig")):
        loaded = csv.DictReader(StringIO(directory_file(name, TODAY).decode(encoding)))
        assert {row["確認日"] for row in loaded} == {"2026-11-25"}


def test_files_are_sent_as_an_office_saves_them() -> None:
    assert (REGION / "agencies.csv").read_bytes()[:3] != b"\xef\xbb\xbf"
    assert (REGION / "programmes.csv").read_bytes()[:3] == b"\xef\xbb\xbf"
    for file in (course_run_file(TODAY), popular_course_file(TODAY, "46-x", capacity=12, delegated=""), as_file([])):
        assert "講座番号" in file.decode("cp932").splitlines()[0]


@pytest.mark.parametrize("seed", range(40))
def test_whatever_the_dice_say_everything_happens_that_the_play_is_to_show(seed: int) -> None:
    persons = invent(120, seed)
    assert persons == invent(120, seed)
    assert {person.consent for person in persons} == {"given", "not_yet", "refused"}
    assert {person.way for person in persons} == {"popular", "course", "programme"}
    assert len({person.agency for person in persons}) > 4
    assert sum(person.lets_expire for person in persons) == 3
    assert sum(person.way == "popular" and person.consent == "given" for person in persons) > POPULAR_SEATS
