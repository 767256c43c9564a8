"""The log's folder: what its files are called, and the calls by which bytes get there to stay."""

from __future__ import annotations

import os
import re
from pathlib import Path

CHECKPOINT_FILE = "checkpoint"
LOCK_FILE = "lock"

_LOG_FILE = re.compile(r"[0-9]{12}\.jsonl")


def log_file(seq: int) -> str:
    """The name of the log file whose first line has this number."""
    return f"{seq:012}.jsonl"


def torn_file(seq: int) -> str:
    """The name of the file that keeps an unfinished tail found after line `seq`."""
    return f"torn-{seq:012}.bin"


def log_files(directory: Path) -> list[Path]:
    """The log's files, oldest first.

    Raises:
        OSError: the folder can't be read.
    """
    return sorted(path for path in directory.iterdir() if _LOG_FILE.fullmatch(path.name))


class Disk:
    """The system calls, in one place so that a test can watch their order or have one fail."""

    def open(self, path: Path, flags: int) -> int:
        """Opens a file; a new one is its owner's only."""
        return os.open(path, flags | os.O_CLOEXEC, 0o600)

    def write(self, descriptor: int, data: bytes) -> None:
        """Writes all of it where the descriptor stands."""
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]

    def write_at_start(self, descriptor: int, data: bytes) -> None:
        """Replaces a small file's content by one of the same length, in one call."""
        if os.pwrite(descriptor, data, 0) != len(data):
            raise OSError(5, "short write")

    def sync(self, descriptor: int) -> None:
        """Returns when what was written is on the disk."""
        os.fsync(descriptor)

    def close(self, descriptor: int) -> None:
        """Closes a file."""
        os.close(descriptor)

    def sync_directory(self, directory: Path) -> None:
        """Returns when the names of new files are on the disk."""
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self.sync(descriptor)
        finally:
            os.close(descriptor)
