"""The documents say what is true: the commands, links, settings and metrics they name exist, and none is left out."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
from pydantic_core import PydanticUndefined

from shared.settings import PREFIX, Settings

ROOT = Path(__file__).resolve().parents[2]
FOREIGN = {"vendor", "node_modules", "build", "var", "secrets", "test-results"}
DECISION_PARTS = ["Context", "Decision", "Consequences", "Alternatives"]
METRIC_KINDS = {"Counter", "Gauge", "Histogram", "Summary"}
COMPOSE_ONLY = {"PORT"}
"""Words of docker-compose.yml that no service reads."""
OPS_ONLY = {"KAFKA_DIR"}
"""Words of ops/kafka/run.sh."""


def documents() -> list[Path]:
    """Our own pages; what others wrote (vendor/) and what tools left behind is not ours."""
    found = (path.relative_to(ROOT) for path in ROOT.rglob("*.md"))
    return sorted(path for path in found if not any(part in FOREIGN or part.startswith(".") for part in path.parts))


DOCUMENTS = documents()
DECISIONS = sorted(path.relative_to(ROOT) for path in (ROOT / "docs" / "decisions").glob("*.md"))
in_every_document = pytest.mark.parametrize("page", DOCUMENTS, ids=str)


# ------------------------------------------------------------------------------------------------------- the README


def test_the_readme_is_read_in_one_sitting() -> None:
    assert len(text("README.md").splitlines()) <= 200


@pytest.mark.parametrize("command", ["make run", "make test", "make demo"])
def test_the_readme_gives_the_command_to_copy(command: str) -> None:
    assert command in [block.strip() for block in fenced("README.md")]


def test_the_readme_is_japanese_first_and_english_second() -> None:
    readme = text("README.md")
    assert 0 < readme.index("## 何が見えるか") < readme.index("## English")


@pytest.mark.parametrize("role", ["自治体職員", "支援機関", "開発者", "運用"])
def test_the_readme_leads_every_role_somewhere(role: str) -> None:
    rows = [line for line in text("README.md").splitlines() if line.startswith(f"| {role} |")]
    assert len(rows) == 1
    assert "](" in rows[0]


# ------------------------------------------------------------------------------------------------- links and words


@in_every_document
def test_every_link_leads_somewhere(page: Path) -> None:
    assert [target for target in links(page) if not leads_somewhere(page, target)] == []


@in_every_document
def test_every_word_for_make_exists(page: Path) -> None:
    assert sorted(set(words_for_make(text(page))) - words_of_the_makefile()) == []


def test_the_documents_are_there() -> None:
    """Without this, the tests that run once per page could run for none."""
    names = {str(page) for page in DOCUMENTS}
    assert {"README.md", "ARCHITECTURE.md", "CHANGELOG.md", "docs/operations.md", "docs/counsellors.md"} <= names


@in_every_document
def test_every_setting_that_is_named_exists(page: Path) -> None:
    known = {name.upper() for name in Settings.model_fields} | COMPOSE_ONLY | OPS_ONLY
    named = {name.removesuffix("_FILE") for name in re.findall(rf"\b{PREFIX}([A-Z][A-Z_]*[A-Z])\b", text(page))}
    assert sorted(named - known) == []


# ------------------------------------------------------------------------------------------------------- settings


def test_the_table_of_settings_is_the_list_in_the_code() -> None:
    """On failure the difference shows the rows to paste into ARCHITECTURE.md."""
    section = text("ARCHITECTURE.md").partition("\n## Settings\n")[2].partition("\n## ")[0]
    assert [line for line in section.splitlines() if line.startswith("|")] == settings_table()


def settings_table() -> list[str]:
    """The table as it must stand in ARCHITECTURE.md."""
    rows = ["| setting | default | |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = "" if field.default in {None, PydanticUndefined, ""} else f"`{field.default}`"
        rows.append(f"| `{PREFIX}{name.upper()}` | {default} | {field.description} |")
    return rows


# ------------------------------------------------------------------------------------------------------ decisions


def test_decisions_are_numbered_without_a_gap() -> None:
    assert [path.name[:5] for path in DECISIONS] == [f"{number:04d}-" for number in range(1, len(DECISIONS) + 1)]
    assert DECISIONS


@pytest.mark.parametrize("record", DECISIONS, ids=lambda path: path.name)
def test_a_decision_is_one_page_with_its_four_parts(record: Path) -> None:
    lines = text(record).splitlines()
    assert len(lines) <= 50
    assert lines[0].startswith(f"# {record.name[:4]} ")
    assert [line.removeprefix("## ") for line in lines if line.startswith("## ")] == DECISION_PARTS
    assert [part for part in DECISION_PARTS if not said_in(lines, part)] == []


def said_in(lines: list[str], part: str) -> str:
    """What stands under a heading."""
    after = "\n".join(lines).partition(f"\n## {part}\n")[2]
    return after.partition("\n## ")[0].strip()


def test_every_decision_that_code_cites_is_written() -> None:
    cited = {number for path in code() for number in re.findall(r"docs/decisions/(\d{4})", path.read_text("utf-8"))}
    assert cited
    assert sorted(cited - {record.name[:4] for record in DECISIONS}) == []


# -------------------------------------------------------------------------------------------------------- metrics


def test_every_metric_is_explained_to_operators_and_nothing_else_is() -> None:
    explained = set(re.findall(r"^\| `(tsunagu_[a-z_]+)` \|", text("docs/operations.md"), re.MULTILINE))
    counted = set(metrics())
    assert counted
    assert explained == counted


def metrics() -> Iterator[str]:
    """The names that the code gives to prometheus_client, as they are exposed: a counter ends in `_total`."""
    for path in code():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.Call(func=ast.Name(id=kind), args=[ast.Constant(value=str(name)), *_]) if kind in METRIC_KINDS:
                    yield name.removesuffix("_total") + "_total" if kind == "Counter" else name
                case _:
                    pass


def code() -> list[Path]:
    """What a service runs on."""
    return sorted(path for folder in ("shared", "services") for path in (ROOT / folder).rglob("*.py"))


# ---------------------------------------------------------------------------------------------------------- reading


def text(path: Path | str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def fenced(path: Path | str) -> list[str]:
    """What stands between fences, to be copied."""
    return re.findall(r"^```\w*\n(.*?)^```$", text(path), re.MULTILINE | re.DOTALL)


def links(path: Path) -> list[str]:
    """Relative targets of links and pictures, outside code."""
    prose = re.sub(r"^```.*?^```$|`[^`\n]*`", "", text(path), flags=re.MULTILINE | re.DOTALL)
    targets = re.findall(r"\]\(([^)\s]+)\)", prose)
    return [target for target in targets if not re.match(r"[a-z]+:", target)]


def leads_somewhere(page: Path, target: str) -> bool:
    name, _, anchor = unquote(target).partition("#")
    there = (ROOT / page).parent / name if name else ROOT / page
    return there.exists() and (not anchor or anchor in anchors(there))


def anchors(path: Path) -> set[str]:
    """The headings' addresses as repository sites make them."""
    heads = re.findall(
        r"^#+ (.+)$",
        re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL),
        re.MULTILINE,
    )
    return {re.sub(r"[^\w\- ]", "", head.strip().lower()).replace(" ", "-") for head in heads}


def words_for_make(page: str) -> Iterator[str]:
    """`make word` in code: in prose, "make" is just English. Two spaces begin the column that explains."""
    for block, inline in re.findall(r"^```\w*\n(.*?)^```$|`([^`\n]+)`", page, re.MULTILINE | re.DOTALL):
        for line in (block or inline).splitlines():
            for call in re.finditer(r"(?:^|[(;&|]|\S=\S* )\s*make((?: [^\s;&|)]+)+)", line):
                yield from before_the_variables(call[1].split())


def before_the_variables(arguments: list[str]) -> Iterator[str]:
    """`-s lint test ARGS=…` is about lint and test."""
    for argument in arguments:
        if argument.startswith("-"):
            continue
        if "=" in argument or argument.startswith("#"):
            return
        yield argument


def words_of_the_makefile() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", text("Makefile"), re.MULTILINE))
