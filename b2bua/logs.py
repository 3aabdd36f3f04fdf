"""Logging: JSON for machines, colours for people, and no telephone number in full unless asked for."""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

#: Runs of digits long enough to be somebody's number, wherever they stand in a value.
_NUMBER = re.compile(r"\+?\d{6,}")

#: Log fields that are numbers by nature and safe: never cut.
_SAFE = frozenset({"event", "level", "timestamp", "call_id", "port", "status", "seconds", "count", "bytes", "line"})

_SECRET = frozenset({"password", "ha1", "authorization", "proxy_authorization", "nonce"})


def mask_number(text: str) -> str:
    """Cut every telephone number in a text to its first four and last two characters."""
    return _NUMBER.sub(lambda found: f"{found[0][:4]}…{found[0][-2:]}", text)


def _hide_secrets(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key in event:
        if key in _SECRET:
            event[key] = "***"
    return event


def _cut_numbers(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in event.items():
        if key not in _SAFE and isinstance(value, str):
            event[key] = mask_number(value)
    return event


def configure_logging(level: str, style: str, full_numbers: bool) -> None:
    """Set structlog up for the whole process; the standard library's records take the same way."""
    processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    processors.append(_hide_secrets)
    if not full_numbers:
        processors.append(_cut_numbers)
    processors.append(structlog.processors.StackInfoRenderer())
    renderer: structlog.typing.Processor
    if style == "json":
        # without the frames' local variables: those are messages, numbers and credentials, in full
        transform = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        processors.append(structlog.processors.ExceptionRenderer(transform))
        renderer = structlog.processors.JSONRenderer()
    else:
        renderer = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*processors, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=processors,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(number, logging.WARNING))
