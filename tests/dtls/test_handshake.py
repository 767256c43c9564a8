"""Whole handshakes between our own two sides, on virtual time."""

from __future__ import annotations

import dataclasses
from itertools import product

import pytest

from halfkey.dtls import (
    AlertDescription,
    ClientHelloSummary,
    Connection,
    HandshakeCompleted,
    ServerParameters,
)
from halfkey.dtls.crypto.suites import SUITES
from halfkey.dtls.registries import DTLS_1_2, DTLS_1_3, CipherSuite, NamedGroup, ProtocolVersion
from halfkey.dtls.states import State
from halfkey.ekt.messages import EKTCipher
from halfkey.errors import UsageError
from halfkey.profiles import DOUBLE_128, DOUBLE_256, SRTPProtectionProfile
from tests.dtls.helpers import (
    CLIENT_CERTIFICATE,
    CLIENT_ID_HASH,
    CLIENT_SESSION_ID,
    PEER,
    SERVER_CERTIFICATE,
    SERVER_ID_HASH,
    SERVER_SESSION_ID,
    Network,
    SealedNumbers,
    client_configuration,
    connected,
    of_each_version,
    server_configuration,
)

pytestmark = of_each_version


def test_both_sides_learn_the_same() -> None:
    network = connected()
    client, server = network.client.completed, network.server.completed
    assert client.srtp_profile is server.srtp_profile is DOUBLE_128
    assert client.ekt_cipher is server.ekt_cipher is EKTCipher.AESKW128
    assert client.peer_certificate == SERVER_CERTIFICATE.der
    assert server.peer_certificate == CLIENT_CERTIFICATE.der
    assert client.peer_external_session_id == SERVER_SESSION_ID
    assert server.peer_external_session_id == CLIENT_SESSION_ID
    assert client.peer_external_id_hash == SERVER_ID_HASH
    assert server.peer_external_id_hash == CLIENT_ID_HASH
    assert client.keying_material == server.keying_material
    for side in (network.client.connection, network.server.connection):
        assert side.is_connected
        assert side.next_timer() is None


def speakable() -> list[tuple[ProtocolVersion, CipherSuite, NamedGroup]]:
    return [
        (SUITES[suite].version, suite, group)
        for suite, group in product(CipherSuite, NamedGroup)
        if SUITES[suite].version is DTLS_1_3 or not group.is_hybrid
    ]


@pytest.mark.parametrize(
    ("version", "suite", "group"),
    speakable(),
    indirect=["version"],
    ids=lambda one: one.name,
)
def test_every_suite_and_group(
    version: ProtocolVersion, suite: CipherSuite, group: NamedGroup
) -> None:
    network = connected(
        client_configuration(),
        server_configuration(cipher_suites=(suite,), groups=(group,)),
    )
    assert network.client.completed.keying_material == network.server.completed.keying_material
    for side in (network.client, network.server):
        completed = side.completed
        assert (completed.version, completed.cipher_suite, completed.group) == (
            version,
            suite,
            group,
        )


