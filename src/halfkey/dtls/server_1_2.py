"""The server's handshake in DTLS 1.2, in protocol order, from a ClientHello with a good cookie."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

from halfkey.dtls import extensions as codec
from halfkey.dtls import negotiation
from halfkey.dtls.channel import Channel
from halfkey.dtls.configuration import Configuration, ServerParameters
from halfkey.dtls.crypto import key_exchange
from halfkey.dtls.crypto.aead import SealingKey
from halfkey.dtls.crypto.signatures import SIGNING_SCHEME, SUPPORTED_SCHEMES, sign
from halfkey.dtls.faults import ProtocolFault
from halfkey.dtls.handshake import present
from halfkey.dtls.handshake_1_2 import Handshake12, check_point_formats
from halfkey.dtls.messages.certificate import (
    ECDSA_SIGN,
    CertificateMessage,
    CertificateRequest,
    CertificateVerify,
)
from halfkey.dtls.messages.client_hello import RANDOM_LENGTH, ClientHello, offered_versions
from halfkey.dtls.messages.finished import Finished
from halfkey.dtls.messages.key_exchange import (
    ClientKeyExchange,
    ServerKeyExchange,
    encode_parameters,
)
from halfkey.dtls.messages.server_hello import DOWNGRADE_SENTINEL, ServerHello, ServerHelloDone
from halfkey.dtls.negotiation import Choice, Negotiated, choose
from halfkey.dtls.proofs import FinishedProof, verify_possession
from halfkey.dtls.registries import (
    DTLS_1_2,
    DTLS_1_3,
    TLS_EMPTY_RENEGOTIATION_INFO_SCSV,
    AlertDescription,
    ExtensionType,
    HandshakeType,
    NamedGroup,
)
from halfkey.dtls.states import SERVER_1_2, State, StateTable
from halfkey.dtls.transcript import Transcript

_FAILURE = AlertDescription.HANDSHAKE_FAILURE
_NULL_COMPRESSION = 0


class ServerHandshake12(Handshake12):
    """Speaks for a server until its own Finished is sent.

    Args:
        configuration: the server's settings.
        channel: stands where the ClientHello begins.
        peer: shown to `Configuration.select`.
        hello: the ClientHello with the good cookie, as the gate has read it.
    """

    states: ClassVar[StateTable] = SERVER_1_2

    def __init__(
        self, configuration: Configuration, channel: Channel, peer: bytes, hello: ClientHello
    ) -> None:
        super().__init__(
            configuration, channel, State.EXPECT_CLIENT_HELLO, Transcript(self.version)
        )
        self._peer = peer
        self._hello: ClientHello | None = hello
        self._server_random = configuration.random(RANDOM_LENGTH)
        if DTLS_1_3 in configuration.versions:
            # Tells a client who offered it that somebody on the way took the offer out.
            kept = RANDOM_LENGTH - len(DOWNGRADE_SENTINEL)
            self._server_random = self._server_random[:kept] + DOWNGRADE_SENTINEL
        self._sealing: SealingKey | None = None

    def _handlers(self) -> Mapping[HandshakeType, Callable[[bytes, float], None]]:
        return {
            HandshakeType.CLIENT_HELLO: self._receive_client_hello,
            HandshakeType.CERTIFICATE: self._receive_certificate,
            HandshakeType.CLIENT_KEY_EXCHANGE: self._receive_client_key_exchange,
            HandshakeType.CERTIFICATE_VERIFY: self._receive_certificate_verify,
            HandshakeType.FINISHED: self._receive_finished,
        }

    def _receive_client_hello(self, body: bytes, now: float) -> None:
        # Nothing of it is wanted later, and a stranger chooses how much it is.
        hello, self._hello = present(self._hello), None
        if DTLS_1_2 not in offered_versions(hello):
            raise ProtocolFault(AlertDescription.PROTOCOL_VERSION, "DTLS 1.2 not offered")
        if _NULL_COMPRESSION not in hello.compression_methods:
            raise ProtocolFault(AlertDescription.ILLEGAL_PARAMETER, "null compression not offered")
        self._client_random = hello.random
        _check_extensions(hello.extensions)
        summary = negotiation.summarize(hello.extensions, self._peer)
        parameters = negotiation.select(self._configuration, summary)
        self.peer_fingerprints = parameters.peer_fingerprints
        groups = self._configuration.groups_of(DTLS_1_2)
        self._group = choose(groups, _offered_groups(hello.extensions), "group")
        choice = negotiation.choose_together(
            parameters.srtp_profiles,
            parameters.ekt_ciphers,
            self._configuration.suites_of(DTLS_1_2),
            summary,
            hello.cipher_suites,
        )
        self._suite = choice.suite
        self._negotiated = Negotiated(
            choice.srtp_profile, choice.ekt_cipher, negotiation.ExternalIds.of(summary)
        )
        self._queue(HandshakeType.SERVER_HELLO, self._answer(hello, choice, parameters))
        self._queue_certificate_and_keys(parameters, self._group)
        self._send_flight(now)

    def _answer(
        self, hello: ClientHello, choice: Choice, parameters: ServerParameters
    ) -> ServerHello:
        offered = hello.extensions
        extensions = {int(ExtensionType.EXTENDED_MASTER_SECRET): b""}
        extensions.update(negotiation.answer(choice, parameters, offered))
        if (
            TLS_EMPTY_RENEGOTIATION_INFO_SCSV in hello.cipher_suites
            or ExtensionType.RENEGOTIATION_INFO in offered
        ):
            extensions[ExtensionType.RENEGOTIATION_INFO] = codec.RENEGOTIATION_INFO_INITIAL
        if ExtensionType.EC_POINT_FORMATS in offered:
            extensions[ExtensionType.EC_POINT_FORMATS] = codec.encode_uint8_list(
                [codec.UNCOMPRESSED_POINT_FORMAT]
            )
        return ServerHello(
            DTLS_1_2, self._server_random, b"", choice.suite, _NULL_COMPRESSION, extensions
        )

    def _queue_certificate_and_keys(self, parameters: ServerParameters, group: NamedGroup) -> None:
        certificate = parameters.certificate
        self._queue(HandshakeType.CERTIFICATE, CertificateMessage((certificate.der,)))
        self._key_exchange = key_exchange.generate(group, self._configuration.random)
        public_key = self._key_exchange.public_key
        signed = self._client_random + self._server_random
        signature = sign(certificate.private_key, signed + encode_parameters(group, public_key))
        self._queue(
            HandshakeType.SERVER_KEY_EXCHANGE,
            ServerKeyExchange(group, public_key, SIGNING_SCHEME, signature),
        )
        self._queue(
            HandshakeType.CERTIFICATE_REQUEST,
            CertificateRequest(bytes([ECDSA_SIGN]), tuple(SUPPORTED_SCHEMES)),
        )
        self._queue(HandshakeType.SERVER_HELLO_DONE, ServerHelloDone())

    def _receive_client_key_exchange(self, body: bytes, now: float) -> None:
        schedule = self._derive(ClientKeyExchange.decode(body).public_key)
        self._sealing, opening = schedule.server_keys()
        self._channel.reader.protect(opening)

    def _receive_certificate_verify(self, body: bytes, now: float) -> None:
        message = CertificateVerify.decode(body)
        self._possession = verify_possession(
            present(self._certificate),
            message.scheme,
            message.signature,
            self._transcript.before_latest(),
        )

    def _receive_finished(self, body: bytes, now: float) -> None:
        finished = self._verify_finished(b"client", body)
        self._send_finished(finished, now)
        self._complete(finished)

    def _send_finished(self, proof: FinishedProof, now: float) -> None:
        messages_hash = self._hash_of_all()
        self._queue_change_cipher_spec()
        self._channel.writer.protect(present(self._sealing))
        verify_data = proof.schedule.verify_data(b"server", messages_hash)
        self._queue(HandshakeType.FINISHED, Finished(verify_data))
        # The last flight has no timer: the client asks for it again (RFC 6347 section 4.2.4).
        self._send_flight(now, awaits_answer=False)


def _check_extensions(extensions: codec.Extensions) -> None:
    """Refuses a ClientHello that lacks what we can't do without, or has it wrong."""
    if extensions.get(ExtensionType.EXTENDED_MASTER_SECRET) != b"":
        raise ProtocolFault(_FAILURE, "no extended_master_secret")
    renegotiation = codec.RENEGOTIATION_INFO_INITIAL
    if extensions.get(ExtensionType.RENEGOTIATION_INFO, renegotiation) != renegotiation:
        raise ProtocolFault(_FAILURE, "wrong renegotiation_info")
    check_point_formats(extensions)
    schemes = extensions.get(ExtensionType.SIGNATURE_ALGORITHMS)
    # Without the extension SHA-1 is meant (RFC 5246 section 7.4.1.4.1).
    if schemes is None or SIGNING_SCHEME not in codec.decode_uint16_list(schemes):
        raise ProtocolFault(_FAILURE, "no common signature scheme")


def _offered_groups(extensions: codec.Extensions) -> tuple[int, ...]:
    content = extensions.get(ExtensionType.SUPPORTED_GROUPS)
    if content is None:
        return (NamedGroup.SECP256R1,)  # RFC 8422 section 4: the server may choose freely then
    return codec.decode_uint16_list(content)
