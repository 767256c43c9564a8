"""The key schedule of DTLS 1.3 against a second one, worked out from the RFCs' text alone.

With the shared secret, which nobody else has, the second one opens every record of a handshake from
the datagrams, and comes to the same Finished, keys after KeyUpdate, and exported keys.
"""

from __future__ import annotations

import dataclasses

import pytest
from cryptography.hazmat.primitives import hashes

from halfkey.dtls.crypto import key_exchange
from halfkey.dtls.crypto.key_schedule_1_3 import expand_label
from halfkey.dtls.messages.framing import decode_fragments
from halfkey.dtls.registries import DTLS_1_3, CipherSuite, ContentType, NamedGroup
from tests.dtls.helpers import (
    RECORD_HEADER,
    Network,
    client_configuration,
    connected,
    ekt_key,
    is_unified,
    server_configuration,
    split_records,
)
from tests.reference import dtls13

SUITE = CipherSuite.AES_128_GCM_SHA256


def test_the_reference_against_rfc_8448() -> None:
    """RFC 8448 section 3, for TLS: the early secret, and what is derived from it."""
    early = dtls13.extract(dtls13.ZEROS, dtls13.ZEROS)
    assert early.hex() == "33ad0a1c607ec03b09e6cd9893680ce210adf300aa1f2660e1b22e10f170f92a"
    derived = dtls13.derive_secret(early, b"derived", b"", b"tls13 ")
    assert derived.hex() == "6f2615a108c702c5678f54fc9dbab69716c076189c48250cebeac3576c3611ba"
    # With DTLS's label another (RFC 9147 section 5.9).
    assert dtls13.derive_secret(early, b"derived", b"") != derived


def test_expand_label_is_the_same() -> None:
    for label, context, length in ((b"key", b"", 16), (b"derived", bytes(32), 32), (b"", b"x", 99)):
        ours = expand_label(hashes.SHA256(), b"s" * 32, label, context, length)
        assert bytes(ours) == dtls13.expand_label(b"s" * 32, label, context, length)


class Wiretap:
    """Puts together what was sent in the clear, and with a key what wasn't."""

    def __init__(self, network: Network) -> None:
        self.records = [
            (sender, record)
            for sender, datagram in network.datagrams
            for record in split_records(datagram)
        ]

    def plaintext_messages(self, sender: str) -> list[tuple[int, bytes]]:
        return self._messages(
            record[RECORD_HEADER:]
            for name, record in self.records
            if name == sender and not is_unified(record)
        )

    def protected(self, sender: str, epoch: int, secret: bytes) -> list[tuple[int, int, bytes]]:
        return [
            dtls13.open_record(secret, record)
            for name, record in self.records
            if name == sender and is_unified(record) and record[0] & 3 == epoch & 3
        ]

    def messages(self, sender: str, epoch: int, secret: bytes) -> list[tuple[int, bytes]]:
        opened = self.protected(sender, epoch, secret)
        assert [number for number, _, _ in opened] == list(range(len(opened)))
        return self._messages(
            content for _, kind, content in opened if kind == ContentType.HANDSHAKE
        )

    @staticmethod
    def _messages(payloads: object) -> list[tuple[int, bytes]]:
        bodies: dict[tuple[int, int], bytes] = {}
        for payload in payloads:  # type: ignore[attr-defined]
            for one in decode_fragments(payload):
                key = one.message_seq, one.message_type
                bodies[key] = bodies.get(key, b"") + one.data
        return [(kind, body) for (_, kind), body in sorted(bodies.items())]


def tls(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + len(body).to_bytes(3, "big") + body


@pytest.mark.parametrize("group", NamedGroup, ids=lambda group: group.name)
def test_a_whole_handshake(monkeypatch: pytest.MonkeyPatch, group: NamedGroup) -> None:
    shared: list[bytes] = []
    respond = key_exchange.respond

    def noting(*arguments: object) -> tuple[bytes, bytearray]:
        public_key, secret = respond(*arguments)  # type: ignore[arg-type]
        shared.append(bytes(secret))
        return public_key, secret

    monkeypatch.setattr(key_exchange, "respond", noting)
    changes = {"cipher_suites": (SUITE,), "groups": (group,), "versions": (DTLS_1_3,)}
    network = connected(client_configuration(**changes), server_configuration(**changes))
    network.server.connection.send_ekt_key(ekt_key(), network.now)
    network.server.connection.update_keys(network.now)
    network.drain()
    network.run(1)
    network.server.connection.send_ekt_key(ekt_key(8), network.now)
    network.drain()
    network.run(1)

    tap = Wiretap(network)
    (_, first), (_, second) = tap.plaintext_messages("client")
    (_, retry), (_, hello) = tap.plaintext_messages("server")
    # RFC 8446 section 4.4.1: the first ClientHello by its hash.
    messages = tls(254, dtls13.sha256(tls(1, first))) + tls(2, retry) + tls(1, second)
    messages += tls(2, hello)
    to_server_hello = messages
    begin = dtls13.Schedule(shared[0], to_server_hello, b"")
    flight = tap.messages("server", 2, begin.server_handshake)
    assert [kind for kind, _ in flight] == [8, 13, 11, 15, 20]
    for kind, body in flight:
        if kind == 20:
            assert body == dtls13.verify_data(begin.server_handshake, messages)
        messages += tls(kind, body)
    schedule = dtls13.Schedule(shared[0], to_server_hello, messages)
    flight = tap.messages("client", 2, schedule.client_handshake)
    assert [kind for kind, _ in flight] == [11, 15, 20]
    for kind, body in flight:
        if kind == 20:
            assert body == dtls13.verify_data(schedule.client_handshake, messages)
        messages += tls(kind, body)

    # The server's ACK of all that, two ekt_keys and a KeyUpdate between them.
    opened = tap.protected("server", 3, schedule.server_application)
    assert [kind for _, kind, _ in opened] == [ContentType.ACK, 22, 22]
    # Which came in one record.
    assert opened[0][2] == bytes.fromhex("0010 0000000000000002 0000000000000000")
    assert opened[1][2].endswith(ekt_key().encode())
    assert opened[2][2][:4] == bytes.fromhex("18000001")
    after = tap.protected("server", 4, dtls13.updated(schedule.server_application))
    assert [number for number, _, _ in after] == [0]
    assert after[0][2].endswith(ekt_key(8).encode())
    acks = tap.protected("client", 3, schedule.client_application)
    assert [kind for _, kind, _ in acks] == [ContentType.ACK] * 3

    exported = schedule.export(b"EXTRACTOR-dtls_srtp", b"", 2 * (32 + 24))
    material = network.client.completed.keying_material
    assert exported == b"".join(dataclasses.astuple(material))
    ours = network.server.connection.export_keying_material(b"EXPERIMENTAL", 77, b"context")
    assert ours == schedule.export(b"EXPERIMENTAL", b"context", 77)
