"""A Media Distributor that only pretends to let go, and the honest one beside it."""

from __future__ import annotations

import pytest

from halfkey.media_distributor.core import PRESENCE_TIMEOUT
from halfkey.media_distributor.events import ParticipantDisconnected, SlotChanged
from halfkey.tunnel.messages import EndpointDisconnect
from tests.media_distributor.media import Group
from tests.media_distributor.stage import Member, Stage, binding_request, on_stage


def two(stage: Stage) -> tuple[Member, Member]:
    group = Group()
    alice, eve = Member(stage, 1, group), Member(stage, 2, group)
    for member in (alice, eve):
        member.join()
    return alice, eve


@pytest.mark.parametrize("removed_by", ["focus", "key_distributor", "both"])
def test_only_a_hostile_one_still_forwards_to_whom_was_removed(removed_by: str) -> None:
    for hostile in (True, False):
        with on_stage(hostile) as stage:
            alice, eve = two(stage)
            if removed_by != "focus":
                association = eve.dtls()
                stage.receive(EndpointDisconnect(association))
            if removed_by != "key_distributor":
                assert stage.core.remove(eve.key)
                assert not stage.core.remove(eve.key)
                stage.settle()
                assert not stage.core.has(eve.key)
                assert stage.core.statistics()["participants"] == 1
            alice.send(alice.protect(alice.audio, 1, b"a secret"))
            if hostile:
                assert eve.opened().endswith(b"a secret")
            elif removed_by == "key_distributor":
                stage.wait_for_drop("receiver_not_ready")
            else:
                eve.send(eve.protect(eve.audio, 1))
                stage.wait_for_drop("unknown_address")
            assert stage.core.statistics()["associations"] == 1
            (told, *_) = stage.of(ParticipantDisconnected)
            assert told.participant == "P2"


def test_what_a_hostile_one_says_is_what_an_honest_one_says() -> None:
    """Who removed somebody sees no difference; also no slots of somebody who is gone."""
    said = []
    for hostile in (True, False):
        with on_stage(hostile) as stage:
            _, eve = two(stage)
            stage.core.remove(eve.key)
            stage.settle()
            Member(stage, 3, eve.group).join()
            said.append((stage.events, len(stage.tunnel)))
            late = [event for event in stage.of(SlotChanged) if event.ssrc == 1003]
            assert [event.receiver for event in late] == ["P1"]
    assert said[0] == said[1]


def test_a_hostile_one_forgets_who_falls_silent() -> None:
    with on_stage(hostile=True) as stage:
        alice, eve = two(stage)
        stage.core.remove(eve.key)
        stage.settle()
        stage.advance(PRESENCE_TIMEOUT - 1)
        alice.check()
        eve.check()
        stage.advance(2)
        assert stage.switch.statistics()["forwarder_participants"] == 2
        alice.check()
        stage.advance(PRESENCE_TIMEOUT - 2)
        assert stage.switch.statistics()["forwarder_participants"] == 1
        assert stage.of(ParticipantDisconnected) == [ParticipantDisconnected("c", "P2", "left")]


@pytest.mark.parametrize("hostile", [True, False])
def test_who_was_removed_and_comes_back_is_a_new_participant(hostile: bool) -> None:
    """With the same name, sources and address: all that there was of it is gone."""
    with on_stage(hostile) as stage:
        alice, eve = two(stage)
        stage.core.remove(eve.key)
        stage.settle()
        (ended,) = stage.tunnel
        stage.tunnel.clear()
        again = Member(stage, 2, eve.group)
        again.socket.close()
        again.socket = eve.socket
        again.allocate()
        assert stage.core.has(again.key)
        assert again.credentials != eve.credentials
        again.check()
        association = again.dtls()
        assert association != ended.association_id
        stage.receive(again.media_keys(association))
        assert stage.core.statistics() == {"conferences": 1, "participants": 2, "associations": 2}
        assert stage.switch.statistics()["forwarder_participants"] == 2
        for sender, receiver in ((alice, again), (again, alice)):
            sender.send(sender.protect(sender.audio, 9, b"anew"))
            assert receiver.opened().endswith(b"anew")


def test_an_address_of_somebody_removed_is_free() -> None:
    with on_stage(hostile=True) as stage:
        alice, eve = two(stage)
        stage.core.remove(eve.key)
        stage.settle()
        mallory = Member(stage, 3, eve.group)
        mallory.socket.close()
        mallory.socket = eve.socket
        mallory.join()
        assert stage.switch.statistics()["forwarder_participants"] == 2
        credentials = Member(stage, 4, eve.group).allocate()
        stage.core.receive_datagram(binding_request(credentials), alice.address, stage.now)
        assert stage.core.drops() == {"address_in_use": 1}
