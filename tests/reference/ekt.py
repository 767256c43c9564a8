"""Encrypted Key Transport: the EKTField of RFC 8870 section 4, and what a receiver does with it."""

from dataclasses import dataclass, field

from tests.reference import aes_key_wrap
from tests.reference.primitives import Refused

# Message types, section 4.1.
SHORT = 0x00
FULL = 0x02


@dataclass(frozen=True)
class EktPlaintext:
    """SRTPMasterKeyLength SRTPMasterKey SSRC ROC."""

    srtp_master_key: bytes
    ssrc: int
    roc: int

    def encode(self) -> bytes:
        length = len(self.srtp_master_key).to_bytes(1)
        return length + self.srtp_master_key + self.ssrc.to_bytes(4) + self.roc.to_bytes(4)


def parse_plaintext(plaintext: bytes) -> EktPlaintext:
    length = plaintext[0]
    if length == 0 or len(plaintext) != 1 + length + 8:
        raise Refused("ekt_plaintext", "SRTPMasterKeyLength")
    return EktPlaintext(
        srtp_master_key=plaintext[1 : 1 + length],
        ssrc=int.from_bytes(plaintext[1 + length : 5 + length]),
        roc=int.from_bytes(plaintext[5 + length :]),
    )


def encrypt(ekt_key: bytes, plaintext: EktPlaintext) -> bytes:
    """EKTEncrypt with AESKW128 or AESKW256 (section 4.4.1), by the length of the key.

    The section gives N = M + (M mod 8) + 8, which isn't the length that RFC 5649 makes: that is M
    rounded up to a multiple of 8, plus 8. RFC 5649 is followed.
    """
    assert len(ekt_key) in (16, 32)
    return aes_key_wrap.wrap(ekt_key, plaintext.encode())


@dataclass(frozen=True)
class FullEktField:
    ciphertext: bytes
    spi: int
    epoch: int

    def encode(self) -> bytes:
        """EKTCiphertext SPI Epoch EKTMsgLength EKTMsgTypeFull; the length counts all of it."""
        length = len(self.ciphertext) + 2 + 2 + 2 + 1
        octets = self.ciphertext + self.spi.to_bytes(2) + self.epoch.to_bytes(2)
        return octets + length.to_bytes(2) + bytes([FULL])


def short_field() -> bytes:
    return bytes([SHORT])


def extension_field(data: bytes, message_type: int) -> bytes:
    """ExtensionData EKTMsgLength EKTMsgTypeExtension."""
    return data + (len(data) + 3).to_bytes(2) + bytes([message_type])


def split_field(packet: bytes) -> tuple[bytes, bytes]:
    """Section 4.3.2 step 1, from the end backwards: the SRTP packet and the EKTField."""
    if not packet:
        raise Refused("ekt_field", "no EKTField")
    if packet[-1] == SHORT:
        return packet[:-1], packet[-1:]
    if len(packet) < 3:
        raise Refused("ekt_field", "no EKTMsgLength")
    length = int.from_bytes(packet[-3:-1])
    # The least EKTField with a length holds one octet before it (EKTCiphertext and ExtensionData
    # are at least that long); it can't be longer than what was received.
    least = 8 if packet[-1] == FULL else 4
    if not least <= length <= len(packet):
        raise Refused("ekt_field", "EKTMsgLength")
    return packet[:-length], packet[-length:]


def parse_full_field(octets: bytes) -> FullEktField:
    assert octets[-1] == FULL
    return FullEktField(
        ciphertext=octets[:-7],
        spi=int.from_bytes(octets[-7:-5]),
        epoch=int.from_bytes(octets[-5:-3]),
    )


@dataclass(frozen=True)
class EktParameterSet:
    """Section 4.2; the SPI is its name."""

    ekt_key: bytes
    srtp_master_salt: bytes


@dataclass(frozen=True)
class InstalledKey:
    srtp_master_key: bytes
    srtp_master_salt: bytes
    roc: int
    spi: int
    epoch: int


@dataclass
class InboundProcessing:
    """Section 4.3.2 for one SRTP session whose (inner) master keys are `key_length` octets."""

    parameter_sets: dict[int, EktParameterSet]
    key_length: int
    salt_length: int = 12
    keys: dict[int, list[InstalledKey]] = field(default_factory=dict)
    """By SSRC, the newest first: the others are the old keys of trial decryption."""
    epochs: dict[tuple[int, int], tuple[int, bytes]] = field(default_factory=dict)
    """By (SPI, SSRC): the highest epoch seen, and the key that it brought."""

    def receive(self, packet: bytes, ssrc: int) -> bytes:
        """The SRTP packet without its EKTField. Refused: the whole packet is discarded."""
        srtp_packet, octets = split_field(packet)
        if octets[-1] == FULL:
            self._full_field(parse_full_field(octets), ssrc)
        # Any other message type is unknown: "the receiver MUST discard the whole EKT Tag" (4.1).
        return srtp_packet

    def _full_field(self, full: FullEktField, packet_ssrc: int) -> None:
        # 2. Find the EKT parameter set.
        parameters = self.parameter_sets.get(full.spi)
        if parameters is None:
            raise Refused("ekt_unknown_spi")
        # 3. Authenticate and decrypt the EKTCiphertext.
        try:
            plaintext = aes_key_wrap.unwrap(parameters.ekt_key, full.ciphertext)
        except Refused:
            raise Refused("ekt_authentication") from None
        # 4. Parse the EKTPlaintext; truncate the salt.
        parsed = parse_plaintext(plaintext)
        salt = parameters.srtp_master_salt[: self.salt_length]
        # 5. Another SSRC: the field is discarded, the packet goes on.
        if parsed.ssrc != packet_ssrc:
            return
        # 6. Save key, ROC and salt under the SSRC; the key must be as long as the transform's.
        if len(parsed.srtp_master_key) != self.key_length:
            raise Refused("ekt_key_length")
        self._check_epoch(full, parsed)
        installed = InstalledKey(parsed.srtp_master_key, salt, parsed.roc, full.spi, full.epoch)
        known = self.keys.setdefault(parsed.ssrc, [])
        if all(key.srtp_master_key != installed.srtp_master_key for key in known):
            known.insert(0, installed)

    def _check_epoch(self, full: FullEktField, parsed: EktPlaintext) -> None:
        """Section 4.1, Epoch: an epoch equal to or lower than one already seen is rejected.

        Read word for word that would refuse the repetitions that section 4.6 calls for. "An epoch
        counts SRTP keys sent": the same key again under its epoch is no new key, so it passes
        (also with another ROC, which makes another EKTCiphertext of it).
        """
        seen = self.epochs.get((full.spi, parsed.ssrc))
        if seen is not None and full.epoch <= seen[0]:
            if (full.epoch, parsed.srtp_master_key) != seen:
                raise Refused("ekt_epoch")
            return
        self.epochs[full.spi, parsed.ssrc] = (full.epoch, parsed.srtp_master_key)


def ekt_key_message(
    ekt_key_value: bytes, srtp_master_salt: bytes, ekt_spi: int, ekt_ttl: int
) -> bytes:
    """The body of ekt_key(26), section 5.2.2.

    <1..256> has a ceiling that one octet can't count, so lengths take two (RFC 8446 section 3.4).
    """
    octets = len(ekt_key_value).to_bytes(2) + ekt_key_value
    octets += len(srtp_master_salt).to_bytes(2) + srtp_master_salt
    return octets + ekt_spi.to_bytes(2) + ekt_ttl.to_bytes(3)
