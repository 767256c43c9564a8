"""Attacks on what a peer must prove, which broke other implementations."""

from __future__ import annotations

import dataclasses

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from halfkey.dtls import AlertDescription, Certificate, HandshakeCompleted
from halfkey.dtls.client import ClientHandshake
from halfkey.dtls.handshake import Encodable
from halfkey.dtls.messages.certificate import (
    CertificateMessage,
    CertificateVerify,
)
from halfkey.dtls.messages.finished import Finished
from halfkey.dtls.messages.key_exchange import ClientKeyExchange, ServerKeyExchange
from halfkey.dtls.registries import (
    HandshakeType,
    NamedGroup,
)
from tests.dtls.deviations import Deviate, assert_refused_by, replacing, without
from tests.dtls.helpers import (
    CLIENT_CERTIFICATE,
    SERVER_CERTIFICATE,
    Network,
    client_configuration,
    connected,
    server_configuration,
)

A = AlertDescription
P256_KEY = ec.derive_private_key(12345, ec.SECP256R1()).public_key()
COMPRESSED = P256_KEY.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
UNCOMPRESSED = P256_KEY.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def test_certificate_without_certificate_verify(deviate: Deviate) -> None:
    deviate("client", without(HandshakeType.CERTIFICATE_VERIFY))
    assert_refused_by("server", connected(), A.UNEXPECTED_MESSAGE)


def test_no_certificate_message(deviate: Deviate) -> None:
    deviate("client", without(HandshakeType.CERTIFICATE))
    assert_refused_by("server", connected(), A.UNEXPECTED_MESSAGE)


@pytest.mark.parametrize("side", ["client", "server"])
def test_empty_certificate(deviate: Deviate, side: str) -> None:
    deviate(side, replacing(HandshakeType.CERTIFICATE, lambda message: CertificateMessage(())))
    other = "server" if side == "client" else "client"
    assert_refused_by(other, connected(), A.HANDSHAKE_FAILURE)


@pytest.mark.parametrize("side", ["client", "server"])
def test_somebody_elses_certificate(deviate: Deviate, side: str) -> None:
    """The right certificate, public as it is, without its key."""
    stranger = Certificate.generate("stranger")
    impostor = Certificate(
        (CLIENT_CERTIFICATE if side == "client" else SERVER_CERTIFICATE).der, stranger.private_key
    )
    network = connected(
        client_configuration(**{"certificate": impostor} if side == "client" else {}),
        server_configuration(**{"certificate": impostor} if side == "server" else {}),
    )
    assert_refused_by("server" if side == "client" else "client", network, A.DECRYPT_ERROR)


@pytest.mark.parametrize("side", ["client", "server"])
def test_fingerprint_mismatch(side: str) -> None:
    changes = {"certificate": Certificate.generate("stranger")}
    network = connected(
        client_configuration(**changes if side == "client" else {}),
        server_configuration(**changes if side == "server" else {}),
    )
    assert_refused_by("server" if side == "client" else "client", network, A.BAD_CERTIFICATE)


def test_unreadable_certificate_with_the_right_fingerprint(deviate: Deviate) -> None:
    from halfkey.dtls import Fingerprint

    garbage = b"not a certificate"
    deviate(
        "client", replacing(HandshakeType.CERTIFICATE, lambda _: CertificateMessage((garbage,)))
    )
    server = server_configuration(peer_fingerprints=(Fingerprint.of(garbage),))
    assert_refused_by("server", connected(server=server), A.BAD_CERTIFICATE)


