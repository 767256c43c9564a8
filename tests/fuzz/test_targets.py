"""Each fuzz target takes a seed for valid, and stands what a few thousand spoilt seeds do."""

from __future__ import annotations

import random  # noqa: TID251 (nothing here is secret, and a failure repeats)

import pytest

from tests.fuzz.corpus import seeds
from tests.fuzz.targets import TARGETS

EVERY_TARGET = pytest.mark.parametrize("name", TARGETS)
SPOILT = {
    "dtls_handshake": 60,
    "dtls_authenticated": 60,
    "dtls_datagrams": 150,
    "key_distributor": 100,
}


def spoil(seed: bytes, source: random.Random) -> bytes:
    """Cuts, changes, repeats or adds some bytes."""
    data = bytearray(seed)
    for _ in range(source.randint(1, 4)):
        at = source.randrange(len(data) + 1)
        match source.randrange(4):
            case 0:
                del data[at : at + source.randint(1, 8)]
            case 1:
                data[at : at + 1] = bytes([source.choice((0, 1, 127, 128, 255))])
            case 2:
                data[at:at] = data[at : at + source.randint(1, 40)]
            case _:
                data[at:at] = source.randbytes(source.randint(1, 4))
    return bytes(data)


@EVERY_TARGET
def test_a_target_reaches_what_lies_behind_the_parser(name: str) -> None:
    assert any(map(TARGETS[name], seeds(name)))


@EVERY_TARGET
def test_spoilt_seeds_break_no_invariant(name: str) -> None:
    source = random.Random(name)
    given = seeds(name)
    TARGETS[name](b"")
    for turn in range(SPOILT.get(name, 400)):
        TARGETS[name](spoil(given[turn % len(given)], source))
