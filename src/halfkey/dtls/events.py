"""What a connection tells its owner."""

from __future__ import annotations

from dataclasses import dataclass, field

from halfkey.dtls.registries import AlertDescription, CipherSuite, NamedGroup, ProtocolVersion
from halfkey.ekt.messages import EKTCipher, EKTKey
from halfkey.profiles import SRTPProtectionProfile


@dataclass(frozen=True, slots=True)
class SRTPKeyingMaterial:
    """SRTP master keys and salts of both directions (RFC 5764 section 4.2).

    For a double profile each value is the inner half followed by the outer (RFC 8723 section 3).

    Attributes:
        client_write_key: what the DTLS client protects with.
        server_write_key: what the DTLS server protects with.
        client_write_salt: its salt.
        server_write_salt: its salt.
    """

    client_write_key: bytes = field(repr=False)
    server_write_key: bytes = field(repr=False)
    client_write_salt: bytes = field(repr=False)
    server_write_salt: bytes = field(repr=False)

    def outer(self) -> SRTPKeyingMaterial:
        """The second halves: what a hop of a double profile uses (RFC 9185 section 5.4)."""
        return SRTPKeyingMaterial(
            _second_half(self.client_write_key),
            _second_half(self.server_write_key),
            _second_half(self.client_write_salt),
            _second_half(self.server_write_salt),
        )


def _second_half(value: bytes) -> bytes:
    return value[len(value) // 2 :]


@dataclass(frozen=True, slots=True)
class HandshakeCompleted:
    """The peer is authenticated and the keys are ready.

    Attributes:
        srtp_profile: the negotiated protection profile.
        ekt_cipher: the negotiated EKT cipher, or None where EKT was not negotiated.
        peer_certificate: the peer's certificate, in DER form.
        peer_external_session_id: what the peer sent (RFC 8844 section 4.3), or None.
        peer_external_id_hash: what the peer sent (RFC 8844 section 3.2), or None.
        keying_material: the SRTP master keys and salts.
        version: of DTLS.
        cipher_suite: what DTLS's records are under.
        group: of the key exchange.
    """

    srtp_profile: SRTPProtectionProfile
    ekt_cipher: EKTCipher | None
    peer_certificate: bytes
    peer_external_session_id: bytes | None
    peer_external_id_hash: bytes | None
    keying_material: SRTPKeyingMaterial
    version: ProtocolVersion
    cipher_suite: CipherSuite
    group: NamedGroup


@dataclass(frozen=True, slots=True)
class EKTKeyReceived:
    """The server sent an EKTKey (client only); it has been acknowledged.

    Attributes:
        ekt_key: the EKT parameter set.
    """

    ekt_key: EKTKey


@dataclass(frozen=True, slots=True)
class EKTKeyAcknowledged:
    """The client has processed an EKTKey (server only).

    Attributes:
        ekt_spi: the SPI of that EKTKey.
    """

    ekt_spi: int


@dataclass(frozen=True, slots=True)
class ConnectionTerminated:
    """The association is over; it is the last event, and there is exactly one.

    Attributes:
        reason: a short text from a fixed set, safe to log.
        alert: the alert that was sent, or came under the peer's key, if any.
        by_peer: whether the peer ended it.
        hint: the alert that came in plain text during a handshake that failed, if any. The peer may
            have refused so; or anybody may have made it up.
    """

    reason: str
    alert: AlertDescription | None = None
    by_peer: bool = False
    hint: AlertDescription | None = None

    @property
    def explanation(self) -> str:
        """The reason, with what it may come from; safe to log."""
        if self.hint is None:
            return self.reason
        return f"{self.reason} (it may have refused: {self.hint.name.lower()})"


Event = HandshakeCompleted | EKTKeyReceived | EKTKeyAcknowledged | ConnectionTerminated
