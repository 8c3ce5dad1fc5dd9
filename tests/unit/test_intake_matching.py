"""The same person at two doors, as plain values: which writings are alike, and how far likeness goes."""

import itertools
import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.intake.domain.matching import (
    COMPARED,
    CONTACT,
    FROM,
    Kind,
    Likelihood,
    Likeness,
    MatchReason,
    comparable,
    compared_as,
    email,
    finds,
    is_dayless,
    likeness,
    name,
    phone,
    reading,
    reindexed,
    worth,
)

HANAKO = {
    "name": "架空 花子", "kana": "カクウ ハナコ", "birth_date": "1985-04-01",
    "phone": "099-000-0000", "other_phone": "090-0000-0001", "email": "hanako@example.jp",
}  # fmt: skip


def compare(ours: dict[str, str], theirs: dict[str, str], *, masked: bool = False) -> Likeness:
    """As the tables do it, without keys."""
    here, there = comparable(ours), comparable(theirs)
    agreeing = {
        (mine, other)
        for mine, other in itertools.product(here, there)
        if compared_as(mine) == compared_as(other) and here[mine] == there[other]
    }
    days = {here.get(Kind.BIRTH_DATE), there.get(Kind.BIRTH_DATE)} - {None}
    return likeness(agreeing, other_birth_date=len(days) > 1, masked=masked)


# --- writings -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "alike",
    [
        ("さとう　ひろし", "サトウヒロシ", "ｻﾄｳ ﾋﾛｼ", "サトー・ヒロシ", "サトオ　ヒロシ", "サト-ヒロシ"),
        ("しょうじ ゆうこ", "シヨウジ ユウコ", "ショージ ユーコ"),
        ("けいこ", "ケーコ", "ケエコ"),
        ("ヴィクトル", "ビクトル", "ヴイクトル", "ｳﾞｨｸﾄﾙ"),
        ("ルヴァン", "ルバン"),
        ("いづみ", "イズミ"),
        ("かおり", "カヲリ"),
        ("はっとり", "ハツトリ"),
        ("Nguyen Van An", "NGUYEN　VAN AN"),
    ],
)
def test_one_reading_is_one_however_it_is_written(alike: tuple[str, ...]) -> None:
    assert len({reading(each) for each in alike}) == 1


@pytest.mark.parametrize(
    "different", [("オオノ", "オノ"), ("キョウコ", "キヨコ"), ("ユウ", "ユ"), ("ハナコ", "バナコ"), ("アンナ", "アナ")]
)
def test_two_readings_are_two(different: tuple[str, str]) -> None:
    assert reading(different[0]) != reading(different[1])


KANA = st.text(
    st.sampled_from(
        "アイウエオカガキギクグケゲコゴサシスセソタダチッツテデトドナハバパヒピフヘホマミムメモヤャユュヨョラリルレロワンヴー"
    ),
    max_size=12,
)
HALF = str.maketrans(
    {
        **dict(zip("アイウエオカキクケコサシスセソタチツテトナハヒフヘホマミムメモヤユヨラリルレロワンッャュョー",
                   "ｱｲｳｴｵｶｷｸｹｺｻｼｽｾｿﾀﾁﾂﾃﾄﾅﾊﾋﾌﾍﾎﾏﾐﾑﾒﾓﾔﾕﾖﾗﾘﾙﾚﾛﾜﾝｯｬｭｮｰ", strict=True)),
        "ガ": "ｶﾞ", "ギ": "ｷﾞ", "グ": "ｸﾞ", "ゲ": "ｹﾞ", "ゴ": "ｺﾞ", "ダ": "ﾀﾞ", "デ": "ﾃﾞ", "ド": "ﾄﾞ",
        "バ": "ﾊﾞ", "パ": "ﾊﾟ", "ピ": "ﾋﾟ", "ヴ": "ｳﾞ",
    }
)  # fmt: skip


@given(KANA, st.randoms())
def test_width_script_and_spaces_never_matter(kana: str, chance: random.Random) -> None:
    hiragana = "".join(chr(ord(char) - 0x60) if "ァ" <= char <= "ヶ" else char for char in kana)
    spaced = "".join(char + chance.choice(["", "", " ", "\u3000"]) for char in kana)
    assert {reading(kana.translate(HALF)), reading(hiragana)} == {reading(kana)}
    if "ー" not in kana and "ヴ" not in kana:  # these belong to what stands before or after them
        assert reading(spaced) == reading(kana)


