"""What a server does before it knows that anybody is there (RFC 6347 4.2.1, RFC 9147 5.1).

A ClientHello decides by what it offers in which version it is answered. Without a cookie it gets a
HelloVerifyRequest or a HelloRetryRequest, and leaves nothing behind. With a bad one, likewise in
1.2; in 1.3 it is refused. A refusal is an alert in plain text, and leaves nothing behind either.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from halfkey.dtls import extensions as codec
from halfkey.dtls.configuration import Configuration
from halfkey.dtls.cookie import CookieSecrets
from halfkey.dtls.faults import Counters, Noise, ProtocolFault
from halfkey.dtls.fragments import Message, Reassembler
from halfkey.dtls.messages.alert import Alert
from halfkey.dtls.messages.client_hello import (
    ClientHello,
    cookie_and_parameters,
    offered_versions,
)
from halfkey.dtls.messages.framing import Fragment, decode_fragments, encode_message
from halfkey.dtls.messages.hello_verify_request import HelloVerifyRequest
from halfkey.dtls.record import (
    PLAINTEXT_EPOCH,
    Ciphertext,
    Record,
    RecordNumber,
    encode_record,
    split_datagram,
)
from halfkey.dtls.registries import (
    DTLS_1_0,
    DTLS_1_2,
    AlertDescription,
    AlertLevel,
    ContentType,
    ExtensionType,
    HandshakeType,
    ProtocolVersion,
)
from halfkey.dtls.retry import Retry, Settled, make_retry, read_retry, settle
from halfkey.errors import CodecError

_NOTHING_IN_COMMON = {
    "no common version": Noise.NO_COMMON_VERSION,
    "no common group": Noise.NO_COMMON_GROUP,
}
"""Refusals that an operator may have brought about with the settings, by their reason: they are
counted beside the refusal itself.
"""

_MAXIMUM_CLIENT_HELLO = 4096
_MAXIMUM_MESSAGE_SEQ = 8
"""A client counts its ClientHellos; more of them than this are not worth an answer."""
_MAXIMUM_PARTS = 8
"""Fragments of ClientHellos, and records of anything else, that are looked at in one datagram.

