"""One cell of the directory's files: lists, hours, desks, steps; read from an office's hand, and written back.

Whatever is read may also come as it is kept (lists and objects), so that the same rows check a file of another kind.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

from services.referral.domain.directory import TrialStep
from shared.codes import Code, FreeText, PhoneText
from shared.service.imports.sheet import as_meant

WEEKDAYS = "月火水木金土日"
NONE = "なし"
_HOURS = re.compile(r"([月火水木金土日])(?:[-~]([月火水木金土日]))?\s*(\d{1,2}):(\d{2})\s*[-~]\s*(\d{1,2}):(\d{2})")
_STEP_WORDS = {
    "見学": TrialStep.VISIT,
    "半日": TrialStep.HALF_DAY,
    "一週間": TrialStep.WEEK,
    "有給体験": TrialStep.PAID_TRIAL,
    "就職": TrialStep.JOB,
}
_STEP = re.compile(r"(\S+?)[:=](\d{1,4})(?:/(\d{1,4}))?")


def _as_meant(value: Any) -> Any:
    return as_meant(value) if isinstance(value, str) else value


Name = Annotated[
    FreeText, StringConstraints(min_length=1, max_length=200), BeforeValidator(_as_meant), AfterValidator(str.strip)
]
"""What something is called; as a file gives it back, so that nothing changes on the way there and back."""
OneLine = Annotated[Name, StringConstraints(pattern=r"^[^\n\r\t|]*$")]
"""The same within one line of a cell."""
Phone = Annotated[PhoneText, StringConstraints(pattern=r"^[0-9+() -]{3,20}$")]
ClockTime = Annotated[str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
Places = Annotated[int, Field(ge=0, le=9_999)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Desk(_Part):
    """窓口 of an agency."""

    name: OneLine
    phone: Phone | None = None
    kind: Code | None = None
    hours: OneLine | None = None


class OpeningHours(_Part):
    """When an agency is open on a weekday, 0 for Monday."""

    weekday: int = Field(ge=0, le=6)
    opens: ClockTime
    closes: ClockTime


class Condition(_Part):
    """What a programme asks for, as a code and in words."""

    code: Code
    text_ja: OneLine


class StepPlaces(_Part):
    """How many trial places a host workplace has at one step, and how many of them are free, where known."""

    step: TrialStep
    places: Places
    free: Places | None = None


def split(cell: Any) -> Any:
    """Several codes in one cell, separated by spaces of any width, commas or 、."""
    if not isinstance(cell, str):
        return cell
    return tuple(dict.fromkeys(unicodedata.normalize("NFKC", cell).replace("、", " ").replace(",", " ").split()))


def named(words: Mapping[str, Any]) -> BeforeValidator:
    """The office's own word, or our code; any other is refused with those that there are, each in both."""
    codes: dict[str, str] = {}
    for japanese, code in words.items():
        codes.setdefault(str(code), japanese)
    expected = "、".join(f"{japanese} ({code})" for code, japanese in codes.items())

    def read(cell: Any) -> Any:
        if not isinstance(cell, str):
            return cell
        written = unicodedata.normalize("NFKC", cell)
        if written not in words and written not in codes:
            raise PydanticCustomError("enum", "not one of the codes", {"expected": expected})
        return words.get(written, written)

    return BeforeValidator(read)


def read_weekdays(cell: Any) -> Any:
    """土 日; なし for an agency that closes on no weekday."""
    if not isinstance(cell, str):
        return cell
    plain = unicodedata.normalize("NFKC", cell).replace("曜日", "").replace("曜", "")
    if plain.strip() == NONE:
        return ()
    days = re.sub(r"[\s、,・]", "", plain)
    if not days or set(days) - set(WEEKDAYS):
        raise PydanticCustomError("weekdays", "not weekdays")
    return tuple(sorted({WEEKDAYS.index(day) for day in days}))


def read_hours(cell: Any) -> Any:
    """月-金 08:30-17:15, several of them separated by 、 or lines."""
    if not isinstance(cell, str):
        return cell
    found = []
    for part in filter(None, (part.strip() for part in re.split(r"[、,;\n]", unicodedata.normalize("NFKC", cell)))):
        match = _HOURS.fullmatch(part.replace("〜", "~"))
        if match is None:
            raise PydanticCustomError("opening_hours", "not opening hours")
        first, last, hour, minute, until_hour, until_minute = match.groups()
        days = range(WEEKDAYS.index(first), WEEKDAYS.index(last or first) + 1)
        times = {"opens": f"{int(hour):02}:{minute}", "closes": f"{int(until_hour):02}:{until_minute}"}
        found += [{"weekday": day, **times} for day in days]
    return tuple(found)


