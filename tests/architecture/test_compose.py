"""The container way of running it, checked without an engine: what Compose, the Dockerfile and the gateway promise.

Everything is read from the files as they are; a service added without one of the promises fails here by its name.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from fastapi import FastAPI

from demo.client import registered_clients
from ops.compose import secret_files
from shared import problems
from shared.auth.issuer import Registration
from shared.service.imports import MAX_BYTES
from shared.service.server import configure_server
from shared.settings import PREFIX, Settings
from tests.guide import overrides

ROOT = Path(__file__).resolve().parents[2]
SERVICES = sorted(path.name for path in (ROOT / "services").iterdir() if path.is_dir() and path.name[0] not in "_.")
FOREIGN = {"gateway", "postgres", "kafka"}
ONE_SHOTS = {"secrets"} | {f"{name}-migrate" for name in SERVICES}

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
CONTAINERS: dict[str, dict[str, Any]] = COMPOSE["services"]
DEMO: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.demo.yml").read_text(encoding="utf-8"))
OVERRIDE, MAIL = overrides()
"""For another issuer, and for mail."""
GATEWAY = (ROOT / "gateway" / "nginx.conf").read_text(encoding="utf-8")

every_container = pytest.mark.parametrize("name", sorted(CONTAINERS))
every_lasting_container = pytest.mark.parametrize("name", sorted(set(CONTAINERS) - ONE_SHOTS))
every_service = pytest.mark.parametrize("service", SERVICES)


# ---------------------------------------------------------------------------------------------- the compose file


@pytest.mark.parametrize(
    "file", [COMPOSE, DEMO, OVERRIDE, MAIL], ids=["base", "demonstration", "another issuer", "mail"]
)
def test_the_file_is_valid_by_the_compose_specification(file: dict[str, Any]) -> None:
    schema = json.loads((Path(__file__).parent / "compose-spec.json").read_text(encoding="utf-8"))
    problems_found = [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(file)]
    assert problems_found == []
    assert "version" not in file, "Compose v2 has no `version`"


def test_every_service_has_its_container_and_its_migration_and_nothing_else_is_there() -> None:
    assert set(CONTAINERS) == FOREIGN | {"issuer"} | set(SERVICES) | ONE_SHOTS


@every_container
def test_a_container_runs_with_the_least_it_needs(name: str) -> None:
    container = CONTAINERS[name]
    assert container["read_only"] is True
    assert container["cap_drop"] == ["ALL"]
    assert "cap_add" not in container
    assert container["security_opt"] == ["no-new-privileges:true"]
    assert not container.get("privileged", False)
    assert container["init"] is True
    assert 0 < container["pids_limit"] <= 512
    assert re.fullmatch(r"\d+[mg]", container["mem_limit"])
    assert not {"pid", "ipc", "userns_mode", "devices", "cgroup_parent"} & set(container)


@every_container
def test_a_container_runs_as_a_numeric_user_that_is_not_root(name: str) -> None:
    user, group = CONTAINERS[name]["user"].split(":")
    assert int(user) > 0
    assert int(group) > 0


@every_container
def test_what_a_container_may_write_is_temporary_or_a_named_volume(name: str) -> None:
    targets = [entry.split(":")[0] for entry in CONTAINERS[name]["tmpfs"]]
    options = {entry.split(":")[0]: entry.split(":")[1].split(",") for entry in CONTAINERS[name]["tmpfs"]}
    assert "/tmp" in targets  # noqa: S108
    assert {"nosuid", "nodev", "size=64m"} <= set(options["/tmp"])  # noqa: S108
    for source, *_ in _mounts(name):
        assert source in COMPOSE["volumes"], f"{name} mounts {source}, which is not a named volume"


@every_lasting_container
def test_a_lasting_container_is_watched_restarted_and_stopped_gently(name: str) -> None:
    container = CONTAINERS[name]
    assert container["healthcheck"]["test"][0] == "CMD", "exec form: no shell between the engine and the check"
    assert {"interval", "timeout", "start_period", "retries"} <= set(container["healthcheck"])
    assert container["restart"] == "unless-stopped"
    # Longer than uvicorn's five seconds for requests under way, and enough for a checkpoint or a log segment.
    assert _seconds(container["stop_grace_period"]) >= (60 if name in {"postgres", "kafka"} else 10)


@every_lasting_container
def test_a_slow_machine_is_not_taken_for_a_failure(name: str) -> None:
    """`up --wait` gives up at the first container that is unhealthy: on two busy cores Kafka took 90 s to answer."""
    check = CONTAINERS[name]["healthcheck"]
    assert _seconds(check["start_period"]) >= (20 if name == "gateway" else 180)
    assert _seconds(check["timeout"]) >= 10


@pytest.mark.parametrize("name", sorted(ONE_SHOTS))
def test_a_one_shot_is_waited_for_and_never_restarted(name: str) -> None:
    """`up --wait` counts the end of a container as a failure unless somebody waits for that end."""
    assert CONTAINERS[name]["restart"] == "no"
    waiting = [
        other
        for other, container in CONTAINERS.items()
        if container.get("depends_on", {}).get(name, {}).get("condition") == "service_completed_successfully"
    ]
    assert waiting != []


@every_service
def test_a_service_starts_after_its_own_migration_and_the_gateway_after_the_service(service: str) -> None:
    # Only its migration: neither Kafka nor another service keeps it from starting.
    assert CONTAINERS[service]["depends_on"] == {f"{service}-migrate": {"condition": "service_completed_successfully"}}
    assert CONTAINERS[f"{service}-migrate"]["depends_on"]["postgres"] == {"condition": "service_healthy"}
    assert CONTAINERS["gateway"]["depends_on"][service] == {"condition": "service_healthy"}


@every_service
def test_a_service_runs_from_its_own_image_under_its_own_role(service: str) -> None:
    container, migration = CONTAINERS[service], CONTAINERS[f"{service}-migrate"]
    assert container["build"] == {"context": ".", "args": {"SERVICE": service}}
    assert container["image"] == migration["image"] == f"tsunagu-{service}:local"
    url = f"postgresql+asyncpg://tsunagu_{service}@postgres/tsunagu"
    assert container["environment"]["TSUNAGU_DATABASE_URL"] == migration["environment"]["TSUNAGU_DATABASE_URL"] == url
    assert container["environment"]["TSUNAGU_TRANSPORT"] == "kafka"


# ------------------------------------------------------------------------------------------------- the network


def test_only_the_gateway_is_published_and_only_on_this_machine() -> None:
    published = {name: container["ports"] for name, container in CONTAINERS.items() if "ports" in container}
    assert published == {"gateway": ["127.0.0.1:${TSUNAGU_PORT:-8080}:8080"]}


def test_every_network_but_the_gateways_is_cut_off_from_outside() -> None:
    open_networks = {name for name, network in COMPOSE["networks"].items() if not (network or {}).get("internal")}
    assert open_networks == {"edge"}
    for name, container in CONTAINERS.items():
        assert "network_mode" not in container or container["network_mode"] == "none"
        if name != "gateway":
            assert "edge" not in container.get("networks", [])
            assert container.get("networks") or container.get("network_mode") == "none", f"{name}: default network"


def test_the_gateway_reaches_neither_the_database_nor_the_broker() -> None:
    reachable = set(CONTAINERS["gateway"]["networks"])
    assert not reachable & set(CONTAINERS["postgres"]["networks"])
    assert not reachable & set(CONTAINERS["kafka"]["networks"])
    assert CONTAINERS["postgres"]["networks"] == ["data"]
    assert CONTAINERS["kafka"]["networks"] == ["bus"]


@every_container
def test_the_name_of_a_stopped_container_holds_nobody_up(name: str) -> None:
    """The engine asks the world outside for it, 10 s by default: longer than connecting to PostgreSQL may take."""
    if name not in FOREIGN:
        assert CONTAINERS[name]["dns_opt"] == ["timeout:1", "attempts:2"]


# -------------------------------------------------------------------------------------------------- the secrets


@every_container
def test_no_secret_stands_in_an_environment_only_the_name_of_its_file(name: str) -> None:
    for variable, value in CONTAINERS[name].get("environment", {}).items():
        if re.search(r"PASSWORD|SECRET|TOKEN|PRIVATE|KEY", variable) and variable != "TSUNAGU_JWKS_URL":
            assert variable.endswith("_FILE"), f"{name}: {variable} holds a secret"
            assert str(value).startswith("/secrets/")
        assert not re.search(r"://[^/@]*:[^/@]*@", str(value)), f"{name}: {variable} carries a password in an address"


@every_container
def test_every_setting_is_one_that_the_program_knows(name: str) -> None:
    for variable in CONTAINERS[name].get("environment", {}):
        if variable.startswith(PREFIX):
            assert variable.removeprefix(PREFIX).removesuffix("_FILE").lower() in Settings.model_fields


def test_the_issuers_tokens_are_for_every_service() -> None:
    audiences = CONTAINERS["issuer"]["environment"]["TSUNAGU_ISSUER_AUDIENCES"].split(",")
    assert sorted(audiences) == [f"tsunagu-{service}" for service in SERVICES]


def test_a_service_sees_its_own_secrets_and_only_who_prepares_sees_the_administrators() -> None:
    may_see = {"admin-secrets": {"secrets", "postgres"} | {f"{name}-migrate" for name in SERVICES}}
    may_see |= {f"{name}-secrets": {name, f"{name}-migrate"} for name in SERVICES}
    may_see |= {"issuer-secrets": {"issuer", "secrets"}}
    sees = {
        volume: {name for name in CONTAINERS if any(mount[0] == volume for mount in _mounts(name))}
        for volume in COMPOSE["volumes"]
        if volume.endswith("-secrets")
    }
    assert sees == may_see


@every_lasting_container
def test_a_lasting_container_cannot_change_a_secret(name: str) -> None:
    for source, target, mode in _mounts(name):
        if source.endswith("-secrets"):
            assert mode == "ro", f"{name} may write to {target}"


def test_a_secret_is_made_once_and_never_again(tmp_path: Path) -> None:
    files = {"password": tmp_path / "password", "es256": tmp_path / "key.pem", "clients": tmp_path / "clients.json"}
    made: dict[str, bytes] = {}
    for _ in range(2):
        secret_files.main([f"{kind}={path}" for kind, path in files.items()])
        made = made or {kind: path.read_bytes() for kind, path in files.items()}
        assert made == {kind: path.read_bytes() for kind, path in files.items()}
    assert {path.stat().st_mode & 0o777 for path in files.values()} == {0o440}
    assert len(made["password"]) >= 43
    assert made["es256"].startswith(b"-----BEGIN PRIVATE KEY-----")


def test_making_secrets_hands_over_to_the_command(tmp_path: Path) -> None:
    script, password = ROOT / "ops" / "compose" / "secret_files.py", tmp_path / "password"
    command = [sys.executable, str(script), f"password={password}", "--", sys.executable, "-c", "print('handed over')"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "handed over\n", "and nothing of the secret is printed"
    assert password.exists()


# -------------------------------------------------------------------------------------------- the demonstration


def test_an_installation_starts_with_no_clients_and_no_demonstration() -> None:
    for name, container in CONTAINERS.items():
        asked = set(container.get("environment", {})) & {"TSUNAGU_DEMO", "TSUNAGU_ISSUER_CLIENTS"}
        assert asked == set(), f"{name}: {asked} belong into docker-compose.demo.yml"
    assert json.loads(secret_files.clients()) == {"clients": []}


def test_the_demonstration_adds_its_mark_and_its_clients_and_nothing_else() -> None:
    assert set(DEMO) == {"services", "x-demo"}
    added = {name: container["environment"] for name, container in DEMO["services"].items()}
    clients = added.pop("issuer")
    assert added == {name: {"TSUNAGU_DEMO": "true"} for name in SERVICES}
    assert list(clients) == ["TSUNAGU_ISSUER_CLIENTS"]
    assert clients["TSUNAGU_ISSUER_CLIENTS"].startswith("${TSUNAGU_ISSUER_CLIENTS:?"), "no start with nobody registered"
    assert all(set(container) == {"environment"} for container in DEMO["services"].values())


def test_the_guides_other_issuer_reaches_every_service_and_changes_nothing_else() -> None:
    assert set(OVERRIDE["services"]) == set(SERVICES)
    for container in OVERRIDE["services"].values():
        assert set(container) == {"environment", "configs", "networks"}
        assert {name.removeprefix(PREFIX).removesuffix("_FILE").lower() for name in container["environment"]} == {
            "issuer",
            "jwks_url",
            "issuer_profile",
        }
        [profile] = container["configs"]
        assert profile["target"] == container["environment"]["TSUNAGU_ISSUER_PROFILE_FILE"]
        assert profile["source"] in OVERRIDE["configs"]
        assert [OVERRIDE["networks"][name] for name in container["networks"]] == [{}], "a way out, and no other network"


def test_the_guides_way_to_the_mail_server_is_open_to_referral_alone() -> None:
    [(name, container)] = MAIL["services"].items()
    assert name == "referral"
    assert {each.removeprefix(PREFIX).removesuffix("_FILE").lower() for each in container["environment"]} == {
        "smtp_url",
        "mail_from",
    }
    [address] = container["configs"]
    assert address["target"] == container["environment"]["TSUNAGU_SMTP_URL_FILE"]
    assert address["source"] in MAIL["configs"]
    assert set(container["networks"]) - set(CONTAINERS["referral"]["networks"]) == set(MAIL["networks"])


@pytest.mark.parametrize("file", [OVERRIDE, MAIL], ids=["another issuer", "mail"])
def test_what_the_guide_has_put_beside_the_compose_file_is_never_committed(file: dict[str, Any]) -> None:
    """One of them holds the mail server's password."""
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert "/docker-compose.override.yml" in ignored
    for config in file["configs"].values():
        assert config["file"].removeprefix(".") in ignored


