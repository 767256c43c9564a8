"""Two transports and a relay over real UDP: handshake, keys, Opus and VP8, end to end."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiortc.mediastreams import MediaStreamTrack
from aiortc.rtcrtpsender import RTCRtpSender
from aiortc.rtp import RTCP_PSFB_FIR, RtcpPsfbPacket

from halfkey._media import derive_srtp_session_key
from halfkey.dtls import Certificate
from halfkey.endpoint.aiortc_adapter import (
    Receiver,
    send_parameters,
    sender_ssrc,
    start_receiver,
)
from halfkey.endpoint.core import (
    AssociationTerminated,
    Connected,
    EKTKeyInstalled,
    KeysSwitched,
)
from halfkey.endpoint.ice import ICEFailedError
from halfkey.endpoint.media import PictureTrack, ToneTrack, VideoShape, frequency_of
from halfkey.endpoint.payload import begins_intra_picture
from halfkey.endpoint.statistics import Statistics
from halfkey.endpoint.transport import ConsentLost, Transport, TransportEvent
from halfkey.profiles import DOUBLE_128, DOUBLE_256, SRTPProtectionProfile
from tests.endpoint.relay import Peer, Relay
from tests.endpoint.waiting import until

FIRST_BYTES = (0, 3, 20, 63, 64, 128, 191, 255)
PAYLOAD_TYPES = {"opus/48000/2": 111, "VP8/90000": 96}
EXTENSIONS = {
    "urn:ietf:params:rtp-hdrext:sdes:mid": 1,
    "urn:ietf:params:rtp-hdrext:ssrc-audio-level": 2,
}


class Party:
    """An owner of a transport that takes every stream."""

    def __init__(self, relay: Relay, *tracks: MediaStreamTrack, disclose: Any = None) -> None:
        self.relay = relay
        self.certificate = Certificate.generate()
        self.tls_id = secrets.token_hex(20)
        self.statistics = Statistics()
        self.transport = Transport(
            self,
            certificate=self.certificate,
            tls_id=self.tls_id,
            profiles=(DOUBLE_256, DOUBLE_128),
            statistics=self.statistics,
            disclose=disclose,
        )
        self.senders = [RTCRtpSender(track, self.transport) for track in tracks]  # type: ignore[arg-type]
        self.kinds = {sender_ssrc(sender): sender.kind for sender in self.senders}
        self.known: dict[int, str] = {}
        self.receivers: dict[int, Receiver] = {}
        self.events: list[TransportEvent] = []
        self.peer: Peer | None = None

    async def join(self) -> None:
        self.peer, description = self.relay.expect(self.certificate.fingerprint(), self.tls_id)
        await self.transport.connect(description, self.kinds)  # type: ignore[arg-type]
        await until(lambda: self.of(EKTKeyInstalled))
        for number, sender in enumerate(self.senders):
            await sender.send(
                send_parameters(sender.kind, str(number), "cname", PAYLOAD_TYPES, EXTENSIONS)
            )

    def of(self, kind: type[TransportEvent]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def frames(self, other: Party) -> list[int]:
        """How many frames of each of the other's sources were decoded."""
        return [
            self.receivers[ssrc].remote_track.frames if ssrc in self.receivers else 0
            for ssrc in other.kinds
        ]

    def failures(self) -> tuple[int, int]:
        streams = self.statistics.streams.values()
        return (
            sum(stream.e2e_failures for stream in streams),
            sum(stream.e2e_failures_during_rekey for stream in streams),
        )

    async def close(self) -> None:
        for sender in self.senders:
            await sender.stop()
        for receiver in list(self.receivers.values()):
            await receiver.stop()
        await self.transport.close()

    def association_event(self, event: TransportEvent) -> None:
        self.events.append(event)

    def new_stream(self, ssrc: int) -> Receiver | None:
        if ssrc not in self.known:
            return None
        self.receivers[ssrc] = start_receiver(
            self.known[ssrc], ssrc, self.transport, next(iter(self.kinds), 1), PAYLOAD_TYPES
        )
        return self.receivers[ssrc]

    def stream_ended(self, ssrc: int) -> None:
        self.known.pop(ssrc, None)


