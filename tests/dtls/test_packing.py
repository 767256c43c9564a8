"""How messages share records, and records datagrams (RFC 6347 4.2.3, RFC 9147 4.3 and 5.5)."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halfkey.dtls import AlertDescription
from halfkey.dtls.configuration import MINIMUM_PMTU
from halfkey.dtls.faults import Counters
from halfkey.dtls.flight import FlightMessage, Packer, Transmission
from halfkey.dtls.messages.framing import HEADER_LENGTH, Fragment, decode_fragments
from halfkey.dtls.record import MAXIMUM_PLAINTEXT, Record, RecordNumber, split_datagram
from halfkey.dtls.record_layer import RecordWriter
from halfkey.dtls.registries import DTLS_1_2, DTLS_1_3, NamedGroup, ProtocolVersion
from tests.dtls.helpers import client_configuration, connected, server_configuration, split_records

Sent = dict[RecordNumber, list[Fragment]]


def pack(messages: list[FlightMessage], pmtu: int) -> tuple[list[bytes], Sent, Packer]:
    """The datagrams, and what is in each record. Nothing is sealed, so that it can be read."""
    packer = Packer(RecordWriter(), pmtu)
    for message in messages:
        packer.add_message(message)
    datagrams = packer.take()
    records = [one for datagram in datagrams for one in split_datagram(datagram, Counters())]
    assert all(isinstance(record, Record) for record in records)
    sent = {one.number: decode_fragments(one.fragment) for one in records if type(one) is Record}
    return datagrams, sent, packer


def flight(*lengths: int) -> list[FlightMessage]:
    return [FlightMessage(11, at, bytes([at]) * length, 0) for at, length in enumerate(lengths)]


flights = st.lists(st.integers(0, 3000), min_size=1, max_size=8).map(lambda some: flight(*some))
pmtus = st.integers(MINIMUM_PMTU, 1500)


@given(flights, pmtus)
def test_every_byte_goes_once_and_in_order(messages: list[FlightMessage], pmtu: int) -> None:
    datagrams, sent, _ = pack(messages, pmtu)
    assert all(len(datagram) <= pmtu for datagram in datagrams)
    fragments = [fragment for record in sent.values() for fragment in record]
    for message in messages:
        own = [one for one in fragments if one.message_seq == message.message_seq]
        assert b"".join(one.data for one in own) == message.body
        assert all(a.offset + len(a.data) == b.offset for a, b in pairwise(own))
    assert fragments == sorted(fragments, key=lambda one: (one.message_seq, one.offset))


@given(flights, pmtus)
def test_what_is_noted_is_what_is_in_the_records(messages: list[FlightMessage], pmtu: int) -> None:
    _, sent, packer = pack(messages, pmtu)
    assert dict(packer.sent) == {
        number: [(one.message_seq, one.offset, one.offset + len(one.data)) for one in fragments]
        for number, fragments in sent.items()
    }


@given(flights, pmtus, st.data())
def test_an_ack_of_every_record_is_an_ack_of_every_message(
    messages: list[FlightMessage], pmtu: int, data: st.DataObject
) -> None:
    transmission = Transmission(list(messages))
    packer = Packer(RecordWriter(), pmtu)
    transmission.pack(packer)
    numbers = data.draw(st.permutations([number for number, _ in packer.sent]))
    for place, number in enumerate(numbers):
        assert not transmission.is_acknowledged, place
        assert transmission.acknowledge([number])
    assert transmission.is_acknowledged


def test_a_message_that_fits_is_not_cut() -> None:
    _, sent, _ = pack(flight(200, 200, 200, 600), 700)
    assert [[len(one.data) for one in record] for record in sent.values()] == [
        [200, 200, 200],
        [600],
    ]


def test_a_message_that_must_be_cut_fills_the_record_before() -> None:
    datagrams, sent, _ = pack(flight(200, 1000), 700)
    assert [[len(one.data) for one in record] for record in sent.values()] == [
        [200, 700 - 13 - 12 - 200 - 12],
        [1000 - (700 - 13 - 12 - 200 - 12)],
    ]
    assert len(datagrams[0]) == 700


@pytest.mark.parametrize(
    "lengths", [(10_000, 10_000), (20_000,), (100, 30_000, 100)], ids=["two", "long", "between"]
)
def test_a_record_has_its_bound_however_large_a_datagram(lengths: tuple[int, ...]) -> None:
    """RFC 6347 section 4.1.1, RFC 9147 section 4.1: a reader drops what is longer."""
    datagrams, sent, _ = pack(flight(*lengths), 40_000)
    assert len(datagrams) == 1
    of_records = [sum(HEADER_LENGTH + len(one.data) for one in record) for record in sent.values()]
    assert max(of_records) <= MAXIMUM_PLAINTEXT
    assert sum(len(one.data) for record in sent.values() for one in record) == sum(lengths)
    if lengths != (10_000, 10_000):
        assert max(of_records) == MAXIMUM_PLAINTEXT  # what must be cut fills its record


LARGE = 40_000


@pytest.mark.parametrize("version", ProtocolVersion, ids=lambda one: one.title)
def test_a_protected_record_of_the_largest_size_is_taken(version: ProtocolVersion) -> None:
    """In 1.3 a content type comes on top (RFC 8446 section 5.4); both sides agree on the bound."""
    changes = {"versions": (version,), "pmtu": LARGE}
    network = connected(client_configuration(**changes), server_configuration(**changes))
    before = len(network.datagrams)
    channel = network.server.connection._channel
    overhead = channel.writer.overhead(channel.writer.epoch)
    messages = [
        FlightMessage(99, channel.take_message_seq(), bytes(length), channel.writer.epoch)
        for length in (10_000, 20_000)
    ]
    channel.send(Transmission(list(messages)))
    network.drain()
    network.run(1)
    ((_, datagram),) = [one for one in network.datagrams[before:] if one[0] == "server"]
    assert max(map(len, split_records(datagram))) == MAXIMUM_PLAINTEXT + overhead
    # It was read: what is in it has no place here.
    assert network.client.terminated.alert is AlertDescription.UNEXPECTED_MESSAGE
    assert network.client.connection.counters["malformed_record"] == 0


@pytest.mark.parametrize(
    ("version", "records"),
    [
        # ServerHello to ServerHelloDone; ChangeCipherSpec, Finished.
        (DTLS_1_2, {"client": [1, 1, 3], "server": [1, 1, 2]}),
        # ServerHello, the rest of the flight; the ACK.
        (DTLS_1_3, {"client": [1, 1, 1], "server": [1, 2, 1]}),
    ],
    ids=["DTLS 1.2", "DTLS 1.3"],
)
def test_a_flight_is_a_record_for_each_key(
    version: ProtocolVersion, records: dict[str, list[int]]
) -> None:
    changes = {"versions": (version,), "groups": (NamedGroup.X25519,), "pmtu": 1500}
    network = connected(client_configuration(**changes), server_configuration(**changes))
    for side, expected in records.items():
        sent = [datagram for name, datagram in network.datagrams if name == side]
        assert [len(split_records(one)) for one in sent] == expected
