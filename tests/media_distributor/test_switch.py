"""The Switch between real sockets, with Double-protected packets of real Endpoint halves."""

from __future__ import annotations

import asyncio
import select
import socket
import struct
from collections.abc import Iterator
from contextlib import closing

import pytest
from aioice import stun

from halfkey._media import Switch
from halfkey.errors import PacketRejected, UsageError
from halfkey.ice import Credentials
from halfkey.media_distributor.path import lacks
from halfkey.profiles import DOUBLE_128, DOUBLE_256, SRTPProtectionProfile
from tests.media_distributor.media import UFRAG, Group, Media, is_rtcp
from tests.media_distributor.stage import CLIENT_HELLO, PATIENCE, binding_request, wait

OURS = Credentials("ours", "o" * 22)


class Peer(Media):
    """An Endpoint of the media plane: a socket, and keys that the switch is given."""

    def __init__(self, switch: Switch, number: int, group: Group) -> None:
        super().__init__(number, group, group.hop())
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(PATIENCE)
        self._switch = switch
        switch.add_participant(
            number,
            9000 + number,
            f"md-{number}",
            extensions=self.extensions,
            payload_types=self.payload_types,
            sources=[(self.audio, "audio"), (self.video, "video")],
        )
        switch.set_address(number, *self.socket.getsockname())
        hop = self.hop
        switch.set_keys(
            number,
            group.profile,
            hop.client_write_key,
            hop.server_write_key,
            hop.client_write_salt,
            hop.server_write_salt,
        )

    def send(self, datagram: bytes) -> None:
        self.socket.sendto(datagram, self._switch.local_address)

    def receive(self) -> bytes:
        """The next datagram that is SRTP."""
        while True:
            datagram = self.socket.recv(65536)
            if not is_rtcp(datagram):
                return datagram

    def receive_rtcp(self) -> bytes:
        """The next RTCP compound, opened."""
        while True:
            datagram = self.socket.recv(65536)
            if is_rtcp(datagram):
                return self.receiver.unprotect_rtcp(datagram)


@pytest.fixture(params=[1, 3])
def switch(request: pytest.FixtureRequest) -> Iterator[Switch]:
    options = {"queue_limit": 16, "capture_bytes": 64, "workers": request.param}
    options["retransmission_cache"] = 1 << 22
    with closing(Switch("127.0.0.1", 0, **options)) as switch:
        yield switch


def wait_for_drop(switch: Switch, reason: str, count: int = 1) -> None:
    wait(lambda: switch.statistics()["dropped"].get(reason, 0) >= count)


def answer_to(peer: socket.socket) -> stun.Message:
    """What the switch says to a check, which holds by the session's password."""
    answer = stun.parse_message(peer.recv(100))
    assert answer.check_message_integrity(OURS.ice_pwd.encode())
    assert answer.message_class is stun.Class.RESPONSE
    return answer


def own_ssrc(compound: bytes) -> int:
    """The switch's own on the first Peer's hop: what it was given, or its worker's near that."""
    ssrc = int.from_bytes(compound[4:8])
    assert abs(ssrc - 9001) <= 2
    return ssrc


def peers(switch: Switch, count: int, profile: SRTPProtectionProfile = DOUBLE_128) -> list[Peer]:
    group = Group(profile)
    return [Peer(switch, number, group) for number in range(1, count + 1)]


@pytest.mark.parametrize("profile", [DOUBLE_128, DOUBLE_256])
def test_every_receiver_opens_what_the_switch_could_not(
    switch: Switch, profile: SRTPProtectionProfile
) -> None:
    alice, bob, carol = peers(switch, 3, profile)
    for receiver in (bob, carol):
        switch.assign_slots([(receiver.number, "slot", alice.number, alice.audio)])
    alice.send(alice.protect(alice.audio, 65535, b"the first"))
    alice.send(alice.protect(alice.audio, 0, b"the second"))
    for receiver in (bob, carol):
        for payload in (b"the first", b"the second"):
            opened = receiver.receiver.unprotect(receiver.receive())
            assert (opened.ssrc, opened.inner_payload_type) == (alice.audio, alice.opus)
            packet = opened.packet
            assert packet[1] & 0x7F == receiver.opus
            assert packet.endswith(payload)
            mid = bytes([receiver.mid_id << 4 | 3]) + b"slot"
            assert mid + bytes([receiver.level_id << 4, 0x2A]) in packet[12 : -len(payload)]
    assert switch.statistics()["forwarded_packets"] == 4
    captured = switch.captured()[alice.audio]
    assert len(captured) == len(b"the firstthe second") + 2 * 16
    assert b"first" not in captured
    assert b"second" not in captured