def party(relay: Relay, index: int, disclose: Any = None) -> Party:
    shape = VideoShape(160, 90, 15)
    tracks = ToneTrack(400 + 100 * index), PictureTrack(f"P{index}", index, shape)
    return Party(relay, *tracks, disclose=disclose)


def introduce(*parties: Party) -> None:
    for one in parties:
        for other in parties:
            if one is not other:
                one.known.update(other.kinds)


BOTH_PROFILES = pytest.mark.parametrize(
    "relay", [DOUBLE_128, DOUBLE_256], ids=["128", "256"], indirect=True
)


@pytest.fixture
async def relay(request: pytest.FixtureRequest) -> AsyncIterator[Relay]:
    profile: SRTPProtectionProfile = getattr(request, "param", DOUBLE_128)
    relay = Relay(profile)
    await relay.start()
    yield relay
    await relay.stop()


@BOTH_PROFILES
async def test_two_parties_hear_and_see_each_other(relay: Relay) -> None:
    alice, bob = party(relay, 0), party(relay, 1)
    introduce(alice, bob)
    await asyncio.gather(alice.join(), bob.join())
    assert alice.of(Connected)[0].profile is relay.profile
    await until(lambda: min(alice.frames(bob)) >= 10 and min(bob.frames(alice)) >= 10)
    audio = next(ssrc for ssrc, kind in bob.kinds.items() if kind == "audio")
    heard = alice.receivers[audio].remote_track.last_frame
    assert frequency_of(heard) == pytest.approx(500, abs=15)  # type: ignore[arg-type]
    assert alice.failures() == bob.failures() == (0, 0)
    assert relay.refused == []
    await asyncio.gather(alice.close(), bob.close())
    assert all(peer.terminated for peer in relay.peers)


async def test_a_newcomer_is_served_by_the_fields_that_are_sent_again(relay: Relay) -> None:
    alice, bob = party(relay, 0), party(relay, 1)
    introduce(alice, bob)
    await alice.join()
    await until(lambda: sum(alice.statistics.sent.values()) > 50)
    await bob.join()
    await until(lambda: min(bob.frames(alice)) >= 5)
    assert bob.failures() == (0, 0)
    await asyncio.gather(alice.close(), bob.close())


@BOTH_PROFILES
async def test_a_rekey_loses_nothing_and_shuts_out_who_does_not_get_the_key(relay: Relay) -> None:
    alice, bob, eve = party(relay, 0), party(relay, 1), party(relay, 2)
    introduce(alice, bob, eve)
    await asyncio.gather(alice.join(), bob.join(), eve.join())
    everybody = (alice, bob, eve)
    await until(lambda: all(min(p.frames(q)) > 5 for p in everybody for q in everybody if p != q))
    assert eve.peer is not None
    for sender in eve.senders:
        await sender.stop()
    key = relay.rekey(without=(eve.peer,))
    await until(lambda: len(alice.of(KeysSwitched)) == 2 and len(bob.of(KeysSwitched)) == 2)
    for one in (alice, bob):
        installed, switched = one.of(EKTKeyInstalled)[1], one.of(KeysSwitched)[1]
        assert installed.spi == switched.spi == key.ekt_spi
        assert switched.at - installed.at >= 0.25
        assert one.transport.ekt_spi == key.ekt_spi
    await asyncio.sleep(0.3)  # what was under way when keys were switched
    opened, decoded = eve.statistics.packets_opened, sum(eve.frames(alice) + eve.frames(bob))
    received, seen = eve.statistics.packets_received, bob.frames(alice)
    await until(lambda: min(bob.frames(alice)) >= min(seen) + 15)
    assert eve.statistics.packets_received > received + 15
    assert eve.statistics.packets_opened == opened
    assert sum(eve.frames(alice) + eve.frames(bob)) - decoded <= 4, "jitter buffers run dry"
    assert alice.failures()[0] == bob.failures()[0] == 0
    await asyncio.gather(*(one.close() for one in everybody))


