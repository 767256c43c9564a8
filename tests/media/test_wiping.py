"""End-to-end keys are gone from memory once they are replaced or removed.

A real process is searched. It never sees a received master key but inside a Full EKT Field, so
whatever is found in its memory was put there by the packet path.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from halfkey._media import derive_srtp_session_key, full_ekt_field
from halfkey.cli.demo.memory import search
from tests.media.helpers import SPI, SSRC, SUITES, Suite, rtp

suites = pytest.mark.parametrize("suite", SUITES.values(), ids=SUITES)

CHILD = """
import sys
from halfkey._media import DoubleReceiver, DoubleSender

objects = {"DoubleReceiver": DoubleReceiver, "DoubleSender": DoubleSender}
for line in sys.stdin:
    target, method, *arguments = line.split()
    values = [bytes.fromhex(a[1:]) if a[0] == "x" else int(a) for a in arguments]
    if method == "new":
        objects[target] = objects[target](*values)
    elif method == "del":
        del objects[target]
    else:
        getattr(objects[target], method)(*values)
    print("done", flush=True)
"""


class Child:
    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", CHILD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def call(self, target: str, method: str, *arguments: int | bytes) -> None:
        words = [f"x{a.hex()}" if isinstance(a, bytes) else str(a) for a in arguments]
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(" ".join([target, method, *words]) + "\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "done\n"

    def holds(self, *secrets: bytes) -> list[bool]:
        found = search(self._process.pid, secrets).found
        return [secret in found for secret in secrets]

    def close(self) -> None:
        self._process.communicate(timeout=10)


@pytest.fixture
def child() -> Iterator[Child]:
    process = Child()
    yield process
    process.close()


def random_like(suite: Suite, label: str) -> bytes:
    """A key that no other part of the child has a reason to hold."""
    return derive_srtp_session_key(suite.single, suite.key(label), suite.salt(label))


@suites
@pytest.mark.parametrize("end", ["removed", "dropped"])
def test_received_keys(child: Child, suite: Suite, end: str) -> None:
    master = random_like(suite, "wiping")
    session = derive_srtp_session_key(suite.single, master, suite.salt("ekt"))
    sender = suite.sender()
    sender.set_inner_key(SSRC, master, suite.salt("ekt"))
    field = full_ekt_field(suite.key("kek"), SPI, 0, SSRC, 0, master)

    child.call("DoubleReceiver", "new", *suite.hop())
    child.call("DoubleReceiver", "add_ekt_parameter_set", SPI, suite.key("kek"), suite.salt("ekt"))
    child.call("DoubleReceiver", "unprotect", sender.protect(rtp(1), field))
    assert child.holds(master, session) == [True, True]
    if end == "removed":
        child.call("DoubleReceiver", "remove_ekt_parameter_set", SPI)
    else:
        child.call("DoubleReceiver", "del")
    assert child.holds(master, session) == [False, False]


@suites
def test_sending_keys(child: Child, suite: Suite) -> None:
    old, new = (random_like(suite, label) for label in ("old", "new"))
    old_session, new_session = (
        derive_srtp_session_key(suite.single, key, suite.salt("ekt")) for key in (old, new)
    )
    child.call("DoubleSender", "new", *suite.hop())
    child.call("DoubleSender", "set_inner_key", SSRC, old, suite.salt("ekt"))
    child.call("DoubleSender", "protect", rtp(1))
    assert child.holds(old_session, new_session) == [True, False]
    child.call("DoubleSender", "set_inner_key", SSRC, new, suite.salt("ekt"))
    child.call("DoubleSender", "protect", rtp(2))
    assert child.holds(old_session, new_session) == [False, True]