@pytest.mark.parametrize("side", ["client", "server"])
def test_finished_that_is_wrong(deviate: Deviate, side: str) -> None:
    deviate(side, replacing(HandshakeType.FINISHED, lambda message: Finished(bytes(12))))
    network = connected()
    other = "server" if side == "client" else "client"
    assert network.side(other).terminated.alert is A.DECRYPT_ERROR
    assert network.side(other).of(HandshakeCompleted) == []


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (HandshakeType.CERTIFICATE_VERIFY, CertificateVerify(0x0401, b"rsa")),
        (HandshakeType.CERTIFICATE_VERIFY, CertificateVerify(0x0203, b"sha-1")),
    ],
    ids=["rsa", "sha1"],
)
def test_signature_scheme_not_offered(
    deviate: Deviate, kind: HandshakeType, message: Encodable
) -> None:
    deviate("client", replacing(kind, lambda _: message))
    assert_refused_by("server", connected(), A.ILLEGAL_PARAMETER)


# --- key exchange


@pytest.mark.parametrize(
    "public_key",
    [
        COMPRESSED,
        UNCOMPRESSED[:-1],
        UNCOMPRESSED + b"\0",
        b"\x04" + bytes(64),
        b"\x06" + UNCOMPRESSED[1:],
        b"\0",
        UNCOMPRESSED[:-1] + bytes([UNCOMPRESSED[-1] ^ 1]),
    ],
    ids=["compressed", "short", "long", "origin", "hybrid", "infinity", "off_the_curve"],
)
@pytest.mark.parametrize("side", ["client", "server"])
def test_unusable_p256_points(deviate: Deviate, side: str, public_key: bytes) -> None:
    _try_public_key(deviate, side, NamedGroup.SECP256R1, public_key)


@pytest.mark.parametrize(
    "public_key", [bytes(32), b"\1" + bytes(31), bytes(31), bytes(33)], ids=str
)
@pytest.mark.parametrize("side", ["client", "server"])
def test_unusable_x25519_keys(deviate: Deviate, side: str, public_key: bytes) -> None:
    _try_public_key(deviate, side, NamedGroup.X25519, public_key)


def _try_public_key(deviate: Deviate, side: str, group: NamedGroup, public_key: bytes) -> None:
    server = server_configuration(groups=(group,))
    if side == "client":
        change = replacing(
            HandshakeType.CLIENT_KEY_EXCHANGE, lambda message: ClientKeyExchange(public_key)
        )
        deviate("client", change)
        assert_refused_by("server", connected(server=server), A.ILLEGAL_PARAMETER)
        return

    from halfkey.dtls.crypto.signatures import sign
    from halfkey.dtls.messages.key_exchange import encode_parameters

    network = Network(client_configuration(), server)

    def resign(message: ServerKeyExchange) -> ServerKeyExchange:
        """A server that means it: the unusable key is properly signed."""
        handshake = network.server.connection._handshake
        assert handshake is not None
        signed = handshake._client_random + handshake._server_random
        signed += encode_parameters(group, public_key)
        signature = sign(SERVER_CERTIFICATE.private_key, signed)
        return ServerKeyExchange(group, public_key, message.scheme, signature)

    deviate("server", replacing(HandshakeType.SERVER_KEY_EXCHANGE, resign))
    assert_refused_by("client", network.start().run(5), A.ILLEGAL_PARAMETER)


def test_group_not_offered(deviate: Deviate) -> None:
    deviate(
        "server",
        replacing(
            HandshakeType.SERVER_KEY_EXCHANGE, lambda old: dataclasses.replace(old, group=24)
        ),
    )
    assert_refused_by("client", connected(), A.ILLEGAL_PARAMETER)


def test_a_certificate_verify_under_the_wrong_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The right message, but sent after the change of keys that it must come before."""
    import halfkey.dtls.connection as module

    class Deviant(ClientHandshake):
        def _queue(self, message_type: HandshakeType, message: Encodable) -> None:
            if message_type is HandshakeType.CERTIFICATE_VERIFY:
                self.late = message
                return
            if message_type is HandshakeType.FINISHED:
                super()._queue(HandshakeType.CERTIFICATE_VERIFY, self.late)
            super()._queue(message_type, message)

    monkeypatch.setattr(module, "ClientHandshake", Deviant)
    network = connected()
    assert_refused_by("server", network, A.UNEXPECTED_MESSAGE)
    assert network.server.terminated.reason == "message under the wrong key"
