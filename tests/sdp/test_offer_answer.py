"""Offers and answers: golden texts, what they mean, and what is refused (RFC 3264, 9143, 9185)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halfkey.errors import CodecError
from halfkey.sdp import (
    MID,
    Candidate,
    Direction,
    Setup,
    Slot,
    Source,
    read_answer,
    read_offer,
)
from tests.sdp.samples import ANSWER, FINGERPRINT, KD_FINGERPRINT, OFFER, answer, offer


def test_golden_offer() -> None:
    assert offer().text == OFFER


def test_golden_answer() -> None:
    assert answer(offer()).text == ANSWER


def test_offer_means_what_it_says() -> None:
    read = read_offer(OFFER)
    assert read == offer()
    assert read.name == "Zoë"
    assert read.transport.fingerprint == FINGERPRINT
    assert read.transport.tls_id == "abc3de65cddef001be82"
    assert read.transport.setup is Setup.ACTPASS
    assert read.sources == (Source("0", "audio", 1111), Source("1", "video", 2222))
    assert read.slots == (Slot("2", "audio"), Slot("3", "video"))
    assert read.payload_types == {"opus/48000/2": 111, "VP8/90000": 96}
    assert read.extensions[MID] == 1
    assert read.identity is None


def test_answer_means_what_it_says() -> None:
    read = read_answer(ANSWER, offer())
    assert read.transport.fingerprint == KD_FINGERPRINT
    assert read.transport.setup is Setup.PASSIVE
    assert read.transport.ice_lite
    assert read.transport.candidates == (
        Candidate.host("192.0.2.7", 40000, 0),
        Candidate.host("2001:db8::7", 40001, 1),
    )
    assert [media.direction for media in read.media] == [
        Direction.RECVONLY,
        Direction.RECVONLY,
        Direction.SENDONLY,
        Direction.SENDONLY,
    ]
    assert read.slots == offer().slots
    assert read.payload_types == offer().payload_types
    assert read.extensions == offer().extensions


def test_passwords_are_in_no_repr() -> None:
    read = offer()
    assert "asd88fgpdd777uzjYhagZg" not in repr(read)
    assert "uzjYhagZgasd88fgpdd777" not in repr(answer(read))


def test_identity_is_kept_verbatim() -> None:
    identity = "eyJpZHAiOnsiZG9tYWluIjoi/+=="
    read = read_offer(offer(identity=identity).text)
    assert read.identity == identity
    assert f"a=identity:{identity}\r\n" in read.text


def test_display_names_are_what_a_person_can_read() -> None:
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
    assert read_offer(offer(name=family).text).name == family
    assert read_offer(offer(name="").text).name == ""
    for name in ("\x1b[31mred", "a\u202eb", "x" * 65, "two\nlines", "nul\0"):
        with pytest.raises(CodecError):
            offer(name=name)


@given(st.text(max_size=20), st.text(max_size=20), st.integers())
def test_arguments_never_make_lines_of_their_own(name: str, tls_id: str, ssrc: int) -> None:
    try:
        made = offer(name=name, tls_id=tls_id, audio_ssrc=ssrc)
    except CodecError:
        return
    assert len(list(made.description.lines)) == OFFER.count("\n") - (not name)


def replaced(old: str, new: str, text: str = OFFER, count: int = 1) -> str:
    assert old in text
    return text.replace(old, new, count)


REFUSED_OFFERS = {
    "no BUNDLE": (replaced("a=group:BUNDLE 0 1 2 3\r\n", ""), "BUNDLE"),
    "a mid that isn't there": (replaced("BUNDLE 0 1", "BUNDLE 0 9 1"), "isn't there"),
    "a mid twice in BUNDLE": (replaced("BUNDLE 0 1", "BUNDLE 0 0 1"), "twice"),
    "two sections of one mid": (replaced("a=mid:1", "a=mid:0"), "same a=mid"),
    "no fingerprint": (replaced(f"a=fingerprint:{FINGERPRINT}\r\n", ""), "fingerprint"),
    "a weak fingerprint": (
        replaced(FINGERPRINT, "sha-1 " + ":".join(["AA"] * 20)),
        "no usable a=fingerprint",
    ),
    "a short fingerprint": (replaced(":A1:5C\r\n", "\r\n"), "line 10: a=fingerprint"),
    "no tls-id": (replaced("a=tls-id:abc3de65cddef001be82\r\n", ""), "tls-id"),
    "a short tls-id": (replaced("abc3de65cddef001be82", "abc"), "line 22: a=tls-id"),
    "two tls-ids": (
        replaced("a=mid:1\r\n", "a=mid:1\r\na=tls-id:00000000000000000000\r\n"),
        "a=tls-id isn't that of its bundle",
    ),
    "setup:passive": (replaced("actpass", "passive"), "DTLS server"),
    "setup:holdconn": (replaced("actpass", "holdconn"), "line 11: a=setup"),
    "no password": (replaced("a=ice-pwd:asd88fgpdd777uzjYhagZg\r\n", ""), "ice-pwd"),
    "a short password": (replaced("asd88fgpdd777uzjYhagZg", "secret"), "line 9: a=ice-pwd"),
    "no rtcp-mux": (replaced("a=rtcp-mux\r\n", ""), "rtcp-mux"),
    "no ssrc": (replaced("a=ssrc:1111 cname:c7n4\r\n", ""), "must declare its a=ssrc"),
    "one ssrc for two": (replaced("a=ssrc:2222", "a=ssrc:1111"), "same SSRC"),
    "an ssrc beyond 32 bits": (replaced("a=ssrc:2222", "a=ssrc:4294967296"), "a=ssrc"),
    "too many ssrcs": (
        replaced(
            "a=ssrc:2222 cname:c7n4\r\n", "".join(f"a=ssrc:{n} cname:c\r\n" for n in range(9))
        ),
        "more than 8 sources",
    ),
    "two directions": (replaced("a=recvonly\r\n", "a=recvonly\r\na=inactive\r\n"), "direction"),
    "a slot without the mid extension": (
        replaced("a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid\r\n", "", count=9),
        "needs a=extmap",
    ),
    "an extension id for two": (replaced("a=extmap:3", "a=extmap:1"), "twice in the section"),
    "an extension numbered in two ways": (
        replaced("a=extmap:3", "a=extmap:4"),
        "not numbered as elsewhere",
    ),
    "a codec numbered in two ways": (
        OFFER.replace("SAVPF 96", "SAVPF 97", 1).replace(":96 ", ":97 ", 4),
        "not numbered as elsewhere",
    ),
    "no known codec": (
        OFFER.replace("opus/48000", "speex/16000").replace("VP8", "H261"),
        "no section",
    ),
    "another protocol": (OFFER.replace("UDP/TLS/RTP/SAVPF", "RTP/AVP"), "no section"),
    "all disabled": (OFFER.replace("m=audio 9", "m=audio 0"), "no section"),
}


@pytest.mark.parametrize(("text", "message"), REFUSED_OFFERS.values(), ids=REFUSED_OFFERS.keys())
def test_offers_that_are_refused(text: str, message: str) -> None:
    with pytest.raises(CodecError, match=message) as caught:
        read_offer(text)
    assert "\n" not in str(caught.value)


REFUSED_ANSWERS = {
    "too few sections": (ANSWER[: ANSWER.rindex("m=")], "4 sections were offered, 3 answered"),
    "another kind": (replaced("m=video", "m=text", ANSWER), "kind that was offered"),
    "another mid": (replaced("a=mid:3", "a=mid:4", ANSWER), "accepts what wasn't offered"),
    "sends where it should receive": (
        replaced("a=recvonly", "a=sendrecv", ANSWER),
        "a direction that wasn't offered",
    ),
    "setup:active": (replaced("passive", "active", ANSWER), "passive"),
    "no candidate": (
        "".join(li for li in ANSWER.splitlines(keepends=True) if "candidate:" not in li),
        "no candidate",
    ),
    "a candidate by name only": (
        ANSWER.replace("192.0.2.7 40000 typ", "md.example 40000 typ").replace(
            "2001:db8::7 40001 typ", "md.example 40001 typ"
        ),
        "no candidate",
    ),
    "an id of its own": (ANSWER.replace("a=extmap:1 ", "a=extmap:9 "), "isn't the one"),
    "a payload type of its own": (
        ANSWER.replace("SAVPF 96", "SAVPF 97").replace(":96 ", ":97 "),
        "isn't the one",
    ),
    "outside the bundle": (replaced("BUNDLE 0 1 2 3", "BUNDLE 0 1 2", ANSWER), "bundle"),
    "no rtcp-mux": (replaced("a=rtcp-mux\r\n", "", ANSWER), "rtcp-mux"),
}


@pytest.mark.parametrize(("text", "message"), REFUSED_ANSWERS.values(), ids=REFUSED_ANSWERS.keys())
def test_answers_that_are_refused(text: str, message: str) -> None:
    with pytest.raises(CodecError, match=message):
        read_answer(text, offer())


def test_what_cannot_be_used_is_rejected_in_place() -> None:
    """RFC 3264 section 6: as many sections as offered, port 0 where there's nothing in common."""
    data = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:4\r\n"
    data += "a=rtpmap:not of our kind\r\n"
    given = read_offer(replaced("BUNDLE 0", "BUNDLE 4 0").replace("VP8", "H261", 1) + data)
    assert given.bundle == ("0", "2", "3")
    assert [source.ssrc for source in given.sources] == [1111]
    made = answer(given)
    assert "a=group:BUNDLE 0 2 3\r\n" in made.text
    assert "m=video 0 UDP/TLS/RTP/SAVPF 96\r\n" in made.text
    assert "m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\n" in made.text
    assert [media.rejected for media in made.media] == [False, True, False, False, True]
    assert made.slots == given.slots


