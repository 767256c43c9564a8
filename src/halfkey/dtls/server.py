"""The server's handshake in DTLS 1.2, in protocol order, from a ClientHello with a good cookie."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import ClassVar, TypeVar

from halfkey.dtls import extensions as codec
from halfkey.dtls.channel import Channel
from halfkey.dtls.client import check_point_formats
from halfkey.dtls.configuration import ClientHelloSummary, Configuration, ServerParameters
from halfkey.dtls.crypto import key_exchange
from halfkey.dtls.crypto.aead import SealingKey
from halfkey.dtls.crypto.key_schedule import transcript_hash
from halfkey.dtls.crypto.signatures import SIGNING_SCHEME, SUPPORTED_SCHEMES, sign
from halfkey.dtls.crypto.suites import SUITES, by_strength, is_strong_enough
from halfkey.dtls.faults import ProtocolFault
from halfkey.dtls.handshake import Handshake, present
from halfkey.dtls.messages.certificate import (
    ECDSA_SIGN,
    CertificateMessage,
    CertificateRequest,
    CertificateVerify,
)
from halfkey.dtls.messages.client_hello import RANDOM_LENGTH, ClientHello
from halfkey.dtls.messages.finished import Finished
from halfkey.dtls.messages.key_exchange import (
    ClientKeyExchange,
    ServerKeyExchange,
    encode_parameters,
)
from halfkey.dtls.messages.server_hello import ServerHello, ServerHelloDone
from halfkey.dtls.proofs import FinishedProof, Outcome, verify_finished, verify_possession
from halfkey.dtls.registries import (
    DTLS_1_2,
    TLS_EMPTY_RENEGOTIATION_INFO_SCSV,
    AlertDescription,
    CipherSuite,
    ExtensionType,
    HandshakeType,
    NamedGroup,
)
from halfkey.dtls.states import SERVER_1_2, State, StateTable, plaintext_types
from halfkey.profiles import SRTPProtectionProfile

_FAILURE = AlertDescription.HANDSHAKE_FAILURE
_NULL_COMPRESSION = 0


class ServerHandshake(Handshake):
    """Speaks for a server until its own Finished is sent.

    Args:
        configuration: the server's settings.
        channel: stands where the ClientHello begins.
        peer: shown to `Configuration.select`.
    """

    states: ClassVar[StateTable] = SERVER_1_2
    plaintext_types: ClassVar[frozenset[int]] = plaintext_types(SERVER_1_2)

    def __init__(self, configuration: Configuration, channel: Channel, peer: bytes) -> None:
        super().__init__(configuration, channel, State.EXPECT_CLIENT_HELLO)
        self._peer = peer
        self._server_random = configuration.random(RANDOM_LENGTH)
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
        hello = ClientHello.decode(body)
        # Versions of DTLS count down; a client of a later version offers that elsewhere.
        if hello.version > DTLS_1_2:
            raise ProtocolFault(AlertDescription.PROTOCOL_VERSION, "DTLS 1.2 not offered")
        if _NULL_COMPRESSION not in hello.compression_methods:
            raise ProtocolFault(AlertDescription.ILLEGAL_PARAMETER, "null compression not offered")
        self._client_random = hello.random
        _check_extensions(hello.extensions)
        parameters = self._select(hello.extensions)
        group = choose(self._configuration.groups, _offered_groups(hello.extensions), "group")
        self._srtp_profile = _choose_srtp_profile(parameters.srtp_profiles, hello.extensions)
        suite = self._choose_ciphers(parameters, hello)
        self._suite = SUITES[suite]
        self._queue(HandshakeType.SERVER_HELLO, self._answer(hello, suite, parameters))
        self._queue_certificate_and_keys(parameters, group)
        self._send_flight(now)

    def _choose_ciphers(self, parameters: ServerParameters, hello: ClientHello) -> CipherSuite:
        """Chooses the suite, and with it the EKT cipher: no key may be carried under a weaker one.

        Raises:
            ProtocolFault: handshake_failure if nothing fits.
        """
        ours, profile = self._configuration.cipher_suites, present(self._srtp_profile)
        offered = _offered_ekt_ciphers(hello.extensions)
        ciphers = [cipher for cipher in parameters.ekt_ciphers if cipher in offered]
        for cipher in ciphers:
            for suite in by_strength(ours, cipher.key_length):
                if suite in hello.cipher_suites and is_strong_enough(cipher, profile, suite):
                    self._ekt_cipher = cipher
                    return suite
        if ciphers:
            raise ProtocolFault(_FAILURE, "no common cipher suite that the EKT cipher admits")
        hop = profile.parameters.hop_profile.parameters
        return choose(by_strength(ours, hop.key_length), hello.cipher_suites, "cipher suite")

    def _select(self, extensions: codec.Extensions) -> ServerParameters:
        """Asks the owner who this is, and how to answer."""
        configuration = self._configuration
        self._receive_external_ids(extensions)
        self._check_external_session_id(configuration.peer_external_session_id)
        self._check_external_id_hash(configuration.peer_external_id_hash)
        if configuration.select is None:
            return ServerParameters(
                certificate=present(configuration.certificate),
                srtp_profiles=configuration.srtp_profiles,
                ekt_ciphers=configuration.ekt_ciphers,
                external_session_id=configuration.external_session_id,
                external_id_hash=configuration.external_id_hash,
                peer_fingerprints=configuration.peer_fingerprints,
            )
        summary = ClientHelloSummary(
            srtp_profiles=_offered_srtp_profiles(extensions),
            ekt_ciphers=_offered_ekt_ciphers(extensions),
            external_session_id=self._peer_external_session_id,
            external_id_hash=self._peer_external_id_hash,
            peer=self._peer,
        )
        selected = configuration.select(summary)
        if isinstance(selected, ServerParameters):
            self.peer_fingerprints = selected.peer_fingerprints
            self._check_external_id_hash(selected.peer_external_id_hash)
            return selected
        alert = AlertDescription.ACCESS_DENIED if selected is None else selected
        raise ProtocolFault(alert, "refused by the owner")

    def _answer(
        self, hello: ClientHello, suite: CipherSuite, parameters: ServerParameters
    ) -> ServerHello:
        extensions = {
            int(ExtensionType.EXTENDED_MASTER_SECRET): b"",
            ExtensionType.USE_SRTP: codec.encode_use_srtp([present(self._srtp_profile)]),
        }
        offered = hello.extensions
        if (
            TLS_EMPTY_RENEGOTIATION_INFO_SCSV in hello.cipher_suites
            or ExtensionType.RENEGOTIATION_INFO in offered
        ):
            extensions[ExtensionType.RENEGOTIATION_INFO] = codec.RENEGOTIATION_INFO_INITIAL
        if ExtensionType.EC_POINT_FORMATS in offered:
            extensions[ExtensionType.EC_POINT_FORMATS] = codec.encode_uint8_list(
                [codec.UNCOMPRESSED_POINT_FORMAT]
            )
        if self._ekt_cipher is not None:
            extensions[ExtensionType.SUPPORTED_EKT_CIPHERS] = codec.encode_selected_ekt_cipher(
                self._ekt_cipher
            )
        session_id = parameters.external_session_id
        if session_id is not None and ExtensionType.EXTERNAL_SESSION_ID in offered:
            extensions[ExtensionType.EXTERNAL_SESSION_ID] = codec.encode_external_session_id(
                session_id
            )
        if ExtensionType.EXTERNAL_ID_HASH in offered:
            extensions[ExtensionType.EXTERNAL_ID_HASH] = codec.encode_external_id_hash(
                parameters.external_id_hash
            )
        return ServerHello(DTLS_1_2, self._server_random, b"", suite, _NULL_COMPRESSION, extensions)

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
        finished = verify_finished(
            present(self._schedule),
            b"client",
            Finished.decode(body),
            transcript_hash(present(self._suite), self._transcript.before_latest()),
        )
        self._send_finished(finished, now)
        self.outcome = Outcome(
            present(self._certificate),
            present(self._possession),
            finished,
            present(self._srtp_profile),
            self._ekt_cipher,
            self._peer_external_session_id,
            self._peer_external_id_hash,
        )

    def _send_finished(self, proof: FinishedProof, now: float) -> None:
        messages_hash = transcript_hash(present(self._suite), self._transcript.all())
        self._queue_change_cipher_spec()
        self._channel.writer.protect(present(self._sealing))
        verify_data = proof.schedule.verify_data(b"server", messages_hash)
        self._queue(HandshakeType.FINISHED, Finished(verify_data))
        # The last flight has no timer: the client asks for it again (RFC 6347 section 4.2.4).
        self._send_flight(now, awaits_answer=False)


_Choice = TypeVar("_Choice", bound=int)


def choose(ours: Iterable[_Choice], theirs: Iterable[int], what: str) -> _Choice:
    """The first of ours that the client offers.

    Raises:
        ProtocolFault: handshake_failure if there is none.
    """
    offered = frozenset(theirs)
    for candidate in ours:
        if candidate in offered:
            return candidate
    raise ProtocolFault(_FAILURE, f"no common {what}")


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


def _offered_srtp_profiles(extensions: codec.Extensions) -> tuple[int, ...]:
    content = extensions.get(ExtensionType.USE_SRTP)
    return () if content is None else codec.decode_use_srtp(content)[0]


def _choose_srtp_profile(
    ours: tuple[SRTPProtectionProfile, ...], extensions: codec.Extensions
) -> SRTPProtectionProfile:
    return choose(ours, _offered_srtp_profiles(extensions), "SRTP protection profile")


def _offered_ekt_ciphers(extensions: codec.Extensions) -> tuple[int, ...]:
    content = extensions.get(ExtensionType.SUPPORTED_EKT_CIPHERS)
    return () if content is None else codec.decode_uint8_list(content)
