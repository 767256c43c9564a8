"""One association after another on one 5-tuple, with the real packet path."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import pytest

from halfkey.media_distributor.associations import SUCCESSOR_AGE
from halfkey.media_distributor.events import ParticipantDisconnected
from halfkey.tunnel.messages import EndpointDisconnect, TunneledDtls
from tests.media_distributor.media import Group
from tests.media_distributor.stage import CLIENT_HELLO as REST_OF_A_FLIGHT
from tests.media_distributor.stage import Member, Stage, on_stage

HELLO = bytes([22, 254, 253]) + bytes(10) + b"\x01" + bytes(9)
FINISHED = bytes([22, 254, 253, 0, 1]) + bytes(20)


@pytest.fixture
def stage() -> Iterator[Stage]:
    with on_stage() as stage:
        yield stage


def pair(stage: Stage) -> tuple[Member, Member]:
    group = Group()
    return Member(stage, 1, group), Member(stage, 2, group)


def carried(stage: Stage, member: Member, datagram: bytes) -> list[UUID]:
    """The associations under which a datagram goes to the Key Distributor."""
    del stage.tunnel[:]
    member.send(datagram)
    stage.pump()
    return [one.association_id for one in stage.tunnel if isinstance(one, TunneledDtls)]


def test_another_handshake_is_another_association_and_costs_no_media(stage: Stage) -> None:
    """RFC 9185 section 5.3: an identifier for each association that an Endpoint begins."""
    alice, bob = pair(stage)
    first = alice.join()
    bob.join()
    (second,) = carried(stage, alice, HELLO)
    assert second != first
    assert carried(stage, alice, HELLO) == [second]  # a repetition
    assert carried(stage, alice, REST_OF_A_FLIGHT) == [second]  # the rest of the flight, in epoch 0
    assert set(carried(stage, alice, FINISHED)) == {first, second}
    alice.send(alice.protect(alice.audio, 1, b"meanwhile"))
    assert bob.opened().endswith(b"meanwhile")
    for association in (first, second):
        stage.receive(TunneledDtls(association, REST_OF_A_FLIGHT))
        assert alice.receive(lambda data: data[0] == 22) == REST_OF_A_FLIGHT

    late = alice.protect(alice.audio, 2)
    alice.hop = hop = alice.group.hop()
    alice.sender.replace_hop_keys(hop.client_write_key, hop.client_write_salt)
    stage.receive(alice.media_keys(second))
    assert carried(stage, alice, FINISHED) == [second]
    stage.receive(EndpointDisconnect(first))  # which was over already
    alice.send(alice.protect(alice.audio, 3, b"under other keys"))
    assert bob.opened().endswith(b"under other keys")
    alice.send(late)
    stage.wait_for_drop("hop_authentication")
    assert stage.of(ParticipantDisconnected) == []
    assert stage.core.statistics()["associations"] == 2


def test_a_handshake_that_fails_leaves_the_first_association_as_it_is(stage: Stage) -> None:
    alice, bob = pair(stage)
    first = alice.join()
    bob.join()
    (second,) = carried(stage, alice, HELLO)
    stage.receive(EndpointDisconnect(second))
    (third,) = carried(stage, alice, HELLO)
    assert third != second
    stage.core.tunnel_connected(False)
    stage.core.tunnel_connected(True)
    assert carried(stage, alice, FINISHED) == [first]
    (fourth,) = carried(stage, alice, HELLO)
    stage.advance(SUCCESSOR_AGE)
    alice.check()
    bob.check()
    (fifth,) = carried(stage, alice, HELLO)  # the Endpoint has given the fourth up
    assert stage.tunnel == [EndpointDisconnect(fourth), TunneledDtls(fifth, HELLO)]
    assert len({first, second, third, fourth, fifth}) == 5
    alice.send(alice.protect(alice.audio, 1, b"all the time"))
    assert bob.opened().endswith(b"all the time")
    del stage.tunnel[:]
    assert stage.core.remove(alice.key)
    stage.settle()
    assert stage.tunnel == [EndpointDisconnect(first), EndpointDisconnect(fifth)]


def test_who_is_asked_about_an_unknown_association_says_so(stage: Stage) -> None:
    """So a Key Distributor learns what a restart has swept away."""
    alice, _ = pair(stage)
    alice.join()
    unknown = UUID(int=7)
    for message in (TunneledDtls(unknown, REST_OF_A_FLIGHT), alice.media_keys(unknown)):
        stage.receive(message)
        assert stage.tunnel == [EndpointDisconnect(unknown)]
        del stage.tunnel[:]
    stage.receive(EndpointDisconnect(unknown))  # or the two would never stop
    assert stage.tunnel == []
    assert stage.core.drops() == {"unknown_association": 3}
