"""How the demo ends when the folder fails it late."""

from __future__ import annotations

from pathlib import Path

import pytest

from halfkey.cli.demo.command import EXIT_CLAIM_FAILED, _conclude
from halfkey.cli.demo.options import DemoOptions
from halfkey.cli.demo.report import Facts
from halfkey.cli.demo.table import LiveView
from halfkey.profiles import DOUBLE_128


def test_a_report_that_can_not_be_written_in_the_end_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = DemoOptions(3, 15.0, None, DOUBLE_128, tmp_path, True)
    view, facts = LiveView(options.names, quiet=True), Facts(15.0, "Carol")
    assert _conclude(options, view, facts) == EXIT_CLAIM_FAILED  # nothing is claimed of no run
    assert '"ok": false' in capsys.readouterr().out
    (tmp_path / "report.json").unlink()
    (tmp_path / "report.json").mkdir()
    assert _conclude(options, view, facts) == EXIT_CLAIM_FAILED
    told = capsys.readouterr()
    assert told.err == f"halfkey demo: {tmp_path}/report.json: Is a directory\n"
    assert told.out == ""
