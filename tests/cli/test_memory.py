"""The search that the demo's strongest claim rests on, against a real process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from halfkey.cli.demo.memory import MemoryUnreadableError, search

HOLDER = """
import sys
secret = bytes.fromhex(sys.stdin.readline())
text = sys.stdin.readline().strip()
# 40 MiB with the secret every 64 KiB less one byte: it lies across the border of every block.
ballast = bytearray(40 * 1024 * 1024)
buried = bytes(b ^ 0xFF for b in bytes.fromhex(sys.stdin.readline()))
position = 0
while position + 64 < len(ballast):
    ballast[position : position + len(buried)] = bytes(b ^ 0xFF for b in buried)
    position += 65535
print("holding", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def secrets() -> dict[str, bytes]:
    return {name: os.urandom(16) for name in ("raw", "hex", "buried", "absent")}


@pytest.fixture
def holder(secrets: dict[str, bytes]) -> Iterator[int]:
    """A process that holds three of the secrets, and was never told the fourth."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    lines = (secrets[name].hex() for name in ("raw", "hex", "buried"))
    process.stdin.write("".join(line + "\n" for line in lines))
    process.stdin.flush()
    assert process.stdout.readline() == "holding\n"
    yield process.pid
    process.stdin.close()
    process.wait(timeout=10)
    process.stdout.close()


def test_what_is_held_is_found_and_what_is_not_is_not(
    holder: int, secrets: dict[str, bytes]
) -> None:
    result = search(holder, secrets.values())
    assert result.found == {secrets["raw"], secrets["hex"], secrets["buried"]}
    assert result.searched_bytes > 40 * 1024 * 1024


def test_a_process_that_is_gone_is_said_to_be() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait(timeout=10)
    with pytest.raises(MemoryUnreadableError, match=str(process.pid)):
        search(process.pid, [b"x" * 16])
