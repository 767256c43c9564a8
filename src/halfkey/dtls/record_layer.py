"""Records in and out, epoch by epoch (RFC 6347 section 4.1, RFC 9147 sections 4 and 6.1).

Which version a record is of is the business of its epoch's key: there is one writer and one reader.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from halfkey.dtls.crypto.aead import FAILURE_LIMIT, OpeningKey, SealingKey
from halfkey.dtls.faults import Counters, Noise, ProtocolFault
from halfkey.dtls.record import (
    APPLICATION_EPOCH,
    HANDSHAKE_EPOCH,
    HEADER_LENGTH,
    MAXIMUM_PLAINTEXT,
    MAXIMUM_SEQUENCE_NUMBER,
    PLAINTEXT_EPOCH,
    PROTECTED_EPOCH,
    Ciphertext,
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
_NEVER_EMPTY = frozenset({ContentType.HANDSHAKE, ContentType.ALERT})
_EARLY_EPOCHS = (HANDSHAKE_EPOCH, APPLICATION_EPOCH)
"""Of DTLS 1.3, while a handshake lasts: two bits tell them apart."""


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

    __slots__ = ("_keys", "_next")

    def __init__(self, first_sequence_number: int = 0) -> None:
        self._next = {PLAINTEXT_EPOCH: first_sequence_number}
        self._keys: dict[int, SealingKey] = {}

    @property
    def epoch(self) -> int:
        """The latest epoch that can be written."""
        return max(self._next)

    @property
    def remaining(self) -> int:
        """How many more records may be sealed in the latest epoch."""
        return self._limit(self.epoch) - self._next[self.epoch]

    def protect(self, key: SealingKey, epoch: int = PROTECTED_EPOCH) -> None:
        """Opens a protected epoch. The one before stays, for retransmissions; others are wiped."""
        for old in [old for old in self._keys if old < epoch - 1]:
            self._keys.pop(old).wipe()
            del self._next[old]
        self._keys[epoch] = key
        self._next[epoch] = 0

    def overhead(self, epoch: int) -> int:
        """What a record of this epoch has beside its payload, in bytes."""
        key = self._keys.get(epoch)
        return HEADER_LENGTH if key is None else key.overhead

    def write(self, epoch: int, content_type: int, payload: bytes) -> tuple[RecordNumber, bytes]:
        """One record on the wire, and its number.

        Raises:
            ProtocolFault: internal_error when the key has sealed all it may; an alert may still
                be sealed after that.
        """
        number = RecordNumber(epoch, self._next[epoch])
        self._next[epoch] += 1
        key = self._keys.get(epoch)
        if key is None:
            return number, encode_record(content_type, DTLS_1_2, number, payload)
        if number.sequence_number >= self._limit(epoch) and content_type != ContentType.ALERT:
            raise ProtocolFault(AlertDescription.INTERNAL_ERROR, "record limit reached")
        return number, key.protect(content_type, number, payload)

    def wipe(self) -> None:
        """Forgets the keys; nothing can be written any more."""
        for key in self._keys.values():
            key.wipe()
        self._keys.clear()
        self._next.clear()

    def _limit(self, epoch: int) -> int:
        key = self._keys.get(epoch)
        return MAXIMUM_SEQUENCE_NUMBER if key is None else min(key.record_limit, 1 << 48)


class _ReadEpoch:
    """One epoch's key, replay window, and count of forgeries (RFC 9147 sections 4.5.1, 4.5.3)."""

    __slots__ = ("failures", "key", "window")

    def __init__(self, key: OpeningKey) -> None:
        self.key = key
        self.window = ReplayWindow()
        self.failures = 0


