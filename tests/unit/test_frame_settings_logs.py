"""Settings and logs: secrets come from files, wrong values and exceptions are named but never shown."""

import io
import json
import logging
from pathlib import Path

import pytest
import structlog
from pydantic import ValidationError

from shared.service.logs import configure_logs, only_allowed, where
from shared.settings import Settings

CANARY = "kanaria-9b1c"


def test_a_secret_comes_from_a_file_and_its_newline_is_not_part_of_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    secret = tmp_path / "password"
    secret.write_text(f"{CANARY} \n", encoding="utf-8")
    monkeypatch.setenv("TSUNAGU_DATABASE_PASSWORD_FILE", str(secret))
    monkeypatch.setenv("TSUNAGU_ISSUER", "http://issuer.test/")
    settings = Settings()
    assert settings.database_password is not None
    assert settings.database_password.get_secret_value() == f"{CANARY} "
    assert CANARY not in repr(settings)
    assert CANARY not in str(settings)
    assert CANARY not in settings.model_dump_json()
    assert settings.jwks_url is None


def test_every_setting_may_come_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in (("database_pool", "17"), ("transport", "kafka"), ("max_body_bytes", "2048")):
        (tmp_path / name).write_text(f"{value}\r\n", encoding="utf-8")
        monkeypatch.setenv(f"TSUNAGU_{name.upper()}_FILE", str(tmp_path / name))
    settings = Settings()
    assert (settings.database_pool, settings.transport, settings.max_body_bytes) == (17, "kafka", 2048)


def test_what_is_passed_on_empty_keeps_no_file_from_being_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As docker-compose.yml passes on TSUNAGU_SMTP_URL while an override names the file."""
    (tmp_path / "smtp_url").write_text("smtp://mail.example.jp\n", encoding="utf-8")
    monkeypatch.setenv("TSUNAGU_SMTP_URL", "")
    monkeypatch.setenv("TSUNAGU_SMTP_URL_FILE", str(tmp_path / "smtp_url"))
    settings = Settings()
    assert settings.smtp_url is not None
    assert settings.smtp_url.get_secret_value() == "smtp://mail.example.jp"


@pytest.mark.parametrize("name", ["DATABASE_POOL", "TRANSPORT", "LOG_LEVEL", "MAX_BODY_BYTES", "DEMO"])
def test_a_wrong_value_stops_the_start_and_is_not_printed(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(f"TSUNAGU_{name}", CANARY)
    with pytest.raises(ValidationError) as caught:
        Settings()
    assert name.lower() in str(caught.value)
    assert CANARY not in str(caught.value)


def test_a_wrong_value_in_a_file_is_not_printed_either(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "x").write_text(CANARY, encoding="utf-8")
    monkeypatch.setenv("TSUNAGU_DATABASE_POOL_FILE", str(tmp_path / "x"))
    with pytest.raises(ValidationError) as caught:
        Settings()
    assert CANARY not in str(caught.value)


def test_a_missing_file_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TSUNAGU_DATABASE_PASSWORD_FILE", "/nowhere/at/all")
    with pytest.raises(FileNotFoundError):
        Settings()


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+asyncpg"])
def test_the_usual_spellings_of_an_address_are_accepted(scheme: str) -> None:
    assert Settings(database_url=f"{scheme}://u@h/d").database_url == "postgresql+asyncpg://u@h/d"


# --------------------------------------------------------------------------------------------------------------- logs


@pytest.fixture
def log() -> io.StringIO:
    configure_logs(Settings(log_level="debug"))
    buffer = io.StringIO()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(buffer))
    return buffer


def test_only_named_keys_pass(log: io.StringIO) -> None:
    structlog.get_logger().info("request", route="/v1/x", status=200, name=CANARY, body=CANARY, exc_info=CANARY)
    line = json.loads(log.getvalue())
    assert {"event", "route", "status", "level", "timestamp"} == set(line)
    assert CANARY not in log.getvalue()
    assert only_allowed(None, "", {"person": 1, "event": "x"}) == {"event": "x"}


def test_a_librarys_text_and_exception_are_reduced_to_who_spoke(log: io.StringIO) -> None:
    try:
        raise ValueError(CANARY)
    except ValueError:
        logging.getLogger("somebody").exception("said %s", CANARY)
    logging.getLogger("somebody").info(CANARY)
    line = json.loads(log.getvalue())
    assert (line["event"], line["type"], line["state"]) == ("library", "somebody", "ERROR")
    assert CANARY not in log.getvalue()


def test_an_exception_is_its_places_without_its_text() -> None:
    places: list[str] = []
    for source in ("raise ValueError('x')", "int('x')"):
        try:
            exec(compile(source, "<string>", "exec"))  # noqa: S102 - generated code has no folder
        except ValueError as error:
            places += where(error)
    assert any(place.startswith("unit/test_frame_settings_logs.py:") for place in places)
    assert "<string>:1" in places
    assert where(ValueError(CANARY)) == []


def test_quiet_levels_stay_quiet() -> None:
    configure_logs(Settings(log_level="error"))
    buffer = io.StringIO()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(buffer))
    structlog.get_logger().warning("x")
    assert buffer.getvalue() == ""
