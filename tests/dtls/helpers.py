"""A client and a server on virtual time, joined by a network that does as it is told."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import pytest

from halfkey.dtls import (
    Certificate,
    Configuration,
    Connection,
    ConnectionTerminated,
    CookieSecrets,
    EKTKeyAcknowledged,
    EKTKeyReceived,
    Event,
    HandshakeCompleted,
    Role,
)
from halfkey.dtls.handshake import Encodable, Stage
from halfkey.dtls.record import RecordNumber
from halfkey.dtls.record_layer import RecordWriter
from halfkey.dtls.registries import HandshakeType, ProtocolVersion
from halfkey.ekt.messages import EKTCipher, EKTKey
from halfkey.profiles import DOUBLE_128, DOUBLE_256

CLIENT_CERTIFICATE = Certificate.generate("client")
SERVER_CERTIFICATE = Certificate.generate("server")
CLIENT_SESSION_ID = b"client-tls-id-0123456789"
SERVER_SESSION_ID = b"server-tls-id-0123456789"
CLIENT_ID_HASH = hashlib.sha256(b"the client's identity assertion").digest()
SERVER_ID_HASH = hashlib.sha256(b"the server's identity assertion").digest()
LATENCY = 0.01
PEER = b"192.0.2.1:5004"
SPOKEN: list[ProtocolVersion] = list(ProtocolVersion)
"""The versions that both sides speak; the fixture `version` changes it."""

of_each_version = pytest.mark.usefixtures("version")
"""For a module whose rules are the same in both versions."""


def _only(version: ProtocolVersion) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("version", [version], indirect=True, ids=[version.title])


only_1_2, only_1_3 = map(_only, ProtocolVersion)
"""For a rule of one version, in such a module."""


def seeded(seed: str) -> Callable[[int], bytes]:
    """A reproducible source of bytes."""
    counter = 0

    def random(length: int) -> bytes:
        nonlocal counter
        counter += 1
        return hashlib.shake_256(f"{seed}/{counter}".encode()).digest(length)

    return random


def client_configuration(**changes: object) -> Configuration:
    settings: dict[str, object] = {
        "role": Role.CLIENT,
        "versions": tuple(SPOKEN),
        "certificate": CLIENT_CERTIFICATE,
        "srtp_profiles": (DOUBLE_128, DOUBLE_256),
        "ekt_ciphers": (EKTCipher.AESKW128, EKTCipher.AESKW256),
        "external_session_id": CLIENT_SESSION_ID,
        "peer_fingerprints": (SERVER_CERTIFICATE.fingerprint(),),
        "peer_external_session_id": SERVER_SESSION_ID,
        "external_id_hash": CLIENT_ID_HASH,
        "peer_external_id_hash": SERVER_ID_HASH,
        "random": seeded("client"),
    }
    return Configuration(**{**settings, **changes})  # type: ignore[arg-type]


def server_configuration(**changes: object) -> Configuration:
    settings: dict[str, object] = {
        "role": Role.SERVER,
        "versions": tuple(SPOKEN),
        "certificate": SERVER_CERTIFICATE,
        "srtp_profiles": (DOUBLE_128, DOUBLE_256),
        "ekt_ciphers": (EKTCipher.AESKW128, EKTCipher.AESKW256),
        "external_session_id": SERVER_SESSION_ID,
        "peer_fingerprints": (CLIENT_CERTIFICATE.fingerprint(),),
        "peer_external_session_id": CLIENT_SESSION_ID,
        "external_id_hash": SERVER_ID_HASH,
        "peer_external_id_hash": CLIENT_ID_HASH,
        "cookie_secrets": CookieSecrets(random=seeded("cookies")),
        "random": seeded("server"),
    }
    return Configuration(**{**settings, **changes})  # type: ignore[arg-type]


def ekt_key(spi: int = 7, length: int = 16) -> EKTKey:
    return EKTKey(bytes(range(length)), b"salt-of-12-b", spi, 3600)


@dataclass
class Side:
    """A connection and what it has said so far."""

    connection: Connection
    events: list[Event] = field(default_factory=list)
    sent: list[bytes] = field(default_factory=list)

    def of(self, kind: type) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def completed(self) -> HandshakeCompleted:
        (event,) = self.of(HandshakeCompleted)
        assert isinstance(event, HandshakeCompleted)
        return event

    @property
    def terminated(self) -> ConnectionTerminated:
        (event,) = self.of(ConnectionTerminated)
        assert isinstance(event, ConnectionTerminated)
        return event

    @property
    def received_spis(self) -> list[int]:
        return [e.ekt_key.ekt_spi for e in self.events if isinstance(e, EKTKeyReceived)]

    @property
    def acknowledged_spis(self) -> list[int]:
        return [e.ekt_spi for e in self.events if isinstance(e, EKTKeyAcknowledged)]


Delivery = list[tuple[float, bytes]]
"""When (after sending) and what of a datagram arrives; empty for a loss."""
Fate = Callable[[int, str, bytes], Delivery]
"""By the datagram's index, its sender ("client" or "server") and itself."""


def deliver(index: int, sender: str, datagram: bytes) -> Delivery:
    """The fate of a datagram in a good network."""
    return [(LATENCY, datagram)]


