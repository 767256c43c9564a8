"""What a server does before it knows that anybody is there (RFC 6347 section 4.2.1).

A ClientHello with no cookie, or a bad one, gets a HelloVerifyRequest and leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from halfkey.dtls.cookie import CookieSecrets
from halfkey.dtls.faults import Counters, Noise
from halfkey.dtls.fragments import Message, Reassembler
from halfkey.dtls.messages.client_hello import cookie_and_parameters
from halfkey.dtls.messages.framing import Fragment, decode_fragments, encode_message
from halfkey.dtls.messages.hello_verify_request import HelloVerifyRequest
from halfkey.dtls.record import PLAINTEXT_EPOCH, Record, RecordNumber, encode_record, split_datagram
from halfkey.dtls.registries import DTLS_1_0, DTLS_1_2, ContentType, HandshakeType
from halfkey.errors import CodecError

_MAXIMUM_CLIENT_HELLO = 4096
_MAXIMUM_MESSAGE_SEQ = 8
"""A client counts its ClientHellos; more of them than this are not worth an answer."""
_MAXIMUM_PARTS = 8
"""Fragments of ClientHellos, and records of anything else, that are looked at in one datagram.

A client has no reason to send more, and anybody can send a datagram full of them.
"""


@dataclass(frozen=True, slots=True)
class Admission:
    """A ClientHello with a good cookie.

    Attributes:
        message: the ClientHello.
        number: of the record that it came in (its last fragment, if it came in several).
    """

    message: Message
    number: RecordNumber


class Gate:
    """Answers ClientHellos until one has a good cookie.

    Holds nothing but, for a ClientHello that comes in fragments, the latest such message: at most
    4 KiB.

    Args:
        secrets: make and check the cookies.
        peer: whom the cookies are bound to.
        counters: told of every drop and every refusal.
    """

    __slots__ = ("_counters", "_partial", "_peer", "_secrets")

    def __init__(self, secrets: CookieSecrets, peer: bytes, counters: Counters) -> None:
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
            if not fragments:
                yield None
            for fragment in fragments:
                yield fragment, record.number

    def _client_hello_fragments(self, record: Record) -> list[Fragment]:
        fragments = []
        if record.content_type == ContentType.HANDSHAKE and record.number.epoch == PLAINTEXT_EPOCH:
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
        return self._partial.take(number.epoch)

    def _judge(self, message: Message, now: float) -> Admission | bytes | None:
        self._partial = None
        number = message.record_numbers[-1]
        try:
            cookie, parameters = cookie_and_parameters(message.body)
        except CodecError:
            self._counters.count(Noise.MALFORMED_FRAGMENT)
            return None
        if self._secrets.accepts(cookie, self._peer, parameters, now):
            return Admission(message, number)
        # A bad cookie is as good as none: the secret may have changed (RFC 6347 section 4.2.1).
        self._counters.count(Noise.COOKIE_INVALID if cookie else Noise.COOKIE_MISSING)
        request = HelloVerifyRequest(DTLS_1_0, self._secrets.make(self._peer, parameters, now))
        return encode_record(
            ContentType.HANDSHAKE,
            DTLS_1_2,
            number,
            encode_message(
                HandshakeType.HELLO_VERIFY_REQUEST, message.message_seq, request.encode()
            ),
        )


def _is_worth_an_answer(fragment: Fragment) -> bool:
    return (
        fragment.message_type == HandshakeType.CLIENT_HELLO
        and fragment.length <= _MAXIMUM_CLIENT_HELLO
        and fragment.message_seq <= _MAXIMUM_MESSAGE_SEQ
    )
