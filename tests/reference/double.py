"""Double (RFC 8723): an inner, end-to-end AES-GCM in an outer, hop-by-hop one."""

from dataclasses import dataclass, replace

from tests.reference import rtp, srtp
from tests.reference.kdf import SessionKeys, aes_cm_prf, session_keys
from tests.reference.primitives import Refused
from tests.reference.rtp import RtpPacket

TAG_LENGTH = 16

# The Config octet |R R R R B M P Q| of section 4.
RESERVED, B, M, P, Q = 0xF0, 0x08, 0x04, 0x02, 0x01


def prf_double(k_master: bytes, x: bytes, n: int) -> bytes:
    """PRF_double_n of section 3.1, n in octets: each half of the key makes half of the output."""
    half = len(k_master) // 2
    return aes_cm_prf(k_master[:half], x, n // 2) + aes_cm_prf(k_master[half:], x, n // 2)


@dataclass(frozen=True)
class DoubleKeys:
    """Section 3: the first halves of key and salt are the inner ones, the second the outer."""

    inner: SessionKeys
    outer: SessionKeys


def double_keys(master_key: bytes, master_salt: bytes) -> DoubleKeys:
    """Each key goes with the half of the salt "generated with that key" (section 3).

    So x of PRF_double differs between the halves when their salts do; for one and the same x this
    is prf_double above.
    """
    assert len(master_key) in (32, 64)
    assert len(master_salt) == 24
    half = len(master_key) // 2
    return DoubleKeys(
        inner=session_keys(master_key[:half], master_salt[:12]),
        outer=session_keys(master_key[half:], master_salt[12:]),
    )


@dataclass(frozen=True)
class OriginalHeaderBlock:
    """Section 4. None: the field is as the sender made it."""

    payload_type: int | None = None
    sequence_number: int | None = None
    marker: bool | None = None

    def encode(self) -> bytes:
        octets = b""
        config = 0
        if self.payload_type is not None:
            octets += self.payload_type.to_bytes(1)
            config |= P
        if self.sequence_number is not None:
            octets += self.sequence_number.to_bytes(2)
            config |= Q
        if self.marker is not None:
            config |= M | (B if self.marker else 0)
        return octets + config.to_bytes(1)

    def original(self, packet: RtpPacket) -> RtpPacket:
        """Section 5.3 step 4: header fields replaced with values from the OHB, if any."""
        for name in ("payload_type", "sequence_number", "marker"):
            value = getattr(self, name)
            if value is not None:
                packet = replace(packet, **{name: value})
        return packet


def split_ohb(payload: bytes) -> tuple[bytes, OriginalHeaderBlock]:
    """Cuts the OHB off the end of an outer payload. What is left must hold the inner tag."""
    if not payload:
        raise Refused("ohb", "no Config octet")
    config = payload[-1]
    # "R: Reserved, MUST be set to 0"; "If the marker bit is not present (M=0), then B MUST be
    # set to zero" (the mask that follows there, 0x80, can't be met; 0x08 is meant).
    if config & RESERVED or config & (M | B) == B:
        raise Refused("ohb", "Config octet")
    length = 1 + (config & P > 0) + 2 * (config & Q > 0)
    if len(payload) < length + TAG_LENGTH:
        raise Refused("ohb", "no room for the inner authentication tag")
    rest, ohb = payload[:-length], payload[-length:]
    payload_type = ohb[0] if config & P else None
    if payload_type is not None and payload_type > 0x7F:
        raise Refused("ohb", "payload type of more than seven bits")
    return rest, OriginalHeaderBlock(
        payload_type=payload_type,
        sequence_number=int.from_bytes(ohb[-3:-1]) if config & Q else None,
        marker=bool(config & B) if config & M else None,
    )


@dataclass(frozen=True)
class DoubleProtected:
    """The values of section 5.1 on their way through both algorithms."""

    synthetic_packet: bytes | None
    inner: srtp.Protected | None
    ohb: bytes | None
    outer: srtp.Protected


def protect(keys: DoubleKeys, packet: bytes, inner_roc: int, outer_roc: int) -> DoubleProtected:
    """Section 5.1."""
    # 1. Form an RTP packet.
    original = rtp.parse(packet)
    # 3. Form a synthetic RTP packet.
    synthetic = original.without_extension().encode()
    # 4. Apply the inner algorithm.
    inner = srtp.protect(keys.inner, synthetic, inner_roc)
    # 5. The header of the original packet again, and an empty OHB at the end.
    ohb = OriginalHeaderBlock().encode()
    with_ohb = original.header() + inner.ciphertext + ohb
    # 6. Apply the outer algorithm.
    return DoubleProtected(synthetic, inner, ohb, srtp.protect(keys.outer, with_ohb, outer_roc))


def protect_repair(keys: DoubleKeys, packet: bytes, outer_roc: int) -> DoubleProtected:
    """Section 5.1 for repair mode: steps 3 to 5 are left out."""
    return DoubleProtected(None, None, None, srtp.protect(keys.outer, packet, outer_roc))


@dataclass(frozen=True)
class Relayed:
    """The values of section 5.2."""

    opened: srtp.Protected
    ohb_before: bytes
    ohb_after: bytes
    header: bytes
    sealed: srtp.Protected


def relay(
    receive: SessionKeys,
    send: SessionKeys,
    packet: bytes,
    *,
    receive_roc: int,
    send_roc: int,
    changes: dict[str, int | bool | bytes],
) -> Relayed:
    """Section 5.2. `changes`: payload_type, sequence_number, marker, and extension (whole)."""
    assert receive.master_key != send.master_key, "contexts MUST use different, independent keys"
    # 1. Apply the outer algorithm to decrypt the packet.
    opened = srtp.unprotect(receive, packet, receive_roc, "outer_authentication")
    received = rtp.parse(opened.packet)
    inner_ciphertext, before = split_ohb(received.payload)
    # 2. Make any desired changes.
    assert changes.keys() <= {"payload_type", "sequence_number", "marker", "extension"}
    changed = replace(received, **changes)  # type: ignore[arg-type]
    # 3. Reflect any changes to header fields in the OHB.
    after = reflect(before, received, changed)
    relayed = changed.header() + inner_ciphertext + after.encode()
    # 4. Apply the outer algorithm.
    sealed = srtp.protect(send, relayed, send_roc)
    return Relayed(opened, before.encode(), after.encode(), changed.header(), sealed)


def reflect(
    ohb: OriginalHeaderBlock, received: RtpPacket, changed: RtpPacket
) -> OriginalHeaderBlock:
    """Section 5.2 step 3."""
    for name in ("payload_type", "sequence_number", "marker"):
        recorded, was, now = getattr(ohb, name), getattr(received, name), getattr(changed, name)
        if recorded is None and now != was:
            # "If the MD changed a field that is not already in the OHB, then it MUST add the
            # original value of the field to the OHB."
            ohb = replace(ohb, **{name: was})
        elif recorded is not None and now != was and now == recorded:
            # "... reset to its original value, then it SHOULD drop the corresponding
            # information from the OHB."
            ohb = replace(ohb, **{name: None})
        # "Otherwise, the MD MUST NOT modify the OHB."
    return ohb


@dataclass(frozen=True)
class DoubleUnprotected:
    """The values of section 5.3."""

    outer: srtp.Protected
    ohb: bytes | None
    original: RtpPacket | None
    """The synthetic packet's header fields: what the sender made (its payload is ciphertext)."""
    inner: srtp.Protected | None
    packet: bytes
    """What the application may believe, as an RTP packet."""


def unprotect_outer(keys: SessionKeys, packet: bytes, outer_roc: int) -> srtp.Protected:
    """Section 5.3 step 1; all there is to do for repair mode (step 2)."""
    return srtp.unprotect(keys, packet, outer_roc, "outer_authentication")


def original_header(outer: srtp.Protected) -> RtpPacket:
    """Section 5.3 steps 3 and 4: the synthetic SRTP packet."""
    received = rtp.parse(outer.packet)
    # 3. Remove the inner authentication tag and the OHB. (The tag is left where SRTP has it.)
    inner_ciphertext, ohb = split_ohb(received.payload)
    # 4. Form a new synthetic SRTP packet.
    return replace(ohb.original(received), extension=b"", payload=inner_ciphertext)


def unprotect_inner(keys: SessionKeys, outer: srtp.Protected, inner_roc: int) -> DoubleUnprotected:
    """Section 5.3 steps 3 to 5."""
    original = original_header(outer)
    # 5. Apply the inner algorithm.
    inner = srtp.unprotect(keys, original.encode(), inner_roc, "inner_authentication")
    # "The application MUST use only the information found in the synthetic SRTP packet", except
    # that PT and SEQ are the outer packet's; and extensions of the outer packet MAY be used.
    received = rtp.parse(outer.packet)
    believed = replace(received, marker=original.marker, payload=inner.plaintext)
    ohb = split_ohb(received.payload)[1].encode()
    return DoubleUnprotected(outer, ohb, original, inner, believed.encode())


def unprotect(keys: DoubleKeys, packet: bytes, inner_roc: int, outer_roc: int) -> DoubleUnprotected:
    """Section 5.3."""
    return unprotect_inner(keys.inner, unprotect_outer(keys.outer, packet, outer_roc), inner_roc)
