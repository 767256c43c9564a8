"""Log lines: one record, one line, whatever a peer put into it; and a trickle out of a flood."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator

import pytest

from halfkey.operations import journal as journals
from halfkey.operations.journal import MAXIMUM_KINDS, Journal
from halfkey.operations.logs import FIELDS, Format, Level, configure

HOSTILE = "\x1b[2Jname\nWARNING forged: line\r\u2028\u202e"


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def written(form: Format, level: Level = "info") -> io.StringIO:
    stream = io.StringIO()
    configure(form, level, stream)
    return stream


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_peer_begins_no_line(form: Format) -> None:
    stream = written(form)
    logging.getLogger("x").warning("said %s", HOSTILE, extra={FIELDS: {"reason": HOSTILE}})
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        logging.getLogger("x").exception("failed")
    lines = stream.getvalue().split("\n")
    assert len(lines) == 3
    assert lines[-1] == ""
    assert all(line.isprintable() for line in lines)
    assert "ValueError" in lines[1]


def test_json_gives_back_what_was_said() -> None:
    stream = written("json")
    logging.getLogger("x").info("said %s", HOSTILE, extra={FIELDS: {"ms": 1.5, "level": "no"}})
    line = json.loads(stream.getvalue())
    assert line["message"] == f"said {HOSTILE}"
    assert (line["level"], line["logger"], line["ms"]) == ("info", "x", 1.5)


@pytest.mark.parametrize(("level", "count"), [("info", 2), ("warning", 1), ("error", 0)])
def test_levels(level: Level, count: int) -> None:
    stream = written("text", level)
    logging.getLogger("x").info("one")
    logging.getLogger("x").warning("two")
    assert stream.getvalue().count("\n") == count


async def test_a_flood_is_a_trickle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "INTERVAL_SECONDS", 0.05)
    stream = written("json")
    journal = Journal()
    for _ in range(1000):
        journal.tell("refused", reason="a")
    journal.tell("refused", reason="b")
    assert stream.getvalue().count("\n") == 2
    # A stream says nothing when it is written to.
    while stream.getvalue().count("\n") < 3:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    journal.close()
    last = json.loads(stream.getvalue().splitlines()[-1])
    assert (last["message"], last["reason"], last["more"]) == ("refused", "a", 999)


async def test_what_was_not_told_is_told_at_the_end() -> None:
    stream = written("json")
    journal = Journal()
    for _ in range(3):
        journal.tell("rekeyed", reason="left", ms=4.0)
    journal.close()
    told = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line.get("ms") for line in told] == [4.0, None]
    assert told[1]["more"] == 2


async def test_kinds_have_a_bound() -> None:
    stream = written("text")
    journal = Journal()
    for number in range(3 * MAXIMUM_KINDS):
        journal.tell("refused", reason=str(number))
    journal.close()
    assert stream.getvalue().count("\n") == MAXIMUM_KINDS
