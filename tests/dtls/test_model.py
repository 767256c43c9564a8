"""Any input in any state, for both sides of each version: the right alert, silence, never a key.

The subject talks with an honest peer. Between the peer's own records come others: what anybody on
the way can make up, and what the peer itself would send if it broke the rules, under its own keys.
`model.py` says what may come of each, by the state tables.
"""

from __future__ import annotations

import functools
from collections import deque
from itertools import product

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from halfkey.dtls import (
    AlertDescription,
    ConnectionTerminated,
    CookieSecrets,
    HandshakeCompleted,
)
from halfkey.dtls.flight import FlightMessage, Packer
from halfkey.dtls.messages.framing import Fragment
from halfkey.dtls.record import PLAINTEXT_EPOCH
from halfkey.dtls.registries import ContentType, HandshakeType
from halfkey.dtls.states import State
from tests.dtls.helpers import (
    Network,
    Side,
    client_configuration,
    connected,
    ekt_key,
    handshake_record,
    plaintext_record,
    seeded,
    server_configuration,
    split_records,
)
from tests.dtls.model import (
    SILENCE,
    UNEXPECTED,
    VERSIONS,
    Verdict,
    Version,
    of_plaintext,
    of_protected,
)

pytestmark = pytest.mark.usefixtures("one_message_per_record")

SIDES = ("client", "server")
OTHER = {"client": "server", "server": "client"}
UNKNOWN_TYPE = 99
KINDS = (*(kind for kind in HandshakeType if kind <= 0xFF), UNKNOWN_TYPE)


def bodies_of(version: Version, **changes: dict[str, object]) -> dict[int, bytes]:
    """The messages of a handshake, and an ekt_key."""
    bodies = {int(HandshakeType.EKT_KEY): ekt_key(99).encode()}
    add_message = Packer.add_message

    def noting(packer: Packer, message: FlightMessage, *part: int) -> None:
        bodies[message.message_type] = message.body
        add_message(packer, message, *part)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Packer, "add_message", noting)
        connected(
            client_configuration(**version.settings, **changes.get("client", {})),
            server_configuration(**version.settings, **changes.get("server", {})),
        )
    return bodies


@functools.cache
def honest(version: Version) -> dict[int, bytes]:
    """What the peer itself sends: everything is drawn from seeds."""
    return bodies_of(version)


@functools.cache
def foreign(version: Version) -> dict[int, bytes]:
    """Messages that are all right, in a handshake of the same two with other keys and randoms."""
    server = {
        "random": seeded("another server"),
        "cookie_secrets": CookieSecrets(random=seeded("other cookies")),
    }
    return bodies_of(version, client={"random": seeded("another client")}, server=server)


MADE_UP = (b"", b"\1", bytes(12), bytes(40))
"""Among them what is as long as a Finished."""


