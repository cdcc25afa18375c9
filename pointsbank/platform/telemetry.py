"""Logs: one JSON object a line, the same from every process, without personal data.

Events are words with fields. A field whose name says that it holds personal data or a secret is withheld,
and an exception is told by its kind and the lines it passed, never by its message, which may quote a row.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import MutableMapping
from types import TracebackType
from typing import Any

import structlog

WITHHELD = "(withheld)"

PERSONAL = frozenset(
    {
        *("name", "phone", "room", "address", "born_on", "note", "member_number", "voucher"),
        *("member_id", "person_id", "elder_id", "volunteer_id"),
        *("pin", "token", "secret", "password", "cookie", "authorization"),
        *("url", "query", "body", "params", "parameters", "args"),
    }
)
"""Names of fields that never reach a log."""

QUIET = ("arq", "httpx", "httpcore", "asyncio", "sqlalchemy", "stamina")
"""Libraries whose chatter below a warning is left out."""

Event = MutableMapping[str, Any]


def configure(process: str, *, level: str = "INFO") -> None:
    """Have everything this process logs, ours and the libraries', go to standard error as JSON lines.

    process: the name each line carries. level: DEBUG, INFO, WARNING or ERROR; another word means INFO.
    """
    threshold = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _named(process),
        tell_exception,
        withhold,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer(ensure_ascii=False)],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(ensure_ascii=False),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(threshold)
    for name in QUIET:
        logging.getLogger(name).setLevel(max(threshold, logging.WARNING))


def withhold(_logger: Any, _method: str, event: Event) -> Event:
    """Replace the values of fields that must not be logged."""
    for name in event:
        if name in PERSONAL:
            event[name] = WITHHELD
    return event


def tell_exception(_logger: Any, _method: str, event: Event) -> Event:
    """Replace ``exc_info`` by the exception's kind and the lines it passed, innermost last."""
    given = event.pop("exc_info", None)
    event.pop("exception", None)
    if not given:
        return event
    error = given if isinstance(given, BaseException) else given[1] if isinstance(given, tuple) else None
    error = error or sys.exception()
    if error is not None:
        event["exception"] = type(error).__name__
        event["passed"] = _lines(error.__traceback__)
    return event


def _lines(trace: TracebackType | None) -> list[str]:
    return [
        f"{frame.filename.rpartition('site-packages/')[2]}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(trace)
    ]


def _named(process: str) -> structlog.typing.Processor:
    def add(_logger: Any, _method: str, event: Event) -> Event:
        event["process"] = process
        return event

    return add