def test_the_answer_keeps_the_offers_own_numbers() -> None:
    text = OFFER.replace("a=extmap:1 ", "a=extmap:7 ").replace("SAVPF 96", "SAVPF 120")
    given = read_offer(text.replace(":96 ", ":120 "))
    made = answer(given)
    assert made.payload_types == {"opus/48000/2": 111, "VP8/90000": 120}
    assert made.extensions[MID] == 7


def test_extensions_and_feedback_that_are_unknown_are_left_out_of_the_answer() -> None:
    text = replaced(
        "a=rtpmap:96", "a=extmap:5 urn:example:x\r\na=rtcp-fb:96 goog-remb\r\na=rtpmap:96"
    )
    made = answer(read_offer(text))
    assert "urn:example:x" not in made.text
    assert "goog-remb" not in made.text
    assert made.media[1].codecs[0].feedback == ("nack", "nack pli", "ccm fir")


def test_transport_may_stand_in_the_tagged_section_alone() -> None:
    """As browsers write it (RFC 8829 section 5.2.1)."""
    start = OFFER.index("a=ice-ufrag")
    end = OFFER.index("m=audio")
    moved = OFFER[:start] + OFFER[end:]
    moved = moved.replace("a=mid:0\r\n", "a=mid:0\r\n" + OFFER[start:end])
    assert read_offer(moved).transport == offer().transport


