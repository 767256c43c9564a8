"""The server's handshake in DTLS 1.3, in protocol order, from a ClientHello with a good cookie."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

from halfkey.dtls import extensions as codec
from halfkey.dtls import negotiation
from halfkey.dtls.channel import Channel
from halfkey.dtls.configuration import Configuration, ServerParameters
from halfkey.dtls.crypto import key_exchange
from halfkey.dtls.crypto.key_schedule_1_3 import ApplicationSecrets
from halfkey.dtls.crypto.signatures import SIGNING_SCHEME, SUPPORTED_SCHEMES
from halfkey.dtls.faults import ProtocolFault
from halfkey.dtls.handshake import present
from halfkey.dtls.handshake_1_3 import Handshake13
from halfkey.dtls.messages.certificate_1_3 import CertificateRequest
from halfkey.dtls.messages.client_hello import RANDOM_LENGTH, ClientHello
from halfkey.dtls.messages.encrypted_extensions import EncryptedExtensions
from halfkey.dtls.messages.server_hello import ServerHello
from halfkey.dtls.negotiation import Choice, Negotiated
from halfkey.dtls.proofs import Traffic
from halfkey.dtls.registries import (
    DTLS_1_2,
    DTLS_1_3,
    AlertDescription,
    ExtensionType,
    HandshakeType,
)
from halfkey.dtls.retry import Retry, Settled
from halfkey.dtls.states import SERVER_1_3, State, StateTable
from halfkey.dtls.transcript import Transcript

_ILLEGAL = AlertDescription.ILLEGAL_PARAMETER


class ServerHandshake13(Handshake13):
    """Speaks for a server until the client's Finished has been checked and acknowledged.

    Args:
        configuration: the server's settings.
        channel: stands where the ClientHello begins.
        peer: shown to `Configuration.select`.
        hello: the ClientHello with the good cookie, as the gate has read it.
        settled: what was chosen by the first ClientHello.
        retry: the HelloRetryRequest that this ClientHello answers, if it does.
    """

    states: ClassVar[StateTable] = SERVER_1_3
    own_name: ClassVar[bytes] = b"server"
    peer_name: ClassVar[bytes] = b"client"
    without_certificate: ClassVar[AlertDescription] = AlertDescription.CERTIFICATE_REQUIRED

    def __init__(
        self,
        configuration: Configuration,
        channel: Channel,
        peer: bytes,
        hello: ClientHello,
        settled: Settled,
        retry: Retry | None,
    ) -> None:
        transcript = Transcript(self.version)
        if retry is not None:
            transcript.add_retry(retry.first_hash, retry.encode())
        super().__init__(configuration, channel, State.EXPECT_CLIENT_HELLO, transcript)
        self._peer = peer
        self._hello: ClientHello | None = hello
        self._settled = settled
        self._suite, self._group = settled.suite, settled.group
        self._application: ApplicationSecrets | None = None

    def _handlers(self) -> Mapping[HandshakeType, Callable[[bytes, float], None]]:
        return {
            HandshakeType.CLIENT_HELLO: self._receive_client_hello,
            HandshakeType.CERTIFICATE: self._receive_certificate,
            HandshakeType.CERTIFICATE_VERIFY: self._receive_certificate_verify,
            HandshakeType.FINISHED: self._receive_finished,
        }

    def wipe(self) -> None:
        """See `Stage`."""
        super().wipe()
        if self._application is not None:
            self._application.wipe()

    def _receive_client_hello(self, body: bytes, now: float) -> None:
        # Nothing of it is wanted later, and a stranger chooses how much it is.
        hello, self._hello = present(self._hello), None
        # RFC 8446 section 4.1.2: exactly this.
        if hello.compression_methods != b"\0":
            raise ProtocolFault(_ILLEGAL, "compression offered")
        schemes = hello.extensions.get(ExtensionType.SIGNATURE_ALGORITHMS)
        if schemes is None:
            raise ProtocolFault(AlertDescription.MISSING_EXTENSION, "no signature_algorithms")
        if SIGNING_SCHEME not in codec.decode_uint16_list(schemes):
            raise ProtocolFault(AlertDescription.HANDSHAKE_FAILURE, "no common signature scheme")
        share = self._key_share(hello)
        summary = negotiation.summarize(hello.extensions, self._peer)
        parameters = negotiation.select(self._configuration, summary)
        self.peer_fingerprints = parameters.peer_fingerprints
        choice = negotiation.choose_together(
            parameters.srtp_profiles,
            parameters.ekt_ciphers,
            [self._settled.suite],
            summary,
            hello.cipher_suites,
        )
        self._negotiated = Negotiated(
            choice.srtp_profile, choice.ekt_cipher, negotiation.ExternalIds.of(summary)
        )
        self._answer(share)
        self._queue_protected(choice, parameters, hello)
        self._send_flight(now)
        self._send_as_connected(present(self._application))

    def _key_share(self, hello: ClientHello) -> bytes:
        """The client's public key in the group that was settled on (RFC 8446 section 4.2.8)."""
        shares = codec.decode_key_shares(hello.extensions.get(ExtensionType.KEY_SHARE, b""))
        groups = codec.decode_uint16_list(hello.extensions.get(ExtensionType.SUPPORTED_GROUPS, b""))
        named = [share.group for share in shares]
        if len(set(named)) != len(named) or not set(named) <= set(groups):
            raise ProtocolFault(_ILLEGAL, "key share repeated, or of a group not offered")
        if self._settled.is_group_requested and named != [self._settled.group]:
            raise ProtocolFault(_ILLEGAL, "not the key share that was asked for")
        for share in shares:
            if share.group == self._settled.group:
                return share.key_exchange
        raise ProtocolFault(_ILLEGAL, "no key share of the group")

    def _answer(self, share: bytes) -> None:
        """ServerHello; from there on all is protected."""
        group, random = self._settled.group, self._configuration.random
        server_random = random(RANDOM_LENGTH)
        public_key, shared_secret = key_exchange.respond(group, share, random)
        extensions = {
            int(ExtensionType.SUPPORTED_VERSIONS): codec.encode_uint16(DTLS_1_3),
            ExtensionType.KEY_SHARE: codec.KeyShareEntry(group, public_key).encode(),
        }
        suite = self._settled.suite
        self._queue(
            HandshakeType.SERVER_HELLO,
            ServerHello(DTLS_1_2, server_random, b"", suite, 0, extensions),
        )
        self._protect(shared_secret)

    def _queue_protected(
        self, choice: Choice, parameters: ServerParameters, hello: ClientHello
    ) -> None:
        extensions = negotiation.answer(choice, parameters, hello.extensions)
        self._queue(HandshakeType.ENCRYPTED_EXTENSIONS, EncryptedExtensions(extensions))
        schemes = codec.encode_uint16_list(SUPPORTED_SCHEMES)
        self._queue(
            HandshakeType.CERTIFICATE_REQUEST,
            CertificateRequest(b"", {ExtensionType.SIGNATURE_ALGORITHMS: schemes}),
        )
        self._queue_proofs(parameters.certificate)
        self._application = present(self._secrets).application(self._hash_of_all())

    def _receive_finished(self, body: bytes, now: float) -> None:
        finished = self._verify_finished(body)
        self._complete(finished, present(self._application))
        # The client's last flight has no answer but this (RFC 9147 section 7.1).
        self._channel.acknowledge(self._channel.acknowledgements.take_all())

    def _traffic(self, secrets: ApplicationSecrets) -> Traffic:
        return Traffic(sending=secrets.server, receiving=secrets.client)
