"""What the handshakes of client and server share in DTLS 1.3 (RFC 8446 section 4.4)."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from halfkey.dtls.certificate import Certificate
from halfkey.dtls.channel import Channel
from halfkey.dtls.configuration import Configuration
from halfkey.dtls.crypto.key_schedule_1_3 import ApplicationSecrets, HandshakeSecrets
from halfkey.dtls.crypto.signatures import SIGNING_SCHEME, check_curve, sign
from halfkey.dtls.crypto.suites import SUITES
from halfkey.dtls.faults import ProtocolFault
from halfkey.dtls.handshake import Handshake, present
from halfkey.dtls.messages.certificate import CertificateVerify
from halfkey.dtls.messages.certificate_1_3 import CertificateEntry, CertificateMessage
from halfkey.dtls.messages.finished import Finished
from halfkey.dtls.messages.server_hello import ServerHello
from halfkey.dtls.offered import Offered
from halfkey.dtls.proofs import (
    FinishedProof,
    Outcome,
    Traffic,
    judge_certificate,
    verify_finished,
    verify_possession,
)
from halfkey.dtls.record import APPLICATION_EPOCH, HANDSHAKE_EPOCH
from halfkey.dtls.registries import (
    DTLS_1_3,
    AlertDescription,
    CipherSuite,
    HandshakeType,
    NamedGroup,
    ProtocolVersion,
)
from halfkey.dtls.states import State
from halfkey.dtls.transcript import Transcript

_ILLEGAL = AlertDescription.ILLEGAL_PARAMETER
_SIGNATURE_PADDING = b" " * 64
_CLIENT = b"client"


class Handshake13(Handshake):
    """One side of a handshake.

    Attributes:
        own_name: which side it is, as labels have it.
        peer_name: and the other.
        without_certificate: the alert for a peer's Certificate with none in it.
    """

    version: ClassVar[ProtocolVersion] = DTLS_1_3
    own_name: ClassVar[bytes]
    peer_name: ClassVar[bytes]
    without_certificate: ClassVar[AlertDescription]

    def __init__(
        self, configuration: Configuration, channel: Channel, state: State, transcript: Transcript
    ) -> None:
        super().__init__(configuration, channel, state, transcript)
        self._secrets: HandshakeSecrets | None = None
        self._group: NamedGroup | None = None

    def wipe(self) -> None:
        """See `Stage`."""
        if self._secrets is not None:
            self._secrets.wipe()
        if self.outcome is not None and self.outcome.traffic is not None:
            self.outcome.exporter.wipe()
            self.outcome.traffic.wipe()

    @abstractmethod
    def _traffic(self, secrets: ApplicationSecrets) -> Traffic:
        """Which of both sides' secrets is ours."""

    def _protect(self, shared_secret: bytearray) -> None:
        """Opens the handshake's epoch, once ServerHello is in the transcript."""
        secrets = HandshakeSecrets(self._parameters, shared_secret, self._hash_of_all())
        self._secrets = secrets
        ours, theirs = secrets.client, secrets.server
        if self.own_name != _CLIENT:
            ours, theirs = theirs, ours
        self._channel.writer.protect(ours.sealing_key(), HANDSHAKE_EPOCH)
        self._channel.reader.protect(theirs.opening_key(), HANDSHAKE_EPOCH)

    # --- ours

    def _queue_proofs(self, certificate: Certificate) -> None:
        """Certificate, CertificateVerify and Finished."""
        entry = CertificateEntry(certificate.der, {})
        self._queue(HandshakeType.CERTIFICATE, CertificateMessage(b"", (entry,)))
        signature = sign(
            certificate.private_key, signed_content(self.own_name, self._hash_of_all())
        )
        self._queue(HandshakeType.CERTIFICATE_VERIFY, CertificateVerify(SIGNING_SCHEME, signature))
        verify_data = present(self._secrets).verify_data(self.own_name, self._hash_of_all())
        self._queue(HandshakeType.FINISHED, Finished(verify_data))

    # --- the peer's

    def _receive_certificate(self, body: bytes, now: float) -> None:
        message = CertificateMessage.decode(body)
        if message.certificate_request_context:
            raise ProtocolFault(_ILLEGAL, "wrong certificate_request_context")
        # None was offered, neither in ClientHello nor in CertificateRequest.
        if any(entry.extensions for entry in message.entries):
            raise ProtocolFault(
                AlertDescription.UNSUPPORTED_EXTENSION, "extension that was not offered"
            )
        self._certificate = judge_certificate(
            message.certificate_list, present(self.peer_fingerprints), self.without_certificate
        )

    def _receive_certificate_verify(self, body: bytes, now: float) -> None:
        message, certificate = CertificateVerify.decode(body), present(self._certificate)
        check_curve(certificate.public_key, message.scheme)
        self._possession = verify_possession(
            certificate,
            message.scheme,
            message.signature,
            signed_content(self.peer_name, self._hash_before_latest()),
        )

    def _verify_finished(self, body: bytes) -> FinishedProof:
        return verify_finished(
            present(self._secrets),
            self.peer_name,
            Finished.decode(body, self._parameters.hash.digest_size),
            self._hash_before_latest(),
        )

    # --- both

    def _send_as_connected(self, secrets: ApplicationSecrets) -> None:
        """From our Finished on, what is new goes under the next key (RFC 8446 appendix A)."""
        sending = self._traffic(secrets).sending
        self._channel.writer.protect(sending.sealing_key(), APPLICATION_EPOCH)

    def _complete(self, finished: FinishedProof, secrets: ApplicationSecrets) -> None:
        """Opens what the peer says after the handshake; holds every proof."""
        traffic = self._traffic(secrets)
        self._channel.reader.protect(traffic.receiving.opening_key(), APPLICATION_EPOCH)
        self.outcome = Outcome(
            present(self._certificate),
            present(self._possession),
            finished,
            present(self._negotiated),
            present(self._suite),
            present(self._group),
            secrets.exporter,
            traffic,
        )
        present(self._secrets).wipe()


def signed_content(sender: bytes, messages_hash: bytes) -> bytes:
    """What a CertificateVerify signs; DTLS changes nothing in it (RFC 8446 section 4.4.3)."""
    context = b"TLS 1.3, " + sender + b" CertificateVerify\0"
    return _SIGNATURE_PADDING + context + messages_hash


def check_server_hello(hello: ServerHello, offered: Offered) -> CipherSuite:
    """Checks what ServerHello and HelloRetryRequest have in common; gives the suite.

    Raises:
        ProtocolFault: illegal_parameter.
    """
    # RFC 9147 section 5: a server doesn't echo the session id, and ours is empty in any case.
    if hello.session_id:
        raise ProtocolFault(_ILLEGAL, "session id echoed")
    if hello.compression_method:
        raise ProtocolFault(_ILLEGAL, "compression not offered")
    for suite in offered.cipher_suites:
        if suite == hello.cipher_suite and SUITES[suite].version is DTLS_1_3:
            return suite
    raise ProtocolFault(_ILLEGAL, "cipher suite not offered")
