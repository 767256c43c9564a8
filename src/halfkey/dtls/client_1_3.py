"""The client's handshake in DTLS 1.3, in protocol order, from ServerHello on (RFC 8446 4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

from halfkey.dtls import extensions as codec
from halfkey.dtls import negotiation
from halfkey.dtls.channel import Channel
from halfkey.dtls.configuration import Configuration
from halfkey.dtls.crypto.key_schedule_1_3 import ApplicationSecrets
from halfkey.dtls.crypto.signatures import SIGNING_SCHEME
from halfkey.dtls.faults import ProtocolFault
from halfkey.dtls.handshake import present
from halfkey.dtls.handshake_1_3 import Handshake13, check_server_hello
from halfkey.dtls.messages.certificate_1_3 import CertificateRequest
from halfkey.dtls.messages.encrypted_extensions import EncryptedExtensions
from halfkey.dtls.messages.server_hello import ServerHello
from halfkey.dtls.offered import Offered
from halfkey.dtls.proofs import Traffic
from halfkey.dtls.registries import AlertDescription, ExtensionType, HandshakeType, NamedGroup
from halfkey.dtls.states import CLIENT_1_3, State, StateTable
from halfkey.dtls.transcript import Transcript

_ILLEGAL = AlertDescription.ILLEGAL_PARAMETER
_IN_ENCRYPTED_EXTENSIONS = (
    ExtensionType.SUPPORTED_GROUPS,
    ExtensionType.USE_SRTP,
    ExtensionType.SUPPORTED_EKT_CIPHERS,
    ExtensionType.EXTERNAL_SESSION_ID,
    ExtensionType.EXTERNAL_ID_HASH,
)


class ClientHandshake13(Handshake13):
    """Speaks for a client until Finished has been checked.

    Args:
        offered: what our ClientHello said.
    """

    states: ClassVar[StateTable] = CLIENT_1_3
    own_name: ClassVar[bytes] = b"client"
    peer_name: ClassVar[bytes] = b"server"
    without_certificate: ClassVar[AlertDescription] = AlertDescription.DECODE_ERROR

    def __init__(
        self,
        configuration: Configuration,
        channel: Channel,
        state: State,
        transcript: Transcript,
        offered: Offered,
    ) -> None:
        super().__init__(configuration, channel, state, transcript)
        self._offered: Offered | None = offered
        self._request_context = b""

    def _handlers(self) -> Mapping[HandshakeType, Callable[[bytes, float], None]]:
        return {
            HandshakeType.SERVER_HELLO: self._receive_server_hello,
            HandshakeType.ENCRYPTED_EXTENSIONS: self._receive_encrypted_extensions,
            HandshakeType.CERTIFICATE_REQUEST: self._receive_certificate_request,
            HandshakeType.CERTIFICATE: self._receive_certificate,
            HandshakeType.CERTIFICATE_VERIFY: self._receive_certificate_verify,
            HandshakeType.FINISHED: self._receive_finished,
        }

    def wipe(self) -> None:
        """See `Stage`."""
        super().wipe()
        self._offered = None

    def _receive_server_hello(self, body: bytes, now: float) -> None:
        hello, offered = ServerHello.decode(body), present(self._offered)
        self._suite = check_server_hello(hello, offered)
        if offered.retry_suite not in (None, self._suite):
            raise ProtocolFault(_ILLEGAL, "cipher suite changed after the retry")
        allowed = offered.allowed(ExtensionType.SUPPORTED_VERSIONS, ExtensionType.KEY_SHARE)
        offered.check_extensions(hello.extensions, allowed)
        content = hello.extensions.get(ExtensionType.KEY_SHARE)
        if content is None:
            raise ProtocolFault(AlertDescription.MISSING_EXTENSION, "no key_share")
        share = codec.KeyShareEntry.decode(content)
        if share.group not in offered.key_exchanges:
            raise ProtocolFault(_ILLEGAL, "key share of a group without ours")
        self._group = NamedGroup(share.group)
        self._protect(offered.key_exchanges[self._group].exchange(share.key_exchange))
        # The answer shows that the ClientHello came (RFC 9147 section 7.2).
        self._channel.flight_answered()

    def _receive_encrypted_extensions(self, body: bytes, now: float) -> None:
        extensions, offered = EncryptedExtensions.decode(body).extensions, present(self._offered)
        offered.check_extensions(extensions, offered.allowed(*_IN_ENCRYPTED_EXTENSIONS))
        self._negotiated = negotiation.read_answer(
            self._configuration, extensions, present(self._suite)
        )

    def _receive_certificate_request(self, body: bytes, now: float) -> None:
        request = CertificateRequest.decode(body)
        if request.certificate_request_context:
            raise ProtocolFault(_ILLEGAL, "context in a handshake")  # RFC 8446 section 4.3.2
        schemes = request.extensions.get(ExtensionType.SIGNATURE_ALGORITHMS)
        if schemes is None:
            raise ProtocolFault(AlertDescription.MISSING_EXTENSION, "no signature_algorithms")
        if SIGNING_SCHEME not in codec.decode_uint16_list(schemes):
            raise ProtocolFault(AlertDescription.HANDSHAKE_FAILURE, "no common signature scheme")

    def _receive_finished(self, body: bytes, now: float) -> None:
        finished = self._verify_finished(body)
        secrets = present(self._secrets).application(self._hash_of_all())
        self._queue_proofs(present(self._configuration.certificate))
        self._channel.acknowledgements.take_all()  # the server's flight is answered by ours
        self._send_flight(now)
        self._send_as_connected(secrets)
        self._complete(finished, secrets)

    def _traffic(self, secrets: ApplicationSecrets) -> Traffic:
        return Traffic(sending=secrets.client, receiving=secrets.server)
