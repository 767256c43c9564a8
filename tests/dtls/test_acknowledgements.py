"""What an ACK of a flight names (RFC 9147 section 7)."""

from __future__ import annotations

from halfkey.dtls.acknowledgements import Acknowledgements
from halfkey.dtls.messages.ack import Ack
from halfkey.dtls.record import RecordNumber
from halfkey.dtls.registries import DTLS_1_3
from tests.dtls.helpers import client_configuration, connected, server_configuration

PMTU = 256


def numbers(count: int) -> list[RecordNumber]:
    return [RecordNumber(2, at) for at in range(count)]


def test_of_very_many_records_the_latest_are_named() -> None:
    subject = Acknowledgements(0.1)
    for number in numbers(100):
        subject.note(number, 0.0)
    named = subject.take_due(0.1, is_disrupted=False)
    assert named == tuple(numbers(100)[-64:])
    subject.note(RecordNumber(2, 100), 0.2)
    assert subject.take_due(0.4, is_disrupted=False)[-1] == RecordNumber(2, 100)


def test_an_ack_fits_into_a_datagram() -> None:
    versions = (DTLS_1_3,)
    network = connected(
        client_configuration(versions=versions), server_configuration(versions=versions, pmtu=PMTU)
    )
    channel = network.server.connection._channel
    capacity = Ack.capacity(PMTU - channel.writer.overhead(channel.writer.epoch))
    for count in (capacity, capacity + 1):
        channel.acknowledge(numbers(count))
        (datagram,) = network.server.connection.datagrams_to_send()
        assert PMTU - 16 < len(datagram) <= PMTU
