"""What is sealed opens with its own key, in its own place, unchanged, and in no other way."""

import base64
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.settings import Settings
from shared.vault import DataKey, MasterKeys, MasterKeysError, Place, Unsealable, new_master_keys, read_master_keys
from shared.vault.masters import with_next_index, with_next_master

SUBJECT = str(uuid4())
HERE = Place("personal_value", "sealed", f"{SUBJECT}/name/1")
TEXTS = st.text(st.characters(codec="utf-8"), max_size=300)


def _key(subject: str = SUBJECT) -> DataKey:
    return MasterKeys(new_master_keys).new_key(subject)[0]


@given(TEXTS)
def test_what_was_sealed_opens_again(text: str) -> None:
    key = _key()
    assert key.open(key.seal(text, HERE), HERE) == text


@given(TEXTS, st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_a_changed_byte_is_found(text: str, where: int, by: int) -> None:
    key = _key()
    sealed = bytearray(key.seal(text, HERE))
    sealed[where % len(sealed)] ^= by
    with pytest.raises(Unsealable):
        key.open(bytes(sealed), HERE)


@pytest.mark.parametrize(
    "elsewhere",
    [
        Place("other_table", "sealed", HERE.row),
        Place(HERE.table, "other_column", HERE.row),
        Place(HERE.table, HERE.column, f"{SUBJECT}/name/2"),
    ],
)
def test_a_value_copied_to_another_place_does_not_open(elsewhere: Place) -> None:
    key = _key()
    with pytest.raises(Unsealable):
        key.open(key.seal("鹿児島 花子", HERE), elsewhere)


def test_parts_of_a_place_cannot_be_shifted_into_one_another() -> None:
    assert Place("a", "bc", "d").bound != Place("ab", "c", "d").bound


def test_the_same_text_never_looks_the_same_twice() -> None:
    key = _key()
    assert key.seal("同じ", HERE) != key.seal("同じ", HERE)


def test_another_cases_key_does_not_open_it() -> None:
    with pytest.raises(Unsealable):
        _key(str(uuid4())).open(_key().seal("x", HERE), HERE)


def test_a_wrapped_key_serves_its_own_case_alone() -> None:
    masters = MasterKeys(new_master_keys)
    _, version, wrapped = masters.new_key(SUBJECT)
    with pytest.raises(Unsealable):
        masters.unwrap(str(uuid4()), version, wrapped)


def test_keys_never_show_themselves() -> None:
    text = new_master_keys()
    masters = MasterKeys(lambda: text)
    shown = repr(masters) + repr(masters.new_key(SUBJECT)[0]) + repr(vars(masters))
    assert not any(word in shown for line in text.splitlines() for word in [line.split()[2], line.split()[2][:12]])


# --- master keys ----------------------------------------------------------------------------------------------------


def test_after_a_rotation_old_and_new_keys_open_and_the_newest_wraps() -> None:
    kept = [new_master_keys()]
    masters = MasterKeys(lambda: kept[0])
    key, version, wrapped = masters.new_key(SUBJECT)
    sealed = key.seal("守る", HERE)
    kept[0] = with_next_master(kept[0])
    rotated = MasterKeys(lambda: kept[0])
    assert DataKey(SUBJECT, rotated.unwrap(SUBJECT, version, wrapped)).open(sealed, HERE) == "守る"
    assert rotated.wrap(SUBJECT, bytes(32))[0] == 2


def test_a_process_that_meets_an_unknown_version_looks_again() -> None:
    kept = [new_master_keys()]
    running = MasterKeys(lambda: kept[0])
    kept[0] = with_next_master(kept[0])
    _, version, wrapped = MasterKeys(lambda: kept[0]).new_key(SUBJECT)
    assert running.unwrap(SUBJECT, version, wrapped)
    assert running.newest == 2


def test_a_missing_version_is_said_in_both_languages() -> None:
    kept = new_master_keys()
    _, version, wrapped = MasterKeys(lambda: with_next_master(kept)).new_key(SUBJECT)
    with pytest.raises(MasterKeysError, match=r"(?s)版 2 がありません.*version 2 is missing"):
        MasterKeys(lambda: kept).unwrap(SUBJECT, version, wrapped)


@pytest.mark.parametrize(
    "line",
    [
        "master",
        "master one AAAA",
        "master 2 not-base64",
        f"master 2 {base64.b64encode(bytes(31)).decode()}",
        f"master 0 {base64.b64encode(bytes(32)).decode()}",
        f"master 1 {base64.b64encode(bytes(32)).decode()}",
        f"servant 1 {base64.b64encode(bytes(32)).decode()}",
    ],
)
def test_a_line_that_is_no_key_is_named_by_its_number_and_not_shown(line: str) -> None:
    with pytest.raises(MasterKeysError, match=r"3 行目.*Line 3") as caught:
        MasterKeys(lambda: new_master_keys() + line)
    assert line.rsplit(maxsplit=1)[-1] not in str(caught.value) or line == "master"


def test_without_any_key_the_start_says_what_to_do() -> None:
    with pytest.raises(MasterKeysError, match="keys new"):
        read_master_keys(Settings())
    with pytest.raises(MasterKeysError, match="master と index"):
        MasterKeys(lambda: "# nothing yet\n")


def test_keys_come_from_a_file_or_from_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "keys"
    file.write_text(new_master_keys())
    monkeypatch.setenv("TSUNAGU_MASTER_KEYS_FILE", str(file))
    from_file = read_master_keys(Settings())
    from_command = read_master_keys(Settings(master_keys_command=f"cat {file}"))
    assert from_file.blind("kana", "ハナコ") == from_command.blind("kana", "ハナコ")
    kept = with_next_master(file.read_text())
    file.write_text(kept)
    _, version, wrapped = MasterKeys(lambda: kept).new_key(SUBJECT)
    assert from_file.unwrap(SUBJECT, version, wrapped), "a key that was added to the file is seen without a restart"


def test_keys_that_cannot_be_fetched_stop_the_start() -> None:
    with pytest.raises(MasterKeysError, match="TSUNAGU_MASTER_KEYS_COMMAND"):
        read_master_keys(Settings(master_keys_command="false"))


def test_blind_fingerprints_are_equal_for_equal_values_of_a_kind_only() -> None:
    masters = MasterKeys(new_master_keys)
    text = new_master_keys()
    ours = MasterKeys(lambda: text)
    assert ours.blind("kana", "ハナコ") == ours.blind("kana", "ハナコ")
    assert ours.blind("kana", "ハナコ") != ours.blind("previous_name", "ハナコ")
    assert ours.blind("kana", "ハナコ") != masters.blind("kana", "ハナコ")


def test_an_index_key_is_rotated_beside_the_old_one() -> None:
    kept = [new_master_keys()]
    running = MasterKeys(lambda: kept[0])
    old = running.blind("kana", "ハナコ")
    kept[0] = with_next_index(kept[0])
    assert running.newest_index == 1
    new = running.blind("kana", "ハナコ", version=2)
    assert new == MasterKeys(lambda: kept[0]).blind("kana", "ハナコ") != old
    assert running.newest_index == 2, "a version that it didn't know made it look again"
    assert running.blind("kana", "ハナコ", version=1) == old
    with pytest.raises(MasterKeysError, match="version 3 is missing"):
        running.blind("kana", "ハナコ", version=3)
