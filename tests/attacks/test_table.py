"""The document is what the suite says."""

from __future__ import annotations

from tests.attacks.rows import ROWS, TABLE, table


def test_the_table_is_the_suites() -> None:
    assert TABLE.read_text() == table(), "write it anew: .venv/bin/python -m tests.attacks.rows"


def test_every_row_has_a_test_of_its_own() -> None:
    table()
    rows = [row for of_module in ROWS.values() for row in of_module]
    assert len({row.test for row in rows}) == len(rows)
    assert len({row.attack for row in rows}) == len(rows)
    assert all("|" not in row.attack + row.outcome for row in rows)
