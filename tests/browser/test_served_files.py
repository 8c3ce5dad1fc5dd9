"""The files behind the pages: every text translated, every vendored file as published."""

import hashlib
import re
from datetime import date
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from services.dashboard import pages
from services.dashboard.pages import day, municipality

DASHBOARD = Path(pages.__file__).parent
HERE = Path(__file__).parent


def test_every_text_has_its_japanese_and_no_translation_is_left_over() -> None:
    found = extract_from_dir(str(DASHBOARD / "templates"), method_map=[("**.html", "jinja2.ext:babel_extract")])
    used = {message for _, _, message, _, _ in found}
    with (DASHBOARD / "locale" / "ja.po").open("rb") as file:
        catalogue = {entry.id: entry.string for entry in read_po(file) if entry.id}
    assert used == set(catalogue)
    assert [text for text, japanese in catalogue.items() if not japanese] == []


@pytest.mark.parametrize("folder", [DASHBOARD / "static" / "vendor", HERE / "vendor"], ids=["served", "tests"])
def test_vendored_files_are_as_published_and_bring_their_licence(folder: Path) -> None:
    lines = [line.split(maxsplit=1) for line in (folder / "SHA256SUMS").read_text("utf-8").splitlines()]
    listed = {name: digest for digest, name in lines}
    present = {f"./{file.relative_to(folder)}" for file in folder.rglob("*") if file.is_file()} - {"./SHA256SUMS"}
    assert set(listed) == present
    for name, digest in listed.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest, name
    assert all((each / "LICENSE").exists() for each in folder.iterdir() if each.is_dir())


def test_the_viewer_is_the_release_that_reads_both_kinds_of_contract() -> None:
    head = (DASHBOARD / "static" / "vendor" / "redoc" / "redoc.standalone.js").read_text("utf-8")[:400]
    assert re.search(r"Version: 3\.\d+\.\d+", head)


def test_municipality_codes_carry_their_check_digit() -> None:
    for code in pages._municipalities():
        total = sum(int(digit) * weight for digit, weight in zip(code, (6, 5, 4, 3, 2), strict=False))
        assert (11 - total % 11) % 10 == int(code[5]), code


def test_a_municipality_without_a_known_name_keeps_its_code() -> None:
    assert municipality("462012", "ja") == "鹿児島市"
    assert municipality("012025", "ja") == "012025"


def test_the_first_year_of_an_era_has_a_name_of_its_own() -> None:
    assert day(date(2019, 5, 1), "ja") == "令和元年5月1日"
    assert day(date(2019, 4, 30), "ja") == "2019年4月30日"
    assert day(date(2026, 4, 1), "en") == "1 April 2026"