def test_the_registration_holds_public_keys_alone_and_stays_the_same(tmp_path: Path) -> None:
    first, second = (registered_clients(tmp_path / "keys") for _ in range(2))
    assert first == second, "or every start would make the agencies' keys worthless"
    assert first.clients
    assert all(set(client.public_key) <= {"kty", "crv", "x", "y", "kid"} for client in first.clients)
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "keys").iterdir()} == {0o600}
    # As the issuer's container reads it, from an environment that is stronger than the file of the base.
    settings = Settings(issuer_clients=first.model_dump_json())
    assert Registration.model_validate_json(settings.issuer_clients) == first


@pytest.mark.parametrize(("word", "files"), [("", set()), ("DEMO=no", set()), ("DEMO=1", {"", ".demo"})])
def test_make_up_starts_the_demonstration_only_when_asked(word: str, files: set[str]) -> None:
    done = subprocess.run(["make", "-n", "up", *word.split()], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "up --wait" in done.stdout
    assert set(re.findall(r"-f docker-compose(\S*)\.yml", done.stdout)) == files
    assert ("demo.registration" in done.stdout) == bool(files)


# -------------------------------------------------------------------------------------- other people's programs


@every_container
def test_an_image_is_named_with_its_version(name: str) -> None:
    image = CONTAINERS[name]["image"]
    assert re.fullmatch(r"[a-z0-9./-]+:[A-Za-z0-9._-]+", image), f"{image} has no tag"
    assert not image.endswith(":latest")


def test_postgresql_is_version_18_and_keeps_its_data_where_that_image_keeps_it() -> None:
    postgres = CONTAINERS["postgres"]
    assert postgres["image"] == "postgres:18"
    assert ("postgres", "/var/lib/postgresql", "rw") in _mounts("postgres")
    assert "PGDATA" not in postgres["environment"]


def test_postgresql_asks_for_scram_passwords_everywhere() -> None:
    environment = CONTAINERS["postgres"]["environment"]
    assert environment["POSTGRES_HOST_AUTH_METHOD"] == "scram-sha-256"
    arguments = environment["POSTGRES_INITDB_ARGS"].split()
    assert {"--auth-local=scram-sha-256", "--auth-host=scram-sha-256"} <= set(arguments)
    assert "-cpassword_encryption=scram-sha-256" in CONTAINERS["postgres"]["command"]


def test_postgresqls_log_never_shows_what_was_sent() -> None:
    assert {
        "-clog_error_verbosity=terse",
        "-clog_min_error_statement=panic",
        "-clog_statement=none",
        "-clog_min_duration_statement=-1",
        "-clog_parameter_max_length=0",
        "-clog_parameter_max_length_on_error=0",
    } <= set(CONTAINERS["postgres"]["command"])


def test_kafka_is_a_single_kraft_node_that_keeps_its_data_and_makes_no_topic_by_itself() -> None:
    kafka = CONTAINERS["kafka"]
    assert kafka["image"].startswith("apache/kafka:4.")
    assert kafka["environment"]["KAFKA_PROCESS_ROLES"] == "broker,controller"
    assert kafka["environment"]["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
    assert kafka["environment"]["KAFKA_NUM_PARTITIONS"] == "6"
    assert ("kafka", kafka["environment"]["KAFKA_LOG_DIRS"], "rw") in _mounts("kafka")
    advertised = kafka["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    for service in SERVICES:
        assert advertised == f"PLAINTEXT://{CONTAINERS[service]['environment']['TSUNAGU_KAFKA_BOOTSTRAP_SERVERS']}"


# ------------------------------------------------------------------------------------------------ the Dockerfile


def test_the_image_holds_shared_and_one_service_alone() -> None:
    copied = [arguments for keyword, arguments in _last_stage() if keyword in {"COPY", "ADD"}]
    assert copied == ["--from=dependencies /venv /venv", "shared shared", "services/${SERVICE} services/${SERVICE}"]
    refuses_no_name = [index for index, (_, arguments) in enumerate(_last_stage()) if "${SERVICE:?" in arguments]
    assert refuses_no_name, "without SERVICE every service would be copied"


def test_what_is_installed_is_pinned_by_hash_and_never_built() -> None:
    installs = [arguments for keyword, arguments in _instructions() if keyword == "RUN" and "install" in arguments]
    pip = [json.loads(arguments) for arguments in installs if "pip" in arguments]
    assert len(pip) == 1
    assert {"--require-hashes", "--only-binary"} <= set(pip[0])


def test_the_image_starts_without_a_shell_and_without_root() -> None:
    stage = _last_stage()
    assert next(arguments for keyword, arguments in reversed(stage) if keyword == "USER") == "10001:10001"
    assert json.loads(next(arguments for keyword, arguments in stage if keyword == "CMD")) == [
        "python",
        "-m",
        "shared.service",
        "run",
        "--host",
        "0.0.0.0",  # noqa: S104  # inside a container whose port nobody publishes
    ]
    check = next(arguments for keyword, arguments in stage if keyword == "HEALTHCHECK").split("CMD", 1)[1]
    assert json.loads(check) == CONTAINERS["training"]["healthcheck"]["test"][1:]
    assert next(entry for entry in reversed(stage) if entry[0] not in _HARMLESS) == ("USER", "10001:10001")


def test_the_base_is_a_named_version_and_the_same_in_every_stage() -> None:
    bases = {arguments.split(" AS ")[0] for keyword, arguments in _instructions() if keyword == "FROM"}
    assert bases == {"python:3.13-slim"}


def test_the_builder_is_sent_only_what_the_image_needs() -> None:
    text = (ROOT / ".dockerignore").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    assert [line for line in lines if line.startswith("!")] == ["!requirements/service.txt", "!shared", "!services"]


# --------------------------------------------------------------------------------------------------- the gateway


def test_the_gateway_knows_every_service_and_no_other() -> None:
    expected = {*SERVICES, "issuer"}
    assert set(re.findall(r"^\s*location /(\w+)/ +\{", GATEWAY, re.MULTILINE)) == expected
    assert set(re.findall(r"^\s*upstream (\w+) ", GATEWAY, re.MULTILINE)) == expected


@pytest.mark.parametrize("name", [*SERVICES, "issuer"])
def test_the_gateway_strips_the_prefix_and_asks_the_service_of_that_name(name: str) -> None:
    # The closing slash is what strips.
    assert re.search(rf"location /{name}/ +\{{ proxy_pass http://{name}/;", GATEWAY)
    assert re.search(rf"upstream {name} +\{{ zone {name} \w+; +server {name}:8000 resolve;", GATEWAY)


def test_the_start_page_is_the_dashboard() -> None:
    assert "location = / { return 302 /dashboard/; }" in GATEWAY


def test_event_streams_are_not_held_back() -> None:
    stream = re.search(r"location ~ \^/dashboard/\(v1/events\|v1/figures/stream\)\$ \{(.*?)\}", GATEWAY, re.DOTALL)
    assert stream is not None
    assert "proxy_buffering off;" in stream[1]
    assert "proxy_read_timeout 1h;" in stream[1]


def test_a_file_may_be_as_long_as_its_service_reads_and_has_time_to_be_checked() -> None:
    files = re.search(r"location ~ (\S+) \{\s+proxy_pass http://\$1/\$2\$is_args\$args;(.*?)\}", GATEWAY, re.DOTALL)
    assert files is not None
    import_id = "01a20769-fc34-74b4-afb2-7e4b76aeee14"
    for path in import_paths():
        for asked in (path, f"{path}/{import_id}/commit"):
            found = re.search(files[1], asked)
            assert found is not None, f"the gateway limits {asked} to 256 KB and 30 s"
            assert (found[1], found[2]) == tuple(asked.removeprefix("/").split("/", 1))
    assert re.search(files[1], "/training/v1/seat-requests") is None
    assert f"client_max_body_size {MAX_BYTES // 1024**2}m;" in files[2]
    assert "proxy_read_timeout 3m;" in files[2]


def import_paths() -> list[str]:
    """Where files are taken in, by the contracts: /training/v1/course-run-imports and so on."""
    found = []
    for service in SERVICES:
        described = json.loads((ROOT / "contracts" / "openapi" / f"{service}.json").read_text(encoding="utf-8"))
        found += [f"/{service}{path}" for path in described["paths"] if re.fullmatch(r".*-imports", path)]
    assert found
    return found


def test_a_refused_body_is_not_measured_again_for_the_answer() -> None:
    """Without this, a file sent to a service that is away came back as 413 in HTML instead of 503 as a problem."""
    problem = re.search(r"location = /gateway/problem \{(.*?)\n        \}", GATEWAY, re.DOTALL)
    assert problem is not None
    assert "client_max_body_size 0;" in problem[1]


def test_the_gateway_limits_what_it_reads_and_how_long_it_waits() -> None:
    for line in (
        "client_header_timeout 10s;",
        "client_body_timeout 15s;",
        "large_client_header_buffers 4 4k;",
        "client_max_body_size 256k;",
        "proxy_http_version 1.1;",
        "proxy_connect_timeout 3s;",
        "proxy_read_timeout 30s;",
        "proxy_next_upstream off;",
        "worker_shutdown_timeout 5s;",
        "server_tokens off;",
    ):
        assert re.search(rf"^\s*{re.escape(line)}$", GATEWAY, re.MULTILINE), f"missing: {line}"
    assert Settings.model_fields["max_body_bytes"].default == 256 * 1024


@pytest.mark.parametrize("header", ["Forwarded", "X-Forwarded-Prefix", "X-Real-IP", "Client-Cert", "X-Client-Cert"])
def test_a_caller_cannot_pretend_to_be_a_proxy(header: str) -> None:
    assert f'proxy_set_header {header} "";' in GATEWAY
    # A proxy_set_header in a location would undo every one above it.
    server = GATEWAY[GATEWAY.index("    server {") :]
    assert "proxy_set_header" not in server
    assert "proxy_set_header X-Forwarded-For $remote_addr;" in GATEWAY


def test_no_log_line_holds_a_one_time_link_and_wrong_ones_are_counted_where_they_come_from() -> None:
    listed = GATEWAY[GATEWAY.index("map $request_uri $path_asked") :]
    assert listed.index("~^/referral/a/ /referral/a/-;") < listed.index("$path_alone;")
    # What the gateway says of the caller is believed, since nobody else comes in.
    assert CONTAINERS["referral"]["environment"]["FORWARDED_ALLOW_IPS"] == "*"
    assert "ports" not in CONTAINERS["referral"]


def test_no_log_line_holds_a_query_string() -> None:
    logged = re.search(r"log_format requests(.*?);", GATEWAY, re.DOTALL)
    assert logged is not None
    assert re.search(
        r"map \$request_uri \$path_asked \{[^$]*~\^\(\?<path_alone>\[\^\?\]\*\) \$path_alone;\s*\}", GATEWAY
    )
    (hidden,) = re.findall(r'^\s+"~(\^\[\^\?\]\*.+)" "-";$', GATEWAY, re.MULTILINE)
    for path in ("/assessment/v1/rubrics/123456789018", "/a/1234-5678-9018/b", "/a/1234%205678%209018?x"):
        assert re.search(hidden, path), path
    for path in (
        "/a/01939c1e-7a10-7c44-9f55-123456789018/b",
        "/a/12345678-1234-1234-1234-123456789018",
        "/a?x=123456789018",
    ):
        assert not re.search(hidden, path), path
    assert set(re.findall(r"\$(\w+)", logged[1])) == {
        "time_iso8601",
        "request_id",
        "request_method",
        "path_asked",
        "status",
        "body_bytes_sent",
        "request_time",
        "upstream_addr",
    }


def test_the_gateways_error_log_holds_no_request() -> None:
    """Below `crit` its lines carry the whole request line, query string and all."""
    assert re.findall(r"error_log (.*);", GATEWAY) == ["/dev/stderr crit"]


def test_an_idle_connection_is_closed_by_the_gateway_and_not_by_the_service() -> None:
    """Otherwise a request now and then meets a connection that is just being closed, and comes back as 503."""
    upstreams = re.findall(r"upstream \w+ +\{(.*)\}", GATEWAY)
    assert upstreams
    assert all("keepalive 16;" in each and "keepalive_timeout" not in each for each in upstreams)
    assert configure_server(FastAPI(), host="127.0.0.1", port=8000).timeout_keep_alive > 60  # nginx's own default


def test_the_gateways_own_problems_use_the_services_words() -> None:
    codes = dict(re.findall(r"^\s+(\d{3}) +(\w+);$", GATEWAY, re.MULTILINE))
    for status, kind in {
        "404": problems.NOT_FOUND,
        "405": problems.METHOD_NOT_ALLOWED,
        "413": problems.TOO_LARGE,
        "503": problems.UNAVAILABLE,
    }.items():
        assert codes[status] == kind.code
        assert re.search(rf'^\s+{kind.code} +"{re.escape(kind.title)}";$', GATEWAY, re.MULTILINE)
        assert re.search(rf'^\s+{kind.code} +"{re.escape(kind.title_ja)}";$', GATEWAY, re.MULTILINE)


def test_nginx_accepts_its_settings(tmp_path: Path) -> None:
    if _nginx_version() < (1, 27, 3):
        pytest.skip("needs nginx 1.27.3 or later: names that are asked again (`resolve`)")
    settings = tmp_path / "nginx.conf"
    settings.write_text(GATEWAY.replace("include mime.types;", "").replace("/tmp/", f"{tmp_path}/"), encoding="utf-8")  # noqa: S108
    done = subprocess.run(["nginx", "-t", "-c", settings], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# ---------------------------------------------------------------------------------------------- reading the files

_HARMLESS = {"EXPOSE", "HEALTHCHECK", "CMD"}


def _mounts(name: str) -> list[tuple[str, str, str]]:
    """(volume, target, mode) of each mount."""
    split = [entry.split(":") for entry in CONTAINERS[name].get("volumes", [])]
    return [(parts[0], parts[1], parts[2] if len(parts) > 2 else "rw") for parts in split]


def _seconds(text: str) -> int:
    assert text.endswith("s")
    return int(text.removesuffix("s"))


def _nginx_version() -> tuple[int, ...]:
    """What is installed here; nothing is older than everything."""
    if shutil.which("nginx") is None:
        return ()
    shown = subprocess.run(["nginx", "-v"], capture_output=True, text=True, check=True).stderr
    return tuple(int(part) for part in re.findall(r"nginx/(\d+)\.(\d+)\.(\d+)", shown)[0])


def _instructions() -> Iterator[tuple[str, str]]:
    for line in (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            keyword, arguments = line.split(" ", 1)
            yield keyword, arguments


def _last_stage() -> list[tuple[str, str]]:
    found = list(_instructions())
    start = max(index for index, (keyword, _) in enumerate(found) if keyword == "FROM")
    return found[start:]
