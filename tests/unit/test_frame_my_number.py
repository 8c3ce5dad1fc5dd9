"""My Number is refused however it is written, and the other numbers of an office are let through. All seeded."""

import random
import re
import unicodedata
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
from pydantic import TypeAdapter, ValidationError

from shared.codes import (
    AgencyId,
    Code,
    FreeText,
    PhoneText,
    holds_my_number,
    is_corporate_number,
    is_my_number,
)


def my_numbers(seed: int) -> Iterator[str]:
    draw = random.Random(seed)
    while True:
        eleven = f"{draw.randrange(10**11):011d}"
        yield next(eleven + last for last in "0123456789" if is_my_number(eleven + last))


def in_groups(digits: str, sizes: tuple[int, ...], between: str) -> str:
    places = [sum(sizes[:number]) for number in range(len(sizes) + 1)]
    return between.join(digits[start:end] for start, end in pairwise(places))


def wide(text: str) -> str:
    return "".join(chr(ord(char) + 0xFEE0) if "!" <= char <= "~" else char for char in text)


FORMS: dict[str, Callable[[str], str]] = {
    "as it is": lambda n: n,
    "full width": wide,
    "4-4-4 with hyphens": lambda n: in_groups(n, (4, 4, 4), "-"),
    "4-4-4 with spaces": lambda n: in_groups(n, (4, 4, 4), " "),
    "4-4-4 full width, with ideographic spaces": lambda n: wide(in_groups(n, (4, 4, 4), "\x00")).replace("\x00", "　"),
    "4-4-4 full width, with long vowel marks": lambda n: in_groups(wide(n), (4, 4, 4), "ー"),
    "4-4-4 with dots": lambda n: in_groups(n, (4, 4, 4), "."),
    "three by three": lambda n: in_groups(n, (3, 3, 3, 3), "-"),
    "each by itself": " ".join,
    "two by two": lambda n: in_groups(n, (2,) * 6, " "),
    "six and six over two lines": lambda n: in_groups(n, (6, 6), "\n"),
    "between Japanese words": lambda n: f"個人番号は{n}です",
}
AROUND = ("{}", "番号 {} 控え済み", "「{}」", "電話 099-123-4567、番号 {}", "2026年 {} 10月")


@pytest.mark.parametrize("form", FORMS)
def test_ten_thousand_numbers_are_refused_in_each_written_form(form: str) -> None:
    numbers, write = my_numbers(seed=11), FORMS[form]
    passed = []
    for turn in range(10_000):
        text = AROUND[turn % len(AROUND)].format(write(next(numbers)))
        # Digits beside it, a space away, are told from it in the card's own form alone.
        if turn % len(AROUND) == len(AROUND) - 1 and not form.startswith("4-4-4"):
            text = text.removeprefix("2026年 ").removesuffix(" 10月")
        if not holds_my_number(text):
            passed.append(text)
    assert passed == []


# --- what an office writes all day ------------------------------------------------------------------------------------


