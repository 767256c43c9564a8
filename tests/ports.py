"""Ports for programs that must be told theirs before they listen."""

from __future__ import annotations

import fcntl
import socket
import tempfile
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import TextIO

LOWEST, HIGHEST = 20_000, 32_000
"""Below those that the kernel gives to whoever asks for any: nobody gets one between two starts."""

BLOCK = 500

_claims: list[TextIO] = []
_given = 0


def free_ports(count: int) -> list[int]:
    """So many ports in a row that are free for TCP and UDP now, and no other test is given."""
    global _given
    first = _block()
    for _ in range(BLOCK):
        if _given + count > BLOCK:
            _given = 0
        ports = list(range(first + _given, first + _given + count))
        _given += count
        if _are_free(ports):
            return ports
    raise AssertionError(f"of the ports from {first} on no {count} in a row are free")


@cache
def _block() -> int:
    """The first of those that are this process's own for as long as it lives."""
    for first in range(LOWEST, HIGHEST, BLOCK):
        claim = (Path(tempfile.gettempdir()) / f"halfkey-ports-{first}").open("w")
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            claim.close()
            continue
        _claims.append(claim)
        return first
    raise AssertionError("too many test runs at once")


def _are_free(ports: list[int]) -> bool:
    with ExitStack() as held:
        for port in ports:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                one = held.enter_context(socket.socket(socket.AF_INET, kind))
                try:
                    one.bind(("127.0.0.1", port))
                except OSError:
                    return False
    return True
