"""aiortc as a foreign judge: it reads what we write, and we read what it writes."""

from __future__ import annotations

from aiortc import RTCPeerConnection
from aiortc.sdp import SessionDescription as ForeignDescription

from halfkey.sdp import Direction, SessionDescription, read_offer
from tests.sdp.samples import ANSWER, FINGERPRINT, KD_FINGERPRINT, OFFER, answer


def test_aiortc_reads_our_offer() -> None:
    read = ForeignDescription.parse(OFFER)
    assert [group.items for group in read.group] == [["0", "1", "2", "3"]]
    assert [media.kind for media in read.media] == ["audio", "video", "audio", "video"]
    assert [media.direction for media in read.media] == ["sendonly"] * 2 + ["recvonly"] * 2
    audio, video = read.media[:2]
    assert audio.dtls is not None
    assert audio.dtls.role == "auto"
    (fingerprint,) = audio.dtls.fingerprints
    assert f"{fingerprint.algorithm} {fingerprint.value}" == FINGERPRINT
    assert audio.ice.usernameFragment == "oFr4"
    assert audio.ice.password == "asd88fgpdd777uzjYhagZg"
    assert [ssrc.ssrc for ssrc in audio.ssrc] == [1111]
    assert [(codec.name, codec.channels) for codec in audio.rtp.codecs] == [("opus", 2)]
    assert [(fb.type, fb.parameter) for fb in video.rtp.codecs[0].rtcpFeedback] == [
        ("nack", None),
        ("nack", "pli"),
        ("ccm", "fir"),
    ]
    assert [(e.id, e.uri) for e in video.rtp.headerExtensions] == [
        (1, "urn:ietf:params:rtp-hdrext:sdes:mid"),
        (3, "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"),
    ]


def test_aiortc_reads_our_answer() -> None:
    read = ForeignDescription.parse(ANSWER)
    audio = read.media[0]
    assert audio.dtls is not None
    assert audio.dtls.role == "server"
    (fingerprint,) = audio.dtls.fingerprints
    assert f"{fingerprint.algorithm} {fingerprint.value}" == KD_FINGERPRINT
    assert audio.ice.iceLite
    assert [(c.ip, c.port, c.type) for c in audio.ice_candidates] == [
        ("192.0.2.7", 40000, "host"),
        ("2001:db8::7", 40001, "host"),
    ]
    assert audio.ice_candidates_complete
    assert audio.rtcp_mux


async def test_we_read_aiortcs_offer() -> None:
    """It knows no tls-id; with one added, its offer is as good as ours."""
    connection = RTCPeerConnection()
    connection.addTransceiver("audio")
    connection.addTransceiver("video", direction="recvonly")
    await connection.setLocalDescription(await connection.createOffer())
    text = connection.localDescription.sdp
    await connection.close()
    assert str(SessionDescription.parse(text)) == text
    text = text.replace("a=mid:", "a=tls-id:abc3de65cddef001be82\r\na=mid:", 1)
    offer = read_offer(text)
    assert [media.direction for media in offer.media] == [Direction.SENDRECV, Direction.RECVONLY]
    assert len(offer.sources) == 1
    assert [slot.kind for slot in offer.slots] == ["audio", "video"]
    made = answer(offer)
    assert [media.rejected for media in made.media] == [False, False]
    assert made.payload_types == offer.payload_types
