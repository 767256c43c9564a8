"""Ports for programs that must be told theirs before they listen."""

from __future__ import annotations

import os
import socket
from contextlib import ExitStack

LOWEST, HIGHEST = 20_000, 32_000
"""Below those that the kernel gives to whoever asks for any: nobody gets one between two starts."""

_next = LOWEST + os.getpid() * 16 % (HIGHEST - LOWEST)


def free_ports(count: int) -> list[int]:
    """So many ports in a row that nobody in this process was given, free for TCP and UDP now.

    Processes begin at different places, so that tests which run side by side don't meet.
    """
    global _next
    for _ in range(LOWEST, HIGHEST):
        first = _next if _next + count <= HIGHEST else LOWEST
        ports = list(range(first, first + count))
        _next = first + count
        if _are_free(ports):
            return ports
    raise AssertionError(f"of the ports {LOWEST} to {HIGHEST} no {count} in a row are free")


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
