"""The search that the demo's strongest claim rests on, against a real process."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from halfkey.cli.demo.memory import MemoryUnreadableError, _blocks, search

HOLDER = """
import sys
texts = [sys.stdin.readline().strip() for _ in range(int(sys.stdin.readline()))]
secret = bytes.fromhex(sys.stdin.readline())
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

BASE64 = [
    (f"{encode.__name__} {before} {after}", encode, before, after)
    for encode in (base64.standard_b64encode, base64.urlsafe_b64encode)
    for before in (0, 1, 2, 30, 31)
    for after in (0, 1, 2)
]


def forms() -> dict[str, tuple[bytes, str]]:
    """By name, secrets and the text that a process may hold of them; both alphabets differ."""
    made = {}
    for name, encode, before, after in BASE64:
        secret = b"\xfb\xef\xbe\xff\xfe" + os.urandom(11)
        context = os.urandom(before), os.urandom(after)
        made[name] = (secret, encode(context[0] + secret + context[1]).decode())
    for name, change in (("hex", str.lower), ("HEX", str.upper), ("Hex", str.title)):
        secret = os.urandom(32)
        made[name] = (secret, change(secret.hex()))
    return made


@contextmanager
def running(program: str, *lines: str) -> Iterator[subprocess.Popen[str]]:
    """A process that has read these lines, and lives until this is over."""
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("".join(line + "\n" for line in lines))
    process.stdin.flush()
    assert process.stdout.readline() == "holding\n"
    yield process
    process.stdin.close()
    process.wait(timeout=10)
    process.stdout.close()


def test_what_is_held_is_found_in_every_form_and_what_is_not_is_not() -> None:
    raw, buried, absent = os.urandom(16), os.urandom(16), os.urandom(16)
    held = forms()
    texts = [text for _, text in held.values()]
    with running(HOLDER, str(len(texts)), *texts, raw.hex(), buried.hex()) as process:
        secrets = {secret for secret, _ in held.values()}
        result = search(process.pid, {*secrets, raw, buried, absent})
    missed = [name for name, (secret, _) in held.items() if secret not in result.found]
    assert missed == []
    assert result.found == {*secrets, raw, buried}
    assert result.searched_bytes > 40 * 1024 * 1024


UNREADABLE = """
import mmap, sys, tempfile
with tempfile.TemporaryFile() as file:
    file.truncate(mmap.PAGESIZE * 4)
    mapped = mmap.mmap(file.fileno(), 0)
    if sys.stdin.readline() == "cut\\n":
        file.truncate(mmap.PAGESIZE)  # the rest stays mapped, and nobody can read it
    print("holding", flush=True)
    sys.stdin.read()
"""


def test_memory_that_is_mapped_and_can_not_be_read_fails_the_search() -> None:
    with running(UNREADABLE, "whole") as process:
        assert search(process.pid, [b"x" * 16]).searched_bytes > 0
    with running(UNREADABLE, "cut") as process:
        complaint = rf"^the memory of process {process.pid} at 0x[0-9a-f]+ can't be read$"
        with pytest.raises(MemoryUnreadableError, match=complaint):
            search(process.pid, [b"x" * 16])


GIVES_BACK = """
import mmap, sys
sys.stdin.readline()
mapped = [mmap.mmap(-1, 40 * 1024 * 1024, flags=mmap.MAP_PRIVATE) for _ in range(2)]
print("holding", flush=True)
sys.stdin.readline()
for one in mapped:
    one.close()
print("given back", flush=True)
sys.stdin.read()
"""


def test_memory_that_is_given_back_meanwhile_is_passed_over() -> None:
    with running(GIVES_BACK, "") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        whole = sum(map(len, _blocks(process.pid, 0)))
        blocks = _blocks(process.pid, 0)
        first = len(next(blocks))
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "given back\n"
        searched = first + sum(map(len, blocks))
    assert whole > 80 * 1024 * 1024
    assert 0 < searched <= whole - 60 * 1024 * 1024


def test_a_process_that_ends_meanwhile_fails_the_search() -> None:
    with running(GIVES_BACK, "") as process:
        blocks = _blocks(process.pid, 0)
        next(blocks)
        process.kill()
        process.wait(timeout=10)
        with pytest.raises(MemoryUnreadableError, match=str(process.pid)):
            list(blocks)


def test_a_process_that_is_gone_is_said_to_be() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait(timeout=10)
    with pytest.raises(MemoryUnreadableError, match=str(process.pid)):
        search(process.pid, [b"x" * 16])
