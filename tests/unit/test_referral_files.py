"""The directory as CSV and as HSDS, there and back: whatever an entry says comes back as it went out."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import date
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from services.referral.api import cells, hsds_document
from services.referral.api.files import agency_entry, programme_entry, workplace_entry
from services.referral.api.hsds import HsdsRow, read_hsds
from services.referral.api.rows import (
    AgencyRow,
    Columns,
    DirectoryRow,
    FirmRow,
    ProfessionalRow,
    ProgrammeRow,
    WorkplaceRow,
)
from services.referral.domain.directory import ACTS, Channel, Room, TrialStep, room_fault
from services.referral.domain.firms import Firm, FirmState, firm_fault
from services.referral.domain.options import Capacity, Stage
from services.referral.handlers.directory import (
    AgencyEntry,
    Entry,
    FirmEntry,
    ProfessionalEntry,
    ProgrammeEntry,
    WorkplaceEntry,
)
from services.referral.tables.vocabulary import vocabulary
from shared.auth import Actor
from shared.problems import Problem
from shared.service.exports import Encoding, csv_answer
from shared.service.imports.rows import look_through
from shared.service.imports.sheet import as_meant

ACTOR = Actor("client", "keeper", "municipality", frozenset({"462012"}), frozenset({"directory"}), ())
AREAS = ["462012", "462187", "142166", "460001"]


def kept(row: DirectoryRow) -> Any:
    """The entry that a row makes."""
    match row:
        case AgencyRow():
            return agency_entry(row, ACTOR)
        case ProgrammeRow():
            return programme_entry(row, ACTOR)
        case ProfessionalRow():
            return ProfessionalEntry(**row.model_dump())
        case WorkplaceRow():
            return workplace_entry(row, ACTOR)
        case FirmRow():
            return FirmEntry(**row.model_dump())
        case _:
            raise AssertionError


# --- any entry -------------------------------------------------------------------------------------------------------


def normal(kind: Any) -> Any:
    """Texts of a type as they are kept: read once, they stay as they are."""
    adapter = TypeAdapter[str](kind)

    def read(text: str) -> str | None:
        try:
            return adapter.validate_python(text)
        except ValidationError:
            return None

    def texts(alphabet: Any, most: int) -> Any:
        found = st.text(alphabet, min_size=1, max_size=most).map(read)
        return found.filter(lambda text: text is not None and read(text) == text)

    return texts


def _in_cp932(character: str) -> bool:
    try:
        return character.encode("cp932").decode("cp932") == character
    except UnicodeError:
        return False


CP932 = st.characters(exclude_categories=("Cs", "Cc", "Cn")).filter(_in_cp932) | st.sampled_from(
    "=+-@＝'\"、,|｜～－∥￠￡①㈱髙﨑ｱ 　桜会"
)
ANY = st.characters(exclude_categories=("Cs", "Cc", "Cn")) | st.sampled_from("=+-@'\"|𠮷〜é\n")
codes = st.from_regex(r"[a-z][a-z0-9_]{0,12}", fullmatch=True)
days = st.dates(date(2000, 1, 1), date(2100, 1, 1))
areas = st.lists(st.sampled_from(AREAS), unique=True)
clock = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.integers(0, 59))
hours = st.builds(
    lambda day, a, b: {"weekday": day, "opens": min(a, b), "closes": max(a, b)}, st.integers(0, 6), clock, clock
)
phones = st.none() | st.sampled_from(["099-000-0000", "+81 99-000-0000", "0990000000"])
numbers = st.none() | st.just("7000012050002")
places = st.integers(0, 9_999)


def names(alphabet: Any) -> Any:
    return normal(cells.Name)(alphabet, 20)


def lines(alphabet: Any) -> Any:
    return normal(cells.OneLine)(alphabet, 12).filter(lambda text: "｜" not in text)


def sorted_hours(found: list[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    unique = {tuple(each.items()): each for each in found if each["opens"] < each["closes"]}
    return tuple(sorted(unique.values(), key=lambda each: (each["weekday"], each["opens"], each["closes"])))


def agencies(alphabet: Any) -> st.SearchStrategy[Entry]:
    line = lines(alphabet)
    desks = st.fixed_dictionaries({"name": line, "phone": phones, "kind": st.none() | codes, "hours": st.none() | line})
    return st.builds(
        AgencyEntry,
        agency_id=st.sampled_from(["sakura-npo", "zama-npo"]),
        corporate_number=numbers,
        name=names(alphabet),
        kana=names(alphabet),
        kind=st.sampled_from(sorted(vocabulary().kinds)),
        municipality=st.sampled_from(AREAS),
        municipalities_served=areas.filter(bool).map(tuple),
        phone=phones,
        confirmed_by=names(alphabet),
        confirmed_on=days,
        desks=st.lists(desks, max_size=3).map(tuple),
        opening_hours=st.lists(hours, max_size=4).map(sorted_hours),
        closed_weekdays=st.sets(st.integers(0, 6)).map(lambda found: tuple(sorted(found))),
        closed_days=st.sets(days, max_size=4).map(lambda found: tuple(sorted(found))),
        contact_email=st.just("a@example.jp"),
        contact_channel=st.none() | st.sampled_from(Channel),
    )


@st.composite
def programmes(draw: st.DrawFn, alphabet: Any) -> Entry:
    state, total = draw(st.sampled_from(Capacity)), draw(st.none() | places)
    free = draw(st.none() | places)
    assume(room_fault(Room(state, total, free)) is None)
    starts, ends = draw(st.none() | days), draw(st.none() | days)
    assume(starts is None or ends is None or starts <= ends)
    said_on = draw(days if state is not Capacity.UNKNOWN else st.none() | days)
    condition = st.fixed_dictionaries({"code": codes, "text_ja": lines(alphabet)})
    few = st.none() | st.integers(1, 60)
    return ProgrammeEntry(
        agency_id="sakura-npo",
        programme_code=draw(codes),
        name=draw(names(alphabet)),
        function=draw(st.sampled_from(sorted(vocabulary().functions))),
        strand=draw(st.integers(1, 6)),
        stage=draw(st.sampled_from(Stage)),
        municipalities=tuple(draw(areas)),
        needs=tuple(draw(st.lists(st.sampled_from(sorted(vocabulary().needs)), unique=True, max_size=3))),
        capacity_state=state,
        confirmed_by=draw(names(alphabet)),
        confirmed_on=draw(days),
        for_whom=tuple(draw(st.lists(st.sampled_from(sorted(vocabulary().targets)), unique=True, max_size=3))),
        conditions=tuple(draw(st.lists(condition, max_size=3))),
        legal_basis=draw(st.none() | st.sampled_from([*ACTS, "self_reliance_act_3", "social_welfare_act_106_4"])),
        starts_on=starts,
        ends_on=ends,
        capacity_total=total,
        capacity_free=free,
        capacity_confirmed_on=said_on,
        acknowledge_days=draw(few),
        contact_days=draw(few),
        start_days=draw(few),
    )


def professionals(alphabet: Any) -> st.SearchStrategy[Entry]:
    return st.builds(
        ProfessionalEntry,
        agency_id=st.just("sakura-npo"),
        profession=st.sampled_from(sorted(vocabulary().professions)),
        count=places,
        municipalities=areas.map(tuple),
        confirmed_by=names(alphabet),
        confirmed_on=days,
    )


@st.composite
def trial_steps(draw: st.DrawFn) -> tuple[dict[str, Any], ...]:
    found = []
    for step in TrialStep:
        if draw(st.booleans()):
            total = draw(places)
            found.append({"step": step, "places": total, "free": draw(st.none() | st.integers(0, total))})
    return tuple(found)


def workplaces(alphabet: Any) -> st.SearchStrategy[Entry]:
    return st.builds(
        WorkplaceEntry,
        agency_id=st.just("sakura-npo"),
        workplace_code=codes,
        corporate_number=numbers,
        name=names(alphabet),
        municipality=st.sampled_from(AREAS),
        industry=st.sampled_from(sorted(vocabulary().industries)),
        steps=trial_steps(),
        confirmed_by=names(alphabet),
        confirmed_on=days,
        steps_said_on=days,
    )


@st.composite
def firms(draw: st.DrawFn, alphabet: Any) -> Entry:
    state = draw(st.sampled_from(FirmState))
    on_its_way = state in {FirmState.INTERESTED, FirmState.APPLYING}
    certified = state is FirmState.CERTIFIED
    firm = Firm(
        state,
        follow_up_on=draw(days if on_its_way else st.none() | days),
        certified_on=None if on_its_way else draw(days if certified else st.none() | days),
        certified_by=None
        if on_its_way
        else draw(st.just("460001") if certified else st.sampled_from([None, "460001"])),
    )
    assert firm_fault(firm) is None
    return FirmEntry(
        agency_id="sakura-npo",
        firm_code=draw(codes),
        corporate_number=draw(numbers),
        name=draw(names(alphabet)),
        municipality=draw(st.sampled_from(AREAS)),
        industry=draw(st.sampled_from(sorted(vocabulary().industries))),
        confirmed_by=draw(names(alphabet)),
        confirmed_on=draw(days),
        **asdict(firm),
    )


KINDS: Mapping[type[DirectoryRow], Any] = {
    AgencyRow: agencies,
    ProgrammeRow: programmes,
    ProfessionalRow: professionals,
    WorkplaceRow: workplaces,
    FirmRow: firms,
}


# --- CSV -------------------------------------------------------------------------------------------------------------


def there_and_back(row: type[DirectoryRow], entry: Any, encoding: Encoding, columns: Columns = Columns.OURS) -> Any:
    content = csv_answer("file", [row.header(columns), row.line(asdict(entry))], encoding).body
    rows = look_through(bytes(content), row)
    assert rows.faults.total == 0, rows.faults.words()
    ((_, read),) = rows.good
    assert read.told == set(row.model_fields)
    return kept(read)


@pytest.mark.parametrize("row", KINDS, ids=lambda row: row.__name__)
def test_any_entry_comes_back_from_cp932_as_it_went(row: type[DirectoryRow]) -> None:
    @given(KINDS[row](CP932))
    def comes_back(entry: Any) -> None:
        assert there_and_back(row, entry, Encoding.CP932) == entry

    comes_back()


@pytest.mark.parametrize("row", KINDS, ids=lambda row: row.__name__)
def test_any_entry_comes_back_from_utf_8_as_it_went(row: type[DirectoryRow]) -> None:
    @given(KINDS[row](ANY))
    def comes_back(entry: Any) -> None:
        assert there_and_back(row, entry, Encoding.UTF_8) == entry

    comes_back()


@pytest.mark.parametrize("row", KINDS, ids=lambda row: row.__name__)
def test_any_entry_comes_back_under_the_frameworks_names(row: type[DirectoryRow]) -> None:
    @given(KINDS[row](CP932))
    def comes_back(entry: Any) -> None:
        assert there_and_back(row, entry, Encoding.CP932, Columns.GIF) == entry

    comes_back()


GIF = {
    AgencyRow: "pd:ID pd:法人番号 pd:名称 pd:名称（カナ） pd:種別情報 pd:全国地方公共団体コード pd:連絡先電話番号"
    " pd:連絡先メールアドレス",
    ProgrammeRow: "ad:実施組織・支援機関 ad:制度番号 ad:タイトル（制度名） ad:サービス種別 ad:地域 ad:お困りごと"
    " ad:対象者 ad:対象者条件 ad:根拠法令",
    ProfessionalRow: "",
    WorkplaceRow: "pd:事業所ID pd:事業所名 pd:法人番号 pd:全国地方公共団体コード pd:事業種目",
    FirmRow: "pd:ID pd:商号または名称 pd:法人番号 pd:全国地方公共団体コード pd:事業種目",
}
"""Item names of digital-go-jp/GIF: 434 (法人・事業所), 451-4, 451-7 with 住所 and 連絡先. None for professionals."""


@pytest.mark.parametrize("row", KINDS, ids=lambda row: row.__name__)
def test_the_frameworks_names_are_written_where_it_has_them(row: type[DirectoryRow]) -> None:
    ours, gif = row.header(), row.header(Columns.GIF)
    assert set(gif) - set(ours) == set(GIF[row].split())
    assert len(set(gif)) == len(gif) == len(ours)


def test_a_character_that_cp932_lacks_is_refused_with_its_row_and_never_becomes_a_question_mark() -> None:
    header = ProfessionalRow.header()
    line = ["sakura-npo", "nurse", "1", "", "𠮷田", "2026-11-01"]
    with pytest.raises(Problem) as refused:
        csv_answer("file", [header, line], Encoding.CP932)
    (error,) = refused.value.members["errors"]
    assert (error["row"], error["column"], error["character"]) == (2, "確認者", "U+20BB7")


# --- HSDS ------------------------------------------------------------------------------------------------------------

HSDS = {
    "organization": "id name alternate_name description email website additional_websites tax_status tax_id"
    " year_incorporated legal_status logo uri parent_organization_id funding contacts phones locations programs"
    " organization_identifiers attributes metadata",
    "service": "id organization_id program_id name alternate_name description url additional_urls email status"
    " interpretation_services application_process fees_description wait_time fees accreditations"
    " eligibility_description minimum_age maximum_age assured_date assurer_email licenses alert last_modified phones"
    " schedules service_areas service_at_locations languages organization funding cost_options program"
    " required_documents contacts attributes metadata service_capacity capacities",
    "schedules": "id service_id location_id service_at_location_id valid_from valid_to dtstart timezone until count"
    " wkst freq interval byday byweekno bymonthday byyearday description opens_at closes_at schedule_link"
    " attending_type notes attributes metadata",
    "service_areas": "id service_id service_at_location_id name description extent extent_type uri attributes metadata",
    "service_capacity": "id service_id unit unit_id available maximum description updated",
    "attributes": "id link_id taxonomy_term_id link_type link_entity value taxonomy_term metadata label",
    "locations": "id location_type url organization_id name alternate_name description transportation latitude"
    " longitude external_identifier external_identifier_type languages addresses contacts accessibility phones"
    " schedules attributes metadata",
    "service_at_locations": "id service_id location_id description service_areas contacts phones schedules location"
    " attributes metadata",
}
"""The names of fields in openreferral/specification, `schema/*.json`."""
REQUIRED = {
    "organization": {"id", "name", "description"},
    "service": {"id", "name", "status"},
    "service_capacity": {"id", "unit", "available", "updated"},
    "locations": {"id", "location_type"},
}


def fits(kind: str, found: Mapping[str, Any]) -> None:
    unknown = {name for name in found if not name.startswith("x-")} - set(HSDS[kind].split())
    assert unknown == set(), kind
    assert {name for name in REQUIRED.get(kind, {"id"}) if found.get(name) is None} == set()
    for name, parts in found.items():
        if name in HSDS and isinstance(parts, list):
            for part in parts:
                fits(name, part)


def once(key: str) -> Any:
    return lambda entry: getattr(entry, key)


@given(
    agencies(ANY),
    st.lists(programmes(ANY), max_size=2, unique_by=once("programme_code")),
    st.lists(professionals(ANY), max_size=2, unique_by=once("profession")),
    st.lists(workplaces(ANY), max_size=2, unique_by=once("workplace_code")),
    st.lists(firms(ANY), max_size=2, unique_by=once("firm_code")),
    days,
)
def test_any_directory_comes_back_from_hsds_as_it_went(
    agency: Any, offers: Any, people: Any, hosts: Any, on_the_way: Any, today: date
) -> None:
    own = {"agency_id": agency.agency_id}
    within = {"professional": people, "host_workplace": hosts, "training_firm": on_the_way}
    organization = hsds_document.organization(
        asdict(agency), {kind: [asdict(each) | own for each in found] for kind, found in within.items()}
    )
    services = [hsds_document.service(asdict(each) | own | {"id": uuid4()}, today) for each in offers]
    fits("organization", organization)
    for service, offer in zip(services, offers, strict=True):
        fits("service", service)
        ended = offer.ends_on is not None and offer.ends_on < today
        assert service["status"] == ("inactive" if ended else "active")
    rows = read_hsds(json.dumps({"organizations": [organization], "services": services}).encode(), HsdsRow)
    assert rows.faults.total == 0, rows.faults.words()
    ((_, read),) = rows.good
    assert kept(read.agency) == agency
    for name, before in {
        "programmes": offers,
        "professionals": people,
        "host_workplaces": hosts,
        "training_firms": on_the_way,
    }.items():
        assert [asdict(kept(row)) for row in getattr(read, name)] == [asdict(each) | own for each in before]


def test_another_systems_document_is_read_as_far_as_it_speaks() -> None:
    organization = {
        "id": "o",
        "name": "桜の会",
        "description": "x",
        "organization_identifiers": [{"id": "i", "identifier_scheme": "tsunagu-agency", "identifier": "sakura-npo"}],
    }
    entries = hsds_document.entries(
        organization,
        [
            {
                "id": "s",
                "name": "居場所",
                "status": "active",
                "assured_date": "2026-04-01",
                "service_capacity": [{"id": "c", "available": 2, "maximum": 5, "updated": "2026-04-02T10:00:00+09:00"}],
            }
        ],
    )
    (programme,) = entries["programmes"]
    assert (programme["capacity_state"], programme["capacity_free"], programme["capacity_total"]) == ("has_room", 2, 5)
    assert (programme["confirmed_on"], programme["capacity_confirmed_on"]) == ("2026-04-01", "2026-04-02")
    assert "kana" not in entries["agency"]


# --- what offices write ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "read"),
    [
        ("土 日", (5, 6)),
        ("土、日", (5, 6)),
        ("日曜日・水曜", (2, 6)),
        ("なし", ()),
        ("", None),
        ("週末", None),
    ],
)
def test_weekdays_are_read_as_offices_write_them(cell: str, read: tuple[int, ...] | None) -> None:
    if read is None:
        with pytest.raises(ValueError, match="weekdays"):
            cells.read_weekdays(cell)
    else:
        assert cells.read_weekdays(cell) == read


def test_hours_are_read_as_offices_write_them() -> None:
    found = cells.read_hours("月－金 8:30～17:15、土 9:00-12:00")
    assert len(found) == 6
    assert found[0] == {"weekday": 0, "opens": "08:30", "closes": "17:15"}
    assert found[5] == {"weekday": 5, "opens": "09:00", "closes": "12:00"}
    for wrong in ("平日", "月 8:30", "月-金 8時から"):
        with pytest.raises(ValueError, match="hours"):
            cells.read_hours(wrong)


def test_trial_places_are_read_as_offices_write_them() -> None:
    assert cells.read_steps("見学:3/1、week:2") == (
        {"step": TrialStep.VISIT, "places": 3, "free": 1},
        {"step": "week", "places": 2, "free": None},
    )


@pytest.mark.parametrize(
    ("header", "row", "field", "value"),
    [
        ("pd:名称（カナ）", AgencyRow, "kana", "サクラ"),
        ("連絡先電話番号", AgencyRow, "phone", "099-000-0000"),
        ("全国地方公共団体コード", AgencyRow, "municipality", "462012"),
        ("ad:根拠法令", ProgrammeRow, "legal_basis", "self_reliance_act_3"),
        ("お困りごと", ProgrammeRow, "needs", "isolation"),
    ],
)
def test_the_frameworks_names_of_columns_are_known(header: str, row: Any, field: str, value: str) -> None:
    lines = {
        AgencyRow: ["sakura-npo", "", "桜", "サ", "npo", "462012", "462012", "", "課", "2026-11-01"],
        ProgrammeRow: ["sakura-npo", "a", "桜", "outreach", "4", "訪問", "", "", "", "2026-11-01"],
    }
    columns = dict(zip(row.header(), lines[row], strict=False))
    label = row.model_fields[field].alias
    columns.pop(label, None)
    text = f"{','.join([*columns, header])}\n{','.join([*columns.values(), value])}\n"
    rows = look_through(text.encode(), row)
    assert rows.faults.total == 0, rows.faults.words()
    assert field in rows.good[0][1].told


_CONFIRMED = {"確認者": "課", "確認日": "2026-11-01"}
_FIRM = {"所在地コード": "462012", "業種コード": "food", **_CONFIRMED}
GOOD: dict[Any, dict[str, str]] = {
    AgencyRow: {
        "機関ID": "sakura-npo",
        "名称": "桜",
        "カナ": "サ",
        "種別": "npo",
        "所在地コード": "462012",
        "対象地域コード": "462012",
        **_CONFIRMED,
    },
    ProgrammeRow: {
        "機関ID": "sakura-npo",
        "事業コード": "a",
        "事業名": "桜",
        "支援機能": "居場所",
        "系統": "4",
        "段階": "居場所",
        "定員": "10",
        "空き状況": "空きあり",
        "開始日": "2026-11-02",
        **_CONFIRMED,
    },
    WorkplaceRow: {"機関ID": "sakura-npo", "事業所コード": "a", "事業所名": "桜", **_FIRM},
    FirmRow: {
        "機関ID": "sakura-npo",
        "事業者コード": "a",
        "事業者名": "桜",
        **_FIRM,
        "次の連絡日": "2026-11-01",
        "状態": "関心あり",
    },
}


def as_file(row: type[DirectoryRow], line: Mapping[str, str]) -> Any:
    return look_through(f"{','.join(line)}\n{','.join(line.values())}\n".encode(), row)


@pytest.mark.parametrize(
    ("row", "column", "value", "why"),
    [
        (ProgrammeRow, "支援機能", "drop_in_spase", "近いコード: drop_in_space"),
        (ProgrammeRow, "対象者コード", "youths", "近いコード: youth"),
        (ProgrammeRow, "根拠", "self_help", "self_reliance_act_3"),
        (ProgrammeRow, "終了日", "2020-01-01", "始まりの日より前"),
        (ProgrammeRow, "空き数", "11", "定員より多く"),
        (AgencyRow, "連絡方法", "メール", "連絡先メール"),
        (AgencyRow, "受付時間", "月 17:00-09:00", "受付時間"),
        (AgencyRow, "定休日", "祝", "曜日"),
        (WorkplaceRow, "受入れ段階", "見学:3/4", "定員より多く"),
        (WorkplaceRow, "受入れ段階", "見学:3、見学:4", "受入れ段階"),
        (FirmRow, "状態", "認定", "認定日"),
        (FirmRow, "次の連絡日", "", "次の連絡日"),
    ],
)
def test_a_wrong_cell_is_told_with_its_remedy(row: type[DirectoryRow], column: str, value: str, why: str) -> None:
    assert as_file(row, GOOD[row]).faults.total == 0
    rows = as_file(row, GOOD[row] | {column: value})
    ((_, fault),) = rows.faults.first(9)
    assert fault.column in {column, "状態"}
    assert why in fault.message_ja
    assert not value.isascii() or not value or value not in fault.message_ja, "what was sent is not said again"


def test_a_formula_is_defused_on_the_way_out_and_read_back() -> None:
    assert as_meant("'=1+1") == "=1+1"
