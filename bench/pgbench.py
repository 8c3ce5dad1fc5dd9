"""The yardstick: what PostgreSQL's own pgbench does with the statements of a seat request, and nothing around them.

The statements are the service's, in its order, in one transaction; `differences` compares them with what the server
really got from the service, so that the yardstick can't fall behind the code.
"""

# ruff: noqa: S608  (put together from this file's own words)

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from embedded.postgres import BIN, EmbeddedPostgres

_NAME = re.compile(r"(?<!:):(\w+)")
CASE = "CAST(lpad(to_hex(CAST(:i AS bigint)), 12, '0') || lpad(to_hex(CAST(:client_id AS bigint)), 20, '0') AS uuid)"
"""The case that a client asks for with its i-th request; the load generator asks for the same ones."""
_REQUEST = CASE.replace("(CAST(:client_id AS bigint)", "(CAST(:client_id AS bigint) + 4096")
_KEY = "lpad(CAST(CAST(:i AS bigint) AS text), 18, '0') || lpad(CAST(CAST(:client_id AS bigint) AS text), 18, '0')"
_COURSE = "CAST(lpad(to_hex(CAST(:course AS bigint)), 32, '0') AS uuid)"
_NOW = "CAST(:k_claimed_at AS timestamptz)"
_PLACE = (
    """'{"caller": "bench-client", "route": "POST /v1/course-runs/{course_run_id}/seat-requests", "key": "' || """
    + _KEY
    + """ || '", '"""
)
_REQUESTED = (
    f"""'{{"id": "' || {_REQUEST} || '", "pool_id": "' || :p_id || '", "case_id": "' || {CASE} || '", '"""
    """ || '"municipality": "462012", "referral_id": null, "requested_by": "kagoshima-desk", "hold_until": null, '"""
    """ || '"moved_from": null, "benefit_ends_on": null, '"""
    f""" || '"expires_at": "' || {_NOW} + interval '3 days' || '", "by": "kagoshima-desk", "cause": "' || {CASE}"""
    """ || '", "target_groups": [], "skipped_because": null, '"""
)


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement as the service sends it, what pgbench puts for its parameters, and how to keep its answer."""

    sql: str
    values: Mapping[str, str] = field(default_factory=dict)
    keep: str | None = None


_GIVEN = "unnest(CAST(:given AS text[])) AS one, json_to_record(CAST(one AS json)) AS given"
_ANY_CASE = "ANY(CAST((SELECT CAST(:case_ids AS uuid[])) AS uuid[]))"
_CLAIM = Statement(
    "INSERT INTO idempotency (caller, route, key, fingerprint, authority)"
    f" SELECT given.* FROM {_GIVEN} (caller text, route text, key text, fingerprint bytea, authority text[])"
    " WHERE pg_try_advisory_xact_lock(hashtextextended(concat_ws(' ', given.caller, given.route, given.key), 7470008))"
    " ON CONFLICT DO NOTHING RETURNING caller, route, key, clock_timestamp() AS claimed_at",
    {
        "given": f"""ARRAY[{_PLACE} || '"fingerprint": "\\\\x' || repeat('5a', 32) || '",'"""
        """ || '"authority": ["462012", "agency-kagoshima-desk", "role-counsellor", "role-placement"]}']"""
    },
    keep="k_",
)
_LOCK = Statement(
    "WITH fact AS (SELECT case_id, municipality, consent_state, consent_purposes, consent_recipients,"
    f" consent_valid_until, consent_valid_from, consent_version FROM case_fact WHERE case_id = {_ANY_CASE}"
    " ORDER BY case_id FOR NO KEY UPDATE),"
    " known AS (SELECT array_agg(fact) AS cases FROM fact)"
    " SELECT c.id, c.provider_agency, c.applications_close_at, c.hold_hours, c.starts_on, c.prefecture, c.hold_days,"
    " c.offer_days, c.line_due_at, c.cancelled_at, c.system, c.field, cases"
    " FROM known CROSS JOIN course_run c WHERE c.id = :id FOR UPDATE OF c",
    {"case_ids": f"ARRAY[{CASE}]", "id": _COURSE},
    keep="c_",
)
_POOLS = Statement(
    "SELECT p.id, p.kind, p.municipalities, p.granted, p.held, p.filled,"
    " (SELECT count(*) FROM seat_request w WHERE w.pool_id = p.id AND w.state = 'waiting') AS waiting,"
    " p.next_line_no, p.version, p.decision_allotment_id, (p.decision_allotment_id IS NULL"
    " OR decision_in_force(p.decision_allotment_id, CAST(:now AS timestamptz))) AS in_force, p.cut_off_at, p.kept,"
    " p.source_pool_id, p.agreement_id, p.onward_step,"
    " p.target_groups, p.opens_at <= CAST(:now AS timestamptz) AS opened,"
    " ARRAY(SELECT r.case_id FROM seat_request r WHERE r.course_run_id = :course_run_id"
    f" AND r.case_id = {_ANY_CASE} AND r.state <> 'released') AS already_requested,"
    " ARRAY(SELECT t.case_id FROM seat_time t, course_run c WHERE c.id = :course_run_id"
    f" AND t.case_id = {_ANY_CASE} AND t.course_run_id <> c.id"
    " AND t.first_on <= c.ends_on AND t.last_on >= c.starts_on) AS busy,"
    " ARRAY(SELECT r.case_id FROM seat_request r, (SELECT g.max_open_applications FROM course_run c"
    " JOIN region_setting g ON g.prefecture = c.prefecture"
    " AND g.in_force_from <= CAST(CAST(:now AS timestamptz) AT TIME ZONE 'Asia/Tokyo' AS date)"
    " WHERE c.id = :course_run_id ORDER BY g.in_force_from DESC, g.id DESC LIMIT 1) AS setting"
    f" WHERE r.case_id = {_ANY_CASE} AND r.state NOT IN ('enrolled', 'released')"
    " AND NOT EXISTS (SELECT FROM course_run t WHERE t.id = r.course_run_id AND t.system = 'trial')"
    " AND NOT EXISTS (SELECT FROM course_run t WHERE t.id = CAST(:course_run_id AS uuid) AND t.system = 'trial')"
    " AND setting.max_open_applications IS NOT NULL"
    " GROUP BY r.case_id, setting.max_open_applications HAVING count(*) >= setting.max_open_applications) AS at_limit,"
    " EXISTS (SELECT FROM seat_to_offer WHERE course_run_id = :course_run_id) AS somebody_has_time,"
    " EXISTS (SELECT FROM line_rule) AS is_ruled"
    " FROM pool p WHERE p.course_run_id = :course_run_id",
    {"course_run_id": "CAST(:c_id AS uuid)", "case_ids": f"ARRAY[{CASE}]", "now": _NOW},
    keep="p_",
)
_ADD = (
    "WITH asked AS (SELECT asked.* FROM unnest(CAST(:requests AS text[])) AS one, json_to_record(CAST(one AS json))"
    " AS asked (id uuid, pool_id uuid, case_id uuid, municipality text, referral_id uuid, requested_by text,"
    " moved_from uuid, benefit_ends_on date,"
    " state text, line_no int, hold_until timestamptz, expires_at timestamptz, by text, cause text,"
    " target_groups text[], skipped_because text)),"
    " added AS (INSERT INTO seat_request (id, course_run_id, pool_id, case_id, municipality, referral_id,"
    " requested_by, state, line_no, hold_until, expires_at, requested_at, moved_from, benefit_ends_on, target_groups,"
    " skipped_because)"
    " SELECT id, :course_run_id, pool_id, case_id, municipality, referral_id, requested_by, state, line_no,"
    " hold_until, expires_at, :now, moved_from, benefit_ends_on, target_groups, skipped_because FROM asked),"
    " told AS (UPDATE pool p SET version = version + n.requests, next_line_no = next_line_no + n.waiting"
    " FROM (SELECT pool_id, count(*) AS requests, count(line_no) AS waiting FROM asked GROUP BY pool_id) n"
    " WHERE p.course_run_id = :course_run_id AND p.id = n.pool_id)"
    " INSERT INTO seat_entry (command, number, course_run_id, kind, pool_id, seats, seat_request_id, at, by, cause)"
    " SELECT id, 1, :course_run_id, 'hold', pool_id, 1, id, :now, by, cause FROM asked WHERE state = 'held'"
)
_PLACED = {"course_run_id": "CAST(:c_id AS uuid)", "now": _NOW}
_HELD = """ || '"state": "held", "line_no": null}'"""
_WAITS = """ || '"state": "waiting", "line_no": ' || :p_next_line_no || '}'"""
_ADD_HELD = Statement(_ADD, _PLACED | {"requests": f"ARRAY[{_REQUESTED}{_HELD}]"})
_ADD_WAITING = Statement(_ADD, _PLACED | {"requests": f"ARRAY[{_REQUESTED}{_WAITS}]"})
_TELL = Statement(
    "INSERT INTO outbox (id, topic, key, type, value) SELECT * FROM unnest("
    "CAST(:ids AS uuid[]), CAST(:topics AS text[]), CAST(:keys AS text[]), CAST(:types AS text[]),"
    " CAST(:values AS bytea[]))",
    {
        "ids": f"ARRAY[{_REQUEST}, {CASE}]",
        "topics": "ARRAY['tsunagu.training', 'tsunagu.training']",
        "keys": f"ARRAY[CAST({CASE} AS text), CAST(CAST(:p_id AS uuid) AS text)]",
        "types": "ARRAY['jp.tsunagu.training.seat-held.v1', 'jp.tsunagu.training.pool-changed.v1']",
        "values": "ARRAY[decode(repeat('5a', 800), 'hex'), decode(repeat('5a', 750), 'hex')]",
    },
)
_ANSWER = Statement(
    "UPDATE idempotency i SET status = given.status, headers = given.headers, body = given.body"
    f" FROM {_GIVEN} (caller text, route text, key text, status int, headers jsonb, body bytea)"
    " WHERE i.caller = given.caller AND i.route = given.route AND i.key = given.key",
    {
        "given": f"""ARRAY[{_PLACE} || '"status": 201, "headers": {{"content-type": "application/json"}},'"""
        """ || '"body": "\\\\x' || repeat('5a', 300) || '"}']"""
    },
)
HELD = (_CLAIM, _LOCK, _POOLS, _ADD_HELD, _TELL, _ANSWER)
WAITING = (_CLAIM, _LOCK, _POOLS, _ADD_WAITING, _TELL, _ANSWER)


def script(*, first_course: int, courses: int) -> str:
    """The transaction in pgbench's language; whether a seat is free is decided as the service decides it."""
    before, after = (_rendered(each) for each in (HELD[:3], HELD[4:]))
    return "\n".join(
        [
            "\\set i :i + 1",
            f"\\set course random({first_course}, {first_course + courses - 1})",
            "BEGIN;",
            *before,
            "\\if :p_granted - :p_held - :p_filled > 0 and :p_waiting = 0",
            *_rendered([_ADD_HELD]),
            "\\else",
            *_rendered([_ADD_WAITING]),
            "\\endif",
            *after,
            "COMMIT;",
        ]
    )