class Network:
    """Runs two connections until nothing more will happen, or the time is up."""

    def __init__(self, client: Configuration, server: Configuration, fate: Fate = deliver) -> None:
        self.client = Side(Connection(client, PEER))
        self.server = Side(Connection(server, PEER))
        self.now = 1000.0
        self.fate = fate
        self.datagrams: list[tuple[str, bytes]] = []
        self.on_event: Callable[[str, Event], None] = lambda name, event: None
        self._flying: list[tuple[float, int, str, bytes]] = []
        self._order = 0

    def start(self) -> Network:
        self.client.connection.start(self.now)
        self.server.connection.start(self.now)
        self.drain()
        return self

    def side(self, name: str) -> Side:
        return self.client if name == "client" else self.server

    def drain(self) -> None:
        for name, other in (("client", "server"), ("server", "client")):
            side = self.side(name)
            while (event := side.connection.next_event()) is not None:
                side.events.append(event)
                self.on_event(name, event)
            for datagram in side.connection.datagrams_to_send():
                side.sent.append(datagram)
                index = len(self.datagrams)
                self.datagrams.append((name, datagram))
                for delay, data in self.fate(index, name, datagram):
                    self._order += 1
                    self._flying.append((self.now + delay, self._order, other, data))

    def run(self, seconds: float = 120.0) -> Network:
        end = self.now + seconds
        while self.step(end):
            pass
        self.now = end
        return self

    def step(self, end: float) -> bool:
        """The next thing that happens; False if there is none before `end`."""
        moments = [one[0] for one in self._flying]
        for side in (self.client, self.server):
            timer = side.connection.next_timer()
            if timer is not None:
                moments.append(timer)
        if not moments or min(moments) > end:
            return False
        self.now = max(self.now, min(moments))
        due = sorted(one for one in self._flying if one[0] <= self.now)
        self._flying = [one for one in self._flying if one[0] > self.now]
        for _, _, name, data in due:
            self.side(name).connection.receive_datagram(data, self.now)
            self.drain()
        for side in (self.client, self.server):
            timer = side.connection.next_timer()
            if timer is not None and timer <= self.now:
                side.connection.handle_timer(self.now)
        self.drain()
        return True


def connected(client: Configuration | None = None, server: Configuration | None = None) -> Network:
    """A network whose handshake is complete."""
    network = Network(client or client_configuration(), server or server_configuration())
    return network.start().run(5)


RECORD_HEADER = 13
UNIFIED_HEADER = 5


def is_unified(record: bytes) -> bool:
    """Whether it is a protected record of DTLS 1.3."""
    return record[0] >> 5 == 1


def is_protected(record: bytes) -> bool:
    return is_unified(record) or record[3:5] != bytes(2)


def split_records(datagram: bytes) -> list[bytes]:
    """The records of a datagram of ours, headers included."""
    records = []
    while datagram:
        header = UNIFIED_HEADER if is_unified(datagram) else RECORD_HEADER
        length = header + int.from_bytes(datagram[header - 2 : header], "big")
        records.append(datagram[:length])
        datagram = datagram[length:]
    return records


def record_number(record: bytes) -> tuple[int, int]:
    """Epoch and sequence number, where both stand in the record's header."""
    assert not is_unified(record)
    return int.from_bytes(record[3:5], "big"), int.from_bytes(record[5:11], "big")


def plaintext_record(content_type: int, payload: bytes, sequence_number: int = 1 << 40) -> bytes:
    """What anybody on the path can make up."""
    header = bytes([content_type]) + b"\xfe\xfd\0\0" + sequence_number.to_bytes(6, "big")
    return header + len(payload).to_bytes(2, "big") + payload


def handshake_record(message_type: int, message_seq: int, body: bytes) -> bytes:
    """A made-up handshake message in plain text."""
    length = len(body).to_bytes(3, "big")
    header = bytes([message_type]) + length + message_seq.to_bytes(2, "big") + bytes(3) + length
    return plaintext_record(22, header + body)


Change = Callable[[HandshakeType, Encodable], Encodable | None]


_Base = TypeVar("_Base", bound=type[Stage])


def deviant(base: _Base, change: Change) -> _Base:
    """A handshake that changes, or leaves out, messages before it sends them."""

    class Deviant(base):  # type: ignore[valid-type, misc]
        def _queue(self, message_type: HandshakeType, message: Encodable) -> object:
            changed = change(message_type, message)
            return None if changed is None else super()._queue(message_type, changed)

    return Deviant  # type: ignore[return-value]


class SealedNumbers:
    """Notes under which numbers a side's connections seal records."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        # By the writers themselves: the number of one that is gone may go to another.
        self.numbers: dict[RecordWriter, list[RecordNumber]] = {}
        write = RecordWriter.write

        def noting(
            writer: RecordWriter, epoch: int, content_type: int, payload: bytes
        ) -> tuple[RecordNumber, bytes]:
            number, record = write(writer, epoch, content_type, payload)
            if epoch:
                self.numbers.setdefault(writer, []).append(number)
            return number, record

        monkeypatch.setattr(RecordWriter, "write", noting)

    def assert_unique(self) -> None:
        assert self.numbers
        for numbers in self.numbers.values():
            assert len(numbers) == len(set(numbers))
