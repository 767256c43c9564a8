"""Packet transforms and the Media Distributor's switch, in Rust.

A packet that a peer sent and that is refused raises `halfkey.errors.PacketRejected` with a stable
reason; keys of a wrong length, `ValueError`; misuse, `halfkey.errors.UsageError`. After any of them
nothing has been sent or opened.
"""

from typing import final

__all__ = [
    "DoubleReceiver",
    "DoubleSender",
    "SrtpReceiver",
    "SrtpSender",
    "UnprotectedPacket",
    "derive_srtp_session_key",
    "full_ekt_field",
]

@final
class DoubleSender:
    """The sending half of one association: RFC 8723 section 5.1.

    Args:
        profile: 0x0009 or 0x000A.
        hop_master_key: the outer half of the key that this end sends with: 16 or 32 bytes.
        hop_master_salt: the outer half of the salt: 12 bytes.
    """

    def __new__(
        cls, profile: int, hop_master_key: bytes, hop_master_salt: bytes
    ) -> DoubleSender: ...
    def set_inner_key(self, ssrc: int, master_key: bytes, master_salt: bytes) -> None:
        """Sets an SSRC's end-to-end key from its next packet on; the rollover counter goes on."""

    def rollover_counter(self, ssrc: int, sequence_number: int) -> int:
        """The inner rollover counter of a packet with this SSRC and sequence number."""

    def protect(self, packet: bytes, ekt_field: bytes = b"\x00") -> bytes:
        """Seals an RTP packet end to end and for the hop, and appends the EKT Field.

        Raises:
            UsageError: no inner key is set, the index was sealed before, or the arguments aren't
                an RTP packet and an EKT Field.
        """

    def protect_repair(self, packet: bytes, ekt_field: bytes = b"\x00") -> bytes:
        """Seals repair data for the hop only (repair mode), and appends the EKT Field."""

    def protect_rtcp(self, packet: bytes) -> bytes:
        """Seals a compound RTCP packet, for the hop only."""

@final
class DoubleReceiver:
    """The receiving half of one association: RFC 8723 section 5.3, RFC 8870 section 4.3.2.

    Args:
        profile: 0x0009 or 0x000A.
        hop_master_key: the outer half of the key that the other end sends with: 16 or 32 bytes.
        hop_master_salt: the outer half of the salt: 12 bytes.
    """

    def __new__(
        cls, profile: int, hop_master_key: bytes, hop_master_salt: bytes
    ) -> DoubleReceiver: ...
    def add_ekt_parameter_set(self, spi: int, ekt_key: bytes, srtp_master_salt: bytes) -> None:
        """Adds an EKTKey of 16 or 32 bytes, and the salt, whose first 12 bytes are used.

        Raises:
            UsageError: the SPI names another set, or there are 64 already.
        """

    def remove_ekt_parameter_set(self, spi: int) -> None:
        """Wipes a set, and the end-to-end keys that came under it."""

    def unprotect(self, packet: bytes) -> UnprotectedPacket:
        """Opens an SRTP packet with its EKT Field."""

    def unprotect_repair(self, packet: bytes) -> bytes:
        """Opens repair data with its EKT Field, which is left unread."""

    def unprotect_rtcp(self, packet: bytes) -> bytes:
        """Opens an SRTCP packet."""

@final
class UnprotectedPacket:
    """A packet that was opened."""

    @property
    def packet(self) -> bytes:
        """What the application may believe (RFC 8723 section 5.3).

        The sender's packet, with the outer PT and SEQ. Header extensions are the outer packet's:
        hints, which nobody vouches for end to end.
        """

    @property
    def ssrc(self) -> int: ...
    @property
    def inner_sequence_number(self) -> int:
        """SEQ as the sender made it, for statistics."""

    @property
    def inner_payload_type(self) -> int:
        """PT as the sender made it, for statistics."""

    @property
    def ekt_spi(self) -> int:
        """The SPI under which the key came that opened the packet."""

    @property
    def ekt_epoch(self) -> int:
        """That key's epoch."""

    @property
    def new_key(self) -> bool:
        """Whether this packet's Full EKT Field brought a key that wasn't known for the SSRC."""

@final
class SrtpSender:
    """Protects the packets of one direction with a plain AES-GCM profile (RFC 7714).

    Args:
        profile: 0x0007 or 0x0008.
        master_key: 16 or 32 bytes.
        master_salt: 12 bytes.
    """

    def __new__(cls, profile: int, master_key: bytes, master_salt: bytes) -> SrtpSender: ...
    def protect(self, packet: bytes) -> bytes: ...
    def protect_rtcp(self, packet: bytes) -> bytes: ...

@final
class SrtpReceiver:
    """Opens the packets of one direction with a plain AES-GCM profile (RFC 7714).

    Args:
        profile: 0x0007 or 0x0008.
        master_key: 16 or 32 bytes.
        master_salt: 12 bytes.
    """

    def __new__(cls, profile: int, master_key: bytes, master_salt: bytes) -> SrtpReceiver: ...
    def unprotect(self, packet: bytes) -> bytes: ...
    def unprotect_rtcp(self, packet: bytes) -> bytes: ...

def full_ekt_field(
    ekt_key: bytes, spi: int, epoch: int, ssrc: int, roc: int, master_key: bytes
) -> bytes:
    """A Full EKT Field that carries an SRTP master key (RFC 8870 section 4.3.1)."""

def derive_srtp_session_key(profile: int, master_key: bytes, master_salt: bytes) -> bytes:
    """The SRTP session encryption key (label 0) of a plain profile, or of half a double one."""