@given(st.text(max_size=30))
def test_what_is_in_the_form_stays_in_it(text: str) -> None:
    for form in (reading, name, phone, email):
        assert form(form(text)) == form(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [("髙橋　一郎", "高橋一郎"), ("渡邉", "渡辺"), ("齋藤", "斉藤"), ("佐々木", "佐々木\ufe00"), ("Ａｎｎａ", "anna")],
)
def test_variants_of_a_character_are_alike_for_comparing(one: str, other: str) -> None:
    assert name(one) == name(other)


@pytest.mark.parametrize(
    ("written", "dialled"),
    [
        ("099-000-0001", "0990000001"),
        ("+81 99-000-0001", "0990000001"),
        ("+81(0)99-000-0001", "0990000001"),
        ("０９０（００００）０００１", "09000000001"),
        ("22-0001", ""),
        ("0000000000", ""),
        ("", ""),
    ],
)
def test_a_telephone_is_the_number_that_is_dialled(written: str, dialled: str) -> None:
    assert phone(written) == dialled


# --- likeness -------------------------------------------------------------------------------------------------------


def test_the_same_sheet_is_likely_the_same_person_and_never_certain() -> None:
    found = compare(HANAKO, HANAKO)
    assert (found.likelihood, found.score) == (Likelihood.LIKELY, 95)
    assert found.reasons == (
        MatchReason.READING_AND_BIRTH_DATE, MatchReason.NAME_AND_BIRTH_DATE, MatchReason.EMAIL, MatchReason.PHONE,
    )  # fmt: skip
    assert "certain" not in set(Likelihood)


def test_twins_are_no_likely_match() -> None:
    """The same day, family name, telephone, e-mail and address."""
    twin = HANAKO | {"name": "架空 葉子", "kana": "カクウ ヨウコ"}
    found = compare(HANAKO, twin)
    assert found.likelihood is Likelihood.POSSIBLE
    assert found.reasons == (MatchReason.BIRTH_DATE, MatchReason.EMAIL, MatchReason.PHONE)


def test_a_parent_with_the_same_telephone_is_hardly_a_match() -> None:
    parent = {"kana": "カクウ タロウ", "birth_date": "1955-01-02", "phone": "0990000000"}
    found = compare(HANAKO | {"phone": "0990000001"}, parent | {"phone": "0990000001"})
    assert (found.likelihood, found.reasons, found.other_birth_date) == (Likelihood.WEAK, (MatchReason.PHONE,), True)


@pytest.mark.parametrize(
    "theirs",
    [
        {"name": "架空 花子"},
        {"name": "別姓 花子", "previous_name": "架空 花子"},
        {"name": "べつせい はなこ", "previous_name": "かくう はなこ"},
    ],
)
def test_a_previous_name_is_the_name_of_before(theirs: dict[str, str]) -> None:
    married = HANAKO | {"name": "空想 花子", "kana": "クウソウ ハナコ", "previous_name": "架空 花子"}
    for day in ({}, {"birth_date": HANAKO["birth_date"]}):
        found = compare({**HANAKO, **theirs} if "previous_name" in theirs else married, (
            HANAKO if "previous_name" in theirs else theirs) | day)  # fmt: skip
        wanted = {MatchReason.PREVIOUS_NAME, MatchReason.PREVIOUS_NAME_AND_BIRTH_DATE}
        assert wanted & set(found.reasons), found


def test_a_new_family_name_leaves_the_given_name_and_the_day() -> None:
    married = {"kana": "クウソウ ハナコ", "birth_date": "1985-04-01"}
    found = compare(HANAKO, married)
    assert found.reasons == (MatchReason.GIVEN_NAME_AND_BIRTH_DATE,)
    assert found.likelihood is Likelihood.WEAK
    assert compare(HANAKO, married | {"phone": HANAKO["other_phone"]}).likelihood is Likelihood.LIKELY


def test_either_telephone_may_be_the_other_ones() -> None:
    assert compare({"phone": "090-0000-0001"}, HANAKO).reasons == (MatchReason.PHONE,)
    assert compare({"other_phone": "099-0000-001"}, HANAKO | {"phone": "0990000001"}).reasons == (MatchReason.PHONE,)


