"""The access log's chain: whatever is done to an export, the verifier finds it."""

import json
import random
from typing import Any

import pytest

from shared.vault.chain import (
    Checkpoint,
    Seal,
    checkpoint_line,
    export_lines,
    next_seal,
    read_checkpoints,
    verify,
)


def _entry(number: int) -> dict[str, Any]:
    return {
        "id": number,
        "at": f"2026-11-25T00:00:{number % 60:02}.000000+00:00",
        "subject_id": f"01939c1e-7a10-7c44-9f55-{number:012x}",
        "action": "read",
        "agency": "kagoshima-desk",
        "actor": "client-1",
        "roles": ["counsellor"],
        "purpose": "support",
        "basis": "consent",
        "fields": ["name", "phone"],
        "request_id": None if number % 3 else f"request-{number}",
    }


def _log(batches: list[int]) -> tuple[list[str], list[Checkpoint]]:
    number, before, sealed = 1, None, []
    for size in batches:
        entries = [_entry(each) for each in range(number, number + size)]
        number += size
        before = next_seal(before, entries, log="intake")
        sealed.append((before, entries))
    checkpoints = [Checkpoint(seal.number, seal.digest) for seal, _ in sealed]
    return list(export_lines("intake", sealed, [])), checkpoints


def test_an_untouched_log_is_found_whole() -> None:
    lines, checkpoints = _log([3, 1, 5, 2])
    verdict = verify(lines, checkpoints)
    assert (verdict.findings, verdict.entries, verdict.seals) == ([], 11, 4)


def test_an_empty_log_is_whole() -> None:
    assert verify(export_lines("intake", [], []), []).findings == []


def test_a_missing_checkpoint_in_the_middle_is_no_finding_since_the_next_covers_it() -> None:
    lines, checkpoints = _log([2, 2, 2])
    assert verify(lines, checkpoints[2:]).findings == []


def test_a_log_that_was_written_anew_from_some_point_on_is_found_by_the_checkpoints() -> None:
    _, checkpoints = _log([3, 3, 3])
    entries = [[_entry(each) for each in batch] for batch in ([1, 2, 3], [4, 5], [7, 8, 9])]
    before: Seal | None = None
    forged = []
    for batch in entries:
        before = next_seal(before, batch, log="intake")
        forged.append((before, batch))
    findings = verify(export_lines("intake", forged, []), checkpoints).findings
    assert [each.partition(" / ")[2] for each in findings] == [
        f"seal {number}: another digest was written down outside" for number in (2, 3)
    ]


def test_an_entry_kept_out_of_every_seal_is_found() -> None:
    lines, checkpoints = _log([2])
    lines.append(json.dumps({"entry": _entry(3)}))
    assert verify(lines, checkpoints).findings == ["記録 3: 封印されていません / entry 3: in no seal"]


def test_without_checkpoints_nobody_vouches() -> None:
    lines, _ = _log([2])
    assert len(verify(lines, []).findings) == 1


def test_another_logs_chain_does_not_pass_for_ours() -> None:
    lines, checkpoints = _log([2, 2])
    lines[0] = lines[0].replace("intake", "referral")
    assert verify(lines, checkpoints).findings


def test_a_name_that_stands_twice_in_a_line_is_found() -> None:
    lines, checkpoints = _log([2])
    lines[1] = lines[1].replace('"agency":', '"agency":"somebody-else","agency":', 1)
    assert verify(lines, checkpoints).findings


def test_a_torn_checkpoint_is_passed_over() -> None:
    lines = [checkpoint_line(Checkpoint(1, "ab")), '{"number":2,"dig', checkpoint_line(Checkpoint(2, "cd"))]
    assert read_checkpoints(lines) == [Checkpoint(1, "ab"), Checkpoint(2, "cd")]


# --- a thousand attacks ---------------------------------------------------------------------------------------------


def _edit(lines: list[str], chance: random.Random) -> list[str]:
    place = chance.randrange(len(lines))
    plain = json.loads(lines[place])
    inner = next((value for value in plain.values() if isinstance(value, dict)), plain)
    name = chance.choice(sorted(inner))
    inner[name] = _other(inner[name], chance)
    return [*lines[:place], json.dumps(plain, ensure_ascii=False, separators=(",", ":")), *lines[place + 1 :]]


def _other(value: Any, chance: random.Random) -> Any:
    match value:
        case int():
            return value + chance.choice([-1, 1, 1000])
        case str():
            place = chance.randrange(len(value) + 1)
            return value[:place] + chance.choice("0aZ") + value[place:]
        case list():
            return [*value, value[-1]] if value and chance.random() < 0.5 else value[:-1] or ["x"]
        case _:
            return "x"


def _delete(lines: list[str], chance: random.Random) -> list[str]:
    place = chance.randrange(len(lines))
    return lines[:place] + lines[place + 1 :]


def _insert(lines: list[str], chance: random.Random) -> list[str]:
    place = chance.randrange(1, len(lines) + 1)
    forged = chance.choice([json.dumps({"entry": _entry(chance.randrange(1, 60))}), chance.choice(lines)])
    return [*lines[:place], forged, *lines[place:]]


def _reorder(lines: list[str], chance: random.Random) -> list[str]:
    first, second = sorted(chance.sample(range(len(lines)), 2))
    moved = list(lines)
    moved[first], moved[second] = moved[second], moved[first]
    return moved


def _truncate(lines: list[str], chance: random.Random) -> list[str]:
    return lines[: chance.randrange(len(lines))]


@pytest.mark.parametrize("attack", [_edit, _delete, _insert, _reorder, _truncate])
def test_two_hundred_random_attacks_of_each_kind_are_all_found(attack: Any) -> None:
    chance = random.Random(attack.__name__)
    found = tried = 0
    while tried < 200:
        lines, checkpoints = _log([chance.randrange(1, 7) for _ in range(chance.randrange(2, 9))])
        attacked = attack(lines, chance)
        if attacked == lines:
            continue
        tried += 1
        found += bool(verify(attacked, checkpoints).findings)
    assert found == 200
