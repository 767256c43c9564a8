"""Attacks that broke other implementations, each named by what it tries."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from halfkey.dtls import AlertDescription, Certificate, Event, HandshakeCompleted
from halfkey.dtls.client import ClientHandshake
from halfkey.dtls.handshake import Encodable
from halfkey.dtls.messages.certificate import (
    CertificateMessage,
    CertificateRequest,
    CertificateVerify,
)
from halfkey.dtls.messages.client_hello import ClientHello
from halfkey.dtls.messages.finished import Finished
from halfkey.dtls.messages.key_exchange import ClientKeyExchange, ServerKeyExchange
from halfkey.dtls.messages.server_hello import ServerHello
from halfkey.dtls.registries import (
    AlertLevel,
    ContentType,
    ExtensionType,
    HandshakeType,
    NamedGroup,
)
from halfkey.dtls.states import State
from tests.dtls.helpers import (
    CLIENT_CERTIFICATE,
    SERVER_CERTIFICATE,
    Change,
    Network,
    client_configuration,
    connected,
    deliver,
    deviant,
    ekt_key,
    handshake_record,
    plaintext_record,
    server_configuration,
    split_records,
)

A = AlertDescription
P256_KEY = ec.derive_private_key(12345, ec.SECP256R1()).public_key()
COMPRESSED = P256_KEY.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
UNCOMPRESSED = P256_KEY.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


@pytest.fixture
def deviate(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Change], None]:
    """Makes one side's handshakes deviate from the protocol."""

    def apply(side: str, change: Change) -> None:
        import halfkey.dtls.connection as module

        name = {"client": "ClientHandshake", "server": "ServerHandshake"}[side]
        monkeypatch.setattr(module, name, deviant(getattr(module, name), change))

    return apply


Deviate = Callable[[str, Change], None]


def without(unwanted: HandshakeType) -> Change:
    return lambda kind, message: None if kind is unwanted else message


def replacing(wanted: HandshakeType, replace: Callable[..., Encodable]) -> Change:
    return lambda kind, message: replace(message) if kind is wanted else message


def with_extensions(change: Callable[[dict[int, bytes]], None]) -> Callable[..., Encodable]:
    def apply(hello: ClientHello | ServerHello) -> ClientHello | ServerHello:
        extensions = dict(hello.extensions)
        change(extensions)
        return dataclasses.replace(hello, extensions=extensions)

    return apply


def assert_refused_by(side: str, network: Network, alert: AlertDescription) -> None:
    assert network.side(side).terminated.alert is alert
    for name in ("client", "server"):
        assert not network.side(name).connection.is_connected
    # The one that refused never announced the peer as authenticated.
    assert network.side(side).of(HandshakeCompleted) == []


# --- what a client must prove


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


# --- what hellos say


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
    other = "server" if side == "client" else "client"
    assert network.side(other).terminated.alert is A.DECODE_ERROR


# --- noise from the path, while a handshake runs and after it


def noise() -> list[bytes]:
    alerts = [bytes([level, kind]) for level in (1, 2) for kind in (0, 10, 20, 40, 80)]
    return [
        *(plaintext_record(ContentType.ALERT, alert) for alert in alerts),
        plaintext_record(ContentType.ALERT, b"\x02"),
        plaintext_record(ContentType.CHANGE_CIPHER_SPEC, b"\x01"),
        plaintext_record(ContentType.CHANGE_CIPHER_SPEC, b"\x02"),
        plaintext_record(ContentType.APPLICATION_DATA, b"hello"),
        plaintext_record(ContentType.ACK, b"\0\x10" + bytes(16)),
        plaintext_record(99, b"?"),
        plaintext_record(ContentType.HANDSHAKE, b""),
        plaintext_record(ContentType.HANDSHAKE, b"\x01\0\0\x05"),
        plaintext_record(ContentType.HANDSHAKE, bytes(20000)),
        b"\x16",
        b"\x16\xfe\xfd\0\0",
        b"\x16\x03\x03" + bytes(10),
        b"\x16\xfe\xfd\0\x01" + bytes(6) + b"\0\x20" + bytes(32),
        b"\x16\xfe\xfd\0\x02" + bytes(6) + b"\0\x20" + bytes(32),
        b"\x16\xfe\xfd\xff\xff" + b"\xff" * 6 + b"\0\x20" + bytes(32),
        b"",
        handshake_record(HandshakeType.HELLO_REQUEST, 0, b""),
        handshake_record(HandshakeType.CLIENT_HELLO, 0, bytes(50)),
        handshake_record(HandshakeType.FINISHED, 60000, bytes(12)),
    ]


