"""Verifications as values: each checks something and returns the proof that it held.

A handshake's `Outcome` holds all three proofs, so "connected" can't be reached without them.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import ec

from halfkey.dtls.crypto.key_schedule import KeySchedule
from halfkey.dtls.crypto.signatures import certificate_public_key, verify
from halfkey.dtls.faults import ProtocolFault
from halfkey.dtls.fingerprint import Fingerprint, matches_any
from halfkey.dtls.messages.certificate import CertificateMessage
from halfkey.dtls.messages.finished import Finished
from halfkey.dtls.registries import AlertDescription
from halfkey.ekt.messages import EKTCipher
from halfkey.profiles import SRTPProtectionProfile


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
    """The peer holds the master secret and saw the same handshake."""

    schedule: KeySchedule = field(repr=False)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a completed handshake leaves behind."""

    certificate: CertificateProof
    possession: PossessionProof
    finished: FinishedProof
    srtp_profile: SRTPProtectionProfile
    ekt_cipher: EKTCipher | None
    peer_external_session_id: bytes | None
    peer_external_id_hash: bytes | None


def judge_certificate(
    message: CertificateMessage, fingerprints: tuple[Fingerprint, ...]
) -> CertificateProof:
    """Judges the peer's certificate by its fingerprint alone (RFC 5763 section 5, RFC 8122 6.2).

    The fingerprint is compared before the certificate is parsed.

    Raises:
        ProtocolFault: handshake_failure if there is none, bad_certificate if it is not the one,
            unsupported_certificate if its key is of no use.
    """
    if not message.certificate_list:
        raise ProtocolFault(AlertDescription.HANDSHAKE_FAILURE, "no certificate")
    der = message.certificate_list[0]
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
    schedule: KeySchedule, sender: bytes, message: Finished, messages_hash: bytes
) -> FinishedProof:
    """Checks the peer's Finished, in constant time.

    Raises:
        ProtocolFault: decrypt_error.
    """
    if not hmac.compare_digest(schedule.verify_data(sender, messages_hash), message.verify_data):
        raise ProtocolFault(AlertDescription.DECRYPT_ERROR, "wrong Finished")
    return FinishedProof(schedule)
