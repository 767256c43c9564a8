"""Searching a process's memory for secrets: what someone who steals the media server would do."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from halfkey.errors import HalfkeyError

# Hexadecimal or base64 long enough for a key of 16 bytes (see `_base64_needles`).
_TEXT = re.compile(rb"[0-9A-Za-z+/_-]{20,}")
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

    Each secret is looked for as raw bytes, as hexadecimal text in any case, and within base64 text
    of either alphabet. Read-only mappings of files are left out: the process can't have written a
    key there.

    Raises:
        MemoryUnreadableError: the memory, or a part of it, can't be read.
    """
    wanted = set(secrets)
    texts = [(secret, _base64_needles(secret), secret.hex().encode()) for secret in wanted]
    longest = max(map(len, wanted), default=1)
    found: set[bytes] = set()
    total = 0
    for block in _blocks(process_id, 2 * longest - 1):  # hexadecimal is the longest form
        total += len(block)
        found.update(secret for secret in wanted if secret in block)
        # Little of the memory is text: to look there only makes the many forms affordable.
        text = b" ".join(_TEXT.findall(block))
        lower = text.lower()
        for secret, encoded, hexadecimal in texts:
            if hexadecimal in lower or any(needle in text for needle in encoded):
                found.add(secret)
    if not total:
        raise MemoryUnreadableError(f"no memory of process {process_id} could be read")
    return SearchResult(frozenset(found), total)


def _base64_needles(secret: bytes) -> set[bytes]:
    """What base64 text holds of a secret, wherever in the encoded data it lies.

    It may begin at any of the three bytes of a group, and characters that it shares with its
    neighbours tell nothing: so there are three forms, of each alphabet.
    """
    needles = set()
    for before in range(3):
        padded = bytes(before) + secret
        first, end = -(-8 * before // 6), 8 * len(padded) // 6
        for encode in (base64.standard_b64encode, base64.urlsafe_b64encode):
            needles.add(encode(padded)[first:end])
    return needles


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
                yield from _region(memory, process_id, start, end, overlap)
    except OSError as error:
        raise MemoryUnreadableError(
            f"the memory of process {process_id} can't be read: {error.strerror}"
        ) from error


def _region(
    memory: BinaryIO, process_id: int, start: int, end: int, overlap: int, again: bool = False
) -> Iterator[bytes]:
    """Yields one region; what of it the process has given back meanwhile is passed over.

    Args:
        again: whether the map was read anew because this could not be read.
    """
    position = start
    while position < end:
        block = _read(memory, position, min(_CHUNK, end - position))
        if not block:
            break
        yield block
        position += len(block)
        if position < end:
            position -= min(overlap, len(block) - 1)
    else:
        return
    regions = _regions(process_id)
    left = [(max(s, position), min(e, end)) for s, e in regions if s < end and e > position]
    if not regions or (again and left):
        # Nothing may be claimed of memory that is there and was not searched.
        raise MemoryUnreadableError(
            f"the memory of process {process_id} at {position:#x} can't be read"
        )
    for start, end in left:
        yield from _region(memory, process_id, start, end, overlap, again=True)


def _read(memory: BinaryIO, position: int, length: int) -> bytes:
    """Reads up to so many bytes; none where that can't be."""
    try:
        memory.seek(position)
        return memory.read(length)
    except (OSError, OverflowError, ValueError):
        return b""