def test_noise_changes_nothing_in_any_state() -> None:
    """Noise before and after every record of a handshake, to both sides."""
    network = Network(client_configuration(), server_configuration())

    def fate(index: int, sender: str, datagram: bytes) -> list[tuple[float, bytes]]:
        records = split_records(datagram)
        flow = [piece for record in records for piece in (*noise(), record)]
        return [(0.01, piece) for piece in (*flow, *noise())]

    network.fate = fate

    def on_event(name: str, event: Event) -> None:
        if name == "server" and isinstance(event, HandshakeCompleted):
            network.server.connection.send_ekt_key(ekt_key(), network.now)

    network.on_event = on_event
    network.start().run(0.39)  # before any timer: nothing was set back
    assert network.client.completed.keying_material == network.server.completed.keying_material
    assert network.client.received_spis == network.server.acknowledged_spis == [7]
    assert network.client.connection.counters["plaintext_alert"] > 10


def test_a_stray_client_hello_never_disturbs_a_connection() -> None:
    network = connected()
    hellos = [datagram for name, datagram in network.datagrams if name == "client"][:2]
    before = len(network.datagrams)
    for hello in hellos * 3:
        network.server.connection.receive_datagram(hello, network.now)
    network.drain()
    assert len(network.datagrams) == before
    assert network.server.connection.is_connected
    assert network.server.connection.counters["late_plaintext"] == 6


@pytest.mark.parametrize("side", ["client", "server"])
def test_replayed_and_forged_records_are_counted(side: str) -> None:
    network = connected()
    network.server.connection.send_ekt_key(ekt_key(), network.now)
    network.drain()
    network.run(1)
    other = "server" if side == "client" else "client"
    protected = [
        record
        for name, datagram in network.datagrams
        if name == other
        for record in split_records(datagram)
        if record[4] == 1
    ]
    connection = network.side(side).connection
    before = dict(connection.counters)
    for record in protected:
        connection.receive_datagram(record, network.now)
        forged = record[:10] + bytes([record[10] + 40]) + record[11:]
        connection.receive_datagram(forged, network.now)
        connection.receive_datagram(record[:-1] + bytes([record[-1] ^ 1]), network.now)
    assert connection.datagrams_to_send() == []
    assert connection.next_event() is None
    assert connection.counters["replayed"] - before["replayed"] == 2 * len(protected)
    assert connection.counters["decryption_failed"] == len(protected)


def test_a_forgery_does_not_move_the_replay_window() -> None:
    network = connected()
    header = b"\x16\xfe\xfd\0\x01" + b"\xff" * 6 + b"\0\x40"
    network.client.connection.receive_datagram(header + bytes(64), network.now)
    network.server.connection.send_ekt_key(ekt_key(), network.now)
    network.drain()
    network.run(1)
    assert network.client.received_spis == [7]


def test_renegotiation_is_declined_and_harmless() -> None:
    network = connected()
    for sender, kind in (
        ("client", HandshakeType.CLIENT_HELLO),
        ("server", HandshakeType.HELLO_REQUEST),
    ):
        side = network.side(sender)
        payload = handshake_record(kind, 0, b"")[13:]
        side.connection._channel.send_record(ContentType.HANDSHAKE, payload)
    network.drain()
    network.run(1)
    for name in ("client", "server"):
        connection = network.side(name).connection
        assert connection.is_connected
        assert connection.counters["warning_alert"] == 1