class Talk:
    """A subject, its honest peer, and what is on the way between them, record by record."""

    def __init__(self, version: Version, side: str) -> None:
        self.version = version
        self.table = version.tables[side]
        self.network = Network(
            client_configuration(**version.settings), server_configuration(**version.settings)
        )
        self.subject: Side = self.network.side(side)
        self.peer: Side = self.network.side(OTHER[side])
        self.to_subject: deque[bytes] = deque()
        self.to_peer: deque[bytes] = deque()
        self.delivered: list[bytes] = []
        self.was_led_astray = False
        for name in SIDES:
            self.network.side(name).connection.start(self.network.now)
        self.drain()

    @property
    def state(self) -> State:
        return self.subject.connection.state

    def drain(self) -> None:
        for side, onward in ((self.subject, self.to_peer), (self.peer, self.to_subject)):
            side.events += iter(side.connection.next_event, None)
            for datagram in side.connection.datagrams_to_send():
                onward.extend(split_records(datagram))

    def deliver(self, side: Side, record: bytes) -> None:
        side.connection.receive_datagram(record, self.network.now)
        self.drain()

    def catch_up(self) -> None:
        """Lets the peer hear all that is on its way, so that it may have its keys."""
        while self.to_peer:
            self.deliver(self.peer, self.to_peer.popleft())

    def go_on(self) -> bool:
        """Delivers the next honest record; False if there is none."""
        for side, way in ((self.peer, self.to_peer), (self.subject, self.to_subject)):
            if way:
                record = way.popleft()
                if side is self.subject:
                    self.delivered.append(record)
                self.deliver(side, record)
                return True
        return False

    def pass_time(self) -> None:
        connections = (self.subject.connection, self.peer.connection)
        timers = [one.next_timer() for one in connections]
        due = min((timer for timer in timers if timer is not None), default=None)
        if due is not None:
            self.network.now = max(self.network.now, due)
            for connection in connections:
                connection.handle_timer(self.network.now)
            self.drain()

    def inject_plaintext(self, kind: int, body: bytes) -> None:
        """A handshake message of anybody's."""
        message_seq = self.subject.connection._channel.reassembler.next_seq
        verdict = of_plaintext(self.table, self.state, kind)
        record = handshake_record(kind, message_seq, body)
        self._judge(verdict, record, self._is_foreign(kind, body))

    def inject_protected(self, kind: int, body: bytes) -> None:
        """A handshake message by the peer itself, under the latest key it has."""
        channel = self.peer.connection._channel
        message_seq = self.subject.connection._channel.reassembler.next_seq
        verdict = of_protected(self.table, self.state, kind, channel.writer.epoch)
        fragment = Fragment(kind, len(body), message_seq, 0, body)
        record = self._sealed(ContentType.HANDSHAKE, fragment.encode())
        self._judge(verdict, record, self._is_foreign(kind, body))

    def inject_record(self, content_type: ContentType, payload: bytes, *, protected: bool) -> None:
        """A record that is no handshake message; only a protected alert ends anything."""
        alerts: frozenset[AlertDescription] = frozenset()
        if protected and content_type is ContentType.ACK:
            alerts = frozenset({AlertDescription.DECODE_ERROR})
        if protected and content_type in (ContentType.ALERT, ContentType.APPLICATION_DATA):
            alerts = UNEXPECTED.alerts | frozenset(AlertDescription)
        record = (
            self._sealed(content_type, payload)
            if protected
            else plaintext_record(content_type, payload)
        )
        self._judge(Verdict(alerts), record)

    @property
    def peer_has_keys(self) -> bool:
        """Whether the peer can seal."""
        connection = self.peer.connection
        return not connection.is_terminated and connection._channel.writer.epoch != PLAINTEXT_EPOCH

    def _sealed(self, content_type: ContentType, payload: bytes) -> bytes:
        self.drain()
        self.peer.connection._channel.send_record(content_type, payload)
        (record,) = self.peer.connection.datagrams_to_send()
        return record

    def _is_foreign(self, kind: int, body: bytes) -> bool:
        """Whether it is another message than the peer's own of its type: some are always alike."""
        return honest(self.version).get(kind) != body

    def _judge(self, verdict: Verdict, record: bytes, is_foreign: bool = True) -> None:
        before, keys = self.state, len(self.subject.of(HandshakeCompleted))
        self.deliver(self.subject, record)
        after = self.state
        assert len(self.subject.of(HandshakeCompleted)) == keys, "an injected record gave a key"
        if after is State.TERMINATED and before is not State.TERMINATED:
            ended = self.subject.terminated
            # An alert that is no known one ends it too, and has no name.
            is_nameless = (
                ended.by_peer
                and ended.alert is None
                and AlertDescription.CLOSE_NOTIFY in verdict.alerts
            )
            assert is_nameless or ended.alert in verdict.alerts, ended
            return
        assert verdict.may_pass, f"silence in {before} where an alert was due"
        if after is not before:
            assert verdict.may_advance, f"{before} became {after}"
            self.was_led_astray = self.was_led_astray or is_foreign


SIDE_STATES = [
    (version, side, state)
    for version in VERSIONS
    for side in SIDES
    for state in version.tables[side]
]
in_every_state = pytest.mark.parametrize(
    ("version", "side", "state"),
    SIDE_STATES,
    ids=[f"{version.name}-{side}-{state.value}" for version, side, state in SIDE_STATES],
)


def talk_in(version: Version, side: str, state: State) -> Talk:
    """A talk whose subject has just come to a state."""
    talk = Talk(version, side)
    while talk.state is not state:
        assert talk.go_on(), f"the talk doesn't come to {state}"
    return talk


@in_every_state
def test_the_talk_goes_on_from_every_state(version: Version, side: str, state: State) -> None:
    """What the other tests compare with: without an injection there is a key, on both sides."""
    talk = talk_in(version, side, state)
    while talk.go_on():
        pass
    assert talk.state is State.CONNECTED
    assert talk.subject.completed.keying_material == talk.peer.completed.keying_material


@in_every_state
def test_every_message_in_plain_text(version: Version, side: str, state: State) -> None:
    for kind, body in every_message(version):
        talk = talk_in(version, side, state)
        talk.inject_plaintext(kind, body)
        never_a_key_after(talk)


