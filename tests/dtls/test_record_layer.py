"""Records: framing, protection by hand-checked nonces, replay window, and the limits."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from hypothesis import given
from hypothesis import strategies as st

from halfkey.dtls.crypto.aead import (
    BlockOpeningKey,
    BlockSealingKey,
    OpeningKey,
    SealingKey,
)
from halfkey.dtls.crypto.aead_1_3 import TrafficOpeningKey, TrafficSealingKey, reconstruct
from halfkey.dtls.crypto.suites import SUITES, of_version
from halfkey.dtls.faults import Counters, ProtocolFault
from halfkey.dtls.record import (
    MAXIMUM_PLAINTEXT,
    Ciphertext,
    Record,
    RecordNumber,
    encode_record,
    split_datagram,
    unified_header,
)
from halfkey.dtls.record_layer import RecordReader, RecordWriter
from halfkey.dtls.registries import (
    DTLS_1_2,
    DTLS_1_3,
    AlertDescription,
    CipherSuite,
    ContentType,
)
from halfkey.dtls.replay import ReplayWindow

EVERY_SUITE = pytest.mark.parametrize("suite", list(CipherSuite), ids=lambda one: one.name)
AES_128 = CipherSuite.ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
HANDSHAKE = ContentType.HANDSHAKE


def block_keys(suite: CipherSuite) -> tuple[BlockSealingKey, BlockOpeningKey]:
    parameters = SUITES[suite]
    key, iv = bytearray(range(parameters.key_length)), bytearray(range(parameters.iv_length))
    return BlockSealingKey(parameters, key, iv[:]), BlockOpeningKey(parameters, key, iv[:])


def traffic_keys(suite: CipherSuite) -> tuple[TrafficSealingKey, TrafficOpeningKey]:
    parameters = SUITES[suite]
    length, iv = parameters.key_length, bytearray(range(12))
    ours, theirs = (
        (bytearray(range(length)), iv[:], bytearray(range(100, 100 + length))) for _ in range(2)
    )
    return TrafficSealingKey(parameters, *ours), TrafficOpeningKey(parameters, *theirs)


def keys(suite: CipherSuite) -> tuple[SealingKey, OpeningKey]:
    return (traffic_keys if SUITES[suite].version is DTLS_1_3 else block_keys)(suite)


def epoch_of(suite: CipherSuite) -> int:
    return 3 if SUITES[suite].version is DTLS_1_3 else 1


def pair(suite: CipherSuite = AES_128) -> tuple[RecordWriter, RecordReader, Counters]:
    counters = Counters()
    writer, reader = RecordWriter(), RecordReader(counters)
    sealing, opening = keys(suite)
    writer.protect(sealing, epoch_of(suite))
    reader.protect(opening, epoch_of(suite))
    return writer, reader, counters


content_types = st.integers(0, 255).filter(lambda first: first >> 5 != 1)
records = st.builds(
    Record,
    content_types,
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
    sealing, _ = block_keys(CipherSuite.ECDHE_ECDSA_WITH_AES_128_GCM_SHA256)
    sealed = sealing.seal(22, 0xFEFD, RecordNumber(1, 5), b"abc")
    explicit = bytes.fromhex("0001 000000000005")
    data = explicit + bytes.fromhex("16 fefd 0003")
    expected = AESGCM(bytes(range(16))).encrypt(bytes(range(4)) + explicit, b"abc", data)
    assert sealed == explicit + expected


def test_chacha_by_hand() -> None:
    """RFC 7905 section 2: the record number XORed into the IV; nothing explicit."""
    sealing, _ = block_keys(CipherSuite.ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256)
    sealed = sealing.seal(22, 0xFEFD, RecordNumber(1, 5), b"abc")
    data = bytes.fromhex("0001 000000000005 16 fefd 0003")
    nonce = bytes.fromhex("00010203 0404 0607 0809 0a0e")
    assert sealed == ChaCha20Poly1305(bytes(range(32))).encrypt(nonce, b"abc", data)


@EVERY_SUITE
@given(payload=st.binary(min_size=1, max_size=200))
def test_protection_round_trip(suite: CipherSuite, payload: bytes) -> None:
    writer, reader, _ = pair(suite)
    epoch = epoch_of(suite)
    number, record = writer.write(epoch, HANDSHAKE, payload)
    assert len(record) == len(payload) + writer.overhead(epoch)
    (opened,) = reader.read(record)
    assert opened == (HANDSHAKE, number, payload)
    assert opened.is_protected


@EVERY_SUITE
def test_any_bit_flipped_is_refused(suite: CipherSuite) -> None:
    writer, reader, _ = pair(suite)
    _, record = writer.write(epoch_of(suite), HANDSHAKE, b"payload")
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


@EVERY_SUITE
def test_the_record_limit_of_a_key(suite: CipherSuite) -> None:
    writer, _, _ = pair(suite)
    epoch, limit = epoch_of(suite), SUITES[suite].record_limit
    assert limit in (23_726_566, 1 << 47)
    writer._next[epoch] = limit - 1
    assert writer.remaining == 1
    writer.write(epoch, HANDSHAKE, b"the last")
    with pytest.raises(ProtocolFault) as caught:
        writer.write(epoch, HANDSHAKE, b"one too many")
    assert caught.value.alert is AlertDescription.INTERNAL_ERROR
    writer.write(epoch, ContentType.ALERT, b"\2\x50")  # but it may still say so


@EVERY_SUITE
def test_a_record_of_too_much_plaintext_is_an_overflow(suite: CipherSuite) -> None:
    writer, reader, _ = pair(suite)
    _, record = writer.write(epoch_of(suite), HANDSHAKE, bytes(2**14 + 1))
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


@EVERY_SUITE
def test_wiped_keys_open_nothing(suite: CipherSuite) -> None:
    writer, reader, _ = pair(suite)
    _, record = writer.write(epoch_of(suite), HANDSHAKE, b"payload")
    key = reader._epochs[epoch_of(suite)].key
    reader.wipe()
    assert isinstance(key, BlockOpeningKey | TrafficOpeningKey)
    assert key._iv == bytearray(len(key._iv))
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


# --- DTLS 1.3

TLS_AES_128 = CipherSuite.AES_128_GCM_SHA256
headers = st.builds(
    lambda bits, rest: bytes([0x20 | bits & 0x0F]) + rest[: (3 if bits & 8 else 2) - 1],
    st.integers(0, 15),
    st.binary(min_size=2, max_size=2),
)


@given(header=headers, body=st.binary(max_size=60), following=records)
def test_every_form_of_unified_header(header: bytes, body: bytes, following: Record) -> None:
    """RFC 9147 section 4: with a length another record may follow, without it none can."""
    counters = Counters()
    behind = encode_record(*following)
    if header[0] & 4:
        header += len(body).to_bytes(2, "big")
        expected: list[Record | Ciphertext] = [Ciphertext(header, body), following]
    else:
        expected = [Ciphertext(header, body + behind)]
    assert list(split_datagram(header + body + behind, counters)) == expected
    assert sum(counters.values()) == 0
    assert isinstance(expected[0], Ciphertext)
    assert expected[0].epoch_bits == header[0] & 3
    assert expected[0].number_length == (2 if header[0] & 8 else 1)


@pytest.mark.parametrize(
    "datagram",
    [b"\x20", b"\x28\0", b"\x24\0\0", b"\x2c\0\0\0", b"\x2c\0\0\0\x01", b"\x24\0\0\x02x"],
    ids=bytes.hex,
)
def test_unified_headers_that_are_cut_short(datagram: bytes) -> None:
    counters = Counters()
    assert list(split_datagram(datagram, counters)) == []
    assert counters["malformed_record"] == 1


def test_a_connection_id_is_refused_with_all_that_follows() -> None:
    """RFC 9147 section 9: none was negotiated, and nobody knows how long it is."""
    writer, reader, counters = pair(TLS_AES_128)
    _, record = writer.write(3, HANDSHAKE, b"payload")
    assert list(reader.read(bytes([record[0] | 0x10]) + record[1:] + record)) == []
    assert counters["malformed_record"] == 1
    assert len(list(reader.read(record))) == 1


def test_a_ciphertext_that_is_too_long() -> None:
    counters = Counters()
    longest = unified_header(RecordNumber(3, 0), 2**14 + 256) + bytes(2**14 + 256)
    assert len(list(split_datagram(longest, counters))) == 1
    longer = unified_header(RecordNumber(3, 0), 2**14 + 257) + bytes(2**14 + 257)
    assert list(split_datagram(longer, counters)) == []


def test_gcm_with_a_unified_header_by_hand() -> None:
    """RFC 9147 section 4: all of the header is authenticated; section 4.2.3: then it is masked."""
    sealing, _ = traffic_keys(TLS_AES_128)
    record = sealing.protect(22, RecordNumber(6, 0x10205), b"abc")
    header = bytes.fromhex("2e 0205 0014")  # 001 0 1 1 10, number, 3 + 1 + 16 bytes
    nonce = bytes.fromhex("000102030405060708 08080e")
    sealed = AESGCM(bytes(range(16))).encrypt(nonce, b"abc\x16", header)
    ecb = Cipher(algorithms.AES(bytes(range(100, 116))), modes.ECB()).encryptor()
    mask = ecb.update(sealed[:16])
    masked = bytes([0x02 ^ mask[0], 0x05 ^ mask[1]])
    assert record == header[:1] + masked + header[3:] + sealed


def test_chacha_with_a_unified_header_by_hand() -> None:
    """RFC 9147 section 4.2.3: the block counter comes first, then the nonce."""
    sealing, _ = traffic_keys(CipherSuite.CHACHA20_POLY1305_SHA256)
    record = sealing.protect(22, RecordNumber(3, 5), b"abc")
    nonce = bytes.fromhex("0001020304050607 08090a0e")
    sealed = ChaCha20Poly1305(bytes(range(32))).encrypt(
        nonce, b"abc\x16", bytes.fromhex("2f 0005 0014")
    )
    # The block function's first two bytes, by way of the AEAD-free stream cipher.
    stream = Cipher(algorithms.ChaCha20(bytes(range(100, 132)), sealed[:16]), mode=None)
    mask = stream.encryptor().update(bytes(64))
    assert record == b"\x2f" + bytes([mask[0], 5 ^ mask[1]]) + b"\0\x14" + sealed


def test_padding_is_taken_off() -> None:
    _, opening = traffic_keys(TLS_AES_128)
    header = bytes.fromhex("2f 0005 001f")
    nonce = bytes.fromhex("0001020304050607 08090a0e")
    for inner, content in (
        (b"abc\x16" + bytes(11), (22, b"abc")),
        (b"\x16" + bytes(14), (22, b"")),
        (bytes(15), (0, b"")),
    ):
        sealed = AESGCM(bytes(range(16))).encrypt(nonce, inner, header)
        ecb = Cipher(algorithms.AES(bytes(range(100, 116))), modes.ECB()).encryptor()
        mask = ecb.update(sealed[:16])
        masked = b"\x2f" + bytes([mask[0], 5 ^ mask[1]]) + b"\0\x1f"
        opened = opening.open(Ciphertext(masked, sealed), 0)
        assert opened is not None
        assert (opened.content_type, opened.payload) == content
        assert opened.sequence_number == 5


def test_an_inner_content_type_that_is_unknown_is_dropped() -> None:
    writer, reader, counters = pair(TLS_AES_128)
    _, record = writer.write(3, 99, b"")
    assert list(reader.read(record)) == []
    assert counters["unknown_content_type"] == 1


@EVERY_SUITE
def test_what_may_not_be_empty_is_unexpected(suite: CipherSuite) -> None:
    for content_type in (HANDSHAKE, ContentType.ALERT, ContentType.APPLICATION_DATA):
        writer, reader, _ = pair(suite)
        _, record = writer.write(epoch_of(suite), content_type, b"")
        if content_type == ContentType.APPLICATION_DATA:
            assert len(list(reader.read(record))) == 1
            continue
        with pytest.raises(ProtocolFault) as caught:
            list(reader.read(record))
        assert caught.value.alert is AlertDescription.UNEXPECTED_MESSAGE


def test_padding_alone_is_unexpected() -> None:
    writer, reader, _ = pair(TLS_AES_128)
    _, record = writer.write(3, 0, b"")
    with pytest.raises(ProtocolFault) as caught:
        list(reader.read(record))
    assert caught.value.alert is AlertDescription.UNEXPECTED_MESSAGE


def test_short_headers_are_opened() -> None:
    """A peer may send 8 bits of the number and no length (RFC 9147 section 4)."""
    _, reader, _ = pair(TLS_AES_128)
    for number in range(300):
        header = bytes([0x23, number & 0xFF])
        nonce = (int.from_bytes(bytes(range(12)), "big") ^ number).to_bytes(12, "big")
        sealed = AESGCM(bytes(range(16))).encrypt(nonce, b"x\x16", header)
        ecb = Cipher(algorithms.AES(bytes(range(100, 116))), modes.ECB()).encryptor()
        masked = bytes([0x23, number & 0xFF ^ ecb.update(sealed[:16])[0]])
        (opened,) = reader.read(masked + sealed)
        assert opened.number == (3, number)


@pytest.mark.parametrize(
    ("truncated", "bits", "expected", "number"),
    [
        (0, 8, 0, 0),
        (255, 8, 0, 255),
        (5, 8, 256, 261),
        (0xFF, 8, 256, 255),
        (0x7F, 8, 0x200, 0x27F),
        (0x81, 8, 0x200, 0x181),
        (0, 16, 0xFFFF, 0x10000),
        (0xFFFF, 16, 0x10000, 0xFFFF),
        (0xFFFF, 16, 0x3FFFF, 0x3FFFF),
    ],
)
def test_the_closest_sequence_number(truncated: int, bits: int, expected: int, number: int) -> None:
    assert reconstruct(truncated, bits, expected) == number


@given(expected=st.integers(0, 1 << 47), bits=st.sampled_from([8, 16]), data=st.data())
def test_no_sequence_number_is_closer(expected: int, bits: int, data: st.DataObject) -> None:
    size = 1 << bits
    low = max(0, expected - size // 2 + 1)
    number = data.draw(st.integers(low, expected + size // 2 - 1))
    assert reconstruct(number % size, bits, expected) == number


def test_epochs_by_their_bits() -> None:
    """The latest epoch that fits; the one before the latest in use stays, others go."""
    counters = Counters()
    writer, reader = RecordWriter(), RecordReader(counters)
    for epoch in range(2, 8):
        parameters = SUITES[TLS_AES_128]
        secret = [bytes([epoch]) * length for length in (16, 12, 16)]
        writer.protect(TrafficSealingKey(parameters, *map(bytearray, secret)), epoch)
        reader.protect(TrafficOpeningKey(parameters, *map(bytearray, secret)), epoch)
        before = writer.write(max(epoch - 1, 2), HANDSHAKE, b"before")[1]
        first = writer.write(epoch, HANDSHAKE, b"first")[1]
        assert [one.number.epoch for one in reader.read(first + before)] == [
            epoch,
            max(epoch - 1, 2),
        ]
        assert set(reader._epochs) == {max(epoch - 1, 2), epoch}
        assert set(writer._keys) == {max(epoch - 1, 2), epoch}
    assert counters["decryption_failed"] == 0


def test_a_key_of_one_version_opens_no_record_of_the_other() -> None:
    for ours, theirs in ((DTLS_1_2, DTLS_1_3), (DTLS_1_3, DTLS_1_2)):
        _, opening = keys(of_version(CipherSuite, ours)[0])
        other = of_version(CipherSuite, theirs)[0]
        record = keys(other)[0].protect(22, RecordNumber(epoch_of(other), 0), b"x")
        (taken,) = split_datagram(record, Counters())
        assert opening.open(taken, 0) is None