def _rendered(statements: Sequence[Statement]) -> list[str]:
    lines = []
    for statement in statements:
        sql = _NAME.sub(partial(_value, statement), statement.sql)
        lines.append(sql + (";" if statement.keep is None else f" \\gset {statement.keep}"))
    return lines


def _value(statement: Statement, name: re.Match[str]) -> str:
    return f"({statement.values[name[1]]})"


def differences(sent: Sequence[str], statements: Sequence[Statement]) -> list[str]:
    """What the service sent otherwise than these statements, inside its transaction."""
    ours = [_plain(_NAME.sub("?", statement.sql)) for statement in statements]
    theirs = [_plain(re.sub(r"\$\d+(::[A-Z]+( WITH TIME ZONE)?(\[\])*)?", "?", sql)) for sql in sent]
    if len(ours) != len(theirs):
        return [f"{len(theirs)} statements were sent, pgbench sends {len(ours)}"]
    return [f"sent: {his}\npgbench: {own}" for own, his in zip(ours, theirs, strict=True) if own != his]


def _plain(sql: str) -> str:
    return re.sub(r"\s+", " ", sql).strip().lower()


async def run(
    server: EmbeddedPostgres, database: str, *, text: str, clients: int, seconds: float, within: Path, start: int
) -> float:
    """Transactions a second. `start` sets the ids apart from those of other rounds."""
    file = within / "seat_request.sql"
    file.write_text(text, encoding="utf-8")
    started = await asyncio.create_subprocess_exec(
        str(BIN / "pgbench"), "-n", "-M", "prepared", "-c", str(clients), "-j", "1", "-T", str(round(seconds)),
        "-D", f"i={start}", "-f", str(file), "-h", str(server.socket_folder), "-U", "tsunagu_training", database,
        env={"PGOPTIONS": "-c search_path=training -c jit=off -c timezone=UTC"},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await started.communicate()
    found = re.search(rb"tps = ([\d.]+)", out)
    failed = re.search(rb"failed transactions: (\d+)", out)
    if started.returncode != 0 or found is None or (failed and failed[1] != b"0"):
        raise RuntimeError(f"pgbench failed: {err.decode(errors='replace')[-800:]}")
    return float(found[1])
