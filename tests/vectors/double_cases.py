"""The cases of rfc8723.json that one sender makes: keys, protection, repair, RTCP."""

from collections.abc import Iterator

from tests.reference import double, kdf, rtp, srtp
from tests.vectors.material import (
    KEY_LENGTH,
    PROFILES,
    Json,
    Keying,
    head,
    inputs,
    name,
    number,
    octets,
    protected_json,
    received,
    rtp_packet,
)

ONE_BYTE = rtp.one_byte_extensions([(1, b"\x30"), (4, b"audio0")])
TWO_BYTE = rtp.two_byte_extensions([(1, b""), (20, bytes(range(17)))])
PADDING = b"payload, then padding" + b"\0\0\0\0\0\0\7"

# Case: description, fields of the RTP packet, ROC of both algorithms.
PROTECT: dict[str, tuple[str, Json, int]] = {
    "plain": ("no extension, no CSRC, no padding", {}, 0),
    "one-byte-extension": ("one-byte header extensions (RFC 8285)", {"extension": ONE_BYTE}, 0),
    "two-byte-extension": ("two-byte header extensions (RFC 8285)", {"extension": TWO_BYTE}, 0),
    "empty-extension": ("X set, an extension of no words", {"extension": b"\xbe\xde\0\0"}, 0),
    "one-csrc": ("one CSRC: part of the synthetic header", {"csrcs": (0x01020304,)}, 0),
    "fifteen-csrcs": (
        "as many CSRCs as fit, and an extension",
        {"csrcs": tuple(0xC5000000 + count for count in range(15)), "extension": ONE_BYTE},
        0,
    ),
    "padding": ("P set: padding is in the payload", {"padding": True, "payload": PADDING}, 0),
    "empty-payload": ("no payload: the inner ciphertext is its tag", {"payload": b""}, 0),
    "empty-payload-extension": (
        "an extension and no payload",
        {"payload": b"", "extension": ONE_BYTE},
        0,
    ),
    "marker": ("M set", {"marker": True}, 0),
    "payload-type-127": (
        "the largest payload type, M set",
        {"marker": True, "payload_type": 127},
        0,
    ),
    "sequence-number-0": ("SEQ 0", {"sequence_number": 0}, 0),
    "sequence-number-65535": ("SEQ 65535, before a wrap", {"sequence_number": 0xFFFF}, 0),
    "roc-1-after-wrap": ("SEQ 0 right after the first wrap", {"sequence_number": 0}, 1),
    "roc-1-before-wrap": ("SEQ 65535 before the second wrap", {"sequence_number": 0xFFFF}, 1),
    "roc-3": ("ROC 3", {"sequence_number": 0x1234}, 3),
    "roc-large": ("ROC that uses all four octets", {}, 0xFEDCBA98),
    "everything": (
        "CSRCs, extension, padding and M at once, ROC 1",
        {
            "marker": True,
            "csrcs": (1, 0xFFFFFFFF),
            "extension": TWO_BYTE,
            "padding": True,
            "payload": PADDING,
        },
        1,
    ),
    "long-payload": ("1,100 octets of payload", {"payload": octets("long payload", 1100)}, 0),
}


def key_derivation() -> Iterator[Json]:
    labels = {
        kdf.SRTP_ENCRYPTION: "SRTP encryption",
        kdf.SRTP_AUTHENTICATION: "SRTP authentication (AEAD has no use for it)",
        kdf.SRTP_SALTING: "SRTP salting",
        kdf.SRTCP_ENCRYPTION: "SRTCP encryption",
        kdf.SRTCP_AUTHENTICATION: "SRTCP authentication (AEAD has no use for it)",
        kdf.SRTCP_SALTING: "SRTCP salting",
        kdf.HEADER_ENCRYPTION: "header extension encryption (RFC 6904)",
        kdf.HEADER_SALTING: "header extension salting (RFC 6904)",
    }
    for profile in PROFILES:
        ident = name(profile, "key-derivation")
        keying = Keying(profile, ident)
        vector = head(ident, 8723, "3.1", "Both halves of a key through the PRF, every label")
        vector |= {"kind": "kdf", "profile": profile}
        vector |= {"master_key": keying.master_key.hex(), "master_salt": keying.master_salt.hex()}
        for half, keys in (("inner", keying.keys().inner), ("outer", keying.keys().outer)):
            vector[half] = {
                "master_key": keys.master_key.hex(),
                "master_salt": keys.master_salt.hex(),
                "labels": [_label(keys, label, use) for label, use in labels.items()],
            }
        yield vector


def _label(keys: kdf.SessionKeys, label: int, use: str) -> Json:
    salts = (kdf.SRTP_SALTING, kdf.SRTCP_SALTING)
    authentications = (kdf.SRTP_AUTHENTICATION, kdf.SRTCP_AUTHENTICATION)
    length = 12 if label in salts else 20 if label in authentications else len(keys.master_key)
    # RFC 6904 section 4.1: a header's salt is as long as AES-CM's, whatever the profile's is.
    length = 14 if label == kdf.HEADER_SALTING else length
    return {
        "label": label,
        "use": use,
        "x": kdf.prf_input(label, keys.master_salt).hex(),
        "output": kdf.derive(keys.master_key, keys.master_salt, label, length).hex(),
    }


