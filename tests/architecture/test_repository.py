"""The repository itself: names, sizes, words of the Makefile, the environment, and pins."""

import ast
import os
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("assessment", "dashboard", "intake", "referral", "training")
NOT_OURS = {"build", "node_modules", "secrets", "test-results", "var"}
WORDS = {"help", "run", "demo", "test", "lint", "kafka", "bench", "contracts", "migrate", "up", "down"}

# Written so that the patterns do not find themselves.
REGISTRY = re.compile(
    r"py(pi)[.]org|pythonho(sted)[.]org|np(m)js[.](org|com)|(deb|security)[.]deb(ian)[.]org|repo1?[.]mav(en)[.]"
)
MACHINE_PATH = re.compile(r"(^|[^A-Za-z0-9_.])/(work|farm|root|Users)/|/opt/[v]/")


def test_services_are_a_namespace_so_that_each_ships_alone() -> None:
    assert not (ROOT / "services" / "__init__.py").exists()


def test_all_services_are_here() -> None:
    """Without this, the tests that run once per service could run for none."""
    assert services() == list(SERVICES)


def test_no_file_is_named_for_nothing() -> None:
    nowhere = {"utils", "util", "helpers", "helper", "misc", "common", "manager", "lib"}
    assert [str(path) for path in files("*.py") if nowhere & {path.stem, *path.parts}] == []


def test_pins_are_kept_in_requirements_and_nowhere_else() -> None:
    others = {"uv.lock", "poetry.lock", "Pipfile.lock", "setup.py", "setup.cfg"}
    assert [str(path) for path in files() if path.name in others] == []


def test_no_module_has_grown_past_six_hundred_lines() -> None:
    long = {str(path): count for path in files("*.py") if (count := len(text(path).splitlines())) > 600}
    assert long == {}, "is a role inside it asking for a folder?"


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        str(path)
        for path in files("*.py")
        if path.parent.name != "versions" and not ast.get_docstring(ast.parse(text(path)))
    ]
    assert silent == []


@pytest.mark.parametrize("pattern", [REGISTRY, MACHINE_PATH], ids=["registry hosts", "paths of a machine"])
def test_nothing_ties_the_repository_to_one_place(pattern: re.Pattern[str]) -> None:
    found = [
        f"{path}:{number}: {line.strip()[:120]}"
        for path in files()
        if path.suffix != ".svg" and is_text(path)
        for number, line in enumerate(text(path).splitlines(), start=1)
        if pattern.search(line)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        (REGISTRY, "index-url = https://" + "pypi" + ".org/simple"),
        (REGISTRY, "https://files." + "pythonhosted" + ".org/packages/x.whl"),
        (REGISTRY, "https://registry." + "npmjs" + ".org/redoc"),
        (REGISTRY, "https://repo." + "maven" + ".apache.org/maven2"),
        (MACHINE_PATH, "cd /" + "work/main"),
        (MACHINE_PATH, "HOME=/" + "root/.cache"),
    ],
)
def test_the_patterns_find_what_they_are_for(pattern: re.Pattern[str], line: str) -> None:
    assert pattern.search(line)


def test_no_test_pretends_with_mocks() -> None:
    """A fake is a small class of its own; a mock agrees with whatever the code does."""
    pretending = [
        str(path)
        for path in files("*.py")
        if re.search(r"^\s*(from|import) +(unittest[.]mock|unittest +import +mock|mock\b)", text(path), re.MULTILINE)
    ]
    assert pretending == []


# --------------------------------------------------------------------------------------------------- the Makefile


def test_the_makefile_knows_every_word_we_promise() -> None:
    shown = make("help").stdout
    assert set(re.findall(r"^  make ([a-z-]+) ", shown, re.MULTILINE)) >= WORDS


def test_help_is_what_make_says_by_itself() -> None:
    assert make().stdout == make("help").stdout


