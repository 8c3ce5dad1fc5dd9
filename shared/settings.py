"""Settings: the only reader of the environment.

Every setting is `TSUNAGU_<NAME>`; every one may instead be read from a file named by `TSUNAGU_<NAME>_FILE`, which is
how secrets reach a container without standing in its environment.
"""

import os
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

PREFIX = "TSUNAGU_"


class SettingRefused(Exception):
    """A value that stops the start; the text says what is wrong with it, in Japanese and English."""


class Settings(BaseSettings):
    """One process's settings. Unknown `TSUNAGU_` variables are ignored; wrong values stop the start."""

    # What is passed on empty was not given: docker-compose.yml passes some, and a file may name them instead.
    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="ignore", hide_input_in_errors=True
    )

    service: str = Field(default="", description="Which service a container runs, e.g. training.")
    demo: bool = Field(default=False, description="Marks every page as showing invented data.")

    database_url: str = Field(
        default="postgresql+asyncpg://localhost/tsunagu",
        description="The service's own role on its own schema.",
    )
    database_password: SecretStr | None = Field(default=None, description="Password of that role.")
    admin_database_url: str | None = Field(
        default=None, description="May create roles and schemas; used by migrate and by nothing else."
    )
    admin_database_password: SecretStr | None = Field(default=None, description="Password of the admin role.")
    bus_database_url: str | None = Field(
        default=None, description="Where the PostgreSQL transport's log lies; default: database_url."
    )
    database_pool: int = Field(default=10, ge=2, le=200, description="Connections a service may hold.")

    transport: Literal["postgres", "kafka"] = Field(default="postgres", description="How events travel.")
    kafka_bootstrap_servers: str = Field(default="127.0.0.1:19092", description="host:port, comma-separated.")
    kafka_replication_factor: int = Field(default=1, ge=1, description="Copies of each topic on creation.")
    kafka_session_seconds: int = Field(
        default=30, ge=6, le=300, description="A service that is silent for so long loses its partitions to another."
    )

    issuer: str = Field(default="http://127.0.0.1:8080/issuer", description="`iss` that tokens must carry.")
    jwks_url: str | None = Field(
        default=None, description="Where the issuer's public keys are; default: it says itself."
    )
    issuer_profile: str = Field(
        default="{}", description="JSON: how that issuer's tokens look; default: RFC 9068, as the built-in one's."
    )
    issuer_key: SecretStr | None = Field(default=None, description="Private ES256 key (PEM) of the built-in issuer.")
    issuer_clients: str = Field(
        default='{"clients": []}', description="JSON: registered clients of the built-in issuer and their public keys."
    )

    issuer_audiences: str = Field(
        default="", description="Comma-separated `aud` values of the built-in issuer's tokens, e.g. tsunagu-intake."
    )

    master_keys: SecretStr | None = Field(
        default=None, description="The keys that wrap each case's own key; kept apart from every backup."
    )
    master_keys_command: str | None = Field(
        default=None, description="Instead: a command that prints them, e.g. a key server's client."
    )
    checkpoints_path: Path | None = Field(
        default=None, description="Where the access log's seals are written down outside the database."
    )
    erasures_path: Path | None = Field(
        default=None, description="Where it is written down outside the database whom it must have forgotten."
    )

    retention_path: Path | None = Field(
        default=None, description="A TOML file with the municipalities' own retention periods; else ours."
    )
    layouts_path: Path | None = Field(
        default=None, description="A folder with the municipality's own layouts of exports, e.g. reception_list.toml."
    )
    public_url: str = Field(
        default="http://127.0.0.1:8080",
        pattern=r"^https?://[^\s?#]+$",
        description="The address under which people reach the platform; it stands in links that are sent to them.",
    )
    smtp_url: SecretStr | None = Field(
        default=None, description="The mail server: smtp://, smtp+starttls:// or smtps://[user:password@]host[:port]."
    )
    mail_from: str | None = Field(default=None, description="From which address mail is sent.")
    career_weeks: int = Field(
        default=8, ge=1, le=104, description="After so many weeks untouched career needs are reported."
    )

    max_body_bytes: int = Field(default=262_144, ge=1_024, description="Longest request body that is read.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="Least level logged.")
    log_format: Literal["json", "console"] = Field(default="json", description="One JSON object a line, or for people.")

    @field_validator("database_url", "admin_database_url", "bus_database_url")
    @classmethod
    def _asyncpg(cls, url: str | None) -> str | None:
        """Accept the usual spellings of a PostgreSQL address."""
        for plain in ("postgresql://", "postgres://"):
            if url is not None and url.startswith(plain):
                return "postgresql+asyncpg://" + url.removeprefix(plain)
        return url

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings, env_settings, _FileSource(settings_cls))


class _FileSource(PydanticBaseSettingsSource):
    """Reads `TSUNAGU_<NAME>_FILE`; a trailing newline is not part of the secret."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        path = os.environ.get(f"{PREFIX}{field_name.upper()}_FILE")
        value = Path(path).read_text(encoding="utf-8").rstrip("\r\n") if path else None
        return value, field_name, False

    def __call__(self) -> dict[str, Any]:
        read = {name: self.get_field_value(field, name)[0] for name, field in self.settings_cls.model_fields.items()}
        return {name: value for name, value in read.items() if value is not None}
