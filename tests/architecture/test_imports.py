"""Imports go down only (ARCHITECTURE.md): the contracts hold, and each of them is seen to fail when it is broken."""

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

INDEPENDENCE = "Services never import one another"
DIRECTION = "Services stand on shared, never the reverse"
SERVICE_LAYERS = "Inside a service, calls go one way"
SHARED_LAYERS = "Inside shared, calls go one way"
PURE_DOMAIN = "A domain decides; it does no I/O"

# contract, the role that sins, the line it gets
VIOLATIONS = {
    "a service imports its neighbour": (INDEPENDENCE, "services/training/handlers", "import services.intake.app"),
    "the dashboard calls a service": (INDEPENDENCE, "services/dashboard/pages", "import services.training.app"),
    "shared knows a service": (DIRECTION, "shared/problems", "import services.training.app"),
    "rows call the door": (SERVICE_LAYERS, "services/training/tables", "import services.training.api"),
    "one door uses another": (SERVICE_LAYERS, "services/training/reactions", "import services.training.api"),
    "an endpoint imports the whole service": (SERVICE_LAYERS, "services/training/api", "import services.training.app"),
    "a room nobody named, in a service": (SERVICE_LAYERS, "services/training/utils", ""),
    "the bus asks who is calling": (SHARED_LAYERS, "shared/bus", "import shared.auth"),
    "consent asks the bus": (SHARED_LAYERS, "shared/consent", "import shared.bus"),
    "the lowest rooms lean on each other": (SHARED_LAYERS, "shared/problems", "import shared.database"),
    "a room nobody named, in shared": (SHARED_LAYERS, "shared/helpers", ""),
    "a domain reads rows": (PURE_DOMAIN, "services/training/domain", "import sqlalchemy"),
    "a domain knows the frame": (PURE_DOMAIN, "services/training/domain", "import shared.problems"),
}


def test_imports_go_down_only() -> None:
    outcome = lint_imports(ROOT)
    assert outcome.returncode == 0, outcome.stdout


@pytest.mark.parametrize(("contract", "role", "line"), VIOLATIONS.values(), ids=list(VIOLATIONS))
def test_each_contract_is_seen_to_fail(contract: str, role: str, line: str, tmp_path: Path) -> None:
    copy_code(tmp_path)
    with module_of(tmp_path, role).open("a", encoding="utf-8") as module:
        module.write(f"\n{line}\n")
    outcome = lint_imports(tmp_path)
    assert outcome.returncode != 0, outcome.stdout
    assert f"{contract} BROKEN" in outcome.stdout


def test_every_contract_has_been_seen_to_fail() -> None:
    """A contract added to pyproject.toml needs its violation here."""
    stated = (ROOT / "pyproject.toml").read_text(encoding="utf-8").count("[[tool.importlinter.contracts]]")
    assert stated == len({contract for contract, _, _ in VIOLATIONS.values()})


def test_a_domain_imports_the_standard_library_only() -> None:
    """import-linter names what is forbidden; this says what is allowed."""
    domains = [path for path in python_files("services") if "domain" in (path.parts[2], path.stem)]
    assert domains, "no domain was found: is this test looking in the right place?"
    strangers = [
        f"{path}: {name}"
        for path in domains
        for name in imported(ROOT / path)
        if not is_standard(name) and not name.startswith(f"services.{path.parts[1]}.domain")
    ]
    assert strangers == []


def test_what_runs_in_an_image_knows_nothing_outside_it() -> None:
    """An image holds shared/ and one service; import-linter can't list plain modules such as all_in_one."""
    outside = {"all_in_one", "bench", "demo", "embedded", "ops", "tests"}
    code = [*python_files("shared"), *python_files("services")]
    leaks = [f"{path}: {name}" for path in code for name in imported(ROOT / path) if name.partition(".")[0] in outside]
    assert leaks == []


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("import os.path", ["os.path"]),
        ("from datetime import UTC", ["datetime.UTC"]),
        ("def f():\n    from sqlalchemy import text", ["sqlalchemy.text"]),
        ("from . import quota", [".quota"]),
    ],
)
def test_imports_are_found_wherever_they_stand(source: str, names: list[str], tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text(source, encoding="utf-8")
    assert list(imported(module)) == names


def lint_imports(root: Path) -> subprocess.CompletedProcess[str]:
    """import-linter in a process of its own: it imports by sys.path, and this one already holds the real tree."""
    command = [sys.executable, "-c", "import importlinter.cli as it; raise SystemExit(it.lint_imports(no_cache=True))"]
    environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1", "NO_COLOR": "1"}
    return subprocess.run(
        command, cwd=root, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )


def copy_code(target: Path) -> None:
    shutil.copy(ROOT / "pyproject.toml", target)
    for path in [*python_files("shared"), *python_files("services")]:
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, target / path)


def module_of(root: Path, role: str) -> Path:
    """A role is a file, or a folder once it has grown; a role the service does without is made."""
    folder = root / role
    if folder.is_dir():
        return folder / "__init__.py"
    folder.parent.mkdir(parents=True, exist_ok=True)
    return folder.with_suffix(".py")


def python_files(top: str) -> list[Path]:
    return sorted(path.relative_to(ROOT) for path in (ROOT / top).rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Import(names):
                yield from (name.name for name in names)
            case ast.ImportFrom(module, names, level):
                yield from (f"{'.' * level}{module or ''}{'.' if module else ''}{name.name}" for name in names)
            case _:
                pass


def is_standard(name: str) -> bool:
    return name.partition(".")[0] in sys.stdlib_module_names
