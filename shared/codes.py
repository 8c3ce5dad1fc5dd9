"""Japan's public codes, checked digit by digit, as types for the edges of the services.

Sources: local government code (総務省, 全国地方公共団体コード, JIS X 0401/0402 plus check digit); corporate number
(財務省令 法人番号の指定等に関する省令 Art. 2); My Number's check digit (総務省令 2014 no. 85, Art. 5).
My Number itself must never enter this platform (番号法 Art. 15, 19, 20), so free text is searched for it and refused.
"""

import re
import unicodedata
from datetime import date, datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, StringConstraints
from pydantic_core import PydanticCustomError

_LOCAL_WEIGHTS = (6, 5, 4, 3, 2)
_SEPARATORS = re.compile(r"(?<=\d)[\s\u3000\-\u2010-\u2015\u2212\u30fc\uff0d\u00b7\u30fb.,_/]{1,3}(?=\d)")
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")
_FEWEST_CHARACTERS = 4  # none becomes more than three digits; most cells of a file are as short
_TWELVE_DIGITS = re.compile(r"(?<!\d)\d{12}(?!\d)")
_IN_FOURS = re.compile(r"(?<!\d)(?<!\d[-\u2010-\u2015])\d{4}([^\d\n]{1,3})\d{4}\1\d{4}(?!\d|[-\u2010-\u2015]\d)")


def is_municipality_code(code: str) -> bool:
    """Six digits whose last is (11 - S mod 11) mod 10, S weighted 6,5,4,3,2 over the first five."""
    if not re.fullmatch(r"[0-9]{6}", code):
        return False
    weighted = sum(int(digit) * weight for digit, weight in zip(code[:5], _LOCAL_WEIGHTS, strict=True))
    return int(code[5]) == (11 - weighted % 11) % 10


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
    """Whether a text holds a standalone run of twelve digits that is a valid My Number, in any width or grouping."""
    if len(text) < _FEWEST_CHARACTERS:
        return False
    plain = _INVISIBLE.sub("", unicodedata.normalize("NFKC", text))
    joined = _SEPARATORS.sub("", plain)
    # As printed on the card, 4-4-4, it is seen even where other digits stand a space away.
    fours = [re.sub(r"\D", "", found.group()) for found in _IN_FOURS.finditer(plain)]
    runs = (*_TWELVE_DIGITS.findall(joined), *_TWELVE_DIGITS.findall(plain), *fours)
    return any(is_my_number(run) for run in runs)


_ERAS = {"令和": 2018, "R": 2018, "平成": 1988, "H": 1988, "昭和": 1925, "S": 1925}
_ERA_DAY = re.compile(r"(令和|平成|昭和|[RHS])\s*(元|\d{1,2})\s*[年.]\s*(\d{1,2})\s*[月.]\s*(\d{1,2})\s*日?")
_PLAIN_DAY = re.compile(r"(\d{4})\s*[-/年.]\s*(\d{1,2})\s*[-/月.]\s*(\d{1,2})\s*日?")


def day_as_written(value: Any) -> Any:
    """2026-04-01, 2026/4/1, 令和8年4月1日, R8.4.1, in any width, as a day; anything else is left to the validator."""
    if not isinstance(value, str):
        return value
    written = unicodedata.normalize("NFKC", value).strip().upper()
    era, plain = _ERA_DAY.fullmatch(written), _PLAIN_DAY.fullmatch(written)
    if era:
        year = _ERAS[era[1]] + (1 if era[2] == "元" else int(era[2]))
        return f"{year:04}-{int(era[3]):02}-{int(era[4]):02}"
    if plain:
        return f"{int(plain[1]):04}-{int(plain[2]):02}-{int(plain[3]):02}"
    return value


def moment_as_written(value: Any) -> Any:
    """A day as written, then a clock time (16:00, 16:15): a moment in Japan. With an offset it is taken as it is."""
    if not isinstance(value, str):
        return value
    written = unicodedata.normalize("NFKC", value).strip()
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


def _free_text(text: str) -> str:
    if holds_my_number(text):
        raise PydanticCustomError("personal_number", "a number that may not be kept here was found")
    if any(unicodedata.category(char) == "Cc" and char not in "\t\n\r" for char in text):
        raise PydanticCustomError("control_character", "control characters are not allowed")
    return unicodedata.normalize("NFC", text)


MunicipalityCode = Annotated[str, AfterValidator(_municipality)]
"""全国地方公共団体コード, six digits; the leading zero counts."""
CorporateNumber = Annotated[str, AfterValidator(_corporate)]
"""法人番号, thirteen digits."""
AgencyId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{2,39}$")]
"""An agency's stable short name, the same in tokens, in the directory and in events."""
Code = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")]
"""A coded value. Readers must expect codes that they don't know yet."""
FreeText = Annotated[str, StringConstraints(strip_whitespace=True, max_length=4_000), AfterValidator(_free_text)]
"""What people write: NFC (never NFKC, which would change names), no control characters, no My Number."""
LongText = Annotated[str, StringConstraints(strip_whitespace=True, max_length=20_000), AfterValidator(_free_text)]
"""The same, for what somebody tells at length."""
DayAsWritten = Annotated[date, BeforeValidator(day_as_written), AfterValidator(_of_our_time)]
"""A day in any spelling that Japanese offices use, eras included."""
MomentAsWritten = Annotated[
    datetime, BeforeValidator(moment_as_written), AfterValidator(_aware), AfterValidator(_of_our_time)
]
"""A moment in Japan (JST) as notices write it, e.g. 2022-09-16 16:00."""
