"""The cases of rfc8723.json that have to be refused, and why."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

from tests.reference import double, rtp, srtp
from tests.reference.rtp import RtpPacket
from tests.vectors.double_cases import ONE_BYTE
from tests.vectors.material import PROFILES, Json, Keying, head, name, refusal, rtp_packet

FIELDS: Json = {
    "csrcs": (0x0A0B0C0D,),
    "extension": ONE_BYTE,
    "payload_type": 96,
    "sequence_number": 0x1234,
}
HEADER_LENGTH = 16 + len(ONE_BYTE)


def flip(at: int, bit: int = 0x01) -> Callable[[bytes], bytes]:
    def change(packet: bytes) -> bytes:
        octets = bytearray(packet)
        octets[at] ^= bit
        return bytes(octets)

    return change


# On the wire, by somebody without any key.
ON_THE_WIRE: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "version": ("V is 0", flip(0, 0x80)),
    "padding-bit": ("P flipped", flip(0, 0x20)),
    "extension-bit": ("X flipped", flip(0, 0x10)),
    "csrc-count": ("CC is 0", flip(0, 0x01)),
    "marker": ("M flipped", flip(1, 0x80)),
    "payload-type": ("a bit of PT flipped", flip(1)),
    "sequence-number": ("a bit of SEQ flipped", flip(3)),
    "timestamp": ("a bit of the timestamp flipped", flip(7)),
    "ssrc": ("another SSRC", flip(11)),
    "csrc": ("a bit of a CSRC flipped", flip(15)),
    "extension": ("a bit of the header extension flipped", flip(HEADER_LENGTH - 1)),
    "first-ciphertext": ("the first bit of the ciphertext flipped", flip(HEADER_LENGTH, 0x80)),
    "ohb": ("a bit of the encrypted OHB flipped", flip(-17)),
    "tag-first": ("the first bit of the outer tag flipped", flip(-16, 0x80)),
    "tag-last": ("the last bit of the outer tag flipped", flip(-1)),
    "truncated-1": ("the last octet missing", lambda packet: packet[:-1]),
    "truncated-tag": ("the outer tag missing", lambda packet: packet[:-16]),
    "truncated-header": ("the header alone", lambda packet: packet[:HEADER_LENGTH]),
    "truncated-15": (
        "a header and 15 octets: shorter than a tag",
        lambda packet: packet[: HEADER_LENGTH + 15],
    ),
    "truncated-extension": ("cut off in the extension", lambda packet: packet[:18]),
    "truncated-11": ("11 octets", lambda packet: packet[:11]),
    "empty": ("no octet", lambda _: b""),
    "appended": ("an octet more than was sent", lambda packet: packet + b"\0"),
}

Change = Callable[[RtpPacket], RtpPacket]


def payload(change: Callable[[bytes], bytes]) -> Change:
    return lambda packet: replace(packet, payload=change(packet.payload))


def ohb(octets: str) -> Change:
    """In place of the empty OHB that the sender made."""
    return payload(lambda whole: whole[:-1] + bytes.fromhex(octets))


# By a relay that has the outer keys and breaks the rules of section 5.2. `opened` is the outer
# SRTP packet: header, inner ciphertext with tag, OHB.
BY_A_RELAY: dict[str, tuple[str, Change]] = {
    "timestamp": ("timestamp changed", lambda p: replace(p, timestamp=p.timestamp ^ 1)),
    "ssrc": ("SSRC changed", lambda p: replace(p, ssrc=p.ssrc ^ 1)),
    "csrc": ("a CSRC changed", lambda p: replace(p, csrcs=(1,))),
    "csrc-removed": ("a CSRC removed", lambda p: replace(p, csrcs=())),
    "padding-bit": ("P changed", lambda p: replace(p, padding=True)),
    "payload-type": ("PT changed, not in the OHB", lambda p: replace(p, payload_type=97)),
    "sequence-number": (
        "SEQ changed, not in the OHB",
        lambda p: replace(p, sequence_number=p.sequence_number + 1),
    ),
    "marker": ("M changed, not in the OHB", lambda p: replace(p, marker=True)),
    "inner-ciphertext": ("inner ciphertext changed", payload(flip(0))),
    "inner-tag": ("inner tag changed", payload(flip(-2))),
    "inner-shortened": ("an octet of the inner ciphertext missing", payload(lambda o: o[1:])),
    "ohb-payload-type": ("the OHB has another PT than the sender's", ohb("6102")),
    "ohb-sequence-number": ("the OHB has another SEQ than the sender's", ohb("123501")),
    "ohb-marker": ("the OHB has another M than the sender's", ohb("0c")),
    "ohb-order": ("the OHB has SEQ before PT", ohb("12346003")),
    "ohb-missing": (
        "no OHB: the tag's last octet is in its place",
        payload(lambda o: o[:-1]),
    ),
    "ohb-reserved": ("a reserved bit of Config is 1", ohb("10")),
    "ohb-b-without-m": ("Config has B without M", ohb("08")),
    "ohb-payload-type-high-bit": ("the OHB's PT has its high bit set", ohb("e002")),
    "ohb-alone": ("no more than an OHB: no inner tag", payload(lambda _: b"\0")),
    "ohb-short": (
        "Config promises PT and SEQ, and there is an inner tag's length in all",
        payload(lambda _: bytes(15) + b"\3"),
    ),
    "nothing": ("an empty outer payload: no Config octet", payload(lambda _: b"")),
    "repair-as-media": (
        "an RTX packet (repair mode), taken for media",
        payload(lambda _: b"\x12\x34" + bytes(60)),
    ),
}
MATTERS_OF_CHOICE = {"ohb-reserved", "ohb-b-without-m", "ohb-payload-type-high-bit"}


def _refused(
    keying: Keying, ident: str, section: str, description: str, packet: bytes, rocs: tuple[int, int]
) -> Json:
    keys = keying.keys()
    return head(ident, 8723, section, description) | {
        "kind": "refuse",
        "profile": keying.profile,
        "master_key": keying.master_key.hex(),
        "master_salt": keying.master_salt.hex(),
        "inner_roc": rocs[0],
        "outer_roc": rocs[1],
        "srtp_packet": packet.hex(),
        "refused": refusal(lambda: double.unprotect(keys, packet, *rocs)),
    }


def vectors() -> Iterator[Json]:
    for profile in PROFILES:
        yield from _on_the_wire(profile)
        yield from _by_a_relay(profile)
        yield from _wrong_context(profile)
        yield from _rtcp(profile)


def _on_the_wire(profile: int) -> Iterator[Json]:
    for case, (description, change) in ON_THE_WIRE.items():
        ident = name(profile, f"refuse-wire-{case}")
        keying = Keying(profile, ident)
        packet = rtp_packet(ident, **FIELDS).encode()
        sent = double.protect(keying.keys(), packet, 0, 0).outer.packet
        vector = _refused(keying, ident, "5.3 step 1", description, change(sent), (0, 0))
        yield vector | {"intact_srtp_packet": sent.hex()}


def _by_a_relay(profile: int) -> Iterator[Json]:
    for case, (description, change) in BY_A_RELAY.items():
        ident = name(profile, f"refuse-relay-{case}")
        keying = Keying(profile, ident)
        keys = keying.keys()
        packet = rtp_packet(ident, **FIELDS).encode()
        protected = double.protect(keys, packet, 0, 0)
        # What a relay has after step 1 of section 5.2.
        opened = rtp.parse(protected.outer.aad + protected.outer.plaintext)
        sealed = srtp.protect(keys.outer, change(opened).encode(), 0).packet
        vector = _refused(
            keying, ident, "4, 5.3", f"sealed by a relay: {description}", sealed, (0, 0)
        )
        vector["intact_srtp_packet"] = protected.outer.packet.hex()
        vector["outer_srtp_packet"] = change(opened).encode().hex()
        if case in MATTERS_OF_CHOICE:
            vector["choice"] = "no RFC says what a receiver does with it; this refuses it"
        yield vector


def _wrong_context(profile: int) -> Iterator[Json]:
    for case, description, sent_rocs in (
        ("inner-roc", "the sender's inner ROC is 1, the receiver's 0", (1, 0)),
        ("outer-roc", "the sender's outer ROC is 1, the receiver's 0", (0, 1)),
    ):
        ident = name(profile, f"refuse-{case}")
        keying = Keying(profile, ident)
        packet = rtp_packet(ident, **FIELDS).encode()
        sent = double.protect(keying.keys(), packet, *sent_rocs).outer.packet
        yield _refused(keying, ident, "3, 5.3", description, sent, (0, 0))
    for case, description in (
        ("halves-swapped", "inner and outer halves of key and salt taken for each other"),
        ("single-layer", "the outer algorithm alone over plain RTP: nothing end to end"),
        ("inner-alone", "the inner algorithm alone: nothing hop by hop"),
    ):
        ident = name(profile, f"refuse-{case}")
        keying = Keying(profile, ident)
        keys = keying.keys()
        packet = rtp_packet(ident, **FIELDS).encode()
        swapped = double.DoubleKeys(inner=keys.outer, outer=keys.inner)
        sent = {
            "halves-swapped": double.protect(swapped, packet, 0, 0).outer.packet,
            "single-layer": srtp.protect(keys.outer, packet + b"\0", 0).packet,
            "inner-alone": srtp.protect(keys.inner, packet, 0).packet,
        }[case]
        yield _refused(keying, ident, "3, 5.3", description, sent, (0, 0))


RTCP_CHANGES: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "header": ("the packet type changed", flip(1)),
    "ssrc": ("another SSRC", flip(7)),
    "ciphertext": ("a bit of the ciphertext flipped", flip(8)),
    "tag": ("a bit of the tag flipped", flip(-5)),
    "index": ("another index", flip(-1)),
    "encrypted-flag": ("the E flag cleared", flip(-4, 0x80)),
    "truncated": ("the last octet missing", lambda packet: packet[:-1]),
    "short": ("27 octets: too short for a header, a tag and an index", lambda packet: packet[:27]),
}


def _rtcp(profile: int) -> Iterator[Json]:
    for case, (description, change) in RTCP_CHANGES.items():
        ident = name(profile, f"refuse-rtcp-{case}")
        keying = Keying(profile, ident)
        keys = keying.keys().outer
        report = b"\x80\xc8\0\6" + bytes.fromhex("0a0b0c0d") + bytes(20)
        packet = change(srtp.protect_rtcp(keys, report, 1).packet)
        reason = refusal(partial(srtp.unprotect_rtcp, keys, packet))
        yield head(ident, 8723, "6", description) | {
            "kind": "refuse_rtcp",
            "profile": profile,
            "master_key": keying.master_key.hex(),
            "master_salt": keying.master_salt.hex(),
            "srtcp_packet": packet.hex(),
            "refused": reason.replace("authentication", "outer_authentication"),
        }
