"""How log lines look: text for people, JSON for machines, and one record is always one line.

Messages may hold what peers sent. Whatever isn't printable is escaped, so that no peer can begin
a line of its own or speak to a terminal.
"""

from __future__ import annotations

import datetime
import json
import logging
import sys
from typing import Any, Literal, TextIO

Format = Literal["text", "json"]
Level = Literal["debug", "info", "warning", "error"]

FIELDS = "halfkey"
"""The name under which a record carries its fields: ``extra={FIELDS: {...}}``."""


def configure(form: Format, level: Level, stream: TextIO | None = None) -> None:
    """Sends all logs of the process to one place, and takes away what was set before.

    Args:
        form: ``"text"`` or ``"json"``.
        level: the least level that is written.
        stream: where to; stderr by default.
    """
    handler = logging.StreamHandler(sys.stderr if stream is None else stream)
    handler.setFormatter(JSONFormatter() if form == "json" else TextFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


class TextFormatter(logging.Formatter):
    """``time LEVEL logger: message name=value ...``"""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        fields = "".join(f" {name}={value}" for name, value in _fields(record).items())
        line = f"{_time(record)} {record.levelname} {record.name}: {record.getMessage()}{fields}"
        trace = _trace(self, record)
        return escaped(line if trace is None else f"{line} | {trace}")


class JSONFormatter(logging.Formatter):
    """An object: at, level, logger, message, the record's fields, and traceback if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, Any] = {
            **_fields(record),
            "at": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        trace = _trace(self, record)
        if trace is not None:
            line["traceback"] = trace
        return json.dumps(line, default=str)


def escaped(text: str) -> str:
    """The text with everything that isn't printable as an escape; one line, then."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields = getattr(record, FIELDS, None)
    return dict(fields) if isinstance(fields, dict) else {}


def _time(record: logging.LogRecord) -> str:
    """RFC 3339, in UTC, with milliseconds."""
    at = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> str | None:
    if not record.exc_info:
        return None
    return formatter.formatException(record.exc_info)
