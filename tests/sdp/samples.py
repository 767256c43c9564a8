"""An offer and its answer, whole: the golden texts that the tests start from."""

from __future__ import annotations

from halfkey.sdp import Answer, Offer, Transport, build_answer, build_offer

FINGERPRINT = "sha-256 " + ":".join(["A1", "5C"] * 16)
KD_FINGERPRINT = "sha-256 " + ":".join(["0F", "EE"] * 16)

OFFER = f"""\
v=0
o=- 4711 1 IN IP4 127.0.0.1
s=-
i=Zoë
t=0 0
a=group:BUNDLE 0 1 2 3
a=ice-options:ice2
a=ice-ufrag:oFr4
a=ice-pwd:asd88fgpdd777uzjYhagZg
a=fingerprint:{FINGERPRINT}
a=setup:actpass
m=audio 9 UDP/TLS/RTP/SAVPF 111
c=IN IP4 0.0.0.0
a=mid:0
a=sendonly
a=rtcp-mux
a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid
a=extmap:2 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=extmap:3 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
a=rtpmap:111 opus/48000/2
a=fmtp:111 minptime=10;useinbandfec=1
a=tls-id:abc3de65cddef001be82
a=ssrc:1111 cname:c7n4
m=video 0 UDP/TLS/RTP/SAVPF 96
c=IN IP4 0.0.0.0
a=mid:1
a=sendonly
a=rtcp-mux
a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid
a=extmap:3 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
a=rtpmap:96 VP8/90000
a=rtcp-fb:96 nack
a=rtcp-fb:96 nack pli
a=rtcp-fb:96 ccm fir
a=bundle-only
a=ssrc:2222 cname:c7n4
m=audio 0 UDP/TLS/RTP/SAVPF 111
c=IN IP4 0.0.0.0
a=mid:2
a=recvonly
a=rtcp-mux
a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid
a=extmap:2 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=extmap:3 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
a=rtpmap:111 opus/48000/2
a=fmtp:111 minptime=10;useinbandfec=1
a=bundle-only
m=video 0 UDP/TLS/RTP/SAVPF 96
c=IN IP4 0.0.0.0
a=mid:3
a=recvonly
a=rtcp-mux
a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid
a=extmap:3 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
a=rtpmap:96 VP8/90000
a=rtcp-fb:96 nack
a=rtcp-fb:96 nack pli
a=rtcp-fb:96 ccm fir
a=bundle-only
""".replace("\n", "\r\n")

ANSWER = f"""\
v=0
o=- 99 1 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1 2 3
a=ice-lite
a=ice-options:ice2
a=ice-ufrag:MdUf
a=ice-pwd:uzjYhagZgasd88fgpdd777
a=fingerprint:{KD_FINGERPRINT}
a=setup:passive
m=audio 40000 UDP/TLS/RTP/SAVPF 111
c=IN IP4 192.0.2.7
a=mid:0
a=recvonly
a=rtcp-mux
a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid
a=extmap:2 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=extmap:3 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
a=rtpmap:111 opus/48000/2
a=fmtp:111 minptime=10;useinbandfec=1
a=tls-id:KDKDKDKDKDKDKDKDKDKDKDKD
a=candidate:1 1 udp 2130706431 192.0.2.7 40000 typ host
a=candidate:2 1 udp 2130706175 2001:db8::7 40001 typ host
a=end-of-candidates
m=video 40000 UDP/TLS/RTP/SAVPF 96
c=IN IP4 192.0.2.7
a=mid:1
a=recvonly
a=rtcp-mux
a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid
a=extmap:3 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
a=rtpmap:96 VP8/90000
a=rtcp-fb:96 nack
a=rtcp-fb:96 nack pli
a=rtcp-fb:96 ccm fir
m=audio 40000 UDP/TLS/RTP/SAVPF 111
c=IN IP4 192.0.2.7
a=mid:2
a=sendonly
a=rtcp-mux
a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid
a=extmap:2 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=extmap:3 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
a=rtpmap:111 opus/48000/2
a=fmtp:111 minptime=10;useinbandfec=1
m=video 40000 UDP/TLS/RTP/SAVPF 96
c=IN IP4 192.0.2.7
a=mid:3
a=sendonly
a=rtcp-mux
a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid
a=extmap:3 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
a=rtpmap:96 VP8/90000
a=rtcp-fb:96 nack
a=rtcp-fb:96 nack pli
a=rtcp-fb:96 ccm fir
""".replace("\n", "\r\n")


def offer(
    name: str = "Zoë",
    audio_ssrc: int = 1111,
    video_ssrc: int = 2222,
    slots: int = 1,
    identity: str | None = None,
    tls_id: str = "abc3de65cddef001be82",
    ice_ufrag: str = "oFr4",
) -> Offer:
    """The golden offer, or one that differs from it as the arguments say."""
    return build_offer(
        session_id=4711,
        transport=Transport(FINGERPRINT, tls_id, ice_ufrag, "asd88fgpdd777uzjYhagZg"),
        sources=[("audio", audio_ssrc), ("video", video_ssrc)],
        audio_slots=slots,
        video_slots=slots,
        cname="c7n4",
        name=name,
        identity=identity,
    )


def answer(to: Offer) -> Answer:
    """The golden answer, to any offer."""
    return build_answer(
        to,
        session_id=99,
        fingerprint=KD_FINGERPRINT,
        tls_id="KDKDKDKDKDKDKDKDKDKDKDKD",
        ice_ufrag="MdUf",
        ice_pwd="uzjYhagZgasd88fgpdd777",
        candidates=[("192.0.2.7", 40000), ("2001:db8::7", 40001)],
    )
