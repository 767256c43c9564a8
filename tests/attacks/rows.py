"""The table of attacks: each test says what it tries and what comes of it, and is held to that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import pytest

TABLE = Path(__file__).parents[2] / "docs" / "attacks.md"

Test = TypeVar("Test", bound=Callable[..., Any])

_INTRODUCTION = """\
# What a malicious Focus can't do

Each row is a test: a real Focus with a man in the middle on both of its sides, between real
Endpoints that joined by link, a real Media Distributor and a real Key Distributor. The test fails
if anything else happens than what the row says. At the end of each, everybody who was given an
EKTKey must be in a roster that the Key Distributor signed, with the certificate of an honest
Endpoint; and what the attacker runs itself must hold no EKTKey and have opened no packet.

What a Focus can do is to keep people out and to withhold what it should carry. The former is
refusal of service; the latter shows, by the times that are in the table.

This file is made by the suite in [tests/attacks](../tests/attacks), which also compares it;
`.venv/bin/python -m tests.attacks.rows` writes it anew.
"""

_HEAD = "| attack | what happened | test |\n|---|---|---|"


@dataclass(frozen=True)
class Row:
    """One attack.

    Attributes:
        attack: what the Focus tries.
        outcome: what comes of it.
        values: for the test that it is a case of.
        test: the test's name, known when it is registered.
    """

    attack: str
    outcome: str
    values: tuple[Any, ...] = ()
    test: str = field(default="", compare=False)


ROWS: dict[str, list[Row]] = {}
"""By module, in the order of the source."""


def attack(text: str, outcome: str) -> Callable[[Test], Test]:
    """Declares a test's one row."""

    def declare(test: Test) -> Test:
        _register(test, Row(text, outcome, test=test.__name__))
        test.row = Row(text, outcome)  # type: ignore[attr-defined]
        return test

    return declare


def attacks(**cases: Row) -> Callable[[Test], Any]:
    """Declares the rows of a test that gets one of them as ``case``, by their ids."""

    def declare(test: Test) -> Any:
        for name, row in cases.items():
            _register(test, Row(row.attack, row.outcome, test=f"{test.__name__}[{name}]"))
        return pytest.mark.parametrize("case", cases.values(), ids=cases.keys())(test)

    return declare


def _register(test: Callable[..., Any], row: Row) -> None:
    ROWS.setdefault(test.__module__.rpartition(".")[2], []).append(row)


def table() -> str:
    """The document, of all modules here."""
    parts = [_INTRODUCTION]
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        module = import_module(f"tests.attacks.{path.stem}")
        rows = ROWS.get(path.stem)
        if rows:
            title = (module.__doc__ or "").strip().partition("\n")[0].rstrip(".")
            lines = [f"| {row.attack} | {row.outcome} | `{row.test}` |" for row in rows]
            parts.append(
                f"## {title}\n\n`tests/attacks/{path.name}`\n\n{_HEAD}\n" + "\n".join(lines)
            )
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


if __name__ == "__main__":
    # Imported under its own name, so that the tests' rows are registered where `table` looks.
    TABLE.write_text(import_module("tests.attacks.rows").table())
