"""A message behind another in one record, in every state of both sides and versions.

`test_model.py` has each message in a record of its own. The first of two may be what is due: then
the second is judged in the state that it leads to. Or it is no more due than the second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from halfkey.dtls import EKTKeyReceived, HandshakeCompleted
from halfkey.dtls.flight import FlightMessage
from halfkey.dtls.messages.framing import Fragment, decode_fragments
from halfkey.dtls.record import PLAINTEXT_EPOCH
from halfkey.dtls.registries import ContentType, HandshakeType
from halfkey.dtls.states import State, plaintext_types
from tests.dtls.helpers import RECORD_HEADER, is_protected, plaintext_record
from tests.dtls.model import (
    SILENCE,
    UNEXPECTED,
    Verdict,
    Version,
    of_plaintext,
    of_protected,
)
from tests.dtls.test_model import (
    Talk,
    every_message,
    honest,
    in_every_state,
    never_a_key_after,
    talk_in,
)

pytestmark = pytest.mark.usefixtures("one_message_per_record")

GoOn = Callable[[], Talk]


class Due(NamedTuple):
    """The peer's own next message, and the key it goes under."""

    kind: int
    message_seq: int
    body: bytes
    epoch: int

    @property
    def encoded(self) -> bytes:
        return Fragment(self.kind, len(self.body), self.message_seq, 0, self.body).encode()


def dues(talk: Talk) -> list[Due]:
    """What the subject may hear next."""
    return after_the_handshake(talk) if talk.state is State.CONNECTED else [due(talk)]


def due(talk: Talk) -> Due:
    """What the subject is to hear next of a handshake."""
    if talk.state is State.EXPECT_CLIENT_HELLO:
        fragments = [decode_fragments(one[RECORD_HEADER:])[0] for one in talk.to_subject]
        body = b"".join(one.data for one in fragments)
        return Due(fragments[0].message_type, fragments[0].message_seq, body, PLAINTEXT_EPOCH)
    message_seq = talk.subject.connection._channel.reassembler.next_seq
    for item in talk.peer.connection._channel._flight._flight:
        if isinstance(item, FlightMessage) and item.message_seq == message_seq:
            return Due(item.message_type, message_seq, item.body, item.epoch)
    assert not is_protected(talk.to_subject[0])
    (fragment,) = decode_fragments(talk.to_subject[0][RECORD_HEADER:])  # from the gate
    return Due(fragment.message_type, message_seq, fragment.data, PLAINTEXT_EPOCH)


def after_the_handshake(talk: Talk) -> list[Due]:
    """What the peer may say then."""
    channel = talk.peer.connection._channel
    bodies = {
        HandshakeType.EKT_KEY: honest(talk.version)[HandshakeType.EKT_KEY],
        HandshakeType.KEY_UPDATE: b"\0",
    }
    message_seq = talk.subject.connection._channel.reassembler.next_seq
    return [
        Due(kind, message_seq, bodies[kind], channel.writer.epoch)
        for kind in talk.table[State.CONNECTED].transitions
        if kind in bodies
    ]


def visits(version: Version, side: str, state: State) -> Iterator[GoOn]:
    """Ways to a talk whose subject is in a state: it may hear more than one message in it."""
    talk = talk_in(version, side, state)
    steps = 0
    while talk.state is state and (talk.to_subject or talk.to_peer or not steps):
        if talk.to_subject or state is State.CONNECTED:
            yield lambda steps=steps: walked(version, side, state, steps)
        if not talk.go_on():
            return
        steps += 1


def walked(version: Version, side: str, state: State, steps: int) -> Talk:
    talk = talk_in(version, side, state)
    for _ in range(steps):
        talk.go_on()
    talk.catch_up()
    return talk


def deliver(talk: Talk, first: Due, *more: Due) -> None:
    """Has the subject take one record with these messages, by the peer itself."""
    payload = b"".join(one.encoded for one in (first, *more))
    if first.epoch == PLAINTEXT_EPOCH:
        record = plaintext_record(ContentType.HANDSHAKE, payload)
    else:
        writer = talk.peer.connection._channel.writer
        _, record = writer.write(first.epoch, ContentType.HANDSHAKE, payload)
    talk.deliver(talk.subject, record)


def verdict_on_the_second(talk: Talk, first: Due, following: State, kind: int) -> Verdict:
    """What may come of a message of that type behind the one that leads to a state."""
    before = talk.state
    if before is State.EXPECT_CLIENT_HELLO:
        return SILENCE  # the gate looks no further than the ClientHello
    if kind == HandshakeType.HELLO_VERIFY_REQUEST and before is State.EXPECT_SERVER_HELLO:
        # It came with its record, while it could be the first word; it is no longer.
        return of_plaintext(talk.table, following, kind) if following is before else UNEXPECTED
    if first.epoch == PLAINTEXT_EPOCH:
        return of_plaintext(talk.table, following, kind)
    if first.kind == HandshakeType.KEY_UPDATE:
        return UNEXPECTED  # the key that it came under is over
    return of_protected(talk.table, following, kind, first.epoch)