A client has no reason to send more, and anybody can send a datagram full of them.
"""


class Admission(NamedTuple):
    """A ClientHello with a good cookie.

    Attributes:
        message: the ClientHello.
        hello: what it says.
        settled: what is chosen already, in DTLS 1.3; None for DTLS 1.2.
        retry: the HelloRetryRequest that it answers, if it does.
    """

    message: Message
    hello: ClientHello
    settled: Settled | None = None
    retry: Retry | None = None

    @property
    def number(self) -> RecordNumber:
        """Of the record that it came in (its last fragment, if it came in several)."""
        return self.message.record_numbers[-1]


class Gate:
    """Answers ClientHellos until one has a good cookie.

    Holds nothing but, for a ClientHello that comes in fragments, the latest such message: at most
    4 KiB.

    Args:
        configuration: the server's settings.
        secrets: make and check the cookies.
        peer: whom the cookies are bound to.
        counters: told of every drop and every refusal.
    """

    __slots__ = ("_configuration", "_counters", "_partial", "_peer", "_secrets")

    def __init__(
        self, configuration: Configuration, secrets: CookieSecrets, peer: bytes, counters: Counters
    ) -> None:
        self._configuration = configuration
        self._secrets = secrets
        self._peer = peer
        self._counters = counters
        self._partial: Reassembler | None = None

    @property
    def holds_nothing(self) -> bool:
        """Whether there is no part of a ClientHello here."""
        return self._partial is None

    def receive(self, datagram: bytes, now: float) -> Admission | bytes | None:
        """Takes a datagram: admits, or gives a datagram to answer with, or drops it.

        Looks no further than the first whole ClientHello, so that a datagram gets one answer at
        most.
        """
        for count, fragment in enumerate(self._read(datagram), 1):
            if count > _MAXIMUM_PARTS:
                self._counters.count(Noise.NOT_A_CLIENT_HELLO)
                return None
            message = None if fragment is None else self._assemble(*fragment)
            if message is not None:
                return self._judge(message, now)
        return None

    def _read(self, datagram: bytes) -> Iterator[tuple[Fragment, RecordNumber] | None]:
        """Every fragment of a ClientHello, or None for a record without one."""
        for record in split_datagram(datagram, self._counters):
            fragments = self._client_hello_fragments(record)
            if not fragments or not isinstance(record, Record):
                yield None
                continue
            for fragment in fragments:
                yield fragment, record.number

    def _client_hello_fragments(self, record: Record | Ciphertext) -> list[Fragment]:
        fragments = []
        if (
            isinstance(record, Record)
            and record.content_type == ContentType.HANDSHAKE
            and record.number.epoch == PLAINTEXT_EPOCH
        ):
            try:
                fragments = decode_fragments(record.fragment)
            except CodecError:
                self._counters.count(Noise.MALFORMED_FRAGMENT)
                return []
        worth_an_answer = [one for one in fragments if _is_worth_an_answer(one)]
        if not worth_an_answer:
            self._counters.count(Noise.NOT_A_CLIENT_HELLO)
        return worth_an_answer

    def _assemble(self, fragment: Fragment, number: RecordNumber) -> Message | None:
        if fragment.is_whole:
            return Message(
                fragment.message_type, fragment.message_seq, fragment.data, number.epoch, (number,)
            )
        if self._partial is None or self._partial.next_seq != fragment.message_seq:
            self._partial = Reassembler(self._counters, fragment.message_seq)
        self._partial.add(fragment, number)
        message = self._partial.take(number.epoch)
        if message is None:
            return None
        self._partial = None
        # Whether or not an ACK may name it: the answer has its number.
        return message._replace(record_numbers=(number,))

    def _judge(self, message: Message, now: float) -> Admission | bytes:
        try:
            hello = ClientHello.decode(message.body)
            if self._choose_version(hello) is DTLS_1_2:
                return self._judge_1_2(message, hello, now)
            return self._judge_1_3(message, hello, now)
        except ProtocolFault as fault:
            if fault.reason in _NOTHING_IN_COMMON:
                self._counters.count(_NOTHING_IN_COMMON[fault.reason])
            return self._refuse(message, fault.alert)
        except CodecError:
            return self._refuse(message, AlertDescription.DECODE_ERROR)

    def _choose_version(self, hello: ClientHello) -> ProtocolVersion:
        """The latest that both sides speak; versions count down."""
        offered = offered_versions(hello)
        common = [one for one in self._configuration.versions if one in offered]
        if not common:
            raise ProtocolFault(AlertDescription.PROTOCOL_VERSION, "no common version")
        return min(common)

    def _judge_1_2(self, message: Message, hello: ClientHello, now: float) -> Admission | bytes:
        cookie, parameters = cookie_and_parameters(message.body)
        if self._secrets.accepts(cookie, self._peer, parameters, now):
            return Admission(message, hello)
        # A bad cookie is as good as none: the secret may have changed (RFC 6347 section 4.2.1).
        self._counters.count(Noise.COOKIE_INVALID if cookie else Noise.COOKIE_MISSING)
        request = HelloVerifyRequest(DTLS_1_0, self._secrets.make(self._peer, parameters, now))
        return _reply(message, HandshakeType.HELLO_VERIFY_REQUEST, request.encode())

    def _judge_1_3(self, message: Message, hello: ClientHello, now: float) -> Admission | bytes:
        content = hello.extensions.get(ExtensionType.COOKIE)
        if content is not None:
            try:
                cookie = codec.decode_cookie(content)
                retry = read_retry(
                    self._configuration, self._secrets, cookie, hello, message.body, self._peer, now
                )
            except ProtocolFault:
                self._counters.count(Noise.COOKIE_INVALID)
                raise
            return Admission(message, hello, retry.settled, retry)
        settled = settle(self._configuration, hello, self._peer)
        # Never, but for secrets that ask for no cookie.
        if not settled.is_group_requested and self._secrets.accepts(b"", self._peer, b"", now):
            return Admission(message, hello, settled)
        self._counters.count(Noise.COOKIE_MISSING)
        retry = make_retry(self._secrets, settled, hello, message.body, self._peer, now)
        return _reply(message, HandshakeType.SERVER_HELLO, retry.encode())

    def _refuse(self, message: Message, alert: AlertDescription) -> bytes:
        self._counters.count(Noise.CLIENT_HELLO_REFUSED)
        payload = Alert(AlertLevel.FATAL, alert).encode()
        return encode_record(ContentType.ALERT, DTLS_1_2, message.record_numbers[-1], payload)


def _reply(message: Message, message_type: HandshakeType, body: bytes) -> bytes:
    """A datagram with one message, numbered as what it answers."""
    payload = encode_message(message_type, message.message_seq, body)
    return encode_record(ContentType.HANDSHAKE, DTLS_1_2, message.record_numbers[-1], payload)


def _is_worth_an_answer(fragment: Fragment) -> bool:
    return (
        fragment.message_type == HandshakeType.CLIENT_HELLO
        and fragment.length <= _MAXIMUM_CLIENT_HELLO
        and fragment.message_seq <= _MAXIMUM_MESSAGE_SEQ
    )