def test_sendrecv_is_a_source_and_a_slot() -> None:
    given = read_offer(replaced("a=sendonly\r\n", ""))
    assert given.slots[0] == Slot("0", "audio")
    assert given.sources[0] == Source("0", "audio", 1111)
    assert answer(given).media[0].direction is Direction.SENDRECV


def test_other_fingerprints_are_passed_over() -> None:
    extra = "a=fingerprint:sha-1 " + ":".join(["AA"] * 20) + "\r\na=setup"
    assert read_offer(replaced("a=setup", extra)).transport.fingerprint == FINGERPRINT
    with pytest.raises(CodecError, match="two sha-256"):
        read_offer(replaced("a=setup", f"a=fingerprint:{KD_FINGERPRINT}\r\na=setup"))


@given(st.integers(0, len(OFFER) - 1))
def test_any_truncated_offer_is_refused_or_shorter(length: int) -> None:
    try:
        read = read_offer(OFFER[:length])
    except CodecError:
        return
    assert read.text == OFFER[:length]


@given(st.data())
def test_mutated_offers_and_answers_raise_codec_errors_only(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from([OFFER, ANSWER]))
    start = data.draw(st.integers(0, len(text)))
    cut = data.draw(st.integers(0, 12))
    junk = data.draw(st.text(max_size=12) | st.sampled_from(["a=", "m=", "\r\n", ":", "/", " 0"]))
    mutated = text[:start] + junk + text[start + cut :]
    for read in (read_offer, lambda t: read_answer(t, offer())):
        try:
            kept = read(mutated).text
        except CodecError:
            continue
        assert kept == mutated
