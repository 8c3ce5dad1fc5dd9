"""Japan's public codes, checked digit by digit, as types for the edges of the services.

Sources: local government code (総務省, 全国地方公共団体コード, JIS X 0401/0402 plus check digit); corporate number
(財務省令 法人番号の指定等に関する省令 Art. 2); My Number's check digit (総務省令 2014 no. 85, Art. 5).
My Number itself must never enter this platform (番号法 Art. 15, 19, 20), so free text is searched for it and refused.
"""

import csv
import re
import unicodedata
from collections.abc import Mapping
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, StringConstraints
from pydantic_core import PydanticCustomError

_LOCAL_WEIGHTS = (6, 5, 4, 3, 2)
_SEPARATORS = re.compile(r"(?<=\d)[\s\u3000\-\u2010-\u2015\u2212\u30fc\uff0d\u00b7\u30fb.,_/]{1,3}(?=\d)")
# Of no width, as they come along with what is copied from elsewhere; between digits they hide no number.
_INVISIBLE = re.compile(
    "[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\u20e3\ufe00-\ufe0f\ufeff\U000e0000-\U000e01ef]"
)
_FEWEST_CHARACTERS = 4  # none becomes more than three digits; most cells of a file are as short
_TWELVE_DIGITS = re.compile(r"(?<!\d)\d{12}(?!\d)")
_IN_FOURS = re.compile(r"(?<!\d)(?<!\d[-\u2010-\u2015])\d{4}([^\d\n]{1,3})\d{4}\1\d{4}(?!\d|[-\u2010-\u2015]\d)")
_HYPHENS = re.compile(r"(?<=\d)[\u2010-\u2015\u2212\u30fc](?=\d)")
# What offices write all day. Joined with the next number's digits each would be refused one time in ten.
_UUID = re.compile(r"(?<![0-9a-f])[0-9a-f]{8}(-?)(?:[0-9a-f]{4}\1){3}[0-9a-f]{12}(?![0-9a-f])", re.IGNORECASE)
_OF_ANOTHER_KIND = re.compile(
    r"""
    \+81[-. ]?(?:\(0\)[-. ]?)?[1-9]\d{0,3}[-. ]?\d{1,4}[-. ]?\d{3,4}(?!\d|[-.]\d)     # a telephone from abroad (E.164)
    | (?<!\d)(?<!\d[-.,/])(?:
        0(?=(?:[-. ]?\d){9,10}(?!\d))\d{1,4}([-. ])\d{1,4}\1\d{3,4}     # a telephone: ten or eleven digits
        | 0[5789]0\d{8} | 0[1-9]\d{8}
        | (?:19|20)\d\d([-/.])\d{1,2}\2\d{1,2}     # a day
        | \d{1,2}/\d{1,2}
        | (?:19|20)\d\d-\d{6}     # a case's number
        | \d{3}-\d{4}     # a postcode
        | \d{4}([- ])\d{6}\3\d     # 雇用保険被保険者番号
        | [1-9]\d{0,2}(?:,\d{3}){1,2}     # an amount
    )(?!\d|[-.,/]\d)
    """,
    re.VERBOSE,
)
# No country's numbers that begin with 1 or 7 have twelve digits.
_FROM_ABROAD = re.compile(r"\+[2-689][0-9 ().-]{6,24}")
# A code's groups of unequal length are somebody's own numbering, such as 5-04-13-001-0012.
_CODED = re.compile(
    r"(?<!\d)(?<!\d[-_.])(?:\d{12}|\d{6}[-_.]\d{6}|\d{4}([-_.])\d{4}\1\d{4}|\d{3}(?:[-_.]\d{3}){3})(?!\d|[-_.]\d)"
)
_CORPORATE_IN_GROUPS = re.compile(r"(?<!\d)(?<!\d[- ])\d([- ])\d{4}\1\d{4}\1\d{4}(?!\d|-\d)")
_THREE_YEARS = re.compile(r"(?<!\d)((?:19|20)\d\d)(\D{1,3})((?:19|20)\d\d)\2((?:19|20)\d\d)(?!\d)")


def is_municipality_code(code: str) -> bool:
    """Six digits whose last is (11 - S mod 11) mod 10, S weighted 6,5,4,3,2 over the first five."""
    if not re.fullmatch(r"[0-9]{6}", code):
        return False
    weighted = sum(int(digit) * weight for digit, weight in zip(code[:5], _LOCAL_WEIGHTS, strict=True))
    return int(code[5]) == (11 - weighted % 11) % 10


def place_name(code: str) -> str:
    """A municipality's or prefecture's (also by its two digits) name; the code itself where the list has none.

    Wards of designated cities are not in the list: they change, and cities act for them.
    """
    return _places().get(code, code)