def test_what_is_garbage_replayed_or_foreign_is_dropped_and_counted(switch: Switch) -> None:
    alice, bob = peers(switch, 2)
    switch.assign_slots([(bob.number, "v", alice.number, alice.video)])
    datagram = alice.protect(alice.video, 1)
    forged = bytearray(alice.protect(alice.video, 2))
    forged[30] ^= 1
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as stranger:
        for data in (datagram, CLIENT_HELLO):
            stranger.sendto(data, switch.local_address)
        wait_for_drop(switch, "unknown_address", 2)
    reasons = {
        "unknown_protocol": b"GET / HTTP/1.1",
        "hop_authentication": bytes(forged),
        "ekt_field": datagram[:40] + b"\xff\xff\x02",
        "malformed": datagram[:11] + b"\0",
    }
    for reason, data in reasons.items():
        alice.send(data)
        wait_for_drop(switch, reason)
    bob.send(datagram)
    wait_for_drop(switch, "unknown_ssrc")
    alice.send(datagram)
    assert bob.receiver.unprotect(bob.receive()).ssrc == alice.video
    alice.send(datagram)
    wait_for_drop(switch, "replayed")
    assert switch.statistics()["forwarded_packets"] == 1


def test_what_was_lost_is_sent_again_and_counted_apart(switch: Switch) -> None:
    alice, bob = peers(switch, 2)
    switch.assign_slots([(bob.number, "v", alice.number, alice.video)])
    alice.send(alice.protect(alice.video, 7))
    lost = bob.receive()
    assert switch.statistics()["retransmission_cache_bytes"] > 0
    # Twice in one packet: once is enough.
    nack = struct.pack("!BBHII4H", 0x81, 205, 4, bob.video, alice.video, 7, 0, 7, 0)
    bob.send(bob.sender.protect_rtcp(nack))
    assert bob.receive() == lost
    wait_for_drop(switch, "repeat_too_soon")
    statistics = switch.statistics()
    assert statistics["forwarded_packets"] == statistics["retransmitted_packets"] == 1
    assert statistics["retransmitted_bytes"] == len(lost)
    hits_and_misses = ("retransmission_cache_hits", "retransmission_cache_misses")
    assert [statistics[name] for name in hits_and_misses] == [2, 0]
    sender = next(one for one in switch.participants() if one["participant"] == alice.number)
    stream = next(one for one in sender["streams"] if one["ssrc"] == alice.video)
    assert (stream["sent_packets"], stream["retransmitted_packets"]) == (1, 1)
    assert stream["retransmitted_bytes"] == len(lost)


def test_no_member_opens_anothers_hop(switch: Switch) -> None:
    alice, bob, carol = peers(switch, 3)
    switch.assign_slots([(bob.number, "a", alice.number, alice.audio)])
    alice.send(alice.protect(alice.audio, 7))
    datagram = bob.receive()
    with pytest.raises(PacketRejected) as rejected:
        carol.receiver.unprotect(datagram)
    assert rejected.value.reason == "hop_authentication"


def test_without_keys_nothing_comes_or_goes(switch: Switch) -> None:
    alice, bob = peers(switch, 2)
    switch.assign_slots([(bob.number, "a", alice.number, alice.audio)])
    switch.remove_keys(bob.number)
    alice.send(alice.protect(alice.audio, 1))
    wait_for_drop(switch, "receiver_not_ready")
    bob.send(bob.protect(bob.audio, 1))
    wait_for_drop(switch, "no_keys")


