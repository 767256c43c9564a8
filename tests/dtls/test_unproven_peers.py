"""Attacks on what a peer must prove, which broke other implementations."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, mlkem
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from halfkey.dtls import AlertDescription, Certificate, Fingerprint, HandshakeCompleted, offer
from halfkey.dtls.client_1_2 import ClientHandshake12
from halfkey.dtls.extensions import KeyShareEntry, encode_key_shares
from halfkey.dtls.handshake import Encodable
from halfkey.dtls.messages import certificate_1_3
from halfkey.dtls.messages.certificate import (
    CertificateMessage,
    CertificateVerify,
)
from halfkey.dtls.messages.finished import Finished
from halfkey.dtls.messages.key_exchange import ClientKeyExchange, ServerKeyExchange
from halfkey.dtls.registries import (
    DTLS_1_2,
    DTLS_1_3,
    ExtensionType,
    HandshakeType,
    NamedGroup,
    ProtocolVersion,
)
from tests.dtls.deviations import Deviate, assert_refused_by, replacing, with_extensions, without
from tests.dtls.helpers import (
    CLIENT_CERTIFICATE,
    SERVER_CERTIFICATE,
    Network,
    client_configuration,
    connected,
    of_each_version,
    only_1_2,
    only_1_3,
    server_configuration,
)

pytestmark = of_each_version

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


def certificates(version: ProtocolVersion, *ders: bytes) -> Encodable:
    if version is DTLS_1_3:
        entries = tuple(certificate_1_3.CertificateEntry(der, {}) for der in ders)
        return certificate_1_3.CertificateMessage(b"", entries)
    return CertificateMessage(ders)


@pytest.mark.parametrize(
    ("version", "side", "alert"),
    [
        (DTLS_1_2, "client", A.HANDSHAKE_FAILURE),
        (DTLS_1_2, "server", A.HANDSHAKE_FAILURE),
        (DTLS_1_3, "client", A.CERTIFICATE_REQUIRED),  # RFC 8446 section 4.4.2.4
        (DTLS_1_3, "server", A.DECODE_ERROR),
    ],
    indirect=["version"],
)
def test_empty_certificate(
    deviate: Deviate, version: ProtocolVersion, side: str, alert: AlertDescription
) -> None:
    deviate(side, replacing(HandshakeType.CERTIFICATE, lambda message: certificates(version)))
    other = "server" if side == "client" else "client"
    assert_refused_by(other, connected(), alert)


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


def test_unreadable_certificate_with_the_right_fingerprint(
    deviate: Deviate, version: ProtocolVersion
) -> None:
    garbage = b"not a certificate"
    deviate(
        "client", replacing(HandshakeType.CERTIFICATE, lambda _: certificates(version, garbage))
    )
    server = server_configuration(peer_fingerprints=(Fingerprint.of(garbage),))
    assert_refused_by("server", connected(server=server), A.BAD_CERTIFICATE)


@pytest.mark.parametrize("side", ["client", "server"])
def test_finished_that_is_wrong(deviate: Deviate, side: str) -> None:
    def zeros(message: Finished) -> Finished:
        return Finished(bytes(len(message.verify_data)))

    deviate(side, replacing(HandshakeType.FINISHED, zeros))
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
def test_unusable_p256_points(
    deviate: Deviate, version: ProtocolVersion, side: str, public_key: bytes
) -> None:
    _try_public_key(deviate, version, side, NamedGroup.SECP256R1, public_key)


@pytest.mark.parametrize(
    "public_key", [bytes(32), b"\1" + bytes(31), bytes(31), bytes(33)], ids=str
)
@pytest.mark.parametrize("side", ["client", "server"])
def test_unusable_x25519_keys(
    deviate: Deviate, version: ProtocolVersion, side: str, public_key: bytes
) -> None:
    _try_public_key(deviate, version, side, NamedGroup.X25519, public_key)


GOOD_X25519 = bytes([9]) + bytes(31)
GOOD_MLKEM = mlkem.MLKEM768PrivateKey.from_seed_bytes(bytes(64)).public_key()
GOOD_SHARE = GOOD_MLKEM.public_bytes_raw() + GOOD_X25519
GOOD_ANSWER = GOOD_MLKEM.encapsulate()[1] + GOOD_X25519


@only_1_3
@pytest.mark.parametrize(
    ("side", "public_key"),
    [
        ("client", GOOD_SHARE[:-1]),
        ("client", GOOD_SHARE + b"\0"),
        ("client", GOOD_SHARE[32:]),
        ("client", GOOD_SHARE[:-32] + bytes(32)),  # X25519 comes to nothing
        ("client", b"\xff" * 1184 + GOOD_X25519),  # coefficients beyond q (FIPS 203 section 7.2)
        ("client", GOOD_X25519),
        ("server", GOOD_ANSWER[:-1]),
        ("server", GOOD_ANSWER + b"\0"),
        ("server", GOOD_ANSWER[:-32] + bytes(32)),
        ("server", GOOD_X25519),
    ],
    ids=lambda one: one if isinstance(one, str) else str(len(one)),
)
def test_unusable_hybrid_shares(
    deviate: Deviate, version: ProtocolVersion, side: str, public_key: bytes
) -> None:
    _try_public_key(deviate, version, side, NamedGroup.X25519MLKEM768, public_key)


@only_1_3
def test_a_hybrid_ciphertext_of_another_key_comes_to_another_secret(deviate: Deviate) -> None:
    """ML-KEM rejects implicitly (FIPS 203 section 6.3): then nothing opens."""
    hello = HandshakeType.SERVER_HELLO
    deviate("server", replacing(hello, _with_share(NamedGroup.X25519MLKEM768, GOOD_ANSWER)))
    network = connected()
    assert network.client.of(HandshakeCompleted) == network.server.of(HandshakeCompleted) == []
    assert network.client.connection.counters["decryption_failed"] > 0


def _with_share(group: NamedGroup, public_key: bytes) -> Callable[..., Encodable]:
    entry = KeyShareEntry(group, public_key)

    def change(extensions: dict[int, bytes]) -> None:
        is_server_hello = ExtensionType.SUPPORTED_GROUPS not in extensions
        share = entry.encode() if is_server_hello else encode_key_shares([entry])
        extensions[ExtensionType.KEY_SHARE] = share

    return with_extensions(change)


def _try_public_key(
    deviate: Deviate, version: ProtocolVersion, side: str, group: NamedGroup, public_key: bytes
) -> None:
    server = server_configuration(groups=(group,))
    if version is DTLS_1_3:
        hello = HandshakeType.CLIENT_HELLO if side == "client" else HandshakeType.SERVER_HELLO
        deviate(side, replacing(hello, _with_share(group, public_key)))
        other = "server" if side == "client" else "client"
        client = client_configuration(groups=(group, NamedGroup.SECP256R1, NamedGroup.X25519))
        assert_refused_by(other, connected(client, server), A.ILLEGAL_PARAMETER)
        return
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


@only_1_2
def test_group_not_offered(deviate: Deviate) -> None:
    deviate(
        "server",
        replacing(
            HandshakeType.SERVER_KEY_EXCHANGE, lambda old: dataclasses.replace(old, group=24)
        ),
    )
    assert_refused_by("client", connected(), A.ILLEGAL_PARAMETER)


@only_1_2
def test_a_certificate_verify_under_the_wrong_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The right message, but sent after the change of keys that it must come before."""

    class Deviant(ClientHandshake12):
        def _queue(self, message_type: HandshakeType, message: Encodable) -> None:
            if message_type is HandshakeType.CERTIFICATE_VERIFY:
                self.late = message
                return
            if message_type is HandshakeType.FINISHED:
                super()._queue(HandshakeType.CERTIFICATE_VERIFY, self.late)
            super()._queue(message_type, message)

    monkeypatch.setitem(offer._HANDSHAKES, DTLS_1_2, Deviant)
    network = connected()
    assert_refused_by("server", network, A.UNEXPECTED_MESSAGE)
    assert network.server.terminated.reason == "message under the wrong key"
