"""Logs without values: one line of JSON an operator can act on, with identifiers as fields and nothing personal.

Only the keys named here pass; exceptions are logged as their type and place, never with their text, because a
database's error text can hold what somebody typed.
"""

import logging
import sys
import traceback
from collections.abc import MutableMapping
from typing import Any

import structlog

from shared.settings import Settings

ALLOWED = frozenset(
    {
        "event", "level", "timestamp", "service", "request_id", "method", "route", "status", "ms", "agency", "reason",
        "error", "sqlstate", "where", "event_id", "type", "attempts", "topic", "partition", "p", "offset", "records",
        "group", "workers", "again_in", "loop", "state", "version",
    }
)  # fmt: skip


def configure_logs(settings: Settings) -> None:
    """Set up structlog, and keep libraries' own logs to warnings without their values."""
    people = settings.log_format == "console"
    render = structlog.dev.ConsoleRenderer() if people else structlog.processors.JSONRenderer(ensure_ascii=False)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            only_allowed,
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[settings.log_level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(level=logging.WARNING, handlers=[_Quiet()], force=True)


def only_allowed(_logger: object, _name: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Drop every key that is not on the list: forgetting to allow one is harmless, the opposite is not."""
    return {key: value for key, value in entry.items() if key in ALLOWED}


def where(error: BaseException, depth: int = 4) -> list[str]:
    """The last places an exception passed, innermost last, without its text."""
    frames = traceback.extract_tb(error.__traceback__)[-depth:]
    return [f"{'/'.join(frame.filename.split('/')[-2:])}:{frame.lineno}" for frame in frames]


class _Quiet(logging.Handler):
    """Libraries log texts with values in them; what they say is reduced to who said it and how loud."""

    def emit(self, record: logging.LogRecord) -> None:
        structlog.get_logger().warning("library", type=record.name, state=record.levelname, where=[record.funcName])
