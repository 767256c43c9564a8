"""The records of a log for other programs: JSON, or CSV that a spreadsheet can take."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import fields

from halfkey.audit.chain import Line
from halfkey.audit.records import KINDS, Value

FORMATS = ("csv", "json")

_FIELDS = dict.fromkeys(one.name for kind in KINDS.values() for one in fields(kind))
COLUMNS = ("seq", "at", "event", *_FIELDS)

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def as_csv(lines: Iterable[Line]) -> Iterator[str]:
    """Yields CSV rows (RFC 4180) with a header, one column for each field of any kind.

    A text that a spreadsheet would take for a formula gets an apostrophe before it: names come from
    peers.
    """
    yield _row(COLUMNS)
    for line in lines:
        values: dict[str, Value] = {"seq": line.seq, "at": line.at, "event": line.event}
        values |= line.fields
        yield _row([_cell(values.get(column)) for column in COLUMNS])


def as_json(lines: Iterable[Line]) -> Iterator[str]:
    """Yields one JSON array, an object for each record, in pieces."""
    before = "["
    for line in lines:
        values = {"seq": line.seq, "at": line.at, "event": line.event, **line.fields}
        yield f"{before}\n{json.dumps(values)}"
        before = ","
    yield "[]\n" if before == "[" else "\n]\n"


def _cell(value: Value) -> str | int | None:
    if isinstance(value, list):
        return json.dumps(value)
    if isinstance(value, str):
        text = value.encode("utf-8", "backslashreplace").decode("utf-8")
        return f"'{text}" if text.startswith(_FORMULA) else text
    return value


def _row(cells: Iterable[str | int | None]) -> str:
    text = io.StringIO()
    csv.writer(text).writerow(cells)
    return text.getvalue()