@cache
def _places() -> Mapping[str, str]:
    with Path(__file__).with_name("municipalities.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    prefectures = {row["code"][:2]: row["prefecture"] for row in rows}
    return prefectures | {row["code"]: row["municipality"] or row["prefecture"] for row in rows}


def is_corporate_number(number: str) -> bool:
    """Thirteen digits whose *first* is 9 - (weighted sum of the other twelve mod 9). Modulo 9 can't see 0 for 9."""
    if not re.fullmatch(r"[0-9]{13}", number):
        return False
    weighted = sum(int(digit) * (1 if place % 2 == 0 else 2) for place, digit in enumerate(reversed(number[1:])))
    return int(number[0]) == 9 - weighted % 9


def is_my_number(digits: str) -> bool:
    """Whether twelve digits carry a right My Number check digit (about one random run in ten does)."""
    if not re.fullmatch(r"[0-9]{12}", digits):
        return False
    weights = [place + 1 if place <= 6 else place - 5 for place in range(1, 12)]
    remainder = sum(int(d) * w for d, w in zip(reversed(digits[:11]), weights, strict=True)) % 11
    return int(digits[11]) == (0 if remainder <= 1 else 11 - remainder)


def holds_my_number(text: str) -> bool:
    """Whether a text holds a standalone run of twelve digits that is a valid My Number, in any width or grouping.

    Telephone numbers, days, postcodes, amounts and the like are nobody's number, also where more digits follow.
    """
    if len(text) < _FEWEST_CHARACTERS:
        return False
    plain = _INVISIBLE.sub("", unicodedata.normalize("NFKC", text))
    if sum(map(str.isdigit, plain)) < 12:
        return False
    plain = _without_others(plain)
    joined = _SEPARATORS.sub("", plain)
    # As printed on the card, 4-4-4, it is seen even where other digits stand a space away.
    fours = [_digits_of(found) for found in _IN_FOURS.finditer(plain)]
    runs = (*_TWELVE_DIGITS.findall(joined), *_TWELVE_DIGITS.findall(plain), *fours)
    return any(is_my_number(run) for run in runs)


def _without_others(plain: str) -> str:
    plain = _OF_ANOTHER_KIND.sub("#", _HYPHENS.sub("-", _UUID.sub("#", plain)))
    plain = _CORPORATE_IN_GROUPS.sub(lambda it: "#" if is_corporate_number(_digits_of(it)) else it.group(), plain)
    return _THREE_YEARS.sub(lambda it: "#" if int(it[4]) - 2 == int(it[3]) - 1 == int(it[1]) else it.group(), plain)


def _digits_of(found: re.Match[str]) -> str:
    return re.sub(r"\D", "", found.group())


_ERAS = {"令和": (2018, 99), "平成": (1988, 31), "昭和": (1925, 64), "大正": (1911, 15)}
"""The year before an era's first, and its last."""
_ERAS |= {"R": _ERAS["令和"], "H": _ERAS["平成"], "S": _ERAS["昭和"], "T": _ERAS["大正"]}
_ERA_DAY = re.compile(r"(令和|平成|昭和|大正|[RHST])\s*(元|\d{1,2})\s*[年.]\s*(\d{1,2})\s*[月.]\s*(\d{1,2})\s*日?")
_PLAIN_DAY = re.compile(r"(\d{4})\s*[-/年.]\s*(\d{1,2})\s*[-/月.]\s*(\d{1,2})\s*日?")


def day_as_written(value: Any) -> Any:
    """2026-04-01, 2026/4/1, 令和8年4月1日, R8.4.1, in any width, as a day; anything else is left to the validator.

    A number is none: pydantic would count seconds since 1970, and make a day of it.
    """
    if not isinstance(value, str):
        if isinstance(value, int | float):
            raise PydanticCustomError("date_type", "a day was expected")
        return value
    written = unicodedata.normalize("NFKC", value).strip().upper()
    era, plain = _ERA_DAY.fullmatch(written), _PLAIN_DAY.fullmatch(written)
    if era:
        (before, last), year = _ERAS[era[1]], 1 if era[2] == "元" else int(era[2])
        if not 1 <= year <= last:
            raise PydanticCustomError("no_year_of_era", "the era has no such year")
        return f"{before + year:04}-{int(era[3]):02}-{int(era[4]):02}"
    if plain:
        return f"{int(plain[1]):04}-{int(plain[2]):02}-{int(plain[3]):02}"
    if re.fullmatch(r"[\d.+-]+", written):
        raise PydanticCustomError("date_parsing", "a day was expected")
    return value


def moment_as_written(value: Any) -> Any:
    """A day as written, then a clock time (16:00, 16:15): a moment in Japan. With an offset it is taken as it is."""
    if not isinstance(value, str):
        return value
    written = unicodedata.normalize("NFKC", value).strip()
    if re.fullmatch(r"[\d.+-]+", written):
        # pydantic would count seconds since 1970, and make a moment of any number.
        raise PydanticCustomError("datetime_parsing", "a date and time was expected")
    day, _, clock = written.rpartition(" ")
    if not day or not re.fullmatch(r"\d{1,2}:\d{2}(:\d{2})?", clock):
        return written
    try:
        return datetime.fromisoformat(f"{day_as_written(day)}T{clock.zfill(5)}").replace(tzinfo=ZoneInfo("Asia/Tokyo"))
    except (ValueError, TypeError):
        return written


def _aware(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise PydanticCustomError("timezone_aware", "a date and time needs its offset")
    return moment


def _of_our_time(day: date) -> date:
    # A slip of the pen (0206 for 2026); the database also knows years that Python can't read back.
    if not 1900 <= day.year < 2200:
        raise PydanticCustomError("day_out_of_reach", "not a day from 1900 to 2199")
    return day


def _municipality(code: str) -> str:
    if not is_municipality_code(code):
        raise PydanticCustomError("municipality_code", "not a local government code with its check digit")
    return code


def _corporate(number: str) -> str:
    if not is_corporate_number(number):
        raise PydanticCustomError("corporate_number", "not a corporate number with its check digit")
    return number


def _no_my_number(text: str) -> str:
    if holds_my_number(text):
        raise PydanticCustomError("personal_number", "a number that may not be kept here was found")
    return text


def _no_my_number_as_code(code: str) -> str:
    if len(code) >= 12 and any(is_my_number(_digits_of(found)) for found in _CODED.finditer(_UUID.sub("#", code))):
        raise PydanticCustomError("personal_number", "a number that may not be kept here was found")
    return code


def _no_my_number_as_phone(phone: str) -> str:
    return phone if _FROM_ABROAD.fullmatch(unicodedata.normalize("NFKC", phone)) else _no_my_number(phone)


# Embeddings, overrides and isolates: what is read would not be what is written.
_DIRECTIONS = re.compile("[\u202a-\u202e\u2066-\u2069]")


def _written(text: str) -> str:
    text = _DIRECTIONS.sub("", text)
    if any(unicodedata.category(char) == "Cc" and char not in "\t\n\r" for char in text):
        raise PydanticCustomError("control_character", "control characters are not allowed")
    return unicodedata.normalize("NFC", text)


MunicipalityCode = Annotated[str, AfterValidator(_municipality)]
"""全国地方公共団体コード, six digits; the leading zero counts."""
CorporateNumber = Annotated[str, AfterValidator(_corporate)]
"""法人番号, thirteen digits."""
AGENCY_FORM = r"^[a-z0-9][a-z0-9-]{2,39}$"
PHONE_FORM = r"^[0-9+][0-9 ()-]{5,28}$"
POSTCODE_FORM = r"^[0-9]{3}-?[0-9]{4}$"
EMAIL_FORM = r"^[^@\s]+@[^@\s]+\.[^@\s]+$"
"""Forms that people are to keep to; `shared/service/failures.py` has words for each."""
ToldAgencyId = Annotated[str, StringConstraints(pattern=AGENCY_FORM)]
"""An agency's stable short name in an event: a fact that was told can't be refused any more."""
ToldCode = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")]
"""A coded value in an event. Readers must expect codes that they don't know yet."""
AgencyId = Annotated[ToldAgencyId, AfterValidator(_no_my_number_as_code)]
"""An agency's stable short name, the same in tokens, in the directory and in events. No My Number."""
Code = Annotated[ToldCode, AfterValidator(_no_my_number_as_code)]
"""A coded value as a caller gives it. No My Number: neither twelve digits nor groups of equal length."""
FreeText = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=4_000),
    AfterValidator(_no_my_number),
    AfterValidator(_written),
]
"""What people write: NFC (never NFKC, which would change names), no control characters, no My Number.

Marks that turn the direction of writing come along with copied telephone numbers, and are left out."""
LongText = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=20_000),
    AfterValidator(_no_my_number),
    AfterValidator(_written),
]
"""The same, for what somebody tells at length."""
PhoneText = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=4_000),
    AfterValidator(_no_my_number_as_phone),
    AfterValidator(_written),
]
"""A telephone number. A leading + and a country's code make it one in international form (ITU-T E.164)."""
DayAsWritten = Annotated[date, BeforeValidator(day_as_written), AfterValidator(_of_our_time)]
"""A day in any spelling that Japanese offices use, eras included."""
MomentAsWritten = Annotated[
    datetime, BeforeValidator(moment_as_written), AfterValidator(_aware), AfterValidator(_of_our_time)
]
"""A moment in Japan (JST) as notices write it, e.g. 2022-09-16 16:00."""