async def test_what_is_lost_on_the_way_up_is_sent_again(relay: Relay) -> None:
    alice, bob = party(relay, 0), party(relay, 1)
    introduce(alice, bob)
    await asyncio.gather(alice.join(), bob.join())
    await until(lambda: min(bob.frames(alice)) >= 5)
    video = next(ssrc for ssrc, kind in alice.kinds.items() if kind == "video")
    lost: set[bytes] = set()

    def lose(datagram: bytes) -> bool:
        """Every eighth of alice's pictures, the first time that it comes."""
        name = datagram[2:12]
        first_time = datagram[8:12] == video.to_bytes(4, "big") and name not in lost
        if first_time and int.from_bytes(datagram[2:4], "big") % 8 == 0:
            lost.add(name)
            return True
        return False

    relay.lose = lose
    track = bob.receivers[video].remote_track
    errors, seen = track.decode_errors, track.frames
    await until(lambda: len(lost) >= 4 and track.frames >= seen + 40)
    assert track.decode_errors == errors
    assert relay.refused == []
    assert bob.failures() == (0, 0)
    await asyncio.gather(alice.close(), bob.close())


async def test_a_full_intra_request_is_answered_with_a_key_frame(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures: list[bool] = []

    def spy(packet: bytes) -> bool:
        pictures.append(begins_intra_picture(packet))
        return pictures[-1]

    monkeypatch.setattr("halfkey.endpoint.core.begins_intra_picture", spy)
    alice = party(relay, 0)
    await alice.join()
    await until(lambda: len(pictures) >= 20)
    assert pictures[0]
    assert not any(pictures[1:])
    video = next(ssrc for ssrc, kind in alice.kinds.items() if kind == "video")
    entry = video.to_bytes(4, "big") + b"\x01\x00\x00\x00"
    request = bytes(RtcpPsfbPacket(fmt=RTCP_PSFB_FIR, ssrc=1, media_ssrc=0, fci=entry))
    assert alice.peer is not None
    assert alice.peer.hop_out is not None
    relay._send(alice.peer.hop_out.protect_rtcp(request), alice.peer.address)
    await until(lambda: any(pictures[1:]))
    await alice.close()


async def test_goodbye_ends_a_stream(relay: Relay) -> None:
    alice, bob = party(relay, 0), party(relay, 1)
    introduce(alice, bob)
    await asyncio.gather(alice.join(), bob.join())
    await until(lambda: min(bob.frames(alice)) >= 3)
    await alice.close()
    await until(lambda: bob.known == {})
    await bob.close()


@BOTH_PROFILES
async def test_every_secret_is_disclosed_where_asked(relay: Relay) -> None:
    secrets_of: list[dict[str, Any]] = []
    alice = party(relay, 0, disclose=secrets_of.append)
    await alice.join()
    relay.rekey()
    await until(lambda: len(alice.of(KeysSwitched)) == 2)
    await alice.close()
    by_kind = {
        kind: [s for s in secrets_of if s["kind"] == kind]
        for kind in ("kek", "e2e_master", "e2e_session", "hop_master", "hop_session")
    }
    assert {kind: len(found) for kind, found in by_kind.items()} == {
        "kek": 2,
        "e2e_master": 4,
        "e2e_session": 4,
        "hop_master": 2,
        "hop_session": 2,
    }
    assert by_kind["kek"][1]["hex"] == relay.ekt_key.ekt_key_value.hex()
    salts = {secret["salt"] for secret in by_kind["e2e_master"][2:]}
    assert salts == {by_kind["kek"][1]["salt"]} == {relay.ekt_key.master_salt.hex()}
    assert [secret["side"] for secret in by_kind["hop_master"]] == ["client", "server"]
    assert len({secret["salt"] for secret in by_kind["hop_master"]}) == 2
    assert {secret["ssrc"] for secret in by_kind["e2e_master"]} == set(alice.kinds)
    hop = relay.profile.parameters.hop_profile
    for master, session in zip(by_kind["e2e_master"][2:], by_kind["e2e_session"][2:], strict=True):
        derived = derive_srtp_session_key(
            hop, bytes.fromhex(master["hex"]), relay.ekt_key.srtp_master_salt
        )
        assert derived.hex() == session["hex"]


async def test_a_stream_that_nobody_named_is_not_decoded(relay: Relay) -> None:
    alice, bob = party(relay, 0), party(relay, 1)
    await asyncio.gather(alice.join(), bob.join())
    await until(lambda: bob.statistics.rejections["unknown_source"] > 10)
    assert bob.receivers == {}
    introduce(alice, bob)
    await until(lambda: min(bob.frames(alice)) >= 3)
    await asyncio.gather(alice.close(), bob.close())


async def test_noise_is_counted_and_changes_nothing(relay: Relay) -> None:
    alice, bob = party(relay, 0), party(relay, 1)
    introduce(alice, bob)
    await asyncio.gather(alice.join(), bob.join())
    assert bob.peer is not None
    noise = [
        bytes([first]) + secrets.token_bytes(60) for first in (0, 3, 20, 63, 64, 128, 191, 255)
    ]
    noise += [b"", b"\x80", b"\x80\xc9", b"\x16\xfe\xfd", b"\x80" + bytes(11) + b"\x02"]
    for datagram in noise * 3:
        relay._send(datagram, bob.peer.address)
    before = bob.frames(alice)
    await until(lambda: min(bob.frames(alice)) >= min(before) + 10)
    assert bob.statistics.rejections.total() > 0
    assert bob.of(AssociationTerminated) == []
    await asyncio.gather(alice.close(), bob.close())


async def test_datagrams_from_another_address_are_dropped(relay: Relay) -> None:
    alice = party(relay, 0)
    await alice.join()
    stranger, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
    )
    assert alice.peer is not None
    before = alice.statistics.packets_received
    for _ in range(5):
        stranger.sendto(b"\x80" + bytes(40), alice.peer.address)
    await until(lambda: alice.transport.ice.foreign == 5)
    assert alice.statistics.packets_received == before
    stranger.close()
    await alice.close()


