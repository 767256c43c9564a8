"""Where counters end, and what is rare."""

from __future__ import annotations

import dataclasses

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding

from halfkey.dtls import AlertDescription, Certificate, Connection, Fingerprint
from halfkey.dtls.certificate import _LIFETIME, _NOT_BEFORE
from halfkey.dtls.crypto.aead import FAILURE_LIMIT
from halfkey.dtls.crypto.signatures import certificate_public_key
from halfkey.dtls.faults import ProtocolFault
from halfkey.dtls.messages.ack import Ack
from halfkey.dtls.messages.certificate import CertificateVerify
from halfkey.dtls.messages.client_hello import ClientHello
from halfkey.dtls.registries import DTLS_1_2, DTLS_1_3, ContentType, HandshakeType
from halfkey.ekt.messages import EKTKey
from halfkey.errors import CodecError
from tests.dtls.helpers import (
    Network,
    SealedNumbers,
    client_configuration,
    connected,
    ekt_key,
    handshake_record,
    of_each_version,
    only_1_2,
    server_configuration,
)

pytestmark = of_each_version

A = AlertDescription
RECORD_LIMIT = 23_726_566


def self_signed(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    name = x509.Name([])
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(_NOT_BEFORE)
        .not_valid_after(_NOT_BEFORE + _LIFETIME)
        .sign(key, algorithm)
    )
    return certificate.public_bytes(Encoding.DER)


def use_up(connection: Connection, left: int) -> None:
    """As if the key that seals had sealed all it may, but for a few records."""
    writer = connection._channel.writer
    writer._next[writer.epoch] = RECORD_LIMIT - left


def test_message_seq_never_wraps() -> None:
    network = connected()
    network.server.connection._channel._next_message_seq = 0xFFFF
    network.client.connection._channel.reassembler.next_seq = 0xFFFF
    for spi in (1, 2):
        network.server.connection.send_ekt_key(ekt_key(spi), network.now)
    network.drain()
    network.run(1)
    assert network.server.acknowledged_spis == [1]
    assert network.server.terminated.alert is A.INTERNAL_ERROR
    assert network.client.terminated.by_peer


def test_no_more_records_than_a_key_may_seal() -> None:
    network = connected()
    use_up(network.server.connection, 0)
    network.server.connection.send_ekt_key(ekt_key(), network.now)
    network.drain()
    assert network.server.terminated.alert is A.INTERNAL_ERROR


def test_a_retransmission_counts_as_well() -> None:
    network = connected()
    network.fate = lambda *_: []
    use_up(network.server.connection, 1)
    network.server.connection.send_ekt_key(ekt_key(), network.now)
    network.drain()
    network.run(1)
    assert network.server.terminated.reason == "record limit reached"


def test_no_more_forgeries_than_a_key_may_refuse() -> None:
    network = connected()
    reader = network.client.connection._channel.reader
    reader._epochs[reader.epoch].failures = FAILURE_LIMIT - 1
    forged = {
        DTLS_1_2: b"\x16\xfe\xfd\0\x01" + bytes(5) + b"\x09\0\x20" + bytes(32),
        DTLS_1_3: b"\x2f\0\x09\0\x20" + bytes(32),
    }[network.client.completed.version]
    network.client.connection.receive_datagram(forged, network.now)
    network.drain()
    assert network.client.terminated.alert is A.BAD_RECORD_MAC


@only_1_2
def test_a_protected_record_of_another_version_is_not_opened() -> None:
    network = connected()
    network.fate = lambda *_: []
    before = len(network.datagrams)
    network.server.connection.send_ekt_key(ekt_key(), network.now)
    network.drain()
    ((_, record),) = network.datagrams[before:]
    client = network.client.connection
    client.receive_datagram(record[:2] + b"\xff" + record[3:], network.now)
    assert client.counters["decryption_failed"] == 1
    client.receive_datagram(record, network.now)
    network.drain()
    assert network.client.received_spis == [7]