@pytest.mark.parametrize("sender", ["client", "server"])
def test_a_late_handshake_message_is_unexpected(sender: str) -> None:
    network = connected()
    channel = network.side(sender).connection._channel
    payload = handshake_record(HandshakeType.FINISHED, channel.take_message_seq(), bytes(12))[13:]
    channel.send_record(ContentType.HANDSHAKE, payload)
    network.drain()
    network.run(1)
    other = "server" if sender == "client" else "client"
    assert network.side(other).terminated.alert is A.UNEXPECTED_MESSAGE
    assert network.side(sender).terminated.alert is A.UNEXPECTED_MESSAGE
    assert network.side(sender).terminated.by_peer


def test_a_protected_fatal_alert_ends_the_connection() -> None:
    network = connected()
    network.client.connection._channel.send_alert(AlertLevel.FATAL, A.INTERNAL_ERROR)
    network.drain()
    network.run(1)
    assert network.server.terminated.alert is A.INTERNAL_ERROR
    assert network.server.connection.state is State.TERMINATED


def test_a_plaintext_finished_does_not_stand_in_the_way() -> None:
    """What is injected in epoch 0 under Finished's number is not mixed up with it."""

    def fate(index: int, sender: str, datagram: bytes) -> list[tuple[float, bytes]]:
        fakes = [handshake_record(kind, seq, bytes(12)) for kind in (20, 26) for seq in (5, 6, 7)]
        return [(0.01, fake) for fake in fakes] + deliver(index, sender, datagram)

    network = Network(client_configuration(), server_configuration(), fate)
    network.start().run(0.39)
    assert network.server.completed.keying_material == network.client.completed.keying_material


def test_a_server_that_only_sends_cookies() -> None:
    network = Network(client_configuration(), server_configuration(), lambda *_: [])
    network.start()
    for seq in range(6):
        request = handshake_record(3, seq, b"\xfe\xff\x01" + bytes([seq]))
        network.client.connection.receive_datagram(request, network.now)
        network.drain()
    assert len(network.client.sent) == 5 + 1  # the hello, four answers, the alert
    assert network.client.terminated.alert is A.HANDSHAKE_FAILURE


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


def test_alerts_that_came_before_their_key_end_an_association_once() -> None:
    network = Network(client_configuration(), server_configuration())
    network.fate = lambda index, sender, datagram: (
        [] if index >= 4 else deliver(index, sender, datagram)
    )
    network.start().run(0.1)
    (flight,) = (datagram for _, datagram in network.datagrams[4:])
    for _ in range(3):
        network.client.connection._channel.send_alert(AlertLevel.FATAL, A.INTERNAL_ERROR)
    server = network.server.connection
    for record in network.client.connection.datagrams_to_send():
        server.receive_datagram(record, network.now)
    assert server.state is State.EXPECT_CERTIFICATE
    server.receive_datagram(flight, network.now)
    network.drain()
    assert network.server.terminated.alert is A.INTERNAL_ERROR
    assert network.server.of(HandshakeCompleted) == []


def test_what_was_left_of_plain_text_is_forgotten() -> None:
    network = Network(client_configuration(), server_configuration())
    half = plaintext_record(ContentType.HANDSHAKE, bytes.fromhex("0b 000100 0007 000000 000001 30"))
    network.fate = lambda index, sender, datagram: [(0.01, half), (0.01, datagram)]
    network.start()
    most = 0
    sides = [network.client.connection, network.server.connection]
    while not all(side.is_connected for side in sides):
        network.step(network.now + 1)
        most = max(most, *(side._channel.reassembler.held_bytes for side in sides))
    assert most >= 256
    assert [side._channel.reassembler.held_bytes for side in sides] == [0, 0]
