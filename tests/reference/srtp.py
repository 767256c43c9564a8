"""SRTP and SRTCP with AES-GCM (RFC 7714), and the packet index of RFC 3711 section 3.3."""

from dataclasses import dataclass, field

from tests.reference import rtp
from tests.reference.kdf import SessionKeys
from tests.reference.primitives import Refused, aead_decrypt, aead_encrypt, xor


@dataclass(frozen=True)
class Protected:
    """One application of the AEAD algorithm, with everything that went into it."""

    nonce: bytes
    aad: bytes
    plaintext: bytes
    ciphertext: bytes
    """With the 16-octet authentication tag at its end."""
    packet: bytes


def rtp_nonce(salt: bytes, ssrc: int, roc: int, sequence_number: int) -> bytes:
    """RFC 7714 section 8.1: (00 00 || SSRC || ROC || SEQ) XOR salt."""
    block = bytes(2) + ssrc.to_bytes(4) + roc.to_bytes(4) + sequence_number.to_bytes(2)
    return xor(block, salt)


def protect(keys: SessionKeys, packet: bytes, roc: int) -> Protected:
    """RFC 7714 section 8.2: the header is the associated data, all that follows the plaintext."""
    parsed = rtp.parse(packet)
    nonce = rtp_nonce(keys.rtp_salt, parsed.ssrc, roc, parsed.sequence_number)
    aad = parsed.header()
    ciphertext = aead_encrypt(keys.rtp_key, nonce, parsed.payload, aad)
    return Protected(nonce, aad, parsed.payload, ciphertext, aad + ciphertext)


def unprotect(
    keys: SessionKeys, packet: bytes, roc: int, refusal: str = "authentication"
) -> Protected:
    """The inverse. `packet` of the answer is the RTP packet."""
    parsed = rtp.parse(packet)
    nonce = rtp_nonce(keys.rtp_salt, parsed.ssrc, roc, parsed.sequence_number)
    aad = parsed.header()
    plaintext = aead_decrypt(keys.rtp_key, nonce, parsed.payload, aad, refusal)
    return Protected(nonce, aad, plaintext, parsed.payload, aad + plaintext)


def rtcp_nonce(salt: bytes, ssrc: int, index: int) -> bytes:
    """RFC 7714 section 9.1: (00 00 || SSRC || 00 00 || 0 and the 31-bit index) XOR salt."""
    return xor(bytes(2) + ssrc.to_bytes(4) + bytes(2) + index.to_bytes(4), salt)


def protect_rtcp(
    keys: SessionKeys, packet: bytes, index: int, *, encrypt: bool = True
) -> Protected:
    """RFC 7714 sections 9.2 and 9.3: tag, then the ESRTCP word (E flag and index)."""
    nonce = rtcp_nonce(keys.rtcp_salt, int.from_bytes(packet[4:8]), index)
    word = (encrypt << 31 | index).to_bytes(4)
    clear, plaintext = (packet[:8], packet[8:]) if encrypt else (packet, b"")
    aad = clear + word
    ciphertext = aead_encrypt(keys.rtcp_key, nonce, plaintext, aad)
    return Protected(nonce, aad, plaintext, ciphertext, clear + ciphertext + word)


def unprotect_rtcp(keys: SessionKeys, packet: bytes) -> Protected:
    if len(packet) < 8 + 16 + 4:
        raise Refused("malformed", "shorter than the least SRTCP packet")
    word = packet[-4:]
    index = int.from_bytes(word) & 0x7FFFFFFF
    nonce = rtcp_nonce(keys.rtcp_salt, int.from_bytes(packet[4:8]), index)
    start = 8 if word[0] & 0x80 else len(packet) - 20
    aad = packet[:start] + word
    ciphertext = packet[start:-4]
    plaintext = aead_decrypt(keys.rtcp_key, nonce, ciphertext, aad, "authentication")
    return Protected(nonce, aad, plaintext, ciphertext, packet[:start] + plaintext)


@dataclass
class RolloverCounter:
    """A receiver's ROC and s_l for one SSRC (RFC 3711 section 3.3.1), and its replay list (3.3.2).

    The list is kept whole: no window, so an index is refused only when it was seen.
    """

    roc: int = 0
    highest_sequence_number: int | None = None
    seen: set[int] = field(default_factory=set)

    def estimate(self, sequence_number: int) -> int:
        """v, the ROC that this packet most likely has."""
        if self.highest_sequence_number is None:
            return self.roc
        here = self.roc << 16 | self.highest_sequence_number
        candidates = [v for v in (self.roc, self.roc - 1, self.roc + 1) if 0 <= v < 2**32]
        return min(candidates, key=lambda v: abs((v << 16 | sequence_number) - here))

    def check(self, v: int, sequence_number: int) -> None:
        if v << 16 | sequence_number in self.seen:
            raise Refused("replayed")

    def update(self, v: int, sequence_number: int) -> None:
        """After the packet was authenticated, never before."""
        self.seen.add(v << 16 | sequence_number)
        if self.highest_sequence_number is None or v == self.roc + 1:
            self.roc, self.highest_sequence_number = v, sequence_number
        elif v == self.roc:
            self.highest_sequence_number = max(self.highest_sequence_number, sequence_number)