@in_every_state
def test_every_message_under_the_peers_key(version: Version, side: str, state: State) -> None:
    for kind, body in every_message(version):
        talk = talk_in(version, side, state)
        talk.catch_up()
        if not talk.peer_has_keys:
            return
        talk.inject_protected(kind, body)
        never_a_key_after(talk)


def every_message(version: Version) -> list[tuple[int, bytes]]:
    return [*product(KINDS, MADE_UP), *foreign(version).items()]


def never_a_key_after(talk: Talk) -> None:
    """If an injected message was taken for one of the handshake, no key comes of it, ever."""
    while talk.go_on():
        pass
    check(talk)


def check(talk: Talk) -> None:
    """What holds after any inputs whatever."""
    completed = talk.subject.of(HandshakeCompleted)
    assert len(completed) <= 1
    assert len(talk.subject.of(ConnectionTerminated)) <= 1
    if talk.was_led_astray:
        assert not completed, "a handshake with a foreign message in it gave a key"
    theirs = talk.peer.of(HandshakeCompleted)
    if completed and theirs:
        assert talk.subject.completed.keying_material == talk.peer.completed.keying_material


MESSAGE = st.sampled_from(
    [one for version in VERSIONS for one in every_message(version)]
) | st.tuples(st.sampled_from(KINDS), st.binary(max_size=60))
OTHER_TYPES = st.sampled_from(
    [
        ContentType.ALERT,
        ContentType.ACK,
        ContentType.APPLICATION_DATA,
        ContentType.CHANGE_CIPHER_SPEC,
    ]
)
PAYLOAD = st.binary(max_size=40) | st.sampled_from([b"\1", b"\2\x28", b"\1\0"])


class Machine(RuleBasedStateMachine):
    """Honest records, losses, repetitions, time, and injections, in any order."""

    talk: Talk

    @initialize(version=st.sampled_from(VERSIONS), side=st.sampled_from(SIDES))
    def begin(self, version: Version, side: str) -> None:
        self.talk = Talk(version, side)

    @rule(times=st.integers(1, 6))
    def go_on(self, times: int) -> None:
        for _ in range(times):
            self.talk.go_on()

    @precondition(lambda self: self.talk.to_subject)
    @rule()
    def lose(self) -> None:
        self.talk.to_subject.popleft()

    @precondition(lambda self: len(self.talk.to_subject) > 1)
    @rule()
    def overtake(self) -> None:
        self.talk.to_subject.rotate(1)

    @precondition(lambda self: self.talk.delivered)
    @rule(which=st.integers(0, 40))
    def repeat(self, which: int) -> None:
        self.talk.deliver(self.talk.subject, self.talk.delivered[which % len(self.talk.delivered)])

    @rule()
    def pass_time(self) -> None:
        self.talk.pass_time()

    @rule(message=MESSAGE)
    def inject_plaintext(self, message: tuple[int, bytes]) -> None:
        self.talk.inject_plaintext(*message)

    @precondition(lambda self: self.talk.peer_has_keys)
    @rule(message=MESSAGE)
    def inject_protected(self, message: tuple[int, bytes]) -> None:
        self.talk.inject_protected(*message)

    @rule(content_type=OTHER_TYPES, payload=PAYLOAD, protected=st.booleans())
    def inject_record(self, content_type: ContentType, payload: bytes, protected: bool) -> None:
        is_sealed = protected and self.talk.peer_has_keys
        self.talk.inject_record(content_type, payload, protected=is_sealed)

    @invariant()
    def holds(self) -> None:
        if hasattr(self, "talk"):
            check(self.talk)


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)


def test_the_model_tells_right_from_wrong() -> None:
    """Its verdicts where they are known by heart."""
    version = VERSIONS[0]
    client, server = version.tables["client"], version.tables["server"]
    assert of_plaintext(client, State.EXPECT_SERVER_HELLO, HandshakeType.FINISHED) is SILENCE
    assert of_plaintext(client, State.EXPECT_CERTIFICATE, HandshakeType.SERVER_HELLO) is UNEXPECTED
    assert of_plaintext(server, State.CONNECTED, HandshakeType.CERTIFICATE) is SILENCE
    assert of_protected(server, State.CONNECTED, HandshakeType.EKT_KEY, 1) is UNEXPECTED
    assert of_protected(client, State.CONNECTED, HandshakeType.EKT_KEY, 1).may_pass
    assert of_protected(server, State.EXPECT_FINISHED, HandshakeType.CERTIFICATE, 1) is UNEXPECTED