def read_desks(cell: Any) -> Any:
    """A desk per line: 名称|電話|種別|受付時間, what isn't known left out."""
    if not isinstance(cell, str):
        return cell
    return tuple(_parted(line, ("name", "phone", "kind", "hours")) for line in _lines(cell))


def read_conditions(cell: Any) -> Any:
    """A condition per line: コード|ことば."""
    if not isinstance(cell, str):
        return cell
    return tuple(_parted(line, ("code", "text_ja")) for line in _lines(cell))


def read_steps(cell: Any) -> Any:
    """見学:3/1、一週間:2, that is three places of which one is free, and two of which nothing more is known."""
    if not isinstance(cell, str):
        return cell
    found = []
    for part in split(cell):
        match = _STEP.fullmatch(part)
        if match is None:
            raise PydanticCustomError("trial_steps", "not trial places")
        word, places, free = match.groups()
        step = _STEP_WORDS.get(word, word)
        found.append({"step": step, "places": int(places), "free": None if free is None else int(free)})
    return tuple(found)


def in_order(hours: tuple[OpeningHours, ...]) -> tuple[OpeningHours, ...]:
    """By weekday and hour, none twice; an end lies after its beginning."""
    if any(each.closes <= each.opens for each in hours):
        raise PydanticCustomError("opening_hours", "closes before it opens")
    return tuple(sorted(dict.fromkeys(hours), key=lambda each: (each.weekday, each.opens, each.closes)))


def steps_once(steps: tuple[StepPlaces, ...]) -> tuple[StepPlaces, ...]:
    """In the order of the ladder, each step once, and never more free than there are."""
    if len({each.step for each in steps}) < len(steps):
        raise PydanticCustomError("trial_steps", "a step stands there twice")
    if any(each.free is not None and each.free > each.places for each in steps):
        raise PydanticCustomError("more_free_than_all", "more free than there are")
    return tuple(sorted(steps, key=lambda each: list(TrialStep).index(each.step)))


# --- and back into a cell --------------------------------------------------------------------------------------------


def plain(value: Any) -> str:
    """A value that is written as it is."""
    match value:
        case None:
            return ""
        case date():
            return value.isoformat()
        case list() | tuple():
            return " ".join(map(plain, value))
        case _:
            return str(value)


def word(words: Mapping[str, Any]) -> Callable[[Any], str]:
    """The office's own word for a code: the first that the import takes for it."""
    first: dict[str, str] = {}
    for japanese, code in words.items():
        first.setdefault(str(code), japanese)
    return lambda value: "" if value is None else first.get(str(value), str(value))


def write_weekdays(days: Iterable[int]) -> str:
    """土 日, or なし."""
    return " ".join(WEEKDAYS[day] for day in days) or NONE


def write_hours(hours: Iterable[Mapping[str, Any]]) -> str:
    """One weekday per part."""
    return "、".join(f"{WEEKDAYS[each['weekday']]} {each['opens']}-{each['closes']}" for each in hours)


def write_desks(desks: Iterable[Mapping[str, Any]]) -> str:
    """A desk per line."""
    return _written(desks, ("name", "phone", "kind", "hours"))


def write_conditions(conditions: Iterable[Mapping[str, Any]]) -> str:
    """A condition per line."""
    return _written(conditions, ("code", "text_ja"))


def write_steps(steps: Iterable[Mapping[str, Any]]) -> str:
    """Each step with its places, and how many of them are free where that is known."""
    words = word(_STEP_WORDS)
    parts = [(words(each["step"]), each["places"], each.get("free")) for each in steps]
    return "、".join(f"{name}:{places}" + ("" if free is None else f"/{free}") for name, places, free in parts)


def _lines(cell: str) -> list[str]:
    return [line.strip() for line in cell.splitlines() if line.strip()]


def _parted(line: str, names: Sequence[str]) -> dict[str, str]:
    parts = [part.strip() for part in line.replace("｜", "|").split("|")]
    if len(parts) > len(names):
        raise PydanticCustomError("too_many_parts", "more parts than there are")
    return {name: part for name, part in zip(names, parts, strict=False) if part}


def _written(entries: Iterable[Mapping[str, Any]], names: Sequence[str]) -> str:
    return "\n".join("|".join(plain(each.get(name)) for name in names).rstrip("|") for each in entries)
