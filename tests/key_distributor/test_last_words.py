"""An Endpoint that ends its association in the very datagram in which it does something else.

What a connection tells of that comes in order, and it is over by the time that the first of it is
read: nothing may be sent to it then, and those who stay must get their new key.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from halfkey import dtls
from halfkey.dtls.messages.alert import Alert
from halfkey.dtls.registries import (
    DTLS_1_2,
    DTLS_1_3,
    AlertDescription,
    AlertLevel,
    ContentType,
    ProtocolVersion,
)
from tests.key_distributor.world import Endpoint, World

CLOSING = Alert(AlertLevel.WARNING, AlertDescription.CLOSE_NOTIFY).encode()
# A Finished without content, under each number that can be the next one.
FINISHED = b"".join(bytes((20, 0, 0, 0, 0, seq, 0, 0, 0, 0, 0, 0)) for seq in range(16))
FATAL = Alert(AlertLevel.FATAL, AlertDescription.INTERNAL_ERROR).encode()

WORDS: dict[str, tuple[ContentType, bytes]] = {
    "close_notify": (ContentType.ALERT, CLOSING),
    "fatal": (ContentType.ALERT, FATAL),
    "a_message_too_many": (ContentType.HANDSHAKE, FINISHED),
}


class LastWords:
    """Puts something behind what a connection sends, into the same datagram, once it is time."""

    def __init__(
        self,
        connection: dtls.Connection,
        words: tuple[ContentType, bytes],
        is_time: Callable[[], bool],
    ) -> None:
        self._connection, self._words, self._is_time = connection, words, is_time
        self.were_said = False

    def __getattr__(self, name: str) -> object:
        return getattr(self._connection, name)

    def datagrams_to_send(self) -> list[bytes]:
        sent = self._connection.datagrams_to_send()
        if not sent or self.were_said or not self._is_time():
            return sent
        self.were_said = True
        writer = self._connection._channel.writer
        _, record = writer.write(writer.epoch, *self._words)
        return [b"".join(sent) + record]


def say(endpoint: Endpoint, words: str, is_time: Callable[[], bool]) -> LastWords:
    last = LastWords(endpoint.connection, WORDS[words], is_time)
    endpoint.connection = last  # type: ignore[assignment]
    return last


def those_who_stay_are_given_another_key(world: World, *staying: Endpoint) -> None:
    before = [one.spis[-1] for one in staying]
    leaver = world.join(staying[0].media_distributor, "leaver")
    leaver.connection.close(world.now)
    world.pump()
    world.advance(5.0)
    for one, spi in zip(staying, before, strict=True):
        assert one.spis[-1] != spi
    assert len({one.spis[-1] for one in staying}) == 1


@pytest.mark.parametrize("version", [DTLS_1_2, DTLS_1_3], ids=lambda one: one.title)
@pytest.mark.parametrize("words", WORDS)
def test_with_its_last_flight(version: ProtocolVersion, words: str) -> None:
    world = World()
    md = world.media_distributor()
    bob = world.join(md, "bob")
    alice = world.endpoint(md, "alice", versions=(version,))
    connection = alice.connection
    last = say(alice, words, lambda: connection._channel.writer.epoch > 0)
    alice.connection.start(world.now)
    world.pump()
    assert last.were_said
    assert alice.spis == []
    assert alice.media_keys == []
    assert world.core.statistics.associations == 1
    carol = world.join(md, "carol")
    those_who_stay_are_given_another_key(world, bob, carol)


@pytest.mark.parametrize("version", [DTLS_1_2, DTLS_1_3], ids=lambda one: one.title)
@pytest.mark.parametrize("words", ["close_notify", "fatal"])
def test_with_its_acknowledgement_while_another_key_waits(
    version: ProtocolVersion, words: str
) -> None:
    world = World()
    md = world.media_distributor()
    bob, alice = world.join(md, "bob"), world.join(md, "alice", versions=(version,))
    # Alice's acknowledgement is lost, so that the next key waits behind it.
    world.lost = lambda endpoint, direction, datagram: endpoint is alice and direction == "up"
    world.advance(5.0)
    world.core.rekey("c", world.now)
    world.pump()
    world.advance(5.0)
    world.core.rekey("c", world.now)
    world.pump()
    world.lost = lambda endpoint, direction, datagram: False
    last = say(alice, words, lambda: True)
    world.advance(10.0)
    assert last.were_said
    carol = world.join(md, "carol")
    those_who_stay_are_given_another_key(world, bob, carol)
    assert alice.spis[-1] not in (bob.spis[-1], carol.spis[-1])


@pytest.mark.parametrize("version", [DTLS_1_2, DTLS_1_3], ids=lambda one: one.title)
def test_nothing_is_sent_by_what_is_over(version: ProtocolVersion) -> None:
    world = World()
    alice = world.join(world.media_distributor(), "alice", versions=(version,))
    alice.connection.close(0.0)
    alice.connection.datagrams_to_send()
    alice.connection.send_ekt_key(alice.ekt_keys[-1], 0.0)
    alice.connection.update_keys(0.0)
    assert alice.connection.datagrams_to_send() == []
