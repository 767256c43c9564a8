"""How long received EKT parameter sets are kept (RFC 8870 sections 4.2, 4.3.2, 5.2.2)."""

from __future__ import annotations

from halfkey.ekt.inbound import (
    LIMIT,
    RETENTION,
    InboundEKT,
    InboundEvent,
    ParameterSetAdded,
    ParameterSetRemoved,
)
from halfkey.ekt.messages import EKTKey
from tests.ekt.helpers import ekt_key


def events(engine: InboundEKT) -> list[InboundEvent]:
    return list(iter(engine.next_event, None))


def test_a_set_is_added_with_the_salt_that_srtp_uses() -> None:
    engine = InboundEKT()
    assert engine.receive_ekt_key(EKTKey(b"k" * 16, b"s" * 20, 9, 60), 1.0)
    assert events(engine) == [ParameterSetAdded(9, 1.0, b"k" * 16, b"s" * 12)]
    assert engine.next_timer() == 61.0


def test_a_set_goes_when_its_ttl_is_over() -> None:
    engine = InboundEKT()
    engine.receive_ekt_key(ekt_key(9, ttl=60), 0.0)
    events(engine)
    engine.handle_timer(59.9)
    assert engine.spis == (9,)
    engine.handle_timer(60.0)
    assert events(engine) == [ParameterSetRemoved(9, 60.0, "ttl")]
    assert engine.spis == ()
    assert engine.next_timer() is None


def test_a_replaced_set_is_kept_for_the_retention() -> None:
    engine = InboundEKT()
    engine.receive_ekt_key(ekt_key(1), 0.0)
    engine.receive_ekt_key(ekt_key(2), 100.0)
    events(engine)
    assert engine.spis == (1, 2)
    assert engine.next_timer() == 100.0 + RETENTION
    engine.handle_timer(100.0 + RETENTION)
    assert events(engine) == [ParameterSetRemoved(1, 100.0 + RETENTION, "replaced")]
    assert engine.spis == (2,)


def test_a_further_ekt_key_does_not_lengthen_the_retention() -> None:
    engine = InboundEKT()
    for spi, now in ((1, 0.0), (2, 100.0), (3, 105.0)):
        engine.receive_ekt_key(ekt_key(spi), now)
    assert engine.next_timer() == 100.0 + RETENTION


def test_retention_never_outlasts_the_ttl() -> None:
    engine = InboundEKT()
    engine.receive_ekt_key(ekt_key(1, ttl=30), 0.0)
    engine.receive_ekt_key(ekt_key(2), 29.0)
    assert engine.next_timer() == 30.0


def test_an_spi_in_use_is_not_taken_again() -> None:
    engine = InboundEKT()
    assert engine.receive_ekt_key(ekt_key(1, ttl=30), 0.0)
    events(engine)
    assert not engine.receive_ekt_key(ekt_key(1, ttl=900), 10.0)
    assert not engine.receive_ekt_key(EKTKey(b"x" * 16, b"y" * 12, 1, 900), 10.0)
    assert events(engine) == []
    assert engine.next_timer() == 30.0
    assert engine.receive_ekt_key(EKTKey(b"x" * 16, b"y" * 12, 1, 900), 31.0)


def test_the_number_of_sets_is_bounded() -> None:
    engine = InboundEKT()
    for spi in range(LIMIT + 5):
        engine.receive_ekt_key(ekt_key(spi), spi / 100)
    assert engine.spis == tuple(range(5, LIMIT + 5))
    removed = [event.spi for event in events(engine) if isinstance(event, ParameterSetRemoved)]
    assert removed == [0, 1, 2, 3, 4]


def test_no_repr_shows_a_key() -> None:
    engine = InboundEKT()
    engine.receive_ekt_key(ekt_key(65), 0.0)
    (added,) = events(engine)
    assert "AAAA" not in repr(added)
