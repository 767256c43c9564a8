"""Verifications as values: each checks something and returns the proof that it held.

A handshake's `Outcome` holds all three proofs, so "connected" can't be reached without them.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric import ec

from halfkey.dtls.crypto.key_schedule_1_3 import TrafficSecret
from halfkey.dtls.crypto.signatures import certificate_public_key, verify
from halfkey.dtls.faults import ProtocolFault
from halfkey.dtls.fingerprint import Fingerprint, matches_any
from halfkey.dtls.messages.finished import Finished
from halfkey.dtls.negotiation import Negotiated
from halfkey.dtls.registries import AlertDescription, CipherSuite, NamedGroup


@dataclass(frozen=True, slots=True)
class CertificateProof:
    """The peer's certificate has a fingerprint that was expected."""

    der: bytes
    public_key: ec.EllipticCurvePublicKey


@dataclass(frozen=True, slots=True)
class PossessionProof:
    """The peer signed this handshake with that certificate's key."""

    certificate: CertificateProof


@dataclass(frozen=True, slots=True)
class FinishedProof:
    """The peer holds the secrets and saw the same handshake."""

    schedule: FinishedKeys = field(repr=False)


class FinishedKeys(Protocol):
    """A key schedule, as far as Finished needs it."""

    def verify_data(self, sender: bytes, messages_hash: bytes) -> bytes:
        """Of ``b"client"`` or ``b"server"``."""
        ...


class Exporter(Protocol):
    """A key schedule, as far as keying material for others needs it."""

    def export(self, label: bytes, length: int, context: bytes | None) -> bytearray:
        """Keying material; ValueError for a label that TLS uses itself."""
        ...

    def wipe(self) -> None:
        """Forgets the secret; nothing more can be exported."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a completed handshake leaves behind.

    Attributes:
        certificate: proof that the peer's certificate is the right one.
        possession: proof that the peer holds its key.
        finished: proof that both sides saw the same handshake.
        negotiated: what was agreed on for SRTP and EKT.
        suite: the cipher suite.
        group: the group of the key exchange.
        exporter: gives keying material.
        traffic: what a KeyUpdate goes on from; None in DTLS 1.2, which has none.
    """

    certificate: CertificateProof
    possession: PossessionProof
    finished: FinishedProof
    negotiated: Negotiated
    suite: CipherSuite
    group: NamedGroup
    exporter: Exporter = field(repr=False)
    traffic: Traffic | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Traffic:
    """The traffic secrets of DTLS 1.3, by direction."""

    sending: TrafficSecret = field(repr=False)
    receiving: TrafficSecret = field(repr=False)

    def wipe(self) -> None:
        """Forgets both."""
        self.sending.wipe()
        self.receiving.wipe()


def judge_certificate(
    certificates: Sequence[bytes],
    fingerprints: tuple[Fingerprint, ...],
    missing: AlertDescription = AlertDescription.HANDSHAKE_FAILURE,
) -> CertificateProof:
    """Judges the peer's certificate by its fingerprint alone (RFC 5763 section 5, RFC 8122 6.2).

    The fingerprint is compared before the certificate is parsed.

    Args:
        certificates: in DER form, the peer's own first.
        fingerprints: it must have one of them.
        missing: the alert if there is none.

    Raises:
        ProtocolFault: that alert, bad_certificate if it is not the one, unsupported_certificate
            if its key is of no use.
    """
    if not certificates:
        raise ProtocolFault(missing, "no certificate")
    der = certificates[0]
    if not matches_any(fingerprints, der):
        raise ProtocolFault(AlertDescription.BAD_CERTIFICATE, "fingerprint mismatch")
    return CertificateProof(der, certificate_public_key(der))


def verify_possession(
    certificate: CertificateProof, scheme: int, signature: bytes, signed: bytes
) -> PossessionProof:
    """Checks a signature by the certificate's key.

    Raises:
        ProtocolFault: illegal_parameter or decrypt_error.
    """
    verify(certificate.public_key, scheme, signature, signed)
    return PossessionProof(certificate)


def verify_finished(
    schedule: FinishedKeys, sender: bytes, message: Finished, messages_hash: bytes
) -> FinishedProof:
    """Checks the peer's Finished, in constant time.

    Raises:
        ProtocolFault: decrypt_error.
    """
    if not hmac.compare_digest(schedule.verify_data(sender, messages_hash), message.verify_data):
        raise ProtocolFault(AlertDescription.DECRYPT_ERROR, "wrong Finished")
    return FinishedProof(schedule)