async def test_a_relay_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    relay = Relay()
    await relay.start()
    alice = party(relay, 0)
    alice.peer, description = relay.expect(alice.certificate.fingerprint(), alice.tls_id)
    alice.peer.deaf = True
    monkeypatch.setattr("aioice.stun.RETRY_MAX", 1)
    with pytest.raises(ICEFailedError, match=r"doesn't answer at 127\.0\.0\.1 port \d+"):
        await alice.transport.connect(description, alice.kinds)  # type: ignore[arg-type]
    await alice.close()
    await relay.stop()


async def test_without_consent_nothing_is_sent_and_listening_goes_on(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("halfkey.endpoint.ice.CONSENT_INTERVAL", 0.05)
    monkeypatch.setattr("halfkey.endpoint.ice.CONSENT_FAILURES", 2)
    alice, bob = party(relay, 0), party(relay, 1)
    introduce(alice, bob)
    await asyncio.gather(alice.join(), bob.join())
    await until(lambda: min(alice.frames(bob)) >= 3)
    assert alice.peer is not None
    alice.peer.deaf = True
    await until(lambda: alice.transport.ice.consent_lost)
    assert len(alice.of(ConsentLost)) == 1
    assert bob.of(ConsentLost) == []
    await until(lambda: alice.statistics.unsent["no_consent"] > 10)
    before, received = alice.frames(bob), bob.statistics.packets_received
    await until(lambda: min(alice.frames(bob)) >= min(before) + 10)
    assert bob.statistics.packets_received - received <= 2, "what was under way"
    await asyncio.gather(alice.close(), bob.close())


async def test_a_renewed_transport_carries_the_same_tracks_to_another_place(relay: Relay) -> None:
    """Senders go on meanwhile, and a new participation has nothing of the old one's."""
    alice, bob = party(relay, 0), party(relay, 1)
    introduce(alice, bob)
    await asyncio.gather(alice.join(), bob.join())
    await until(lambda: min(bob.frames(alice)) >= 3)
    old = alice.peer
    assert old is not None
    alice.certificate, alice.tls_id = Certificate.generate(), secrets.token_hex(20)
    await alice.transport.renew(alice.certificate, alice.tls_id)
    assert alice.transport.state == "connected"  # or aiortc's senders would end
    await until(lambda: old.terminated and alice.statistics.unsent["not_connected"] > 5)
    relay.peers.remove(old)
    relay.rekey()  # as a Key Distributor does when somebody left
    alice.events.clear()
    before = bob.frames(alice)
    await alice.join()
    assert alice.peer is not None
    assert alice.peer.address != old.address
    await until(lambda: min(bob.frames(alice)) >= max(before) + 10)
    await until(lambda: min(alice.frames(bob)) >= 10)
    await asyncio.gather(alice.close(), bob.close())
