"""Records in and out, epoch by epoch (RFC 6347 section 4.1)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from halfkey.dtls.crypto.aead import FAILURE_LIMIT, OpeningKey, SealingKey
from halfkey.dtls.faults import Counters, Noise, ProtocolFault
from halfkey.dtls.record import (
    HEADER_LENGTH,
    MAXIMUM_PLAINTEXT,
    MAXIMUM_SEQUENCE_NUMBER,
    PLAINTEXT_EPOCH,
    PROTECTED_EPOCH,
    Record,
    RecordNumber,
    encode_record,
    split_datagram,
)
from halfkey.dtls.registries import DTLS_1_2, AlertDescription, ContentType
from halfkey.dtls.replay import ReplayWindow

_MAXIMUM_EARLY_RECORDS = 8
_MAXIMUM_EARLY_BYTES = 16 * 1024
_KNOWN_CONTENT_TYPES = frozenset(ContentType)


class OpenedRecord(NamedTuple):
    """A record whose payload is in the clear; authentic if its epoch is protected."""

    content_type: int
    number: RecordNumber
    payload: bytes

    def __repr__(self) -> str:
        # The payload may be an ekt_key.
        return f"OpenedRecord({self.content_type}, {self.number}, {len(self.payload)} bytes)"

    @property
    def is_protected(self) -> bool:
        """Whether the payload was authenticated."""
        return self.number.epoch != PLAINTEXT_EPOCH


class RecordWriter:
    """Numbers and protects what we send; no (epoch, sequence number) is used twice.

    Args:
        first_sequence_number: of epoch 0; a server takes over the ClientHello's (RFC 6347 4.2.1).
    """

    __slots__ = ("_key", "_next", "_record_limit")

    def __init__(self, first_sequence_number: int = 0) -> None:
        self._next = {PLAINTEXT_EPOCH: first_sequence_number}
        self._key: SealingKey | None = None
        self._record_limit = 0

    @property
    def epoch(self) -> int:
        """The latest epoch that can be written."""
        return max(self._next)

    def protect(self, key: SealingKey) -> None:
        """Opens the protected epoch."""
        self._key = key
        self._record_limit = min(key.record_limit, MAXIMUM_SEQUENCE_NUMBER)
        self._next[PROTECTED_EPOCH] = 0

    def overhead(self, epoch: int) -> int:
        """What a record of this epoch has beside its payload, in bytes."""
        protection = self._key.overhead if self._key and epoch == PROTECTED_EPOCH else 0
        return HEADER_LENGTH + protection

    def write(self, epoch: int, content_type: int, payload: bytes) -> tuple[RecordNumber, bytes]:
        """One record on the wire, and its number.

        Raises:
            ProtocolFault: internal_error when the key has sealed all it may; an alert may still
                be sealed after that.
        """
        number = RecordNumber(epoch, self._next[epoch])
        if epoch == PROTECTED_EPOCH and self._key is not None:
            if number.sequence_number >= self._record_limit and content_type != ContentType.ALERT:
                raise ProtocolFault(AlertDescription.INTERNAL_ERROR, "record limit reached")
            payload = self._key.seal(content_type, DTLS_1_2, number, payload)
        self._next[epoch] += 1
        return number, encode_record(content_type, DTLS_1_2, number, payload)

    def wipe(self) -> None:
        """Forgets the key."""
        if self._key is not None:
            self._key.wipe()
            self._key = None


class RecordReader:
    """Takes datagrams apart, and opens what can be opened.

    Args:
        counters: told of every record that is dropped.
    """

    __slots__ = (
        "_counters",
        "_early",
        "_early_bytes",
        "_failures",
        "_key",
        "_plaintext",
        "_window",
    )

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._key: OpeningKey | None = None
        self._window = ReplayWindow()
        self._plaintext = True
        self._early: list[Record] = []
        self._early_bytes = 0
        self._failures = 0

    def read(self, datagram: bytes) -> Iterator[OpenedRecord]:
        """Yields the records of a datagram that are fit to be looked at.

        Lazy: a key that is installed while one record is handled opens the next.
        """
        for record in split_datagram(datagram, self._counters):
            opened = self._open(record)
            if opened is not None:
                yield opened

    def protect(self, key: OpeningKey) -> None:
        """Opens the protected epoch; `read_early` then gives what came before its time."""
        self._key = key

    def refuse_plaintext(self) -> None:
        """From now on nothing of epoch 0 is looked at."""
        self._plaintext = False

    def read_early(self) -> list[OpenedRecord]:
        """Opens the records that came before their key."""
        if self._key is None or not self._early:
            return []
        early, self._early, self._early_bytes = self._early, [], 0
        return [opened for record in early if (opened := self._open(record)) is not None]

    def wipe(self) -> None:
        """Forgets the key and what waited for it."""
        self._early, self._early_bytes = [], 0
        if self._key is not None:
            self._key.wipe()
            self._key = None

    def _open(self, record: Record) -> OpenedRecord | None:
        if record.content_type not in _KNOWN_CONTENT_TYPES:
            return self._drop(Noise.UNKNOWN_CONTENT_TYPE)
        epoch = record.number.epoch
        if epoch == PROTECTED_EPOCH:
            return self._open_protected(record)
        if epoch != PLAINTEXT_EPOCH:
            return self._drop(Noise.UNKNOWN_EPOCH)
        if not self._plaintext:
            return self._drop(Noise.LATE_PLAINTEXT)
        if len(record.fragment) > MAXIMUM_PLAINTEXT:
            return self._drop(Noise.MALFORMED_RECORD)
        return OpenedRecord(record.content_type, record.number, record.fragment)

    def _open_protected(self, record: Record) -> OpenedRecord | None:
        if self._key is None:
            return self._keep_early(record)
        if record.version != DTLS_1_2:
            return self._drop(Noise.MALFORMED_RECORD)
        if not self._window.admits(record.number.sequence_number):
            return self._drop(Noise.REPLAYED)
        payload = self._key.open(record)
        if payload is None:
            return self._refuse_forgery()
        self._window.accept(record.number.sequence_number)
        if len(payload) > MAXIMUM_PLAINTEXT:
            raise ProtocolFault(AlertDescription.RECORD_OVERFLOW, "record too long")
        return OpenedRecord(record.content_type, record.number, payload)

    def _refuse_forgery(self) -> OpenedRecord | None:
        self._failures += 1
        if self._failures >= FAILURE_LIMIT:
            raise ProtocolFault(AlertDescription.BAD_RECORD_MAC, "forgery limit reached")
        return self._drop(Noise.DECRYPTION_FAILED)

    def _keep_early(self, record: Record) -> OpenedRecord | None:
        size = self._early_bytes + len(record.fragment)
        if len(self._early) >= _MAXIMUM_EARLY_RECORDS or size > _MAXIMUM_EARLY_BYTES:
            return self._drop(Noise.EARLY_RECORD_LIMIT)
        self._early.append(record)
        self._early_bytes = size
        return None

    def _drop(self, noise: Noise) -> OpenedRecord | None:
        self._counters.count(noise)
        return None