def test_a_new_slot_asks_the_source_for_a_keyframe_and_later_ones_wait(switch: Switch) -> None:
    alice, bob = peers(switch, 2)
    switch.assign_slots([(bob.number, "v", alice.number, alice.video)])
    request = alice.receive_rtcp()
    indication = struct.pack("!BBHII", 0x81, 206, 2, own_ssrc(request), alice.video)
    assert request.endswith(indication)
    asking = struct.pack("!BBHII", 0x81, 206, 2, bob.audio, alice.video)
    for _ in range(5):
        bob.send(bob.sender.protect_rtcp(asking))
    assert alice.receive_rtcp().endswith(indication)
    assert switch.statistics()["keyframe_requests"] == 2


def test_the_source_is_told_how_its_packets_come(switch: Switch) -> None:
    alice, _bob = peers(switch, 2)
    for sequence_number in (1, 2, 4):
        alice.send(alice.protect(alice.audio, sequence_number))
    report = alice.receive_rtcp()
    assert report[:8] == struct.pack("!BBHI", 0x81, 201, 7, own_ssrc(report))
    ssrc, loss, highest = struct.unpack("!III", report[8:20])
    assert (ssrc, loss, highest) == (alice.audio, 64 << 24 | 1, 4)
    assert switch.statistics()["sources"][alice.audio]["lost"] == 1
    assert switch.idle()[alice.number] < PATIENCE
    assert _bob.number not in switch.idle()


def test_dtls_and_moves_come_out_and_answers_go_in(switch: Switch) -> None:
    alice, bob = peers(switch, 2)
    switch.set_credentials(bob.number, OURS.ice_ufrag, OURS.ice_pwd, UFRAG)
    assert select.select([switch.event_fd], [], [], 0)[0] == []
    # Nominating Alice's address would move Bob.
    move = binding_request(OURS)
    alice.send(move)
    alice.send(CLIENT_HELLO)
    drained: list[tuple[str, int, bytes]] = []
    while len(drained) < 2:
        assert select.select([switch.event_fd], [], [], PATIENCE)[0]
        drained += switch.drain(1)
    host, port = alice.socket.getsockname()
    assert drained == [(host, port, move), (host, port, CLIENT_HELLO)]
    assert select.select([switch.event_fd], [], [], 0)[0] == []
    assert switch.send(host, port, b"answer")
    assert alice.socket.recv(100) == b"answer"


def test_checks_that_move_nobody_are_answered_and_counted(switch: Switch) -> None:
    (alice,) = peers(switch, 1)
    assert switch.checks() == {}
    switch.set_credentials(alice.number, OURS.ice_ufrag, OURS.ice_pwd, UFRAG)
    for count in (1, 2):
        alice.send(binding_request(OURS))
        answer = answer_to(alice.socket)
        assert answer.attributes["XOR-MAPPED-ADDRESS"] == alice.socket.getsockname()
        assert "FINGERPRINT" in answer.attributes
        ((number, (checks, seconds)),) = switch.checks().items()
        assert (number, checks) == (alice.number, count)
        assert 0 <= seconds < PATIENCE
    assert switch.statistics()["answered_checks"] == 2
    assert switch.drain() == []


@pytest.mark.parametrize(
    ("credentials", "reason"),
    [
        (Credentials("ours", "x" * 22), "stun_authentication"),
        (Credentials("others", "o" * 22), "stun_unknown_username"),
    ],
)
def test_what_proves_nothing_goes_nowhere(
    switch: Switch, credentials: Credentials, reason: str
) -> None:
    alice, bob = peers(switch, 2)
    switch.set_credentials(bob.number, OURS.ice_ufrag, OURS.ice_pwd, UFRAG)
    alice.send(binding_request(credentials))
    wait_for_drop(switch, reason)
    assert switch.drain() == []
    with pytest.raises(UsageError, match="ufrag"):
        switch.set_credentials(alice.number, OURS.ice_ufrag, "a" * 22, UFRAG)