class Office:
    """Notes as counsellors write them: each has two to five numbers of every kind, in many spellings."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)

    def note(self) -> str:
        kinds = (
            self.phone, self.phone, self.day, self.day, self.clock, self.amount, self.amount, self.corporate,
            self.postcode, self.insurance, self.case, self.count, self.years,
        )  # fmt: skip
        parts = [self.draw.choice(kinds)() for _ in range(self.draw.randint(2, 5))]
        between = self.draw.choice(("、", " ", "\n", "。", " / ", ", ", "　", ":"))
        text = between.join(parts)
        return wide(text) if self.draw.random() < 0.2 else text

    def digits(self, count: int) -> str:
        return f"{self.draw.randrange(10**count):0{count}d}"

    def phone(self) -> str:
        mark, d = self.draw.choice(("-", "-", " ", ".", "")), self.digits
        mobile = mark.join((self.draw.choice(("090", "080", "070", "050")), d(4), d(4)))
        fixed = mark.join(self.draw.choice((("099", d(3), d(4)), ("0995", d(2), d(4)), ("03", d(4), d(4)))))
        free = mark.join(("0120", d(3), d(3)))
        abroad = "+81" + self.draw.choice(("", " ", "-")) + f"{self.draw.choice((90, 80, 70))}{mark}{d(4)}{mark}{d(4)}"
        brackets = f"(099){d(3)}-{d(4)}"
        dashed = f"090{self.draw.choice('‐–−ー')}{d(4)}‐{d(4)}"
        word = self.draw.choice(("電話", "TEL ", "携帯:", "", "FAX "))
        return word + self.draw.choice((mobile, mobile, fixed, fixed, free, abroad, brackets, dashed))

    def day(self) -> str:
        draw = self.draw
        year, month, day = draw.randint(1950, 2030), draw.randint(1, 12), draw.randint(1, 28)
        return draw.choice(
            (
                f"{year}-{month:02}-{day:02}", f"{year}/{month}/{day}", f"{year}年{month}月{day}日", f"{month}/{day}",
                f"令和8年{month}月{day}日", f"R8.{month}.{day}", f"{year}.{month:02}.{day:02}", f"{month}月{day}日",
                f"{year}-{month:02}-{day:02}T10:30:00", f"S{draw.randint(30, 63)}.{month}.{day}",
            )
        )  # fmt: skip

    def clock(self) -> str:
        hour, minute = self.draw.randint(8, 18), self.draw.choice((0, 15, 30, 45))
        return self.draw.choice(
            (
                f"{hour}:{minute:02}", f"{hour}時{minute}分", f"{hour}:{minute:02}-{hour + 1}:{minute:02}", f"{hour}時",
                f"{self.day()} {hour:02}{minute:02}",
            )
        )  # fmt: skip

    def amount(self) -> str:
        amount = self.draw.choice((self.draw.randint(100, 9_999), self.draw.randint(10_000, 3_000_000)))
        return self.draw.choice(
            (f"{amount:,}円", f"{amount}円", f"¥{amount:,}", f"{amount:,}", f"月{amount // 10_000}万円")
        )

    def corporate(self) -> str:
        while not is_corporate_number(number := self.digits(13)):
            pass
        return "法人番号 " + self.draw.choice((number, in_groups(number, (1, 4, 4, 4), self.draw.choice("- "))))

    def postcode(self) -> str:
        return (
            self.draw.choice(("〒", ""))
            + f"{self.digits(3)}-{self.digits(4)} 鹿児島市山下町{self.draw.randint(1, 30)}-1"
        )

    def insurance(self) -> str:
        return "雇用保険 " + self.draw.choice("- ").join((self.digits(4), self.digits(6), self.digits(1)))

    def case(self) -> str:
        return f"ケース {self.draw.randint(2024, 2027)}-{self.digits(6)}"

    def count(self) -> str:
        return f"{self.draw.randint(1, 99)}{self.draw.choice(('回', '人', '歳', '件', ''))}"

    def years(self) -> str:
        first = self.draw.randint(1990, 2026)
        return self.draw.choice(("、", "/", "・", "-")).join(str(first + later) for later in range(3))


def test_at_most_one_note_in_a_thousand_is_refused_though_it_holds_none() -> None:
    office = Office(seed=7)
    notes = [office.note() for _ in range(5_000)]
    refused = [note for note in notes if holds_my_number(note)]
    assert len(refused) <= 5, refused[:10]
    # The notes are not harmless by being empty of digits: many have twelve and more.
    assert sum(len(re.sub(r"\D", "", unicodedata.normalize("NFKC", note))) >= 12 for note in notes) > 3_000


@pytest.mark.parametrize("kind", ["phone", "day", "insurance", "case", "postcode", "amount"])
def test_no_number_of_an_office_becomes_one_by_the_digits_that_stand_after_it(kind: str) -> None:
    """The worst case: what follows, a space away, makes twelve digits with a right check digit."""
    office, passed = Office(seed=10), 0
    for _ in range(3_000):
        written = getattr(office, kind)().split(" 鹿児島市")[0]
        digits = re.sub(r"\D", "", unicodedata.normalize("NFKC", written))
        more = 11 - len(digits)
        if 0 <= more <= 4 and written[-1].isdigit():
            eleven = digits + (office.digits(more) if more else "")
            after = next(eleven + last for last in "0123456789" if is_my_number(eleven + last))[len(digits) :]
            assert not holds_my_number(f"{written} {after}"), f"{written} {after}"
            passed += 1
    assert passed > 100


def test_a_note_with_a_number_among_others_is_refused_all_the_same() -> None:
    office, numbers = Office(seed=8), my_numbers(seed=9)
    for _ in range(5_000):
        note = (
            f"{office.note()}。番号は {in_groups(next(numbers), (4, 4, 4), office.draw.choice('- '))}、{office.note()}"
        )
        assert holds_my_number(note), note


# --- codes, ids and telephones ----------------------------------------------------------------------------------------


def refused(type_: Any, value: str) -> bool:
    try:
        TypeAdapter(type_).validate_python(value)
    except ValidationError as error:
        return error.errors()[0]["type"] == "personal_number"
    return False


def test_no_code_no_id_and_no_telephone_is_a_my_number() -> None:
    numbers = my_numbers(seed=12)
    for _ in range(1_000):
        number = next(numbers)
        dotted, hyphens = in_groups(number, (4, 4, 4), "."), in_groups(number, (4, 4, 4), "-")
        for type_, value in (
            *((AgencyId, each) for each in (number, hyphens, f"npo-{number}", f"{hyphens}-npo")),
            *((Code, each) for each in (number, hyphens, dotted, f"course_{number}", in_groups(number, (3,) * 4, "-"))),
            *((PhoneText, each) for each in (number, hyphens, wide(number))),
        ):
            assert refused(type_, value), value
        if number.startswith("1"):  # as if of North America, whose numbers have eleven digits
            assert refused(PhoneText, f"+{number}")


def test_no_uuid_is_refused_anywhere() -> None:
    numbers, draw = my_numbers(seed=13), random.Random(13)
    for _ in range(1_000):
        plain = UUID(int=draw.getrandbits(128))
        telling = UUID(f"{str(plain)[:24]}{next(numbers)}")
        for text in (str(plain), str(telling), plain.hex, f"draft {telling} を見てください"):
            assert not refused(FreeText, text), text
        assert not refused(Code, str(telling))
        assert not refused(AgencyId, str(telling))


def test_a_course_number_of_somebodys_own_form_is_kept() -> None:
    draw = random.Random(14)
    for _ in range(1_000):
        number = f"5-46-{draw.randrange(100):02}-{draw.randrange(1000):03}-{draw.randrange(10**4):04}"
        assert not refused(Code, number)


def test_a_telephone_number_from_abroad_is_one() -> None:
    draw, seen = random.Random(15), 0
    while seen < 500:
        japan = f"+81{draw.choice((70, 80, 90))}{draw.randrange(10**8):08}"
        korea, manila = f"+8210{draw.randrange(10**8):08}", f"+639{draw.randrange(10**9):09}"
        seen += is_my_number(japan[1:])
        for number in (japan, korea, manila, wide(korea)):
            assert not refused(PhoneText, number), number
        assert not refused(FreeText, f"携帯は{japan}です")