def protect() -> Iterator[Json]:
    for profile in PROFILES:
        for case, (description, fields, roc) in PROTECT.items():
            yield _protect(profile, case, description, fields, roc, roc)
        yield _protect(
            profile,
            "rocs-differ",
            "inner and outer ROC are tracked independently (section 3)",
            {},
            inner_roc=0x00012345,
            outer_roc=0,
        )


def _protect(
    profile: int, case: str, description: str, fields: Json, inner_roc: int, outer_roc: int
) -> Json:
    ident = name(profile, case)
    keying = Keying(profile, ident)
    keys = keying.keys()
    packet = rtp_packet(ident, **fields)
    protected = double.protect(keys, packet.encode(), inner_roc, outer_roc)
    result = protected.outer.packet
    vector = head(ident, 8723, "5.1", description) | {"kind": "protect"}
    vector["input"] = inputs(keying, packet, inner_roc, outer_roc)
    vector["protect"] = protected_json(keys, protected, inner_roc, outer_roc)
    vector["srtp_packet"] = result.hex()
    vector["unprotect"] = received(keys, result, inner_roc, outer_roc)
    assert vector["unprotect"]["rtp_packet"] == packet.encode().hex()
    return vector


def repair() -> Iterator[Json]:
    for profile in PROFILES:
        ident = name(profile, "repair")
        keying = Keying(profile, ident)
        keys = keying.keys()
        # RFC 8723 section 7.1: an RTX packet's payload is the original SEQ and then what was sent,
        # which is double-encrypted.
        lost = rtp_packet(f"{ident}/lost", extension=ONE_BYTE)
        sent = rtp.parse(double.protect(keys, lost.encode(), 0, 0).outer.packet)
        payload = lost.sequence_number.to_bytes(2) + sent.payload
        packet = rtp_packet(ident, payload_type=97, payload=payload)
        protected = double.protect_repair(keys, packet.encode(), 0)
        vector = head(ident, 8723, "5.1, 7.1", "repair mode: an RTX packet, outer algorithm alone")
        vector |= {"kind": "repair", "input": inputs(keying, packet, 0, 0)}
        vector["protect"] = protected_json(keys, protected, 0, 0)
        vector["srtp_packet"] = protected.outer.packet.hex()
        yield vector


def rtcp() -> Iterator[Json]:
    for profile in PROFILES:
        for index, encrypted in ((0, True), (1, True), (0x7FFFFFFF, True), (2, False)):
            case = f"rtcp-{'encrypted' if encrypted else 'tagged'}-{index:x}"
            yield _rtcp(profile, case, index, encrypted)


def _rtcp(profile: int, case: str, index: int, encrypted: bool) -> Json:
    ident = name(profile, case)
    keying = Keying(profile, ident)
    keys = keying.keys().outer
    ssrc = number(f"{ident}/SSRC", 32).to_bytes(4)
    sender_report = b"\x80\xc8\0\6" + ssrc + octets(f"{ident}/sender info", 20)
    source_description = b"\x81\xca\0\3" + ssrc + b"\1\5cname\0"[:8]
    packet = sender_report + source_description
    protected = srtp.protect_rtcp(keys, packet, index, encrypt=encrypted)
    assert srtp.unprotect_rtcp(keys, protected.packet).packet == packet
    what = "encrypted" if encrypted else "authenticated only (E flag 0)"
    description = f"compound RTCP, outer algorithm alone, {what}, index {index:#x}"
    return head(ident, 8723, "6", description) | {
        "kind": "rtcp",
        "profile": profile,
        "master_key": keying.master_key.hex(),
        "master_salt": keying.master_salt.hex(),
        "rtcp_packet": packet.hex(),
        "index": index,
        "encrypted": encrypted,
        "session_key": keys.rtcp_key.hex(),
        "session_salt": keys.rtcp_salt.hex(),
        "nonce": protected.nonce.hex(),
        "aad": protected.aad.hex(),
        "plaintext": protected.plaintext.hex(),
        "ciphertext": protected.ciphertext.hex(),
        "srtcp_packet": protected.packet.hex(),
    }


def prf_double() -> Iterator[Json]:
    """Section 3.1's function itself, for implementations that have it as one."""
    for profile in PROFILES:
        ident = name(profile, "prf-double")
        keying = Keying(profile, ident)
        x = octets(f"{ident}/x", 14)
        length = 2 * KEY_LENGTH[profile]
        output = double.prf_double(keying.master_key, x, length)
        description = "PRF_double_n for one input x, n the length of a master key"
        yield head(ident, 8723, "3.1", description) | {
            "kind": "prf_double",
            "profile": profile,
            "master_key": keying.master_key.hex(),
            "x": x.hex(),
            "output": output.hex(),
        }


def vectors() -> Iterator[Json]:
    yield from prf_double()
    yield from key_derivation()
    yield from protect()
    yield from repair()
    yield from rtcp()
