"""What the cases are made of: deterministic octets, and the JSON form of the reference's values."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.reference import double
from tests.reference.double import DoubleKeys, DoubleProtected, DoubleUnprotected, double_keys
from tests.reference.kdf import SRTP_ENCRYPTION, SRTP_SALTING, SessionKeys, prf_input
from tests.reference.primitives import Refused
from tests.reference.rtp import RtpPacket
from tests.reference.srtp import Protected, rtp_nonce

Json = dict[str, Any]

DERIVATION = (
    "Inputs are made from labels: octets(label, n) is the first n octets of SHA-256(label || 0) || "
    "SHA-256(label || 1) || ..., where the label is UTF-8 and the counter big-endian in 32 bits."
)
LICENCE = "MIT OR Apache-2.0"

PROFILES = {
    9: "DOUBLE_AEAD_AES_128_GCM_AEAD_AES_128_GCM",
    10: "DOUBLE_AEAD_AES_256_GCM_AEAD_AES_256_GCM",
}
KEY_LENGTH = {9: 16, 10: 32}
"""Octets of one half's key."""


def octets(label: str, n: int) -> bytes:
    """The deterministic stream of DERIVATION."""
    blocks = [
        hashlib.sha256(label.encode() + count.to_bytes(4)).digest() for count in range(-(-n // 32))
    ]
    return b"".join(blocks)[:n]


def refusal(judge: Callable[[], object]) -> str:
    """Why the reference refuses. It's a fault of the case if it doesn't."""
    try:
        judge()
    except Refused as refused:
        return refused.reason
    raise AssertionError("the reference accepts what the case wants refused")


def number(label: str, bits: int) -> int:
    return int.from_bytes(octets(label, bits // 8))


def name(profile: int, case: str) -> str:
    return f"double-{8 * KEY_LENGTH[profile]}/{case}"


@dataclass(frozen=True)
class Keying:
    """Double's master key and salt of one vector, and the keys of its further hops."""

    profile: int
    ident: str

    @property
    def master_key(self) -> bytes:
        return octets(f"{self.ident}/master key", 2 * KEY_LENGTH[self.profile])

    @property
    def master_salt(self) -> bytes:
        return octets(f"{self.ident}/master salt", 24)

    def keys(self) -> DoubleKeys:
        return double_keys(self.master_key, self.master_salt)

    def hop(self, count: int) -> DoubleKeys:
        """The same inner half with the outer half of a further hop, counted from 1."""
        half = KEY_LENGTH[self.profile]
        key = octets(f"{self.ident}/hop {count} master key", half)
        salt = octets(f"{self.ident}/hop {count} master salt", 12)
        return double_keys(self.master_key[:half] + key, self.master_salt[:12] + salt)


def master_json(keys: SessionKeys) -> Json:
    """Master and session keys of one half, with the PRF's inputs."""
    return {
        "master_key": keys.master_key.hex(),
        "master_salt": keys.master_salt.hex(),
        "prf_input_encryption": prf_input(SRTP_ENCRYPTION, keys.master_salt).hex(),
        "prf_input_salting": prf_input(SRTP_SALTING, keys.master_salt).hex(),
        "session_key": keys.rtp_key.hex(),
        "session_salt": keys.rtp_salt.hex(),
    }


def layer_json(keys: SessionKeys, protected: Protected, roc: int) -> Json:
    """One application of AES-GCM with all of its inputs and its output."""
    packet = protected.packet
    ssrc, sequence_number = int.from_bytes(packet[8:12]), int.from_bytes(packet[2:4])
    assert rtp_nonce(keys.rtp_salt, ssrc, roc, sequence_number) == protected.nonce
    return master_json(keys) | {
        "ssrc": ssrc,
        "roc": roc,
        "sequence_number": sequence_number,
        "nonce": protected.nonce.hex(),
        "aad": protected.aad.hex(),
        "plaintext": protected.plaintext.hex(),
        "ciphertext": protected.ciphertext.hex(),
    }


def protected_json(
    keys: DoubleKeys, protected: DoubleProtected, inner_roc: int, outer_roc: int
) -> Json:
    """The steps of RFC 8723 section 5.1, in order. Repair mode has the last one alone."""
    outer = {"outer": layer_json(keys.outer, protected.outer, outer_roc)}
    if protected.inner is None or protected.synthetic_packet is None or protected.ohb is None:
        return outer
    return {
        "synthetic_header": protected.inner.aad.hex(),
        "synthetic_packet": protected.synthetic_packet.hex(),
        "inner": layer_json(keys.inner, protected.inner, inner_roc),
        "ohb": protected.ohb.hex(),
    } | outer


def received_json(
    keys: DoubleKeys, received: DoubleUnprotected, inner_roc: int, outer_roc: int
) -> Json:
    """The steps of RFC 8723 section 5.3, in order."""
    assert received.original is not None
    assert received.inner is not None
    assert received.ohb is not None
    return {
        "outer": layer_json(keys.outer, received.outer, outer_roc),
        "outer_srtp_packet": received.outer.packet.hex(),
        "ohb": received.ohb.hex(),
        "synthetic_header": received.original.header().hex(),
        "inner": layer_json(keys.inner, received.inner, inner_roc),
        "inner_sequence_number": received.original.sequence_number,
        "inner_payload_type": received.original.payload_type,
        "rtp_packet": received.packet.hex(),
    }


def inputs(keying: Keying, packet: RtpPacket, inner_roc: int, outer_roc: int) -> Json:
    return {
        "profile": keying.profile,
        "master_key": keying.master_key.hex(),
        "master_salt": keying.master_salt.hex(),
        "inner_roc": inner_roc,
        "outer_roc": outer_roc,
        "rtp_packet": packet.encode().hex(),
    }


def received(keys: DoubleKeys, packet: bytes, inner_roc: int, outer_roc: int) -> Json:
    opened = double.unprotect(keys, packet, inner_roc, outer_roc)
    return received_json(keys, opened, inner_roc, outer_roc)


def rtp_packet(ident: str, **fields: Any) -> RtpPacket:
    """An RTP packet whose unnamed fields come from the identifier."""
    values: Json = {
        "marker": False,
        "payload_type": 96,
        "sequence_number": number(f"{ident}/sequence number", 16) % 0x7000 + 0x100,
        "timestamp": number(f"{ident}/timestamp", 32),
        "ssrc": number(f"{ident}/SSRC", 32),
        "payload": octets(f"{ident}/payload", 40),
    }
    return RtpPacket(**(values | fields))


def head(ident: str, rfc: int, section: str, description: str) -> Json:
    return {"id": ident, "description": description, "rfc": rfc, "section": section}
