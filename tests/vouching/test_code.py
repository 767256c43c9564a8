"""The conference code: the same for the same conference, another for any difference at all."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from halfkey.dtls.fingerprint import Fingerprint
from halfkey.vouching.code import conference_code
from halfkey.vouching.roster import RosterEntry
from tests.vouching.world import member

CA = bytes(range(32))
ENTRIES = [member(number).entry for number in (1, 2, 3)]
CODE = conference_code(CA, ENTRIES, 7)

OTHERS: dict[str, Any] = {
    "id": "p000",
    "name": "Person  2",
    "role": "host",
    "identity": "invite:22",
    "kind": "passport",
    "key_thumbprint": ENTRIES[0].key_thumbprint,
    "ssrcs": (4,),
    "fingerprint": Fingerprint.of(b"certificate 2 of a man in the middle"),
    "tls_id": "tls-id-of-participant-022",
    "assertion_sha256": bytes(32),
    "joined_at": ENTRIES[1].joined_at + 1,
}


def test_a_code_can_be_said_aloud() -> None:
    assert re.fullmatch(r"([a-z]{3,8} ){3}[0-9]{4}", CODE)


def test_the_order_of_entries_does_not_matter() -> None:
    assert conference_code(CA, reversed(ENTRIES), 7) == CODE
    assert conference_code(CA, [*ENTRIES[1:], ENTRIES[0]], 7) == CODE


def test_every_member_of_an_entry_is_tried() -> None:
    assert OTHERS.keys() == set(RosterEntry.__slots__)


@pytest.mark.parametrize("name", OTHERS)
def test_any_difference_in_an_entry_changes_it(name: str) -> None:
    changed = replace(ENTRIES[1], **{name: OTHERS[name]})
    assert changed != ENTRIES[1]
    assert conference_code(CA, [ENTRIES[0], changed, ENTRIES[2]], 7) != CODE


def test_somebody_more_or_less_changes_it() -> None:
    assert conference_code(CA, ENTRIES[:2], 7) != CODE
    assert conference_code(CA, [*ENTRIES, member(4).entry], 7) != CODE
    assert conference_code(CA, [], 7) != CODE


@pytest.mark.parametrize("bit", [0, 100, 255])
def test_another_authority_changes_it(bit: int) -> None:
    other = (int.from_bytes(CA, "big") ^ 1 << bit).to_bytes(32, "big")
    assert conference_code(other, ENTRIES, 7) != CODE


def test_another_ekt_key_changes_it() -> None:
    codes = {conference_code(CA, ENTRIES, spi) for spi in (None, 0, 1, 8, 65535)}
    assert len(codes) == 5
    assert CODE not in codes


def test_all_four_parts_vary() -> None:
    """Each part carries bits of its own: none is constant, none repeats another."""
    codes = [conference_code(CA, [], spi).split() for spi in range(6)]
    for place in range(4):
        assert len({code[place] for code in codes}) >= 5
    assert all(len(set(code)) == 4 for code in codes)
