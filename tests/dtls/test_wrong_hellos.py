"""Hellos and other messages that must be refused, each with its alert."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from halfkey.dtls import AlertDescription
from halfkey.dtls.handshake import Encodable
from halfkey.dtls.messages.certificate import (
    CertificateRequest,
)
from halfkey.dtls.messages.client_hello import ClientHello
from halfkey.dtls.messages.server_hello import ServerHello
from halfkey.dtls.registries import (
    CipherSuite,
    ExtensionType,
    HandshakeType,
)
from tests.dtls.deviations import Deviate, assert_refused_by, replacing, with_extensions, without
from tests.dtls.helpers import (
    client_configuration,
    connected,
    of_each_version,
    only_1_2,
    server_configuration,
)

pytestmark = [of_each_version, only_1_2]

A = AlertDescription


def _set(extension: int, content: bytes) -> Callable[..., Encodable]:
    return with_extensions(lambda extensions: extensions.update({int(extension): content}))


def _remove(extension: ExtensionType) -> Callable[..., Encodable]:
    return with_extensions(lambda extensions: extensions.pop(int(extension)))


_UNKNOWN_EXTENSION = 0x1234
E = ExtensionType
SERVER_HELLOS: dict[str, tuple[Callable[..., Encodable], AlertDescription]] = {
    "no_extended_master_secret": (_remove(E.EXTENDED_MASTER_SECRET), A.HANDSHAKE_FAILURE),
    "no_use_srtp": (_remove(E.USE_SRTP), A.HANDSHAKE_FAILURE),
    "two_profiles": (_set(E.USE_SRTP, bytes.fromhex("0004 0009 000a 00")), A.ILLEGAL_PARAMETER),
    "profile_not_offered": (_set(E.USE_SRTP, bytes.fromhex("0002 0001 00")), A.ILLEGAL_PARAMETER),
    "mki_not_offered": (_set(E.USE_SRTP, bytes.fromhex("0002 0009 01 01")), A.ILLEGAL_PARAMETER),
    "malformed_use_srtp": (_set(E.USE_SRTP, b"\0"), A.DECODE_ERROR),
    "ekt_cipher_not_offered": (_set(E.SUPPORTED_EKT_CIPHERS, b"\0"), A.ILLEGAL_PARAMETER),
    "ekt_cipher_list": (_set(E.SUPPORTED_EKT_CIPHERS, b"\x01\x01"), A.DECODE_ERROR),
    "wrong_session_id": (
        _set(E.EXTERNAL_SESSION_ID, b"\x18" + b"x" * 24),
        A.ILLEGAL_PARAMETER,
    ),
    "no_session_id": (_remove(E.EXTERNAL_SESSION_ID), A.ILLEGAL_PARAMETER),
    "short_session_id": (_set(E.EXTERNAL_SESSION_ID, b"\x01x"), A.DECODE_ERROR),
    "renegotiation": (_set(E.RENEGOTIATION_INFO, b"\x01x"), A.HANDSHAKE_FAILURE),
    "wrong_id_hash": (_set(E.EXTERNAL_ID_HASH, b"\x20" + b"x" * 32), A.ILLEGAL_PARAMETER),
    "empty_id_hash": (_set(E.EXTERNAL_ID_HASH, b"\0"), A.ILLEGAL_PARAMETER),
    "no_id_hash": (_remove(E.EXTERNAL_ID_HASH), A.ILLEGAL_PARAMETER),
    "short_id_hash": (_set(E.EXTERNAL_ID_HASH, b"\x1f" + b"x" * 31), A.DECODE_ERROR),
    "not_offered": (_set(_UNKNOWN_EXTENSION, b"\0"), A.UNSUPPORTED_EXTENSION),
    "no_uncompressed_points": (_set(E.EC_POINT_FORMATS, b"\x01\x01"), A.ILLEGAL_PARAMETER),
    "compression": (
        lambda old: dataclasses.replace(old, compression_method=1),
        A.ILLEGAL_PARAMETER,
    ),
    "suite": (lambda old: dataclasses.replace(old, cipher_suite=0xC013), A.ILLEGAL_PARAMETER),
    "version": (lambda old: dataclasses.replace(old, version=0xFEFF), A.PROTOCOL_VERSION),
}


@pytest.mark.parametrize(("change", "alert"), SERVER_HELLOS.values(), ids=SERVER_HELLOS)
def test_server_hellos_that_a_client_refuses(
    deviate: Deviate, change: Callable[..., Encodable], alert: AlertDescription
) -> None:
    deviate("server", replacing(HandshakeType.SERVER_HELLO, change))
    assert_refused_by("client", connected(), alert)


CLIENT_HELLOS: dict[str, tuple[Callable[..., Encodable], AlertDescription]] = {
    "no_extended_master_secret": (_remove(E.EXTENDED_MASTER_SECRET), A.HANDSHAKE_FAILURE),
    "no_use_srtp": (_remove(E.USE_SRTP), A.HANDSHAKE_FAILURE),
    "unknown_profiles": (_set(E.USE_SRTP, bytes.fromhex("0002 0001 00")), A.HANDSHAKE_FAILURE),
    "malformed_use_srtp": (_set(E.USE_SRTP, b"\0\3\0\0\0"), A.DECODE_ERROR),
    "wrong_session_id": (
        _set(E.EXTERNAL_SESSION_ID, b"\x18" + b"x" * 24),
        A.ILLEGAL_PARAMETER,
    ),
    "no_session_id": (_remove(E.EXTERNAL_SESSION_ID), A.ILLEGAL_PARAMETER),
    "malformed_session_id": (_set(E.EXTERNAL_SESSION_ID, b"\x18x"), A.DECODE_ERROR),
    "wrong_id_hash": (_set(E.EXTERNAL_ID_HASH, b"\x20" + b"x" * 32), A.ILLEGAL_PARAMETER),
    "no_id_hash": (_remove(E.EXTERNAL_ID_HASH), A.ILLEGAL_PARAMETER),
    "malformed_id_hash": (_set(E.EXTERNAL_ID_HASH, b"\x21" + b"x" * 33), A.DECODE_ERROR),
    "renegotiation": (_set(E.RENEGOTIATION_INFO, b"\x01x"), A.HANDSHAKE_FAILURE),
    "no_signature_algorithms": (_remove(E.SIGNATURE_ALGORITHMS), A.HANDSHAKE_FAILURE),
    "sha1_only": (_set(E.SIGNATURE_ALGORITHMS, bytes.fromhex("0002 0203")), A.HANDSHAKE_FAILURE),
    "unknown_groups": (_set(E.SUPPORTED_GROUPS, bytes.fromhex("0002 0019")), A.HANDSHAKE_FAILURE),
    "no_uncompressed_points": (_set(E.EC_POINT_FORMATS, b"\x01\x01"), A.ILLEGAL_PARAMETER),
    "unknown_suites": (
        lambda old: dataclasses.replace(old, cipher_suites=(0xC013,)),
        A.HANDSHAKE_FAILURE,
    ),
    "no_null_compression": (
        lambda old: dataclasses.replace(old, compression_methods=b"\1"),
        A.ILLEGAL_PARAMETER,
    ),
    "version": (lambda old: dataclasses.replace(old, version=0xFEFF), A.PROTOCOL_VERSION),
}


@pytest.mark.parametrize(("change", "alert"), CLIENT_HELLOS.values(), ids=CLIENT_HELLOS)
def test_client_hellos_that_a_server_refuses(
    deviate: Deviate, change: Callable[..., Encodable], alert: AlertDescription
) -> None:
    deviate("client", replacing(HandshakeType.CLIENT_HELLO, change))
    assert_refused_by("server", connected(), alert)


def test_unknown_ekt_ciphers_mean_no_ekt(deviate: Deviate) -> None:
    change = _set(E.SUPPORTED_EKT_CIPHERS, b"\x02\x09\x0a")
    deviate("client", replacing(HandshakeType.CLIENT_HELLO, change))
    assert connected().client.completed.ekt_cipher is None


def test_a_server_answers_only_what_a_client_offered(deviate: Deviate) -> None:
    """A client of the barest kind gets keys, and no extension that it doesn't know."""
    bare = {E.EXTENDED_MASTER_SECRET, E.SUPPORTED_GROUPS, E.SIGNATURE_ALGORITHMS, E.USE_SRTP}
    answers: list[ServerHello] = []

    def strip(hello: ClientHello) -> ClientHello:
        kept = {kind: content for kind, content in hello.extensions.items() if kind in bare}
        suites = tuple(one for one in hello.cipher_suites if one in iter(CipherSuite))
        return dataclasses.replace(hello, cipher_suites=suites, extensions=kept)

    def note(hello: ServerHello) -> ServerHello:
        answers.append(hello)
        return hello

    deviate("client", replacing(HandshakeType.CLIENT_HELLO, strip))
    deviate("server", replacing(HandshakeType.SERVER_HELLO, note))
    indifferent = {"peer_external_session_id": None, "peer_external_id_hash": None}
    network = connected(client_configuration(**indifferent), server_configuration(**indifferent))
    assert network.client.completed.keying_material == network.server.completed.keying_material
    assert answers[0].extensions.keys() == {E.EXTENDED_MASTER_SECRET, E.USE_SRTP}
    assert network.client.completed.ekt_cipher is None