@only_1_2
def test_remembered_transmissions_are_bounded() -> None:
    network = connected()
    network.fate = lambda *_: []
    network.server.connection.send_ekt_key(ekt_key(), network.now)
    payload = handshake_record(HandshakeType.FINISHED, 5, bytes(12))[13:]
    for _ in range(200):
        network.client.connection._channel.send_record(ContentType.HANDSHAKE, payload)
    for datagram in network.client.connection.datagrams_to_send():
        network.server.connection.receive_datagram(datagram, network.now)
    association = network.server.connection._association
    assert association is not None
    assert len(association._deliveries._transmission._sent) <= 128


def test_a_fragmented_ekt_key_needs_every_fragment_acknowledged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sealed = SealedNumbers(monkeypatch)
    network = connected(client_configuration(pmtu=256), server_configuration(pmtu=256))
    network.fate = lambda *_: []
    key = EKTKey(bytes(16), bytes(256), 7, 60)
    before = len(network.datagrams)
    network.server.connection.send_ekt_key(key, network.now)
    network.drain()
    numbers = sealed.numbers[network.server.connection._channel.writer][-2:]
    assert len(network.datagrams) - before == 2
    for number in numbers:
        assert network.server.acknowledged_spis == []
        ack = Ack((number,)).encode()
        network.client.connection._channel.send_record(ContentType.ACK, ack)
        (datagram,) = network.client.connection.datagrams_to_send()
        network.server.connection.receive_datagram(datagram, network.now)
        network.drain()
    assert network.server.acknowledged_spis == [7]


@pytest.mark.parametrize("side", ["client", "server"])
def test_an_idle_connection_has_nothing_to_do_for_a_timer(side: str) -> None:
    network = connected()
    connection = network.side(side).connection
    connection.handle_timer(network.now + 1e6)
    assert connection.is_connected
    assert connection.datagrams_to_send() == []


@only_1_2
def test_a_hello_verify_request_of_another_version() -> None:
    network = Network(client_configuration(), server_configuration(), lambda *_: []).start()
    request = handshake_record(HandshakeType.HELLO_VERIFY_REQUEST, 0, b"\x03\x03\x01x")
    network.client.connection.receive_datagram(request, network.now)
    network.drain()
    assert network.client.terminated.alert is A.PROTOCOL_VERSION


def test_fingerprints_that_come_too_late_do_no_harm() -> None:
    network = connected(server=server_configuration(peer_fingerprints=None))
    network.run(60)
    assert network.server.terminated.reason == "handshake timed out"
    network.server.connection.set_peer_fingerprints((Fingerprint.of(b""),), network.now)
    assert network.server.connection.next_event() is None


@only_1_2
def test_a_p384_certificate_is_verified() -> None:
    key = ec.generate_private_key(ec.SECP384R1())
    certificate = Certificate(self_signed(key), key)
    network = connected(
        client_configuration(certificate=certificate),
        server_configuration(peer_fingerprints=(certificate.fingerprint(),)),
    )
    assert network.server.completed.peer_certificate == certificate.der


@pytest.mark.parametrize(
    "key", [ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP521R1())]
)
def test_other_keys_are_unsupported(
    key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey,
) -> None:
    with pytest.raises(ProtocolFault) as caught:
        certificate_public_key(self_signed(key))
    assert caught.value.alert is A.UNSUPPORTED_CERTIFICATE


def test_cipher_suites_of_odd_length() -> None:
    hello = ClientHello(0xFEFD, bytes(32), b"", b"", (0xC02B,), b"\0", {})
    encoded = hello.encode()
    assert encoded[36:40] == b"\0\x02\xc0\x2b"
    with pytest.raises(CodecError):
        ClientHello.decode(encoded[:36] + b"\0\x03\xc0\x2b\0" + encoded[40:])


def test_an_empty_signature() -> None:
    empty = dataclasses.replace(CertificateVerify(0x0403, b"x"), signature=b"")
    with pytest.raises(CodecError):
        CertificateVerify.decode(empty.encode())