@pytest.mark.parametrize("profile", list(SRTPProtectionProfile), ids=lambda one: one.name)
def test_keying_material_has_the_profiles_lengths(profile: SRTPProtectionProfile) -> None:
    network = connected(
        client_configuration(srtp_profiles=(profile,)),
        server_configuration(srtp_profiles=(profile,)),
    )
    material = network.client.completed.keying_material
    values = dataclasses.astuple(material)
    key, salt = profile.parameters.key_length, profile.parameters.salt_length
    assert [len(value) for value in values] == [key, key, salt, salt]
    assert len(set(values)) == 4
    assert dataclasses.astuple(material.outer()) == tuple(v[len(v) // 2 :] for v in values)


def test_the_servers_order_of_profiles_decides() -> None:
    network = connected(server=server_configuration(srtp_profiles=(DOUBLE_256, DOUBLE_128)))
    assert network.client.completed.srtp_profile is DOUBLE_256


@pytest.mark.parametrize("side", ["client", "server"])
def test_without_ekt_on_one_side_there_is_none(side: str) -> None:
    changes = {"ekt_ciphers": ()}
    network = connected(
        client_configuration(**changes if side == "client" else {}),
        server_configuration(**changes if side == "server" else {}),
    )
    assert network.client.completed.ekt_cipher is None
    assert network.server.completed.ekt_cipher is None


@pytest.mark.parametrize("pmtu", [256, 400, 1200])
def test_no_datagram_exceeds_the_pmtu(pmtu: int) -> None:
    network = connected(client_configuration(pmtu=pmtu), server_configuration(pmtu=pmtu))
    assert network.client.completed.keying_material == network.server.completed.keying_material
    assert max(len(datagram) for _, datagram in network.datagrams) <= pmtu


def test_injected_randomness_and_time_replay_exactly() -> None:
    # But for ML-KEM's encapsulation, whose randomness the library takes from nobody.
    runs = [
        connected(
            client_configuration(groups=(group,)), server_configuration(groups=(group,))
        ).datagrams
        for group in NamedGroup
        if not group.is_hybrid
        for _ in range(2)
    ]
    assert runs[0] == runs[1]
    assert runs[2] == runs[3]
    assert runs[0] != runs[2]


def test_no_record_number_is_used_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    sealed = SealedNumbers(monkeypatch)

    def fate(index: int, sender: str, datagram: bytes) -> list[tuple[float, bytes]]:
        return [] if 3 <= index < 8 else [(0.01, datagram)]

    network = Network(client_configuration(), server_configuration(), fate).start().run()
    assert network.client.connection.is_connected
    sealed.assert_unique()


def test_exporters_agree_and_depend_on_label_and_context() -> None:
    network = connected()
    exported = set()
    for label in (b"EXPERIMENTAL one", b"EXPERIMENTAL two"):
        for context in (None, b"", b"context"):
            ours = network.client.connection.export_keying_material(label, 50, context)
            theirs = network.server.connection.export_keying_material(label, 50, context)
            assert ours == theirs
            exported.add(ours)
    # In 1.3 no context is the same as an empty one (RFC 8446 section 7.5).
    assert len(exported) == (4 if network.client.completed.version is DTLS_1_3 else 6)


def test_the_exporter_needs_a_connection_and_a_free_label() -> None:
    with pytest.raises(UsageError):
        Connection(client_configuration(), PEER).export_keying_material(b"EXPERIMENTAL", 16)
    with pytest.raises(UsageError):
        connected().client.connection.export_keying_material(b"master secret", 16)


def test_a_connection_is_started_once() -> None:
    connection = Connection(client_configuration(), PEER)
    connection.start(0.0)
    with pytest.raises(UsageError):
        connection.start(0.0)


def test_select_sees_the_offer_and_answers_it() -> None:
    seen: list[ClientHelloSummary] = []

    def select(summary: ClientHelloSummary) -> ServerParameters:
        seen.append(summary)
        return ServerParameters(
            certificate=SERVER_CERTIFICATE,
            srtp_profiles=(DOUBLE_256,),
            ekt_ciphers=(EKTCipher.AESKW256,),
            external_session_id=SERVER_SESSION_ID,
            external_id_hash=SERVER_ID_HASH,
            peer_fingerprints=(CLIENT_CERTIFICATE.fingerprint(),),
        )

    server = server_configuration(select=select, certificate=None, srtp_profiles=())
    network = connected(server=server)
    assert seen == [
        ClientHelloSummary(
            srtp_profiles=(DOUBLE_128, DOUBLE_256),
            ekt_ciphers=(1, 2),
            external_session_id=CLIENT_SESSION_ID,
            external_id_hash=CLIENT_ID_HASH,
            peer=PEER,
        )
    ]
    assert network.client.completed.srtp_profile is DOUBLE_256
    assert network.client.completed.ekt_cipher is EKTCipher.AESKW256


@pytest.mark.parametrize(
    ("expected", "is_refused"), [(CLIENT_ID_HASH, False), (SERVER_ID_HASH, True), (b"", True)]
)
def test_select_says_whose_assertion_it_must_be(expected: bytes, is_refused: bool) -> None:
    answer = ServerParameters(
        certificate=SERVER_CERTIFICATE,
        srtp_profiles=(DOUBLE_256,),
        external_session_id=SERVER_SESSION_ID,
        external_id_hash=SERVER_ID_HASH,
        peer_fingerprints=(CLIENT_CERTIFICATE.fingerprint(),),
        peer_external_id_hash=expected,
    )
    network = connected(server=server_configuration(select=lambda summary: answer))
    assert (network.server.of(HandshakeCompleted) == []) is is_refused
    if is_refused:
        assert network.server.terminated.alert is AlertDescription.ILLEGAL_PARAMETER


def test_without_an_identity_the_extension_is_empty() -> None:
    none = {"external_id_hash": b"", "peer_external_id_hash": b""}
    network = connected(client_configuration(**none), server_configuration(**none))
    assert network.client.completed.peer_external_id_hash == b""
    assert network.server.completed.peer_external_id_hash == b""


@pytest.mark.parametrize(
    ("answer", "alert"),
    [
        (None, AlertDescription.ACCESS_DENIED),
        (AlertDescription.ILLEGAL_PARAMETER, AlertDescription.ILLEGAL_PARAMETER),
    ],
)
def test_select_can_refuse(
    version: ProtocolVersion, answer: AlertDescription | None, alert: AlertDescription
) -> None:
    network = connected(server=server_configuration(select=lambda summary: answer))
    assert network.server.terminated.alert is alert
    # The refusal reaches the client in plain text, so it only explains the timeout.
    assert (
        network.client.connection.state
        is {
            DTLS_1_2: State.EXPECT_SERVER_HELLO,
            DTLS_1_3: State.EXPECT_SECOND_SERVER_HELLO,
        }[version]
    )
    network.run(60)
    assert network.client.terminated.reason == "handshake timed out"
    assert network.client.terminated.alert is None
    assert network.client.terminated.hint is alert


@pytest.mark.parametrize("held", ["client", "server"])
def test_a_handshake_waits_for_fingerprints(held: str) -> None:
    changes = {"peer_fingerprints": None}
    network = connected(
        client_configuration(**changes if held == "client" else {}),
        server_configuration(**changes if held == "server" else {}),
    )
    side = network.side(held)
    assert side.connection.state is State.EXPECT_CERTIFICATE
    other = SERVER_CERTIFICATE if held == "client" else CLIENT_CERTIFICATE
    side.connection.set_peer_fingerprints((other.fingerprint(),), network.now)
    with pytest.raises(UsageError):
        side.connection.set_peer_fingerprints((other.fingerprint(),), network.now)
    network.drain()
    network.run(5)
    assert network.client.completed.keying_material == network.server.completed.keying_material


def test_held_and_then_the_wrong_fingerprint() -> None:
    network = connected(server=server_configuration(peer_fingerprints=None))
    server = network.server.connection
    server.set_peer_fingerprints((SERVER_CERTIFICATE.fingerprint(),), network.now)
    network.drain()
    assert network.server.terminated.alert is AlertDescription.BAD_CERTIFICATE


def test_close_is_seen_by_the_peer_and_forgets_everything() -> None:
    network = connected()
    client = network.client.connection
    client.close(network.now)
    client.close(network.now)
    network.drain()
    network.run(1)
    assert network.client.terminated.by_peer is False
    assert network.server.terminated.by_peer is True
    assert network.server.terminated.alert is AlertDescription.CLOSE_NOTIFY
    with pytest.raises(UsageError):
        client.export_keying_material(b"EXPERIMENTAL", 16)
    client.receive_datagram(network.datagrams[-1][1], network.now)
    assert client.counters["terminated"] == 2


def test_silence_ends_a_handshake() -> None:
    network = Network(client_configuration(), server_configuration(), lambda *_: [])
    network.start().run(200)
    assert network.client.terminated.reason == "handshake timed out"
    moments = len(network.client.sent)
    assert moments == 7  # 0, 0.4, 1.2, 2.8, 6.0, 12.4, 25.2 s; over at 30 s
    assert network.server.events == []


def test_attempts_are_capped_before_the_deadline() -> None:
    client = client_configuration(maximum_transmissions=3)
    network = Network(client, server_configuration(), lambda *_: []).start().run(200)
    assert len(network.client.sent) == 3
    assert network.client.terminated.reason == "handshake timed out"


def test_a_server_gives_up_on_a_client_that_fell_silent() -> None:
    def fate(index: int, sender: str, datagram: bytes) -> list[tuple[float, bytes]]:
        return [] if index >= 4 else [(0.01, datagram)]

    network = Network(client_configuration(), server_configuration(), fate).start().run(29)
    assert network.server.connection.state is State.EXPECT_CERTIFICATE
    network.run(200)
    assert network.server.terminated.reason == "handshake timed out"


def test_timers_called_early_do_nothing() -> None:
    connection = Connection(client_configuration(), PEER)
    connection.start(0.0)
    assert len(connection.datagrams_to_send()) == 1
    connection.handle_timer(0.39)
    assert connection.datagrams_to_send() == []
    assert connection.next_timer() == pytest.approx(0.4)
    connection.handle_timer(0.4)
    assert len(connection.datagrams_to_send()) == 1
    assert connection.next_timer() == pytest.approx(1.2)


def test_retransmissions_shrink_when_nothing_comes_back() -> None:
    def fate(index: int, sender: str, datagram: bytes) -> list[tuple[float, bytes]]:
        return [] if len(datagram) > 548 else [(0.01, datagram)]

    network = Network(client_configuration(), server_configuration(), fate).start().run()
    assert network.client.completed.keying_material == network.server.completed.keying_material


def test_no_secret_is_shown() -> None:
    network = connected()
    shown = repr(network.client.events) + str(network.client.completed.keying_material)
    material = network.client.completed.keying_material
    for value in dataclasses.astuple(material):
        assert repr(value)[2:-1] not in shown
        assert value.hex() not in shown
    assert isinstance(network.client.events[0], HandshakeCompleted)
    assert "private_key" not in repr(client_configuration())