@pytest.mark.parametrize("word", sorted(WORDS))
def test_every_word_has_a_recipe(word: str) -> None:
    planned = make("--dry-run", word)
    assert planned.returncode == 0, planned.stderr
    assert planned.stdout.strip()
    assert "Nothing to be done" not in planned.stdout


def test_what_the_words_call_is_there() -> None:
    recipes = text(Path("Makefile"))
    called = {
        "all_in_one.py": "all_in_one.py",
        "-m demo": "demo/__main__.py",
        "-m bench": "bench/__main__.py",
        "ops/kafka/run.sh": "ops/kafka/run.sh",
        "docker compose": "docker-compose.yml",
    }
    assert [call for call in called if call not in recipes] == [], "this list is out of date"
    assert [path for path in called.values() if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("script", [".ci/run", "ops/kafka/run.sh"])
def test_scripts_can_be_started(script: str) -> None:
    assert os.access(ROOT / script, os.X_OK)


def test_the_landing_check_calls_the_words_of_the_readme() -> None:
    assert re.search(r"^[^#\n]*\bmake lint test\b", text(Path(".ci/run")), re.MULTILINE)


def test_the_readme_names_both_commands() -> None:
    readme = text(Path("README.md"))
    assert "make run" in readme
    assert "make test" in readme


def test_a_token_needs_the_name_of_an_agency(tmp_path: Path) -> None:
    """Only the recipe is asked: the environment is declared up to date."""
    asked = make("token", "--assume-old=environment-run", "AGENCY=")
    assert asked.returncode != 0
    assert "make token AGENCY=" in asked.stderr


# ------------------------------------------------------------------------------------------------- the environment


def test_an_old_python_is_told_so_in_plain_words(tmp_path: Path) -> None:
    """A machine with nothing but Python 3.9: the first command of the README must say what to do."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("sh", "make", "env"):
        (tools / tool).symlink_to(shutil.which(tool) or tool)
    old = tools / "python3"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.2"\nexit 1\n', encoding="utf-8")
    old.chmod(0o755)
    copy_bootstrap(tmp_path)
    told = make("run", folder=tmp_path, environment={"PATH": str(tools)})
    assert told.returncode != 0
    for words in ("Python 3.11 以上", "No Python 3.11 or later", "Python 3.9.2", "sudo apt install python3"):
        assert words in told.stderr


def test_a_python_without_venv_is_told_which_package_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Debian's python3 comes without ensurepip."""
    copy_bootstrap(tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setattr(sys, "argv", ["bootstrap.py", "run"])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(tmp_path / "ops" / "bootstrap.py"), run_name="__main__")
    assert end.value.code == 1
    told = capsys.readouterr().err
    assert f"sudo apt install python3.{sys.version_info.minor}-venv" in told
    assert "仮想環境の部品" in told


def test_an_unreachable_mirror_is_told_in_plain_words_and_tried_again(tmp_path: Path) -> None:
    """The list names a package that no folder holds; pip must not be left to explain it alone."""
    copy_bootstrap(tmp_path)
    hashed = "tsunagu-absent==1.0 --hash=sha256:" + "0" * 64 + "\n"
    (tmp_path / "requirements" / "run.txt").write_text(hashed, encoding="utf-8")
    nowhere = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path), "PIP_CONFIG_FILE": os.devnull}
    for _ in range(2):
        told = make("environment-run", f"PYTHON={sys.executable}", folder=tmp_path, environment=nowhere)
        assert told.returncode != 0
        assert "部品を入れられませんでした" in told.stderr
        assert "The packages could not be installed" in told.stderr
    assert not (tmp_path / ".venv" / "installed-run").exists()


