"""A fault in one association's engine ends that one; a fault in the core ends everything."""

from __future__ import annotations

import pytest

from halfkey import dtls
from halfkey.key_distributor.events import Disassociated, EKTKeyIssued, Faulted
from halfkey.key_distributor.guarding import CoreFault
from tests.key_distributor.world import Endpoint, World


class Panic(BaseException):
    """As native code raises, past whoever expects an `Exception`."""


def break_engine(
    monkeypatch: pytest.MonkeyPatch,
    world: World,
    endpoint: Endpoint,
    method: str,
    fault: type[BaseException] = ValueError,
) -> None:
    """Has a method of the Key Distributor's engine raise, for this Endpoint's association alone."""
    participant = world.core.find("c", endpoint.name)
    assert participant is not None
    assert participant.association is not None
    broken = participant.association.connection._connection
    whole = getattr(dtls.Connection, method)

    def called(self: dtls.Connection, *arguments: object) -> object:
        if self is broken:
            raise fault("a fault of ours that could hold a secret")
        return whole(self, *arguments)

    monkeypatch.setattr(dtls.Connection, method, called)


@pytest.mark.parametrize(
    "method",
    ["receive_datagram", "handle_timer", "send_ekt_key", "next_event", "datagrams_to_send"],
)
@pytest.mark.parametrize("faulty", [ValueError, Panic, None])
def test_a_fault_in_one_association_ends_that_one(
    monkeypatch: pytest.MonkeyPatch, method: str, faulty: type[BaseException] | None
) -> None:
    world = World()
    tunnel = world.media_distributor()
    alice, bob = world.join(tunnel, "alice"), world.join(tunnel, "bob")
    before = bob.spis[-1]
    if faulty is not None:
        break_engine(monkeypatch, world, alice, method, faulty)
    if method == "handle_timer":  # an EKTKey that is not acknowledged
        world.lost = lambda endpoint, direction, datagram: endpoint is alice
    assert world.core.rekey("c", world.now + 2)
    world.pump()
    world.advance(1.9)
    world.lost = lambda endpoint, direction, datagram: False
    world.advance(2)
    assert bob.terminated is None
    assert bob.spis[-1] != before
    ended = [one.participant for one in world.of(Disassociated) if isinstance(one, Disassociated)]
    snapshot = world.core.snapshot()
    issued = [one for one in world.of(EKTKeyIssued) if isinstance(one, EKTKeyIssued)]
    of_alice = [one for one in issued if one.participant == "alice"]
    assert (ended, snapshot["faults"]) == ((["alice"], 1) if faulty else ([], 0))
    assert alice.was_disconnected is (faulty is not None)
    if faulty is not None:
        # What the engine didn't take is not on record as sent.
        assert len(of_alice) == (1 if method == "send_ekt_key" else 2)
        assert snapshot["ended"] == {"internal_error": 1}
        (told,) = (one for one in world.of(Faulted) if isinstance(one, Faulted))
        assert told.place.startswith(f"{faulty.__name__} in {__name__}:")
        assert "secret" not in str(told)
        current = bob.spis[-1]
        assert current not in alice.spis  # she is out, so the others have another key
        assert alice.terminated is not None or method == "datagrams_to_send"
    else:
        assert len(of_alice) == 2


@pytest.mark.parametrize("method", ["receive_datagram", "datagrams_to_send"])
def test_a_fault_before_there_is_a_participant_is_told_too(
    monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    world = World()
    tunnel = world.media_distributor()
    bob = world.join(tunnel, "bob")
    alice = world.endpoint(tunnel, "alice")
    whole = getattr(dtls.Connection, method)
    known = {id(alice.connection), id(bob.connection)}

    def called(self: dtls.Connection, *arguments: object) -> object:
        if id(self) not in known and self.holds_nothing:
            raise ValueError("a fault of ours")
        return whole(self, *arguments)

    with monkeypatch.context() as broken:
        broken.setattr(dtls.Connection, method, called)
        alice.connection.start(world.now)
        world.pump()
    snapshot = world.core.snapshot()
    assert snapshot["faults"] >= 1
    assert snapshot["refused"] == {"internal_error": snapshot["faults"]}
    assert len(world.of(Faulted)) == 1
    assert world.join(tunnel, "carol").spis


def test_a_fault_of_the_core_that_the_engine_calls_is_passed_on() -> None:
    broken = World(bar=lambda participant: 1 // 0)  # type: ignore[arg-type,return-value]
    with pytest.raises(CoreFault, match="ZeroDivisionError in tests"):
        broken.join(broken.media_distributor(), "alice")
    whole = World()
    assert whole.join(whole.media_distributor(), "alice").spis


def test_faults_are_told_at_a_bounded_rate_and_all_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    tunnel = world.media_distributor()
    joined = [world.join(tunnel, f"p{number}") for number in range(3)]
    assert all(one.spis for one in joined)
    for one in joined:
        participant = world.core.find("c", one.name)
        assert participant is not None
        assert participant.association is not None
        break_engine(monkeypatch, world, one, "send_ekt_key")
    world.core.rekey("c", world.now + 2)
    world.pump()
    assert world.core.snapshot()["faults"] == 3
    assert len(world.of(Faulted)) == 1