def test_a_client_with_a_tls_id_of_nobody_sends_none() -> None:
    network = connected(
        client_configuration(external_session_id=None),
        server_configuration(peer_external_session_id=None, external_session_id=None),
    )
    assert network.client.terminated.reason == "wrong external_session_id"
    network = connected(
        client_configuration(external_session_id=None, peer_external_session_id=None),
        server_configuration(peer_external_session_id=None),
    )
    assert network.server.completed.peer_external_session_id is None


def test_a_client_without_groups_gets_p256(deviate: Deviate) -> None:
    deviate("client", replacing(HandshakeType.CLIENT_HELLO, _remove(E.SUPPORTED_GROUPS)))
    assert connected().client.connection.is_connected


def test_a_server_that_wants_no_certificate(deviate: Deviate) -> None:
    deviate("server", without(HandshakeType.CERTIFICATE_REQUEST))
    assert_refused_by("client", connected(), A.UNEXPECTED_MESSAGE)


@pytest.mark.parametrize(
    "request_", [CertificateRequest(b"\x01", (0x0403,)), CertificateRequest(b"\x40", (0x0401,))]
)
def test_a_server_that_wants_another_kind_of_certificate(
    deviate: Deviate, request_: CertificateRequest
) -> None:
    deviate("server", replacing(HandshakeType.CERTIFICATE_REQUEST, lambda _: request_))
    assert_refused_by("client", connected(), A.HANDSHAKE_FAILURE)


SENT = [
    ("client", HandshakeType.CLIENT_HELLO),
    ("server", HandshakeType.SERVER_HELLO),
    ("server", HandshakeType.CERTIFICATE),
    ("server", HandshakeType.SERVER_KEY_EXCHANGE),
    ("server", HandshakeType.CERTIFICATE_REQUEST),
    ("server", HandshakeType.SERVER_HELLO_DONE),
    ("client", HandshakeType.CERTIFICATE),
    ("client", HandshakeType.CLIENT_KEY_EXCHANGE),
    ("client", HandshakeType.CERTIFICATE_VERIFY),
    ("client", HandshakeType.FINISHED),
    ("server", HandshakeType.FINISHED),
]


@pytest.mark.parametrize(("side", "kind"), SENT, ids=str)
def test_every_malformed_message_is_a_decode_error(
    deviate: Deviate, side: str, kind: HandshakeType
) -> None:
    class Longer:
        def __init__(self, message: Encodable) -> None:
            self.message = message

        def encode(self) -> bytes:
            return self.message.encode() + b"\0"

    deviate(side, replacing(kind, Longer))
    network = connected()
    assert_refused_by("server" if side == "client" else "client", network, A.DECODE_ERROR)
