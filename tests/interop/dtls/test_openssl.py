"""DTLS 1.2 against OpenSSL, in both roles: every profile, suite and group, and how it ends."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL

from halfkey.dtls import (
    AlertDescription,
    Certificate,
    Configuration,
    Connection,
    ConnectionTerminated,
    HandshakeCompleted,
    Role,
)
from halfkey.dtls.registries import DTLS_1_2, CipherSuite, NamedGroup
from halfkey.profiles import SRTPProtectionProfile
from tests.interop.dtls.openssl_peer import PROFILE_NAMES, OpenSSLPeer

OURS = Certificate.generate("ours")
THEIRS = Certificate.generate("theirs")
BOTH_ROLES = pytest.mark.parametrize("role", list(Role), ids=lambda role: f"as_{role.value}")
CIPHERS = {
    CipherSuite.ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: b"ECDHE-ECDSA-AES128-GCM-SHA256",
    CipherSuite.ECDHE_ECDSA_WITH_AES_256_GCM_SHA384: b"ECDHE-ECDSA-AES256-GCM-SHA384",
    CipherSuite.ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: b"ECDHE-ECDSA-CHACHA20-POLY1305",
}
GROUPS = {NamedGroup.X25519: "x25519", NamedGroup.SECP256R1: "secp256r1"}
PROFILE = SRTPProtectionProfile.DOUBLE_AEAD_AES_128_GCM_AEAD_AES_128_GCM


def ours(role: Role, profile: SRTPProtectionProfile = PROFILE, **changes: object) -> Connection:
    settings: dict[str, object] = {
        "role": role,
        "certificate": OURS,
        "srtp_profiles": (profile,),
        "external_session_id": b"a tls-id that OpenSSL doesn't know",
        "peer_fingerprints": (THEIRS.fingerprint(),),
    }
    return Connection(Configuration(**{**settings, **changes}), b"openssl")  # type: ignore[arg-type]


def theirs(role: Role, profile: int = PROFILE, **changes: object) -> OpenSSLPeer:
    """OpenSSL in the role that is left when we have `role`."""
    return OpenSSLPeer(THEIRS, profile, server=role is Role.CLIENT, **changes)  # type: ignore[arg-type]


def exchange(connection: Connection, peer: OpenSSLPeer) -> None:
    """Carries datagrams until both fall silent."""
    while True:
        outgoing = connection.datagrams_to_send()
        for datagram in outgoing:
            peer.receive_datagram(datagram)
        incoming = peer.datagrams_to_send()
        for datagram in incoming:
            connection.receive_datagram(datagram, 0.0)
        if not outgoing and not incoming:
            return


def handshake(connection: Connection, peer: OpenSSLPeer) -> None:
    connection.start(0.0)
    peer.advance()
    exchange(connection, peer)


def terminated(connection: Connection) -> ConnectionTerminated:
    while (event := connection.next_event()) is not None:
        if isinstance(event, ConnectionTerminated):
            return event
    raise LookupError("not terminated")


@BOTH_ROLES
@pytest.mark.parametrize("profile", list(SRTPProtectionProfile), ids=lambda one: one.name)
def test_both_sides_choose_the_profile_and_export_the_same_keys(
    role: Role, profile: SRTPProtectionProfile
) -> None:
    connection, peer = ours(role, profile), theirs(role, profile)
    handshake(connection, peer)
    assert peer.is_connected
    event = connection.next_event()
    assert isinstance(event, HandshakeCompleted)
    assert event.srtp_profile is profile
    assert event.peer_certificate == THEIRS.der
    assert event.ekt_cipher is None
    assert peer.selected_profile() == PROFILE_NAMES[profile]
    parameters = profile.parameters
    length = 2 * (parameters.key_length + parameters.salt_length)
    material = event.keying_material
    assert peer.export(b"EXTRACTOR-dtls_srtp", length) == (
        material.client_write_key
        + material.server_write_key
        + material.client_write_salt
        + material.server_write_salt
    )
    for context in (None, b"", b"a context"):
        exported = connection.export_keying_material(b"EXPERIMENTAL halfkey", 77, context)
        assert exported == peer.export(b"EXPERIMENTAL halfkey", 77, context)


@BOTH_ROLES
@pytest.mark.parametrize("suite", CIPHERS, ids=lambda suite: suite.name)
@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
def test_every_suite_and_group(role: Role, suite: CipherSuite, group: NamedGroup) -> None:
    # A client names P-256 in any case: in TLS 1.2 that is the leave to send a P-256 certificate.
    groups = (group, NamedGroup.SECP256R1)
    connection = ours(role, versions=(DTLS_1_2,), cipher_suites=(suite,), groups=groups)
    peer = theirs(role, cipher=CIPHERS[suite], p256_only=group is NamedGroup.SECP256R1)
    handshake(connection, peer)
    assert peer.connection.get_group_name() == GROUPS[group]
    assert connection.is_connected
    assert peer.is_connected
    assert peer.connection.get_cipher_name() == CIPHERS[suite].decode()


@BOTH_ROLES
def test_fragmented_flights(role: Role) -> None:
    connection, peer = ours(role, pmtu=256), theirs(role, mtu=256)
    handshake(connection, peer)
    assert connection.is_connected
    assert peer.is_connected


@BOTH_ROLES
def test_datagrams_in_reverse_order(role: Role) -> None:
    connection, peer = ours(role, pmtu=256), theirs(role, mtu=300)
    connection.start(0.0)
    peer.advance()
    for _ in range(10):
        for datagram in reversed(connection.datagrams_to_send()):
            peer.receive_datagram(datagram)
        for datagram in reversed(peer.datagrams_to_send()):
            connection.receive_datagram(datagram, 0.0)
    # OpenSSL may drop what comes before its key; our timer repairs that.
    if (timer := connection.next_timer()) is not None:
        connection.handle_timer(timer)
        exchange(connection, peer)
    assert connection.is_connected
    assert peer.is_connected


@BOTH_ROLES
def test_our_close_notify_is_understood(role: Role) -> None:
    connection, peer = ours(role), theirs(role)
    handshake(connection, peer)
    connection.close(1.0)
    for datagram in connection.datagrams_to_send():
        peer.receive_datagram(datagram)
    with pytest.raises(SSL.ZeroReturnError):
        peer.connection.recv(1)


@BOTH_ROLES
def test_their_close_notify_is_understood(role: Role) -> None:
    connection, peer = ours(role), theirs(role)
    handshake(connection, peer)
    peer.connection.shutdown()
    exchange(connection, peer)
    event = terminated(connection)
    assert event.by_peer
    assert event.alert is AlertDescription.CLOSE_NOTIFY


@BOTH_ROLES
def test_a_foreign_certificate_is_refused_with_bad_certificate(role: Role) -> None:
    connection = ours(role, peer_fingerprints=(OURS.fingerprint(),))
    peer = theirs(role)
    handshake(connection, peer)
    assert terminated(connection).alert is AlertDescription.BAD_CERTIFICATE
    assert not peer.is_connected
    assert "bad certificate" in str(peer.error)


@BOTH_ROLES
def test_no_common_profile_fails_the_handshake(role: Role) -> None:
    connection = ours(role, SRTPProtectionProfile.AEAD_AES_256_GCM)
    handshake(connection, theirs(role, SRTPProtectionProfile.AEAD_AES_128_GCM))
    assert terminated(connection).alert is AlertDescription.HANDSHAKE_FAILURE


@BOTH_ROLES
def test_application_data_is_dropped_and_counted(role: Role) -> None:
    connection, peer = ours(role), theirs(role)
    handshake(connection, peer)
    peer.connection.send(b"DTLS-SRTP has no application data here")
    exchange(connection, peer)
    assert connection.is_connected
    assert connection.counters["unexpected_application_data"] == 1


def test_their_p384_certificate_is_verified() -> None:
    key = ec.generate_private_key(ec.SECP384R1())
    name = x509.Name([])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2070, 1, 1, tzinfo=UTC))
        .sign(key, hashes.SHA384())
    )
    theirs_384 = Certificate(certificate.public_bytes(Encoding.DER), key)
    connection = ours(Role.SERVER, peer_fingerprints=(theirs_384.fingerprint(),))
    peer = OpenSSLPeer(theirs_384, PROFILE, server=False)
    handshake(connection, peer)
    assert connection.is_connected
    assert peer.is_connected
