"""Structured logs (structlog): a line for people on a terminal, a JSON object elsewhere; never a secret (law 10)."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Final, Literal, TextIO

import structlog

LogFormat = Literal["auto", "console", "json"]

REDACTED: Final = "[redacted]"
_secret_key = re.compile(r"authorization|token|secret|password|passphrase|api_?key|private_?key|cookie", re.I)
# "no bearer token" is what we say ourselves.
_bearer = re.compile(r"(?i)\bbearer\s+(?!token\b|<token>)\S+")


class _Quiet(logging.Filter):
    """Drops what grpcio logs, with the value and a traceback, about a caller's header that is not UTF-8: whoever can
    connect could fill the log, and the value may be a token. The call is answered like any other."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not str(record.msg).startswith("Invalid encoding on")


_quiet: Final = _Quiet()


def configure_logging(level: str = "info", form: LogFormat = "auto", stream: TextIO | None = None) -> None:
    """Sets logging up for the process: our own lines and those of libraries, on `stream` (stderr).

    `auto` writes for people where `stream` is a terminal and JSON elsewhere. `level` is debug, info, warning or error;
    with debug every RPC is a line.
    """
    out = sys.stderr if stream is None else stream
    number = logging.getLevelNamesMapping()[level.upper()]
    text = form == "console" or (form == "auto" and out.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                # Before rendering: the traceback becomes text, without the frames' variables, and is redacted too.
                structlog.processors.format_exc_info,
                redact,
                _renderer(out) if text else structlog.processors.JSONRenderer(sort_keys=False),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    logging.getLogger("grpc._cython.cygrpc").addFilter(_quiet)
    root.setLevel(number)


def _renderer(out: TextIO) -> structlog.typing.Processor:
    return structlog.dev.ConsoleRenderer(
        colors=out.isatty(),
        timestamp_key="time",
        exception_formatter=structlog.dev.plain_traceback,
    )


def redact(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: takes out what a secret's name, type or form gives away."""
    for key, value in event.items():
        event[key] = REDACTED if _secret_key.search(key) and key != "token_name" else _redact_value(value)
    return event


def _redact_value(value: Any) -> Any:
    if isinstance(value, str):
        return _bearer.sub(f"Bearer {REDACTED}", value)
    if isinstance(value, bool | int | float) or value is None:
        return value
    if hasattr(value, "get_secret_value"):
        return REDACTED
    if isinstance(value, Mapping):
        return {
            key: REDACTED if isinstance(key, str) and _secret_key.search(key) else _redact_value(item)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [_redact_value(item) for item in value]
    return _bearer.sub(f"Bearer {REDACTED}", repr(value) if not isinstance(value, bytes) else "[bytes]")