def test_an_environment_is_made_once_and_anew_when_its_list_or_its_place_has_changed(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    copy_bootstrap(here)
    pins = here / "requirements" / "run.txt"
    pins.write_text("# nothing is needed\n", encoding="utf-8")
    prepare = ("environment-run", f"PYTHON={sys.executable}")
    assert "Ready" in make(*prepare, folder=here).stdout
    assert make(*prepare, folder=here).stdout == ""
    pins.write_text("# nothing is needed, said differently\n", encoding="utf-8")
    assert "Ready" in make(*prepare, folder=here).stdout
    here.rename(there)
    assert "Ready" in make(*prepare, folder=there).stdout
    scripts_call = (there / ".venv" / "bin" / "pip").read_text(encoding="utf-8")
    assert str(there / ".venv") in scripts_call


def test_checkouts_that_share_an_environment_by_a_link_never_make_it_anew(tmp_path: Path) -> None:
    main, branch = tmp_path / "main", tmp_path / "branch"
    for checkout in (main, branch):
        checkout.mkdir()
        copy_bootstrap(checkout)
        (checkout / "requirements" / "run.txt").write_text("# nothing is needed\n", encoding="utf-8")
    prepare = ("environment-run", f"PYTHON={sys.executable}")
    assert "Ready" in make(*prepare, folder=main).stdout
    (branch / ".venv").symlink_to(main / ".venv")
    assert make(*prepare, folder=branch).stdout == ""
    assert make(*prepare, folder=main).stdout == ""


# ------------------------------------------------------------------------------------------------------------ pins


@pytest.mark.parametrize("name", ["service", "run", "dev"])
def test_every_package_is_pinned_with_hashes(name: str) -> None:
    lines = text(Path(f"requirements/{name}.txt")).replace("\\\n", " ").splitlines()
    packages = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    assert packages
    assert [line for line in packages if not re.match(r"[a-z0-9._-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", line)] == []


def test_the_lists_agree() -> None:
    """What is tested is what runs: one version of a package in all three lists, each list holding the one below."""
    service, run, dev = pinned("service"), pinned("run"), pinned("dev")
    assert service.items() <= run.items()
    assert run.items() <= dev.items()


@pytest.mark.parametrize("name", ["service", "run", "dev"])
def test_what_is_asked_for_is_pinned(name: str) -> None:
    wanted = re.findall(r"^([a-z][a-z0-9_.-]*)", text(Path(f"requirements/{name}.in")), re.MULTILINE)
    assert set(wanted) <= set(pinned(name)), "make pins"


# ------------------------------------------------------------------------------------------------------- the files


def files(pattern: str = "*") -> Iterator[Path]:
    """Our own files, relative to the root; what .gitignore leaves out and what others wrote (vendor/) is not ours."""
    for folder, names, found in os.walk(ROOT):
        here = Path(folder).relative_to(ROOT)
        names[:] = [
            name
            for name in names
            if name not in {"__pycache__", "vendor"} and not (here == Path() and is_left_out(name))
        ]
        yield from (here / name for name in sorted(found) if Path(name).match(pattern))


def services() -> list[str]:
    return sorted(path.parent.name for path in (ROOT / "services").glob("*/app.py"))


def is_left_out(top: str) -> bool:
    return top in NOT_OURS or (top.startswith(".") and top not in {".ci", ".github"})


def is_text(path: Path) -> bool:
    with (ROOT / path).open("rb") as file:
        return b"\0" not in file.read(4096)


def text(path: Path) -> str:
    return (ROOT / path).read_text(encoding="utf-8", errors="surrogateescape")


def pinned(name: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", text(Path(f"requirements/{name}.txt")), re.MULTILINE))


def copy_bootstrap(target: Path) -> None:
    """What the first use of `make` touches, in a folder of its own."""
    (target / "ops").mkdir()
    (target / "requirements").mkdir()
    for path in ("Makefile", "ops/bootstrap.py", "requirements/run.txt"):
        shutil.copy(ROOT / path, target / path)


def make(
    *arguments: str, folder: Path = ROOT, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """`make`, started as by a person: not as a part of the `make test` that may be running this."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(
        [shutil.which("make") or "make", "--no-print-directory", *arguments],
        cwd=folder,
        env={**inherited, **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