async def test_the_event_loop_is_woken(switch: Switch) -> None:
    (alice,) = peers(switch, 1)
    loop = asyncio.get_running_loop()
    woken = asyncio.Event()
    loop.add_reader(switch.event_fd, woken.set)
    try:
        alice.send(CLIENT_HELLO)
        await asyncio.wait_for(woken.wait(), PATIENCE)
        assert len(switch.drain()) == 1
    finally:
        loop.remove_reader(switch.event_fd)


def test_strangers_leave_room_for_participants(switch: Switch) -> None:
    (alice,) = peers(switch, 1)
    switch.set_credentials(alice.number, OURS.ice_ufrag, OURS.ice_pwd, UFRAG)
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as stranger:
        for _ in range(9):
            stranger.sendto(binding_request(OURS), switch.local_address)
        wait_for_drop(switch, "queue_full")
    alice.send(CLIENT_HELLO)
    wait(lambda: len(switch.drain(1)) == 1)
    rest: list[tuple[str, int, bytes]] = []
    wait(lambda: rest.extend(switch.drain()) or len(rest) == 8)
    assert rest[-1][1] == alice.socket.getsockname()[1]


def test_what_can_not_be_followed_raises(switch: Switch) -> None:
    alice, bob = peers(switch, 2)
    switch.assign_slots([(bob.number, "a", alice.number, alice.audio)])
    for attempt in (
        lambda: switch.remove_participant(99),
        lambda: switch.assign_slots([(bob.number, "b", alice.number, alice.audio)]),
        lambda: switch.assign_slots([(bob.number, "b", alice.number, 4242)]),
        lambda: switch.clear_slot(bob.number, "b"),
        lambda: switch.set_address(bob.number, *alice.socket.getsockname()),
    ):
        with pytest.raises(UsageError):
            attempt()
    keys = (bytes(16), bytes(16), bytes(12), bytes(12))
    for attempt in (
        lambda: switch.set_keys(alice.number, 9, bytes(15), *keys[1:]),
        lambda: switch.set_keys(alice.number, 1, *keys),
        lambda: switch.set_address(alice.number, "example.org", 1),
    ):
        with pytest.raises(ValueError, match=r"."):
            attempt()
    with pytest.raises(OSError, match="in use"):
        Switch(*switch.local_address)


def test_a_closed_switch_is_over_and_its_port_free() -> None:
    switch = Switch("127.0.0.1", 0)
    address = switch.local_address
    switch.close()
    switch.close()
    with pytest.raises(UsageError):
        switch.statistics()
    with pytest.raises(UsageError):
        switch.drain()
    Switch(*address).close()


@pytest.mark.parametrize("workers", [1, 3])
def test_ipv6(workers: int) -> None:
    peer = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    with closing(Switch("::1", 0, workers=workers)) as switch, closing(peer):
        switch.add_participant(1, 9, "md", extensions={}, payload_types={}, sources=[])
        switch.set_credentials(1, OURS.ice_ufrag, OURS.ice_pwd, UFRAG)
        peer.settimeout(PATIENCE)
        peer.sendto(binding_request(OURS, nominate=False), switch.local_address)
        assert answer_to(peer).attributes["XOR-MAPPED-ADDRESS"] == ("::1", peer.getsockname()[1])
        move = binding_request(OURS)
        peer.sendto(move, switch.local_address)
        assert select.select([switch.event_fd], [], [], PATIENCE)[0]
        ((host, _, data),) = switch.drain()
        assert (host, data) == ("::1", move)


def test_what_the_system_does_not_give_is_said() -> None:
    with closing(Switch("127.0.0.1", 0, workers=2)) as switch:
        granted = switch.granted
    everything = {**granted, **dict.fromkeys(("joining", "timing", "steering"), 1)}
    everything |= dict.fromkeys(("receive_buffer_bytes", "send_buffer_bytes"), 4 << 20)
    assert granted["asked_bytes"] == 4 << 20
    assert granted.keys() == everything.keys()
    assert lacks(everything) == []
    (line,) = lacks({**everything, "receive_buffer_bytes": 212_992})
    assert "receive buffer has 208 KiB" in line
    assert "set net.core.rmem_max to 4194304" in line
    worst = {**dict.fromkeys(everything, 0), "asked_bytes": 4 << 20}
    assert len(lacks(worst)) == 5
