"""Records: framing, protection by hand-checked nonces, replay window, and the limits."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from hypothesis import given
from hypothesis import strategies as st

from halfkey.dtls.crypto.aead import OpeningKey, SealingKey
from halfkey.dtls.crypto.suites import SUITES
from halfkey.dtls.faults import Counters, ProtocolFault
from halfkey.dtls.record import (
    MAXIMUM_PLAINTEXT,
    Record,
    RecordNumber,
    encode_record,
    split_datagram,
)
from halfkey.dtls.record_layer import RecordReader, RecordWriter
from halfkey.dtls.registries import DTLS_1_2, AlertDescription, CipherSuite, ContentType
from halfkey.dtls.replay import ReplayWindow

EVERY_SUITE = pytest.mark.parametrize("suite", list(CipherSuite), ids=lambda one: one.name)
AES_128 = CipherSuite.ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
HANDSHAKE = ContentType.HANDSHAKE


def keys(suite: CipherSuite) -> tuple[SealingKey, OpeningKey]:
    parameters = SUITES[suite]
    key, iv = bytearray(range(parameters.key_length)), bytearray(range(parameters.iv_length))
    return SealingKey(parameters, key, iv[:]), OpeningKey(parameters, key, iv[:])


def pair(suite: CipherSuite = AES_128) -> tuple[RecordWriter, RecordReader, Counters]:
    counters = Counters()
    writer, reader = RecordWriter(), RecordReader(counters)
    sealing, opening = keys(suite)
    writer.protect(sealing)
    reader.protect(opening)
    return writer, reader, counters


records = st.builds(
    Record,
    st.integers(0, 255),
    st.sampled_from([0xFEFF, 0xFEFD]),
    st.builds(RecordNumber, st.integers(0, 0xFFFF), st.integers(0, 2**48 - 1)),
    st.binary(max_size=100),
)


@given(several=st.lists(records, max_size=5))
def test_records_round_trip(several: list[Record]) -> None:
    counters = Counters()
    datagram = b"".join(encode_record(*record) for record in several)
    assert list(split_datagram(datagram, counters)) == several
    assert sum(counters.values()) == 0


@given(record=records)
def test_truncated_records_are_dropped(record: Record) -> None:
    encoded = encode_record(*record)
    for length in range(1, len(encoded)):
        counters = Counters()
        assert list(split_datagram(encoded[:length], counters)) == []
        assert counters["malformed_record"] == 1


def test_gcm_by_hand() -> None:
    """RFC 5288 section 3: salt from the key block, explicit nonce is epoch and sequence number."""
    sealing, _ = keys(CipherSuite.ECDHE_ECDSA_WITH_AES_128_GCM_SHA256)
    sealed = sealing.seal(22, 0xFEFD, RecordNumber(1, 5), b"abc")
    explicit = bytes.fromhex("0001 000000000005")
    data = explicit + bytes.fromhex("16 fefd 0003")
    expected = AESGCM(bytes(range(16))).encrypt(bytes(range(4)) + explicit, b"abc", data)
    assert sealed == explicit + expected


def test_chacha_by_hand() -> None:
    """RFC 7905 section 2: the record number XORed into the IV; nothing explicit."""
    sealing, _ = keys(CipherSuite.ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256)
    sealed = sealing.seal(22, 0xFEFD, RecordNumber(1, 5), b"abc")
    data = bytes.fromhex("0001 000000000005 16 fefd 0003")
    nonce = bytes.fromhex("00010203 0404 0607 0809 0a0e")
    assert sealed == ChaCha20Poly1305(bytes(range(32))).encrypt(nonce, b"abc", data)


@EVERY_SUITE
@given(payload=st.binary(max_size=200))
def test_protection_round_trip(suite: CipherSuite, payload: bytes) -> None:
    writer, reader, _ = pair(suite)
    number, record = writer.write(1, HANDSHAKE, payload)
    assert len(record) == len(payload) + writer.overhead(1)
    (opened,) = reader.read(record)
    assert opened == (HANDSHAKE, number, payload)
    assert opened.is_protected


@EVERY_SUITE
def test_any_bit_flipped_is_refused(suite: CipherSuite) -> None:
    writer, reader, _ = pair(suite)
    _, record = writer.write(1, HANDSHAKE, b"payload")
    for bit in range(8 * len(record)):
        flipped = bytearray(record)
        flipped[bit // 8] ^= 1 << bit % 8
        for opened in reader.read(bytes(flipped)):
            assert not opened.is_protected  # a flipped epoch can make it plain, never authentic
    assert list(reader.read(record)) != []


@pytest.mark.parametrize("length", range(24))
def test_a_record_too_short_for_its_protection(length: int) -> None:
    _, reader, counters = pair()
    record = encode_record(HANDSHAKE, 0xFEFD, RecordNumber(1, 0), bytes(length))
    assert list(reader.read(record)) == []
    assert counters["decryption_failed"] == 1


def test_early_records_wait_for_their_key_within_bounds() -> None:
    counters = Counters()
    writer, reader = RecordWriter(), RecordReader(counters)
    sealing, opening = keys(AES_128)
    writer.protect(sealing)
    sent = [writer.write(1, HANDSHAKE, bytes([index]))[1] for index in range(20)]
    for record in sent:
        assert list(reader.read(record)) == []
    assert counters["early_record_limit"] == 12
    assert reader.read_early() == []
    reader.protect(opening)
    assert [opened.payload for opened in reader.read_early()] == [bytes([i]) for i in range(8)]
    assert reader.read_early() == []


def test_early_records_are_bounded_in_bytes() -> None:
    counters = Counters()
    reader = RecordReader(counters)
    record = encode_record(HANDSHAKE, 0xFEFD, RecordNumber(1, 0), bytes(9000))
    for _ in range(3):
        assert list(reader.read(record)) == []
    assert counters["early_record_limit"] == 2


def test_the_record_limit_of_a_key() -> None:
    writer, _, _ = pair()
    writer._next[1] = 23_726_566
    with pytest.raises(ProtocolFault) as caught:
        writer.write(1, HANDSHAKE, b"one too many")
    assert caught.value.alert is AlertDescription.INTERNAL_ERROR
    writer.write(1, ContentType.ALERT, b"\2\x50")  # but it may still say so


def test_a_record_of_too_much_plaintext_is_an_overflow() -> None:
    writer, reader, _ = pair()
    _, record = writer.write(1, HANDSHAKE, bytes(2**14 + 1))
    with pytest.raises(ProtocolFault) as caught:
        list(reader.read(record))
    assert caught.value.alert is AlertDescription.RECORD_OVERFLOW


@pytest.mark.parametrize("excess", [0, 1])
def test_a_plain_record_of_too_much_is_dropped(excess: int) -> None:
    _, reader, counters = pair()
    payload = bytes(MAXIMUM_PLAINTEXT + excess)
    record = encode_record(ContentType.HANDSHAKE, DTLS_1_2, RecordNumber(0, 0), payload)
    assert len(list(reader.read(record))) == 1 - excess
    assert counters["malformed_record"] == excess


def test_wiped_keys_open_nothing() -> None:
    writer, reader, _ = pair()
    _, record = writer.write(1, HANDSHAKE, b"payload")
    iv = reader._key._iv if reader._key else None
    reader.wipe()
    assert iv == bytearray(4)
    assert list(reader.read(record)) == []


def test_the_replay_window_by_hand() -> None:
    window = ReplayWindow()
    assert window.admits(0)
    window.accept(100)
    assert not window.admits(100)
    assert window.admits(101)
    assert window.admits(37)
    assert not window.admits(36)  # 64 behind: too old to tell
    window.accept(37)
    assert not window.admits(37)
    window.accept(101)
    assert not window.admits(37)
    assert window.admits(99)


@given(numbers=st.lists(st.integers(0, 300), max_size=100))
def test_no_number_is_accepted_twice(numbers: list[int]) -> None:
    window = ReplayWindow()
    accepted: set[int] = set()
    for number in numbers:
        admitted = window.admits(number)
        recent = not accepted or number > max(accepted) - 64
        assert admitted == (recent and number not in accepted)
        if admitted:
            window.accept(number)
            accepted.add(number)