def is_dropped_whole(talk: Talk, first: Due, kind: int) -> bool:
    """In plain text nothing of a record is looked at with a type that can't come so."""
    if first.epoch != PLAINTEXT_EPOCH or talk.state is State.EXPECT_CLIENT_HELLO:
        return False
    admitted = plaintext_types(talk.table)
    if talk.state is State.EXPECT_SERVER_HELLO:
        admitted |= {HandshakeType.HELLO_VERIFY_REQUEST}
    return kind not in admitted


@in_every_state
def test_the_next_message_behind_the_one_that_is_due(
    version: Version, side: str, state: State
) -> None:
    """What the other tests compare with: where the peer means it, there is a key all the same."""
    talk = walked(version, side, state, 0)
    if state in (State.EXPECT_CLIENT_HELLO, State.CONNECTED):
        return
    first = due(talk)
    flight = [
        Due(item.message_type, item.message_seq, item.body, item.epoch)
        for item in talk.peer.connection._channel._flight._flight
        if isinstance(item, FlightMessage)
    ]
    behind = [one for one in flight if one[1::2] == (first.message_seq + 1, first.epoch)]
    control = walked(version, side, state, 0)
    deliver(control, due(control))
    deliver(talk, first, *behind)
    assert (talk.state is not control.state) is bool(behind)
    while talk.go_on():
        pass
    assert talk.subject.completed.keying_material == talk.peer.completed.keying_material


@in_every_state
def test_every_message_behind_the_one_that_is_due(
    version: Version, side: str, state: State
) -> None:
    tried = 0
    for go in visits(version, side, state):
        talk = go()
        for which in range(len(dues(talk))):
            control = go()
            deliver(control, dues(control)[which])
            for message in every_message(version):
                tried += 1
                judge(go(), control, which, message)
    # A server of 1.2 has nothing more to hear.
    assert tried or (state is State.CONNECTED and not talk.table[state].transitions)


def judge(talk: Talk, control: Talk, which: int, second: tuple[int, bytes]) -> None:
    """Compares with a talk that has heard the first alone."""
    first, (kind, body) = dues(talk)[which], second
    before, keys = talk.state, len(control.subject.of(HandshakeCompleted))
    behind = Due(kind, first.message_seq + 1, body, first.epoch)
    if is_dropped_whole(talk, first, kind):
        deliver(talk, first, behind)
        assert talk.state is before
        assert talk.subject.events == []
        never_a_key_after(talk)
        assert talk.state is State.CONNECTED  # nothing came of it, the first included
        return
    verdict = verdict_on_the_second(talk, first, control.state, kind)
    deliver(talk, first, behind)
    assert len(talk.subject.of(HandshakeCompleted)) == keys, "the second message gave a key"
    received = len(talk.subject.of(EKTKeyReceived)) - len(control.subject.of(EKTKeyReceived))
    if talk.state is State.TERMINATED:
        assert talk.subject.terminated.alert in verdict.alerts, talk.subject.terminated
        assert not received
        return
    assert verdict.may_pass, f"silence in {control.state} where an alert was due"
    assert received <= (verdict.may_advance and kind == HandshakeType.EKT_KEY)
    if talk.state is not control.state:
        assert verdict.may_advance, f"{control.state} became {talk.state}"
        talk.was_led_astray = honest(talk.version).get(kind) != body
    never_a_key_after(talk)
    if control.state is State.EXPECT_ACK:
        # It waited for the ACK that lets the client in, and is then under the wrong key.
        assert talk.subject.terminated.alert in UNEXPECTED.alerts
        assert talk.subject.of(EKTKeyReceived) == []


@in_every_state
def test_every_message_behind_a_finished_that_is_not_due(
    version: Version, side: str, state: State
) -> None:
    """The first of them decides: what is behind it is never looked at."""
    kind = HandshakeType.FINISHED
    if kind in talk_in(version, side, state).table[state].transitions:
        return
    for second, body in every_message(version):
        talk = talk_in(version, side, state)
        talk.catch_up()
        message_seq = talk.subject.connection._channel.reassembler.next_seq
        epochs = {PLAINTEXT_EPOCH, talk.peer.connection._channel.writer.epoch}
        for epoch in sorted(epochs):
            if talk.state is not state:
                break
            verdict = (
                of_protected(talk.table, state, kind, epoch)
                if epoch
                else of_plaintext(talk.table, state, kind)
            )
            finished = Due(kind, message_seq, honest(version)[kind], epoch)
            keys = len(talk.subject.of(HandshakeCompleted))
            deliver(talk, finished, Due(second, message_seq + 1, body, epoch))
            assert len(talk.subject.of(HandshakeCompleted)) == keys
            assert talk.subject.of(EKTKeyReceived) == []
            if talk.state is State.TERMINATED:
                assert talk.subject.terminated.alert in verdict.alerts
            elif second != HandshakeType.CLIENT_HELLO or state is not State.EXPECT_CLIENT_HELLO:
                assert verdict.may_pass
                assert talk.state is state
        never_a_key_after(talk)
