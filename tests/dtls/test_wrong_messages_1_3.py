"""Hellos and requests of DTLS 1.3 that break its rules, each with its alert (RFC 8446 4)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from halfkey.dtls import AlertDescription, HandshakeCompleted
from halfkey.dtls.handshake import Encodable
from halfkey.dtls.messages.certificate_1_3 import CertificateMessage, CertificateRequest
from halfkey.dtls.messages.client_hello import ClientHello
from halfkey.dtls.registries import DTLS_1_3, ExtensionType, HandshakeType
from tests.dtls.deviations import Deviate, assert_refused_by, replacing, with_extensions
from tests.dtls.helpers import connected, of_each_version, only_1_3

pytestmark = of_each_version

A, E, H = AlertDescription, ExtensionType, HandshakeType
Replace = Callable[..., Encodable]
UNKNOWN_SCHEME = b"\x00\x02\x07\x07"


def remove(extension: ExtensionType) -> Replace:
    return with_extensions(lambda extensions: extensions.pop(int(extension), None))


def put(extension: ExtensionType, content: bytes) -> Replace:
    return with_extensions(lambda extensions: extensions.update({int(extension): content}))


def repeat_share(extensions: dict[int, bytes]) -> None:
    shares = extensions[E.KEY_SHARE][2:]
    extensions[E.KEY_SHARE] = (2 * len(shares)).to_bytes(2, "big") + 2 * shares


def add_share(extensions: dict[int, bytes]) -> None:
    shares = extensions[E.KEY_SHARE][2:] + bytes.fromhex("1234 0001 00")
    extensions[E.KEY_SHARE] = len(shares).to_bytes(2, "big") + shares


def compressing(hello: ClientHello) -> ClientHello:
    return dataclasses.replace(hello, compression_methods=b"\0\1")


CLIENT_HELLOS: dict[str, tuple[Replace, AlertDescription]] = {
    "another compression": (compressing, A.ILLEGAL_PARAMETER),
    "no signature_algorithms": (remove(E.SIGNATURE_ALGORITHMS), A.MISSING_EXTENSION),
    "unknown schemes": (put(E.SIGNATURE_ALGORITHMS, UNKNOWN_SCHEME), A.HANDSHAKE_FAILURE),
    "share twice": (with_extensions(repeat_share), A.ILLEGAL_PARAMETER),
    "share of a group not offered": (with_extensions(add_share), A.ILLEGAL_PARAMETER),
}


@only_1_3
@pytest.mark.parametrize(("replace", "alert"), CLIENT_HELLOS.values(), ids=CLIENT_HELLOS)
def test_client_hellos_that_a_server_refuses(
    deviate: Deviate, replace: Replace, alert: AlertDescription
) -> None:
    deviate("client", replacing(H.CLIENT_HELLO, replace))
    network = connected()
    assert network.server.of(HandshakeCompleted) == network.client.of(HandshakeCompleted) == []
    assert network.server.terminated.alert is alert


def with_context(request: CertificateRequest) -> CertificateRequest:
    return dataclasses.replace(request, certificate_request_context=b"x")


def with_answered_context(message: CertificateMessage) -> CertificateMessage:
    return dataclasses.replace(message, certificate_request_context=b"x")


def with_uncalled_for(message: CertificateMessage) -> CertificateMessage:
    entries = tuple(entry._replace(extensions={0x1234: b""}) for entry in message.entries)
    return dataclasses.replace(message, entries=entries)


REQUESTS: dict[str, tuple[HandshakeType, Replace, AlertDescription]] = {
    "request with a context": (H.CERTIFICATE_REQUEST, with_context, A.ILLEGAL_PARAMETER),
    "request without signature_algorithms": (
        H.CERTIFICATE_REQUEST,
        remove(E.SIGNATURE_ALGORITHMS),
        A.MISSING_EXTENSION,
    ),
    "request for unknown schemes": (
        H.CERTIFICATE_REQUEST,
        put(E.SIGNATURE_ALGORITHMS, UNKNOWN_SCHEME),
        A.HANDSHAKE_FAILURE,
    ),
    "certificate with a context": (H.CERTIFICATE, with_answered_context, A.ILLEGAL_PARAMETER),
    "certificate with an extension": (H.CERTIFICATE, with_uncalled_for, A.UNSUPPORTED_EXTENSION),
    "no key_share": (H.SERVER_HELLO, remove(E.KEY_SHARE), A.MISSING_EXTENSION),
}


@only_1_3
@pytest.mark.parametrize(("kind", "replace", "alert"), REQUESTS.values(), ids=REQUESTS)
def test_messages_of_a_server_that_a_client_refuses(
    deviate: Deviate, kind: HandshakeType, replace: Replace, alert: AlertDescription
) -> None:
    deviate("server", replacing(kind, replace))
    network = connected()
    if kind is H.SERVER_HELLO:
        assert network.client.terminated.alert is alert
        assert network.client.of(HandshakeCompleted) == []
    else:
        assert_refused_by("client", network, alert)


def test_the_version_under_test_is_spoken(version: object) -> None:
    """What the tests above compare with."""
    network = connected()
    assert (network.client.connection._channel.version is DTLS_1_3) == (version is DTLS_1_3)
    assert network.client.completed.keying_material == network.server.completed.keying_material
