"""RFC 8870 sections 4.3.1, 4.5 and 4.6 on virtual time."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halfkey.ekt.outbound import (
    OVERLAP,
    SHORT_EKT_FIELD,
    EKTKeyUsedUp,
    InnerKey,
    InnerKeysAnnounced,
    InnerKeysSwitched,
    OutboundEKT,
    OutboundEvent,
)
from halfkey.errors import UsageError
from tests.ekt.helpers import ekt_key, full_ekt_field, open_field

AUDIO, VIDEO = 0x1111, 0x2222


def counting_random() -> object:
    """Random bytes that differ at each call and can be told apart."""
    counter = itertools.count(1)
    return lambda length: next(counter).to_bytes(length, "big")


def outbound(*ssrcs: int, **options: object) -> OutboundEKT:
    engine = OutboundEKT(16, full_ekt_field, random=counting_random(), **options)  # type: ignore[arg-type]
    for ssrc in ssrcs:
        engine.add_source(ssrc, "audio" if ssrc == AUDIO else "video", 0.0)
    return engine


def events(engine: OutboundEKT) -> list[OutboundEvent]:
    return list(iter(engine.next_event, None))


def switched(engine: OutboundEKT) -> dict[int, InnerKey]:
    """The keys of the last switch among the pending events."""
    found: dict[int, InnerKey] = {}
    for event in events(engine):
        if isinstance(event, InnerKeysSwitched):
            found.update({key.ssrc: key for key in event.keys})
    return found


def is_full(field: bytes | None) -> bool:
    assert field is not None
    return field != SHORT_EKT_FIELD


def test_nothing_may_be_sent_before_the_first_ekt_key() -> None:
    engine = outbound(AUDIO)
    assert engine.ekt_field(AUDIO, 0, 0.0) is None
    assert engine.next_timer() is None
    assert events(engine) == []


def test_the_first_key_is_announced_and_used_at_once() -> None:
    engine = outbound(AUDIO, VIDEO)
    engine.receive_ekt_key(ekt_key(7), 5.0)
    announced, used = events(engine)
    assert isinstance(announced, InnerKeysAnnounced)
    assert isinstance(used, InnerKeysSwitched)
    assert (announced.spi, announced.at, used.spi, used.at) == (7, 5.0, 7, 5.0)
    assert announced.keys == used.keys
    assert [key.ssrc for key in used.keys] == [AUDIO, VIDEO]
    assert used.keys[0].master_key != used.keys[1].master_key
    assert all(key.master_salt == ekt_key(7).master_salt for key in used.keys)
    field = engine.ekt_field(AUDIO, 3, 5.0)
    assert field is not None
    assert open_field(field, ekt_key(7).ekt_key_value) == (
        7,
        0,
        used.keys[0].master_key,
        AUDIO,
        3,
    )


def test_each_new_key_goes_out_in_three_packets_of_each_ssrc() -> None:
    engine = outbound(AUDIO, VIDEO)
    engine.receive_ekt_key(ekt_key(7), 0.0)
    for ssrc in (AUDIO, VIDEO):
        full = [is_full(engine.ekt_field(ssrc, 0, n * 0.02)) for n in range(6)]
        assert full == [True, True, True, False, False, False]


def test_audio_alone_announces_every_100_ms() -> None:
    engine = outbound(AUDIO)
    engine.receive_ekt_key(ekt_key(7), 0.0)
    full = [n for n in range(50) if is_full(engine.ekt_field(AUDIO, 0, n * 0.02))]
    assert full[:3] == [0, 1, 2]
    assert {b - a for a, b in itertools.pairwise(full[2:])} <= {5, 6}  # rounding of 0.02


def test_beside_video_audio_announces_once_a_second() -> None:
    engine = outbound(AUDIO, VIDEO)
    engine.receive_ekt_key(ekt_key(7), 0.0)
    full = [n for n in range(200) if is_full(engine.ekt_field(AUDIO, 0, n / 50))]
    assert full == [0, 1, 2, 52, 102, 152]


def test_an_intra_picture_always_announces() -> None:
    engine = outbound(VIDEO)
    engine.receive_ekt_key(ekt_key(7), 0.0)
    for n in range(3):
        engine.ekt_field(VIDEO, 0, n * 0.01)
    assert not is_full(engine.ekt_field(VIDEO, 0, 0.05))
    assert is_full(engine.ekt_field(VIDEO, 0, 0.06, intra=True))
    assert not is_full(engine.ekt_field(VIDEO, 0, 0.07))


def test_a_rekey_announces_the_new_key_and_switches_after_250_ms() -> None:
    engine = outbound(AUDIO)
    engine.receive_ekt_key(ekt_key(1), 0.0)
    first = switched(engine)
    engine.receive_ekt_key(ekt_key(2), 10.0)
    (announced,) = events(engine)
    assert isinstance(announced, InnerKeysAnnounced)
    assert announced.keys[0].master_key != first[AUDIO].master_key
    field = engine.ekt_field(AUDIO, 0, 10.02)
    assert field is not None
    spi, epoch, master_key, _, _ = open_field(field, ekt_key(2).ekt_key_value)
    assert (spi, epoch, master_key) == (2, 0, announced.keys[0].master_key)
    assert engine.next_timer() == 10.0 + OVERLAP
    engine.handle_timer(10.249)
    assert events(engine) == []
    engine.handle_timer(10.250)
    (switch,) = events(engine)
    assert isinstance(switch, InnerKeysSwitched)
    assert (switch.spi, switch.at, switch.keys) == (2, 10.250, announced.keys)


def test_a_late_timer_is_made_up_for_by_the_next_packet() -> None:
    engine = outbound(AUDIO)
    engine.receive_ekt_key(ekt_key(1), 0.0)
    engine.receive_ekt_key(ekt_key(2), 10.0)
    events(engine)
    engine.ekt_field(AUDIO, 0, 11.0)
    assert [type(event) for event in events(engine)] == [InnerKeysSwitched]


def test_a_second_rekey_within_the_overlap_does_not_put_off_the_switch() -> None:
    engine = outbound(AUDIO)
    engine.receive_ekt_key(ekt_key(1), 0.0)
    engine.receive_ekt_key(ekt_key(2), 10.0)
    engine.receive_ekt_key(ekt_key(3), 10.2)
    events(engine)
    engine.handle_timer(10.25)
    (switch,) = events(engine)
    assert isinstance(switch, InnerKeysSwitched)
    assert switch.spi == 3
    assert engine.next_timer() == 10.2 + 3600


def test_media_stops_when_the_ttl_is_over_and_goes_on_with_a_new_key() -> None:
    engine = outbound(AUDIO)
    engine.receive_ekt_key(ekt_key(1, ttl=60), 100.0)
    events(engine)
    assert engine.next_timer() == 160.0
    assert engine.ekt_field(AUDIO, 0, 159.999) is not None
    assert engine.ekt_field(AUDIO, 0, 160.0) is None
    assert events(engine) == [EKTKeyUsedUp(1, 160.0, "ttl")]
    assert engine.next_timer() is None
    engine.receive_ekt_key(ekt_key(2), 170.0)
    assert [type(event) for event in events(engine)] == [InnerKeysAnnounced, InnerKeysSwitched]
    assert is_full(engine.ekt_field(AUDIO, 0, 170.0))


def test_an_old_key_that_ends_within_the_overlap_ends_the_overlap() -> None:
    engine = outbound(AUDIO)
    engine.receive_ekt_key(ekt_key(1, ttl=10), 0.0)
    engine.receive_ekt_key(ekt_key(2), 9.9)
    assert engine.next_timer() == 10.0


def test_an_ekt_key_encrypts_no_more_than_t_times() -> None:
    engine = outbound(AUDIO, VIDEO, usage_limit=3)
    engine.receive_ekt_key(ekt_key(1), 0.0)
    events(engine)
    # The same field sent again counts as one encryption (section 4.4).
    for n in range(3):
        assert is_full(engine.ekt_field(AUDIO, 0, n / 100))
        assert is_full(engine.ekt_field(VIDEO, 0, n / 100))
    assert is_full(engine.ekt_field(AUDIO, 1, 5.0))
    assert engine.ekt_field(VIDEO, 1, 5.0) is None
    assert events(engine) == [EKTKeyUsedUp(1, 5.0, "usage_limit")]
    assert engine.ekt_field(AUDIO, 1, 5.1) is None


def test_a_new_rollover_counter_makes_a_new_field() -> None:
    engine = outbound(AUDIO)
    engine.receive_ekt_key(ekt_key(1), 0.0)
    first, second = engine.ekt_field(AUDIO, 0, 0.0), engine.ekt_field(AUDIO, 1, 0.01)
    assert first is not None
    assert second is not None
    key = ekt_key(1).ekt_key_value
    assert open_field(first, key)[:4] == open_field(second, key)[:4]
    assert (open_field(first, key)[4], open_field(second, key)[4]) == (0, 1)


def test_a_source_added_later_gets_a_key_of_its_own_at_once() -> None:
    engine = outbound(AUDIO)
    engine.receive_ekt_key(ekt_key(1), 0.0)
    audio = switched(engine)
    engine.add_source(VIDEO, "video", 4.0)
    video = switched(engine)
    assert set(video) == {VIDEO}
    assert video[VIDEO].master_key != audio[AUDIO].master_key
    assert is_full(engine.ekt_field(VIDEO, 0, 4.0))


def test_misuse_is_refused() -> None:
    engine = outbound(AUDIO)
    with pytest.raises(UsageError, match="twice"):
        engine.add_source(AUDIO, "audio", 0.0)
    with pytest.raises(UsageError, match="never added"):
        engine.ekt_field(VIDEO, 0, 0.0)


def test_no_repr_shows_a_key() -> None:
    engine = outbound(AUDIO)
    engine.receive_ekt_key(ekt_key(1), 0.0)
    for event in events(engine):
        text = repr(event)
        for key in getattr(event, "keys", ()):
            assert repr(key.master_key) not in text
            assert repr(key.master_salt) not in text


@given(
    st.lists(
        st.tuples(st.floats(0.001, 0.4), st.sampled_from(["rekey", "packet", "timer"])),
        max_size=60,
    )
)
def test_a_key_seals_only_once_announced_and_no_old_key_outlives_the_overlap(
    steps: list[tuple[float, str]],
) -> None:
    engine = outbound(AUDIO)
    now, spi, superseded_at = 0.0, 0, None
    engine.receive_ekt_key(ekt_key(0), 0.0)
    sealing = switched(engine)[AUDIO]
    announced = {sealing.master_key}
    for delay, step in steps:
        now += delay
        if step == "rekey":
            spi += 1
            engine.receive_ekt_key(ekt_key(spi), now)
            superseded_at = now if superseded_at is None else superseded_at
        elif step == "packet":
            engine.ekt_field(AUDIO, 0, now)
        else:
            engine.handle_timer(now)
        for event in events(engine):
            assert not isinstance(event, EKTKeyUsedUp)
            if isinstance(event, InnerKeysAnnounced):
                announced.update(key.master_key for key in event.keys)
            else:
                assert all(key.master_key in announced for key in event.keys)
                superseded_at = None
        if step == "packet" and superseded_at is not None:
            assert now < superseded_at + OVERLAP
