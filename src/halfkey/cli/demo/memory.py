"""Searching a process's memory for secrets: what someone who steals the media server would do."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from halfkey.errors import HalfkeyError

_CHUNK = 16 * 1024 * 1024
_REGION = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (....) \S+ \S+ (\d+)\s*(.*)")
# Kernel mappings: not the process's data, and not readable through its mem file.
_UNREADABLE = ("[vvar]", "[vvar_vclock]", "[vsyscall]")


class MemoryUnreadableError(HalfkeyError):
    """The process's memory can't be read (it ended, or the system forbids it)."""


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a search came upon.

    Attributes:
        found: the secrets that were there, of those asked for.
        searched_bytes: how much memory was read.
    """

    found: frozenset[bytes]
    searched_bytes: int


def search(process_id: int, secrets: Iterable[bytes]) -> SearchResult:
    """Searches all writable and anonymous memory of a process for byte strings.

    Each secret is looked for as raw bytes and as lower-case hexadecimal text. Read-only mappings
    of files are left out: the process can't have written a key there.

    Raises:
        MemoryUnreadableError: the memory can't be read.
    """
    wanted = {needle: secret for secret in secrets for needle in (secret, secret.hex().encode())}
    overlap = max(map(len, wanted), default=1) - 1
    found: set[bytes] = set()
    total = 0
    for block in _blocks(process_id, overlap):
        total += len(block)
        found.update(secret for needle, secret in wanted.items() if needle in block)
    if not total:
        raise MemoryUnreadableError(f"no memory of process {process_id} could be read")
    return SearchResult(frozenset(found), total)


def _regions(process_id: int) -> list[tuple[int, int]]:
    regions = []
    for line in Path(f"/proc/{process_id}/maps").read_text().splitlines():
        match = _REGION.match(line)
        if match is None:
            continue
        start, end, flags, inode, name = match.groups()
        file_backed = inode != "0"
        if flags[0] != "r" or name in _UNREADABLE or (file_backed and flags[1] != "w"):
            continue
        regions.append((int(start, 16), int(end, 16)))
    return regions


def _blocks(process_id: int, overlap: int) -> Iterator[bytes]:
    """Yields memory in blocks that overlap, so that a secret across a border is not missed."""
    try:
        with Path(f"/proc/{process_id}/mem").open("rb", buffering=0) as memory:
            for start, end in _regions(process_id):
                position = start
                while position < end:
                    length = min(_CHUNK, end - position)
                    try:
                        memory.seek(position)
                        block = memory.read(length)
                    except (OSError, OverflowError, ValueError):
                        break  # a region that went away, or that can't be read
                    if not block:
                        break
                    yield block
                    if len(block) <= overlap:
                        break
                    position += len(block) - (overlap if position + len(block) < end else 0)
    except OSError as error:
        raise MemoryUnreadableError(
            f"the memory of process {process_id} can't be read: {error.strerror}"
        ) from error
