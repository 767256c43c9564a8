"""A `halfkey up` for tests: on ports that were free a moment ago, and ended with certainty."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from halfkey.cli.up.folder import PORTS
from tests.ports import free_ports

PATIENCE = 60


@dataclass
class Up:
    """It, and what it has said so far."""

    process: subprocess.Popen[str]
    folder: Path
    said: list[str] = field(default_factory=list)

    def until(self, words: str) -> str:
        """Reads on until a line has these words; gives it."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said.append(line)
            if words in line:
                return line
        raise AssertionError(f"ended without {words!r}: {self.said}")

    def children(self) -> dict[str, int]:
        """Process ids by role."""
        found = {}
        for listed in Path(f"/proc/{self.process.pid}/task").glob("*/children"):
            for pid in listed.read_text().split():
                arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                found[arguments[3].decode()] = int(pid)
        return found

    def end(self, number: int = signal.SIGINT) -> int:
        """Tells it to end; gives the exit status."""
        self.process.send_signal(number)
        _, rest = self.process.communicate(timeout=PATIENCE)
        self.said.append(rest)
        return self.process.returncode


@contextmanager
def running(folder: Path, *options: str) -> Iterator[Up]:
    """Up, and ready."""
    run = [sys.executable, "-m", "halfkey", "up", "--directory", str(folder), *options]
    with subprocess.Popen(run, stderr=subprocess.PIPE, text=True) as process:
        up = Up(process, folder)
        try:
            up.until("ready at")
            yield up
        finally:
            if process.poll() is None:
                up.end()


def first_port() -> int:
    """The first of as many ports as `halfkey up` takes."""
    return free_ports(PORTS)[0]