class RecordReader:
    """Takes datagrams apart, and opens what can be opened.

    Args:
        counters: told of every record that is dropped.
    """

    __slots__ = ("_counters", "_early", "_early_bytes", "_epochs", "_plaintext")

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._epochs: dict[int, _ReadEpoch] = {}
        self._plaintext = True
        self._early: list[Record | Ciphertext] = []
        self._early_bytes = 0

    @property
    def epoch(self) -> int:
        """The latest epoch that can be read."""
        return max(self._epochs, default=PLAINTEXT_EPOCH)

    @property
    def failures(self) -> int:
        """How many forgeries the latest epoch's key has refused."""
        latest = self._epochs.get(self.epoch)
        return 0 if latest is None else latest.failures

    def read(self, datagram: bytes) -> Iterator[OpenedRecord]:
        """Yields the records of a datagram that are fit to be looked at.

        Lazy: a key that is installed while one record is handled opens the next.
        """
        for record in split_datagram(datagram, self._counters):
            opened = self._open(record)
            if opened is not None:
                yield opened

    def protect(self, key: OpeningKey, epoch: int = PROTECTED_EPOCH) -> None:
        """Opens a protected epoch; `read_early` then gives what came before its time."""
        self._epochs[epoch] = _ReadEpoch(key)

    def refuse_plaintext(self) -> None:
        """From now on nothing of epoch 0, and nothing before its time, is looked at."""
        self._plaintext = False

    def read_early(self) -> list[OpenedRecord]:
        """Opens the records that came before their key."""
        if not self._epochs or not self._early:
            return []
        early, self._early, self._early_bytes = self._early, [], 0
        return [opened for record in early if (opened := self._open(record)) is not None]

    def wipe(self) -> None:
        """Forgets the keys and what waited for them."""
        self._early, self._early_bytes = [], 0
        for one in self._epochs.values():
            one.key.wipe()
        self._epochs.clear()

    def _open(self, record: Record | Ciphertext) -> OpenedRecord | None:
        if isinstance(record, Ciphertext):
            return self._open_protected(record, self._epoch_of(record))
        if record.content_type not in _KNOWN_CONTENT_TYPES:
            return self._drop(Noise.UNKNOWN_CONTENT_TYPE)
        if record.number.epoch == PROTECTED_EPOCH:
            return self._open_protected(record, PROTECTED_EPOCH)
        if record.number.epoch != PLAINTEXT_EPOCH:
            return self._drop(Noise.UNKNOWN_EPOCH)
        if not self._plaintext:
            return self._drop(Noise.LATE_PLAINTEXT)
        if len(record.fragment) > MAXIMUM_PLAINTEXT:
            return self._drop(Noise.MALFORMED_RECORD)
        return OpenedRecord(record.content_type, record.number, record.fragment)

    def _epoch_of(self, record: Ciphertext) -> int | None:
        """The latest epoch that ends in the record's two bits (RFC 9147 section 4.2.2)."""
        known = (epoch for epoch in self._epochs if epoch & 3 == record.epoch_bits)
        early = (epoch for epoch in _EARLY_EPOCHS if epoch == record.epoch_bits)
        return max(known, default=next(early, None))

    def _open_protected(
        self, record: Record | Ciphertext, epoch: int | None
    ) -> OpenedRecord | None:
        one = None if epoch is None else self._epochs.get(epoch)
        if one is None or epoch is None:
            return self._keep_early(record, epoch)
        opened = one.key.open(record, one.window.expected)
        if opened is None:
            return self._refuse_forgery(one)
        # After opening, so that time doesn't tell the number (RFC 9147 section 4.5.1).
        if not one.window.admits(opened.sequence_number):
            return self._drop(Noise.REPLAYED)
        one.window.accept(opened.sequence_number)
        self._forget_before(epoch - 1)
        if not opened.content_type or (not opened.payload and opened.content_type in _NEVER_EMPTY):
            # RFC 8446 sections 5.1 and 5.4; 0 stands for a record of padding alone.
            raise ProtocolFault(AlertDescription.UNEXPECTED_MESSAGE, "empty record")
        if opened.content_type not in _KNOWN_CONTENT_TYPES:
            return self._drop(Noise.UNKNOWN_CONTENT_TYPE)
        if len(opened.payload) > MAXIMUM_PLAINTEXT:
            raise ProtocolFault(AlertDescription.RECORD_OVERFLOW, "record too long")
        number = RecordNumber(epoch, opened.sequence_number)
        return OpenedRecord(opened.content_type, number, opened.payload)

    def _forget_before(self, epoch: int) -> None:
        """Once an epoch is in use, only the one before it may bring more (RFC 9147 section 8)."""
        for old in [old for old in self._epochs if old < epoch]:
            self._epochs.pop(old).key.wipe()

    def _refuse_forgery(self, one: _ReadEpoch) -> OpenedRecord | None:
        one.failures += 1
        if one.failures >= FAILURE_LIMIT:
            raise ProtocolFault(AlertDescription.BAD_RECORD_MAC, "forgery limit reached")
        return self._drop(Noise.DECRYPTION_FAILED)

    def _keep_early(self, record: Record | Ciphertext, epoch: int | None) -> OpenedRecord | None:
        """Keeps what a key may come for while the handshake lasts."""
        if not self._plaintext or epoch not in (PROTECTED_EPOCH, *_EARLY_EPOCHS):
            return self._drop(Noise.UNKNOWN_EPOCH)
        size = self._early_bytes + len(record[-1])
        if len(self._early) >= _MAXIMUM_EARLY_RECORDS or size > _MAXIMUM_EARLY_BYTES:
            return self._drop(Noise.EARLY_RECORD_LIMIT)
        self._early.append(record)
        self._early_bytes = size
        return None

    def _drop(self, noise: Noise) -> OpenedRecord | None:
        self._counters.count(noise)
        return None
