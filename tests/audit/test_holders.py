"""Who could decrypt at a moment: the model on stories whose answer is plain."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halfkey.audit.answer import Answer, shown, who_could_decrypt
from halfkey.audit.chain import Line, timestamp
from halfkey.audit.holders import OVERLAP, ConferenceKeys, conferences, unix_time
from halfkey.audit.records import (
    Admitted,
    Disassociated,
    EKTKeyAcknowledged,
    EKTKeySent,
    Record,
    Rekey,
    Removed,
    Started,
)

BEGIN = 1_800_000_000.0
TTL = 3600

Told = tuple[float, Record]


def sent(spi: int, *names: str, ttl: int | None = TTL) -> EKTKeySent:
    return EKTKeySent("c", spi, ttl, names)


def acknowledged(spi: int, name: str) -> EKTKeyAcknowledged:
    return EKTKeyAcknowledged("c", name, spi)


def joins(at: float, spi: int, name: str) -> list[Told]:
    """Admitted, sent the key, acknowledged half a second later."""
    admitted = Admitted("c", name, f"invite:{name}", name.title())
    return [(at, admitted), (at, sent(spi, name)), (at + 0.5, acknowledged(spi, name))]


def evicted(at: float, spi: int, name: str, *others: str) -> list[Told]:
    """Removed, and the others rekeyed: they have acknowledged two seconds later."""
    return [
        (at, Removed("c", name, "evicted", "operator")),
        (at, Rekey("c", spi, "evicted")),
        (at, sent(spi, *others)),
        *((at + 2, acknowledged(spi, other)) for other in others),
    ]


def keys_of(story: Iterable[Told], name: str = "c") -> ConferenceKeys:
    lines = [
        (Line(seq, timestamp(BEGIN + at), record.event, {}, "", ""), record)
        for seq, (at, record) in enumerate(story, 1)
    ]
    return conferences(lines)[name]


def answer(story: Iterable[Told], at: float) -> Answer:
    return who_could_decrypt(keys_of(story), BEGIN + at, "1:00")


def named(story: Iterable[Told], at: float) -> list[tuple[int, str, str, str]]:
    """By key: its SPI, and the holders' ids: sure, perhaps, later."""
    return [
        (key.spi, *(" ".join(one.participant for one in group) for group in groups))
        for key in answer(story, at).keys
        for groups in [(key.holders, key.unacknowledged, key.later)]
    ]


TWO = [*joins(0, 7, "alice"), *joins(10, 7, "bob")]


def test_before_the_first_and_after_the_last_nobody_could() -> None:
    ended = [*TWO, (60, Removed("c", "alice", "left")), (61, Removed("c", "bob", "left"))]
    assert named(ended, -1) == []
    assert named(ended, 59) == [(7, "alice bob", "", "")]
    assert named(ended, 61 + OVERLAP / 2) == [(7, "alice bob", "", "")]
    assert named(ended, 61 + OVERLAP * 2) == []


def test_who_gets_the_key_later_can_open_a_recording() -> None:
    assert named(TWO, 5) == [(7, "alice", "", "bob")]
    assert named(TWO, 10) == [(7, "alice bob", "", "")]


def test_who_never_acknowledged_is_shown_apart() -> None:
    story = [*TWO, (20, sent(7, "carol"))]
    assert named(story, 30) == [(7, "alice bob", "carol", "")]


def test_an_evicted_participant_could_until_everybody_else_had_changed() -> None:
    story = [*TWO, *joins(20, 7, "mallory"), *evicted(60, 8, "mallory", "alice", "bob")]
    assert named(story, 59) == [(7, "alice bob mallory", "", "")]
    both = [(7, "alice bob mallory", "", ""), (8, "alice bob", "", "")]
    assert named(story, 61) == both
    assert named(story, 62 + OVERLAP / 2) == both
    assert named(story, 62 + OVERLAP * 2) == [(8, "alice bob", "", "")]
    (old, _) = answer(story, 61).keys
    assert [one.is_removed for one in old.holders] == [False, False, True]


def test_one_who_does_not_change_keeps_the_old_key_in_use() -> None:
    story = [*TWO, *joins(20, 7, "mallory"), *evicted(60, 8, "mallory", "alice", "bob")[:-1]]
    assert named(story, 300) == [(7, "alice bob mallory", "", ""), (8, "alice", "bob", "")]
    gone = [*story, (400, Removed("c", "bob", "left"))]
    assert named(gone, 500) == [(8, "alice", "bob", "")]


def test_no_key_is_in_use_beyond_its_life() -> None:
    assert named(TWO, TTL + 9) == [(7, "alice bob", "", "")]
    assert named(TWO, TTL + 11) == []
    unknown = [(0, Admitted("c", "alice")), (0, sent(7, "alice", ttl=None))]
    assert named(unknown, TTL * 24) == [(7, "", "alice", "")]


@pytest.mark.parametrize("reason", ["disconnected", "tunnel_lost", "replaced"])
def test_an_association_that_ends_ends_no_use(reason: str) -> None:
    story = [*joins(0, 7, "alice"), (50, Disassociated("c", "alice", "uuid", reason))]
    assert named(story, 100)