def test_a_day_of_birth_alone_is_nothing_to_show() -> None:
    assert compare({"birth_date": "1985-04-01"}, HANAKO).likelihood is None


def test_masked_means_as_if_no_telephone_and_no_address_had_been_written() -> None:
    for theirs in (HANAKO, HANAKO | {"kana": "カクウ ヨウコ", "name": "架空 葉子"}):
        without = {field: value for field, value in theirs.items() if field not in {"phone", "other_phone", "email"}}
        assert compare(HANAKO, theirs, masked=True) == compare(HANAKO, without)
    assert compare({"phone": HANAKO["other_phone"]}, HANAKO, masked=True).likelihood is None


@given(st.sets(st.tuples(st.sampled_from(Kind), st.sampled_from(Kind))), st.booleans(), st.booleans())
def test_more_that_agrees_never_makes_less_of_it(pairs: set[tuple[Kind, Kind]], differs: bool, masked: bool) -> None:
    agreeing = {(ours, theirs) for ours, theirs in pairs if compared_as(ours) == compared_as(theirs)}
    whole = likeness(agreeing, other_birth_date=differs, masked=masked)
    assert 0 <= whole.score < 100
    assert set(whole.reasons) <= set(MatchReason)
    for pair in agreeing:
        # A day that a better reason says along is not counted twice, so it may weigh a little less.
        assert likeness(agreeing - {pair}, other_birth_date=differs, masked=masked).score <= whole.score


def weighed(agreeing: set[tuple[Kind, Kind]]) -> int:
    """As the search weighs it in the tables, before anything is known of the case."""
    points = [(worth(ours, previous=theirs.startswith("previous")), ours in CONTACT) for ours, theirs in agreeing]
    return sum(max((each for each, contact in points if contact == of_contact), default=0) for of_contact in (0, 1))


_SHEETS = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["架空 花子", "空想 太郎", "かくう はなこ"]),
        "kana": st.sampled_from(["カクウ ハナコ", "クウソウ ハナコ", "カクウ"]),
        "previous_name": st.sampled_from(["架空 花子", "くうそう はなこ"]),
        "birth_date": st.sampled_from(["1985-04-01", "1985-04-02"]),
        "phone": st.just("0990000001"),
        "other_phone": st.just("0990000001"),
        "email": st.just("hanako@example.jp"),
    },
)


@settings(max_examples=500)
@given(_SHEETS, _SHEETS, st.sampled_from([Likelihood.WEAK, Likelihood.POSSIBLE]))
@example({"kana": "カクウ", "birth_date": "1985-04-01"}, {"kana": "カクウ"}, Likelihood.WEAK)
def test_whoever_is_worth_showing_is_found_by_something(
    ours: dict[str, str], theirs: dict[str, str], least: Likelihood
) -> None:
    here, there = comparable(ours), comparable(theirs)
    agreeing = {
        (mine, other)
        for mine, other in itertools.product(here, there)
        if compared_as(mine) == compared_as(other) and here[mine] == there[other]
    }
    found_by = {
        theirs
        for mine, theirs in agreeing
        if finds(
            mine,
            dayless=is_dayless(theirs, there.keys()),
            dated=Kind.BIRTH_DATE in here,
            least=FROM[least],
            elsewhere=False,
        )
    }
    assert found_by or compare(ours, theirs).score < FROM[least]
    assert weighed(agreeing) >= compare(ours, theirs).score, "the best are not cut off"


def test_every_kind_is_compared_with_one_and_speaks_for_something() -> None:
    for kind in Kind:
        assert compared_as(Kind(compared_as(kind))) == compared_as(kind)
        assert likeness({(kind, kind)}, other_birth_date=False, masked=False).reasons
    assert set(COMPARED) < set(Kind)
    assert list(FROM.values()) == sorted(FROM.values(), reverse=True)


@pytest.mark.parametrize(
    ("written", "kinds"),
    [
        ({"story"}, frozenset()),
        ({"phone", "story"}, frozenset({Kind.PHONE})),
        ({"kana"}, frozenset(Kind) - CONTACT),
        ({"birth_date", "email"}, frozenset(Kind) - CONTACT | {Kind.EMAIL}),
    ],
)
def test_what_is_written_says_what_is_made_anew(written: set[str], kinds: frozenset[Kind]) -> None:
    assert reindexed(written) == kinds
    assert set(comparable(dict.fromkeys(written, "099-000-0001"))) <= kinds
