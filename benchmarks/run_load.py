"""One `halfkey load`, the command as anybody gives it."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

Report = dict[str, Any]


def run_load(arguments: Sequence[str], seconds: float) -> Report:
    """Its report document.

    Raises:
        CalledProcessError: it failed, and said why on stderr.
    """
    print(f"halfkey load {' '.join(arguments)}", file=sys.stderr)
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "halfkey", "load", *arguments]
        command += ["--duration", str(seconds), "--json", "--out", out]
        ended = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    report: Report = json.loads(ended.stdout)
    return report
