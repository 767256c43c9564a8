"""The roster statement: round trips, bounds, and one form for one roster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halfkey.dtls.fingerprint import Fingerprint
from halfkey.errors import CodecError
from halfkey.vouching.authority import Trust
from halfkey.vouching.roster import (
    MAXIMUM_ENTRIES,
    MAXIMUM_IDENTITY,
    TYPE,
    RosterEntry,
    RosterVouch,
)
from tests.identity.helpers import parts
from tests.vouching.world import authority, member, refuses, valid_now

names = st.text(min_size=1, max_size=128).filter(str.isprintable)
hashes = st.binary(min_size=32, max_size=32)
tls_ids = st.text("abcXYZ019+/_-", min_size=20, max_size=255)


def entries() -> st.SearchStrategy[RosterEntry]:
    return st.builds(
        RosterEntry,
        id=names,
        name=names,
        role=names,
        identity=names.filter(str.isascii),
        kind=st.sampled_from(["invite", "passport", "oidc"]),
        key_thumbprint=st.just(member(1).entry.key_thumbprint),
        ssrcs=st.sets(st.integers(0, 2**32 - 1), max_size=64).map(lambda one: tuple(sorted(one))),
        fingerprint=st.builds(Fingerprint, st.just("sha-256"), hashes),
        tls_id=tls_ids,
        assertion_sha256=hashes,
        joined_at=st.integers(0, 2**53 - 1),
    )


def rosters() -> st.SearchStrategy[RosterVouch]:
    return st.builds(
        RosterVouch,
        conference=names,
        instance=st.text("abcXYZ019_-", min_size=16, max_size=128),
        version=st.integers(1, 2**53 - 1),
        spi=st.none() | st.integers(0, 65535),
        issued_at=st.integers(0, 2**53 - 1),
        entries=st.lists(entries(), max_size=4, unique_by=lambda one: one.id).map(
            RosterVouch.ordered
        ),
    )


def verify(text: str) -> RosterVouch:
    return RosterVouch.verify(text, Trust(authority().ca_sha256), valid_now())


def roster(*numbers: int) -> RosterVouch:
    found = RosterVouch.ordered(member(number).entry for number in numbers)
    return RosterVouch("board", "instance-number-1", 1, 7, int(valid_now()), found)


@settings(max_examples=60, deadline=None)
@given(rosters())
def test_a_roster_round_trips(one: RosterVouch) -> None:
    assert verify(one.sign(authority())) == one


def change_entry(**members: object) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda payload: (
        payload | {"entries": [payload["entries"][0] | members, *payload["entries"][1:]]}
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda payload: payload | {"more": 1},
        lambda payload: payload | {"version": 0},
        lambda payload: payload | {"version": 2**53},
        lambda payload: payload | {"version": "1"},
        lambda payload: payload | {"spi": 65536},
        lambda payload: payload | {"spi": -1},
        lambda payload: payload | {"spi": False},
        lambda payload: payload | {"instance": "short"},
        lambda payload: payload | {"entries": {}},
        lambda payload: payload | {"entries": [1]},
        lambda payload: payload | {"entries": payload["entries"][::-1]},
        lambda payload: payload | {"entries": payload["entries"][:1] * 2},
        lambda payload: payload | {"entries": payload["entries"] * 501},
        change_entry(more=1),
        change_entry(kind="saml"),
        change_entry(ssrcs=[2, 1]),
        change_entry(ssrcs=[1, 1]),
        change_entry(ssrcs=[2**32]),
        change_entry(ssrcs=[True]),
        change_entry(ssrcs=list(range(65))),
        change_entry(name="a\nb"),
        change_entry(name="a" * 129),
        change_entry(identity="sip:zoë@example.org"),
        change_entry(**{"assertion-sha256": "AAAA"}),
        change_entry(**{"assertion-sha256": "="}),
        change_entry(**{"key-thumbprint": "AAAA"}),
        change_entry(**{"tls-id": "short"}),
        change_entry(**{"joined-at": None}),
    ],
)
def test_also_what_is_signed_must_follow_the_format(
    change: Callable[[dict[str, Any]], dict[str, Any]],
) -> None:
    _, payload = parts(roster(1, 2).sign(authority()))
    assert verify(authority().sign(TYPE, payload)) == roster(1, 2)
    with refuses("malformed"):
        verify(authority().sign(TYPE, change(payload)))


def test_what_can_not_be_read_can_not_be_made() -> None:
    good = roster(1, 2)
    for change in ({"entries": good.entries[::-1]}, {"spi": 65536}, {"version": 0}):
        with pytest.raises(CodecError):
            replace(good, **change)  # type: ignore[arg-type]


def test_the_longest_roster_fits() -> None:
    longest = replace(
        member(1).entry,
        name="\U0001f512" * 128,
        role="\U0001f512" * 128,
        identity="i" * MAXIMUM_IDENTITY,
        ssrcs=tuple(range(2**32 - 64, 2**32)),
        fingerprint=Fingerprint.of(b"", "sha-512"),
        tls_id="t" * 255,
        joined_at=2**53 - 1,
    )
    found = RosterVouch.ordered(
        replace(longest, id="\U0001f512" * 124 + f"{number:04}")
        for number in range(MAXIMUM_ENTRIES)
    )
    whole = RosterVouch("c", "i" * 128, 2**53 - 1, 65535, 2**53 - 1, found)
    assert verify(whole.sign(authority())) == whole
    with pytest.raises(CodecError, match="at most 1000"):
        replace(whole, entries=(*found, replace(longest, id="\U0001f513")))