def test_whom_a_media_distributor_calls_disconnected_may_send_on() -> None:
    """Alice never hears that she was cut off, and is forwarded to Carol, who was put out since."""
    rekeyed = [(51, Rekey("c", 2, "disconnected")), (51, sent(2, "bob", "carol"))]
    story = [
        *(told for name in ("alice", "bob", "carol") for told in joins(0, 1, name)),
        (50, Disassociated("c", "alice", "a1", "disconnected")),
        *rekeyed,
        *((52, acknowledged(2, name)) for name in ("bob", "carol")),
        *evicted(60, 3, "carol", "bob"),
    ]
    holders = {spi: who for spi, who, *_ in named(story, 100)}
    assert "carol" in holders[1]
    assert holders[3] == "bob"


def test_a_restart_makes_other_keys_even_with_the_same_spi() -> None:
    story = [
        *TWO,
        (100, Started("i2", "")),
        (101, sent(7, "alice")),
        (102, acknowledged(7, "alice")),
    ]
    assert named(story, 200) == [(7, "alice bob", "", ""), (7, "alice", "", "")]
    both = [*story, (201, sent(7, "bob")), (202, acknowledged(7, "bob"))]
    assert named(both, 300) == [(7, "alice bob", "", "")]
    assert len(keys_of(both).keys) == 2


def test_a_second_session_has_keys_of_its_own() -> None:
    first = [*TWO, (60, Removed("c", "alice", "left")), (61, Removed("c", "bob", "left"))]
    story = [*first, *joins(1000, 7, "carol")]
    assert named(story, 30) == [(7, "alice bob", "", "")]
    assert named(story, 1001) == [(7, "carol", "", "")]
    assert keys_of(story).began_at == BEGIN + 1000


def test_a_session_that_was_never_ended_in_order_does_not_last_for_ever() -> None:
    story = [*TWO, (10 * TTL, Started("i2", "")), *joins(10 * TTL + 5, 9, "carol")]
    assert keys_of(story).began_at == BEGIN + 10 * TTL + 5
    assert keys_of(TWO).began_at == BEGIN


def test_an_id_that_is_used_again_is_another_person() -> None:
    again = Admitted("c", "bob", "invite:other", "Other")
    story = [*TWO, (20, Removed("c", "bob", "left")), (30, again), (31, sent(7, "bob"))]
    (key,) = answer(story, 40).keys
    assert [one.identity for one in key.holders] == ["invite:alice", "invite:bob"]
    assert [one.identity for one in key.unacknowledged] == ["invite:other"]


def test_conferences_are_kept_apart() -> None:
    story = [*TWO, (20, Admitted("d", "dora")), (20, EKTKeySent("d", 7, TTL, ("dora",)))]
    assert named(story, 30) == [(7, "alice bob", "", "")]
    assert [one.participant for one in keys_of(story, "d").keys[0].holders] == ["dora"]


names = st.sampled_from(["a", "b", "c"])
spis = st.sampled_from([1, 2, 3])
anything = st.one_of(
    st.builds(lambda name: Admitted("c", name), names),
    st.builds(lambda spi, name: sent(spi, name), spis, names),
    st.builds(acknowledged, spis, names),
    st.builds(lambda spi: Rekey("c", spi, "timer"), spis),
    st.builds(lambda name: Removed("c", name, "left"), names),
    st.builds(lambda name: Disassociated("c", name, "u", "disconnected"), names),
    st.just(Started("i", "")),
)


@given(st.lists(anything, min_size=1, max_size=40))
def test_whoever_was_sent_a_key_is_named_at_that_moment(records: list[Record]) -> None:
    """Whatever else is recorded: nobody with a key is left out."""
    story: list[Told] = [(0.0, Admitted("c", "z")), *((i * 5.0, r) for i, r in enumerate(records))]
    keys = keys_of(story)
    for at, record in story:
        if isinstance(record, EKTKeySent):
            found = who_could_decrypt(keys, BEGIN + at, "1:00").keys
            groups = [key.holders + key.unacknowledged for key in found if key.spi == record.spi]
            assert any(one.participant in record.participants for group in groups for one in group)


def test_lines_for_a_person_show_nothing_that_moves_the_cursor() -> None:
    evil = Admitted("c", "eve", "invite:e", "Eve\x1b[2K\r\n\u202eAlice")
    lines = list(answer([(0, evil), (0, sent(7, "eve"))], 1).lines())
    assert all(line.isprintable() for line in lines)
    assert any("\\x1b[2K\\r\\n\\u202eAlice" in line for line in lines)
    assert shown("Bärbel 😀") == "Bärbel 😀"
    assert list(answer(TWO, -5).lines())[1] == "nobody: no key was in use"


def test_times_come_back() -> None:
    assert unix_time(timestamp(BEGIN + 0.25)) == BEGIN + 0.25


@pytest.mark.parametrize(
    ("reason", "by", "goes_on"),
    [
        ("absent", None, True),
        ("replaced", None, True),
        ("left", "focus", True),
        ("left", None, False),
        ("evicted", "operator", False),
        ("revoked", "operator", False),
    ],
)
def test_an_admission_ends_use_by_the_endpoints_goodbye_or_an_operators_decision(
    reason: str, by: str | None, goes_on: bool
) -> None:
    """Else its Endpoint may send on; nor does somebody stop that who gets the same id."""
    story = [
        *joins(0, 1, "alice"),
        (50, Disassociated("c", "alice", "a1", "tunnel_lost")),
        (350, Removed("c", "alice", reason, by)),
        *joins(400, 2, "alice"),
    ]
    assert (1 in [spi for spi, *_ in named(story, 500)]) is goes_on
    assert 1 not in [spi for spi, *_ in named(story, TTL + 1)]
