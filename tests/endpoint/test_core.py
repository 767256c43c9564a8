"""An association on virtual time, its DTLS server and its peers in memory."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from halfkey._media import SrtpReceiver, SrtpSender
from halfkey.dtls import Certificate, Configuration, Connection, HandshakeCompleted, Role
from halfkey.ekt.messages import EKTCipher, EKTKey
from halfkey.endpoint.core import (
    REASSOCIATION_OVERLAP,
    Association,
    AssociationRenewed,
    AssociationTerminated,
    Connected,
    CoreEvent,
    EKTKeyInstalled,
    EKTKeyMissed,
    KeysSwitched,
    RenewalFailed,
    SendingStopped,
)
from halfkey.endpoint.statistics import Statistics
from halfkey.errors import UsageError
from halfkey.profiles import DOUBLE_128, DOUBLE_256, SRTPProtectionProfile

AUDIO, VIDEO = 0xA0A0A0A0, 0xB0B0B0B0


def ekt_key(spi: int, ttl: int = 3600) -> EKTKey:
    return EKTKey(os.urandom(16), os.urandom(12), spi, ttl)


def rtp(ssrc: int, sequence_number: int, payload: bytes = b"\x90\x80\x01\x01payload") -> bytes:
    header = bytes([0x80, 111]) + sequence_number.to_bytes(2, "big") + bytes(4)
    return header + ssrc.to_bytes(4, "big") + payload


class Bench:
    """One association and the server of its DTLS, on one clock."""

    def __init__(
        self,
        profile: SRTPProtectionProfile = DOUBLE_128,
        ekt_ciphers: tuple[EKTCipher, ...] = (EKTCipher.AESKW128,),
        disclose: Any = None,
    ) -> None:
        self.now = 1000.0
        ours, theirs = Certificate.generate(), Certificate.generate()
        tls_ids = secrets.token_hex(20).encode(), secrets.token_hex(20).encode()
        self.of_server = Configuration(
            role=Role.SERVER,
            certificate=theirs,
            srtp_profiles=(profile,),
            ekt_ciphers=ekt_ciphers,
            external_session_id=tls_ids[1],
            peer_fingerprints=(ours.fingerprint(),),
            peer_external_session_id=tls_ids[0],
        )
        self.of_client = Configuration(
            role=Role.CLIENT,
            certificate=ours,
            srtp_profiles=(profile,),
            ekt_ciphers=(EKTCipher.AESKW128,),
            external_session_id=tls_ids[0],
            peer_fingerprints=(theirs.fingerprint(),),
            peer_external_session_id=tls_ids[1],
            handshake_timeout=6.0,
        )
        self.server = Connection(self.of_server, b"endpoint")
        self.statistics = Statistics()
        client = Connection(self.of_client, b"server")
        self.association = Association(client, self.statistics, disclose)
        self.association.add_source(AUDIO, "audio", self.now)
        self.association.add_source(VIDEO, "video", self.now)
        self.completed: HandshakeCompleted | None = None

    def connect(self, *keys: EKTKey) -> Bench:
        self.association.start(self.now)
        self.exchange()
        for key in keys:
            self.send(key)
        return self

    def reassociate(self, **changes: Any) -> None:
        """Begins again, with a server that restarted and may have changed."""
        self.server = Connection(replace(self.of_server, **changes), b"endpoint")
        self.association.reassociate(Connection(self.of_client, b"server"), self.now)

    def send(self, key: EKTKey) -> None:
        self.server.send_ekt_key(key, self.now)
        self.exchange()

    def exchange(self) -> None:
        """Carries datagrams until none is left."""
        for _ in range(50):
            up = self.association.datagrams_to_send()
            for datagram in up:
                self.server.receive_datagram(datagram, self.now)
            while (event := self.server.next_event()) is not None:
                if isinstance(event, HandshakeCompleted):
                    self.completed = event
            down = self.server.datagrams_to_send()
            for datagram in down:
                self.association.receive_dtls(datagram, self.now)
            if not up and not down:
                return
        raise AssertionError("the two never fall silent")

    def advance(self, seconds: float) -> None:
        """Lets time pass, calling the association whenever it asked for it."""
        end = self.now + seconds
        while (due := self.association.next_timer()) is not None and due <= end:
            self.now = max(self.now, due)
            self.association.handle_timer(self.now)
            self.exchange()
        self.now = end

    def events(self) -> list[CoreEvent]:
        return list(iter(self.association.next_event, None))

    @property
    def hop_in(self) -> SrtpReceiver:
        """Opens the hop of what the association sends."""
        assert self.completed is not None
        keys = self.completed.keying_material.outer()
        return SrtpReceiver(7, keys.client_write_key, keys.client_write_salt)

    @property
    def hop_out(self) -> SrtpSender:
        """Seals the hop of what the association receives."""
        assert self.completed is not None
        keys = self.completed.keying_material.outer()
        return SrtpSender(7, keys.server_write_key, keys.server_write_salt)


def carry(sender: Bench, *receivers: Bench) -> Callable[[bytes], list[bytes | None]]:
    """What a Media Distributor does for each packet of the sender."""
    hop_in, hops_out = sender.hop_in, [receiver.hop_out for receiver in receivers]

    def relay(datagram: bytes) -> list[bytes | None]:
        length = 1 if datagram[-1] == 0 else int.from_bytes(datagram[-3:-1], "big")
        opened, field = hop_in.unprotect(datagram[:-length]), datagram[-length:]
        results = []
        for receiver, hop_out in zip(receivers, hops_out, strict=True):
            unprotected = receiver.association.open_rtp(
                hop_out.protect(opened) + field, receiver.now
            )
            results.append(None if unprotected is None else unprotected.packet)
        return results

    return relay


def kinds(events: list[CoreEvent]) -> list[type[CoreEvent]]:
    return [type(event) for event in events]


def test_handshake_key_and_first_packet() -> None:
    key = ekt_key(5)
    alice, bob = Bench().connect(key), Bench().connect(key)
    assert kinds(alice.events()) == [Connected, EKTKeyInstalled, KeysSwitched]
    assert alice.association.ekt_spi == 5
    relay = carry(alice, bob)
    packet = rtp(AUDIO, 7)
    sealed = alice.association.seal_rtp(packet, alice.now)
    assert sealed is not None
    assert b"payload" not in sealed
    assert relay(sealed) == [packet]
    assert bob.statistics.streams[AUDIO].ekt_spi == 5
    assert alice.statistics.sent == {AUDIO: 1}


def test_nothing_is_sealed_without_keys() -> None:
    bench = Bench()
    assert bench.association.seal_rtp(rtp(AUDIO, 1), bench.now) is None
    assert bench.association.seal_rtcp(b"\x80\xc8" + bytes(26)) is None
    assert bench.association.open_rtp(rtp(AUDIO, 1), bench.now) is None
    bench.connect()
    assert bench.association.seal_rtp(rtp(AUDIO, 1), bench.now) is None
    assert bench.statistics.unsent == {"not_connected": 2, "no_ekt_key": 1}
    with pytest.raises(UsageError, match="never added"):
        bench.association.seal_rtp(rtp(1, 1), bench.now)


def test_a_retransmission_is_the_very_same_datagram() -> None:
    bench = Bench().connect(ekt_key(5))
    first = bench.association.seal_rtp(rtp(VIDEO, 1), bench.now)
    for number in range(2, 100):
        bench.association.seal_rtp(rtp(VIDEO, number), bench.now)
    assert bench.association.seal_rtp(rtp(VIDEO, 1), bench.now) == first
    assert bench.statistics.sent[VIDEO] == 99


def test_a_rekey_overlaps_without_losing_a_packet() -> None:
    first, second = ekt_key(5), ekt_key(6)
    alice, bob = Bench().connect(first), Bench().connect(first)
    relay = carry(alice, bob)
    number = 0

    def talk(seconds: float) -> None:
        nonlocal number
        for _ in range(round(seconds * 50)):
            sealed = alice.association.seal_rtp(rtp(AUDIO, number), alice.now)
            assert sealed is not None
            assert relay(sealed) == [rtp(AUDIO, number)]
            number += 1
            alice.advance(0.02)
            bob.advance(0.02)

    talk(1.0)
    bob.send(second)
    alice.events()
    alice.send(second)
    assert kinds(alice.events()) == [EKTKeyInstalled]
    talk(0.2)
    assert bob.statistics.streams[AUDIO].ekt_spi == 5
    talk(0.2)
    switched = [event for event in alice.events() if isinstance(event, KeysSwitched)]
    assert [event.spi for event in switched] == [6]
    assert bob.statistics.streams[AUDIO].ekt_spi == 6
    talk(15.0)
    assert bob.statistics.streams[AUDIO].e2e_failures == 0
    assert bob.statistics.streams[AUDIO].e2e_failures_during_rekey == 0


def test_who_lacks_the_new_key_opens_nothing_after_the_switch() -> None:
    first, second = ekt_key(5), ekt_key(6)
    alice, bob, eve = (Bench().connect(first) for _ in range(3))
    relay = carry(alice, bob, eve)
    number = 0

    def say() -> list[bytes | None]:
        nonlocal number
        number += 1
        sealed = alice.association.seal_rtp(rtp(AUDIO, number), alice.now)
        assert sealed is not None
        return relay(sealed)

    assert None not in [opened for _ in range(5) for opened in say()]
    bob.send(second)
    alice.send(second)
    alice.advance(0.3)
    after = [say() for _ in range(60)]
    assert [opened for opened, _ in after] == [rtp(AUDIO, n) for n in range(6, 66)]
    assert [opened for _, opened in after] == [None] * 60
    stream = eve.statistics.streams[AUDIO]
    assert stream.e2e_failures == 60
    assert eve.statistics.rejections["unknown_spi"] >= 3


def test_media_stops_with_the_ttl_and_goes_on_with_the_next_key() -> None:
    bench = Bench().connect(ekt_key(5, ttl=10))
    bench.events()
    bench.advance(9.9)
    assert bench.association.seal_rtp(rtp(AUDIO, 1), bench.now) is not None
    bench.advance(0.2)
    assert kinds(bench.events()) == [SendingStopped]
    assert bench.association.seal_rtp(rtp(AUDIO, 2), bench.now) is None
    bench.send(ekt_key(6))
    assert kinds(bench.events()) == [EKTKeyInstalled, KeysSwitched]
    assert bench.association.seal_rtp(rtp(AUDIO, 3), bench.now) is not None


def test_a_server_without_ekt_is_of_no_use() -> None:
    bench = Bench(ekt_ciphers=())
    bench.association.start(bench.now)
    bench.exchange()
    assert AssociationTerminated in kinds(bench.events())
    assert bench.association.seal_rtp(rtp(AUDIO, 1), bench.now) is None


def test_the_end_of_dtls_leaves_received_keys_in_place() -> None:
    key = ekt_key(5)
    alice, bob = Bench().connect(key), Bench().connect(key)
    relay = carry(alice, bob)
    bob.server.close(bob.now)
    bob.exchange()
    assert kinds(bob.events())[-1] is AssociationTerminated
    sealed = alice.association.seal_rtp(rtp(AUDIO, 1), alice.now)
    assert sealed is not None
    assert relay(sealed) == [rtp(AUDIO, 1)]


def test_packets_before_the_key_are_counted_as_such() -> None:
    key = ekt_key(5)
    alice, bob = Bench().connect(key), Bench().connect()
    relay = carry(alice, bob)
    bob.statistics.stream(AUDIO)
    for number in range(4):
        sealed = alice.association.seal_rtp(rtp(AUDIO, number), alice.now)
        assert sealed is not None
        assert relay(sealed) == [None]
    stream = bob.statistics.streams[AUDIO]
    assert (stream.before_key, stream.e2e_failures) == (4, 0)


class Talk:
    """Alice talks to Bob, 50 packets a second."""

    def __init__(self, alice: Bench, bob: Bench) -> None:
        self.alice, self.bob = alice, bob
        self.sent = 0
        self.update()

    def update(self) -> None:
        """Takes over the hop keys of now."""
        self.relay = carry(self.alice, self.bob)

    def __call__(self, seconds: float) -> int:
        """How many of the packets of so many seconds were opened."""
        opened = 0
        for _ in range(round(seconds * 50)):
            self.sent += 1
            packet = rtp(AUDIO, self.sent)
            sealed = self.alice.association.seal_rtp(packet, self.alice.now)
            assert sealed is not None
            opened += self.relay(sealed) == [packet]
            self.alice.advance(0.02)
            self.bob.advance(0.02)
        return opened


def test_another_handshake_changes_the_hop_and_loses_nothing_end_to_end() -> None:
    first, second = ekt_key(5), ekt_key(6)
    alice, bob = Bench().connect(first), Bench().connect(first)
    talk = Talk(alice, bob)
    assert talk(1.0) == 50
    alice.events(), bob.events()

    for one in (bob, alice):  # their Key Distributor restarted: Bob is first to see it
        one.reassociate()
        assert one.association.is_reassociating
        assert talk(0.1) == 5  # under the keys in use, while the handshake is under way
        one.exchange()
        talk.update()
        assert talk(0.1) == 5  # and under the old EKTKey, until the new one comes
        one.send(second)
        assert kinds(one.events()) == [EKTKeyInstalled, AssociationRenewed]
        assert not one.association.is_reassociating
    assert talk(REASSOCIATION_OVERLAP - 0.2) == 90
    assert bob.statistics.streams[AUDIO].ekt_spi == 5  # whoever is slower is not shut out
    assert talk(0.4) == 20
    assert bob.statistics.streams[AUDIO].ekt_spi == 6
    assert bob.statistics.rejections == {}
    assert kinds(alice.events()) == [KeysSwitched]


def test_what_was_sealed_for_the_old_hop_is_not_sent_again() -> None:
    bench = Bench().connect(ekt_key(5))
    assert bench.association.seal_rtp(rtp(VIDEO, 1), bench.now) is not None
    bench.reassociate()
    bench.exchange()
    assert bench.association.seal_rtp(rtp(VIDEO, 1), bench.now) is None
    assert bench.statistics.unsent == {"sealed_for_old_hop_keys": 1}
    assert bench.association.seal_rtp(rtp(VIDEO, 2), bench.now) is not None


def test_a_handshake_that_nobody_answers_costs_nothing() -> None:
    key = ekt_key(5)
    alice, bob = Bench().connect(key), Bench().connect(key)
    talk = Talk(alice, bob)
    server, bob.server = bob.server, Connection(bob.of_server, b"endpoint")
    bob.association.reassociate(Connection(bob.of_client, b"server"), bob.now)
    bob.association.datagrams_to_send()
    bob.server = server  # which is connected, and takes a ClientHello for noise
    bob.events()
    assert talk(6.5) == 325
    failed = bob.events()
    assert kinds(failed) == [RenewalFailed]
    assert not bob.association.is_reassociating
    bob.send(ekt_key(6))  # the first association goes on
    assert kinds(bob.events()) == [EKTKeyInstalled]
    with pytest.raises(UsageError):
        Bench().association.reassociate(Connection(bob.of_client, b"server"), bob.now)


def test_a_key_distributor_that_changed_the_profile_gets_no_second_association() -> None:
    bench = Bench().connect(ekt_key(5))
    both = (EKTCipher.AESKW128, EKTCipher.AESKW256)
    bench.of_client = replace(
        bench.of_client, srtp_profiles=(DOUBLE_128, DOUBLE_256), ekt_ciphers=both
    )
    bench.events()
    bench.reassociate(srtp_profiles=(DOUBLE_256,), ekt_ciphers=both)
    bench.exchange()
    assert kinds(bench.events()) == [RenewalFailed]
    assert bench.server.is_terminated  # it was told


def test_a_source_under_an_ekt_key_that_never_came_is_told_after_a_while() -> None:
    first, second = ekt_key(5), ekt_key(6)
    alice, bob = Bench().connect(first), Bench().connect(first)
    talk = Talk(alice, bob)
    talk(1.0)
    alice.send(second)
    bob.events()
    talk(3.0)
    assert EKTKeyMissed not in kinds(bob.events())
    talk(2.0)
    assert bob.events() == [EKTKeyMissed(AUDIO, pytest.approx(bob.now, abs=2.0))]
    talk(30.0)
    assert 8 <= len(bob.events()) <= 10  # not at the rate of the packets
    bob.send(second)
    bob.events()
    assert talk(10.0) > 440
    assert kinds(bob.events()) == [KeysSwitched]
