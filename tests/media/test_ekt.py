"""EKT in the packet path (RFC 8870 section 4): SPIs, epochs, rekeying, framing, bounds."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.keywrap import (
    aes_key_unwrap_with_padding,
    aes_key_wrap_with_padding,
)
from hypothesis import given
from hypothesis import strategies as st

from halfkey._media import DoubleReceiver, full_ekt_field
from halfkey.errors import PacketRejected, UsageError
from tests.media.helpers import SHORT, SPI, SSRC, SUITES, Suite, rtp

suites = pytest.mark.parametrize("suite", SUITES.values(), ids=SUITES)


def open_number(receiver: DoubleReceiver, protected: bytes) -> tuple[int, int, bool]:
    """SPI, epoch, and whether a key came."""
    opened = receiver.unprotect(protected)
    return opened.ekt_spi, opened.ekt_epoch, opened.new_key


@given(
    ekt_key=st.binary(min_size=16, max_size=16) | st.binary(min_size=32, max_size=32),
    spi=st.integers(0, 0xFFFF),
    epoch=st.integers(0, 0xFFFF),
    ssrc=st.integers(0, 2**32 - 1),
    roc=st.integers(0, 2**32 - 1),
    master_key=st.binary(min_size=1, max_size=242),
)
def test_full_field_against_another_key_wrap(
    ekt_key: bytes, spi: int, epoch: int, ssrc: int, roc: int, master_key: bytes
) -> None:
    made = full_ekt_field(ekt_key, spi, epoch, ssrc, roc, master_key)
    plaintext = bytes([len(master_key)]) + master_key
    plaintext += ssrc.to_bytes(4, "big") + roc.to_bytes(4, "big")
    ciphertext = aes_key_wrap_with_padding(ekt_key, plaintext)
    trailer = spi.to_bytes(2, "big") + epoch.to_bytes(2, "big")
    trailer += (len(ciphertext) + 7).to_bytes(2, "big") + b"\2"
    assert made == ciphertext + trailer
    assert aes_key_unwrap_with_padding(ekt_key, made[:-7]) == plaintext


@suites
def test_no_key_then_full_then_short(suite: Suite) -> None:
    sender, receiver = suite.sender(), suite.receiver()
    with pytest.raises(PacketRejected, match="no_inner_key"):
        receiver.unprotect(sender.protect(rtp(1)))
    assert open_number(receiver, sender.protect(rtp(2), suite.field())) == (SPI, 0, True)
    assert open_number(receiver, sender.protect(rtp(3), suite.field())) == (SPI, 0, False)
    assert open_number(receiver, sender.protect(rtp(4))) == (SPI, 0, False)


@suites
def test_rekey_under_a_new_spi(suite: Suite) -> None:
    """Section 4.3.1: announced under the old key, used 250 ms later; late packets still open."""
    sender, receiver = suite.sender("A"), suite.receiver()
    receiver.add_ekt_parameter_set(8, suite.key("kek2"), suite.salt("ekt2"))
    announce = full_ekt_field(suite.key("kek2"), 8, 0, SSRC, 0, suite.key("B"))
    assert open_number(receiver, sender.protect(rtp(1), suite.field("A"))) == (SPI, 0, True)
    assert open_number(receiver, sender.protect(rtp(2), announce)) == (SPI, 0, True)
    assert open_number(receiver, sender.protect(rtp(3))) == (SPI, 0, False)
    late = sender.protect(rtp(4))
    sender.set_inner_key(SSRC, suite.key("B"), suite.salt("ekt2"))
    assert open_number(receiver, sender.protect(rtp(5), announce)) == (8, 0, False)
    assert open_number(receiver, late) == (SPI, 0, False)
    receiver.remove_ekt_parameter_set(SPI)
    assert open_number(receiver, sender.protect(rtp(6))) == (8, 0, False)


@suites
def test_who_left_can_not_open_what_comes_after(suite: Suite) -> None:
    """The leaver has no EKTKey of the new SPI: neither field nor media can be opened."""
    sender, leaver = suite.sender("A"), suite.receiver()
    leaver.unprotect(sender.protect(rtp(1), suite.field("A")))
    sender.set_inner_key(SSRC, suite.key("B"), suite.salt("ekt2"))
    announce = full_ekt_field(suite.key("kek2"), 8, 0, SSRC, 0, suite.key("B"))
    with pytest.raises(PacketRejected, match="unknown_spi"):
        leaver.unprotect(sender.protect(rtp(2), announce))
    with pytest.raises(PacketRejected, match="inner_authentication"):
        leaver.unprotect(sender.protect(rtp(3)))


@suites
@pytest.mark.parametrize("epoch", [0, 4, 5])
def test_another_key_under_an_epoch_already_seen_is_rejected(suite: Suite, epoch: int) -> None:
    sender, receiver = suite.sender("A"), suite.receiver()
    receiver.unprotect(sender.protect(rtp(1), suite.field("A", epoch=5)))
    with pytest.raises(PacketRejected, match="ekt_epoch"):
        receiver.unprotect(sender.protect(rtp(2), suite.field("C", epoch=epoch)))
    assert open_number(receiver, sender.protect(rtp(3), suite.field("A", epoch=5))) == (
        SPI,
        5,
        False,
    )
    assert open_number(receiver, sender.protect(rtp(4), suite.field("B", epoch=6))) == (
        SPI,
        5,
        True,
    )


@suites
def test_epochs_are_counted_by_spi_and_ssrc(suite: Suite) -> None:
    receiver = suite.receiver()
    receiver.add_ekt_parameter_set(8, suite.key("kek"), suite.salt("ekt"))
    one, two = suite.sender("A"), suite.sender("C", ssrc=2)
    assert receiver.unprotect(one.protect(rtp(1), suite.field("A", epoch=5))).new_key
    assert receiver.unprotect(one.protect(rtp(2), suite.field("B", epoch=0, spi=8))).new_key
    other = two.protect(rtp(1, ssrc=2), suite.field("C", epoch=0, ssrc=2))
    assert receiver.unprotect(other).new_key


@suites
def test_the_same_key_under_a_higher_epoch_is_one_key(suite: Suite) -> None:
    sender, receiver = suite.sender("A"), suite.receiver()
    receiver.unprotect(sender.protect(rtp(1), suite.field("A")))
    # Nothing authenticates the epoch, so it stays the lowest that the key came under.
    assert open_number(receiver, sender.protect(rtp(2), suite.field("A", epoch=1))) == (
        SPI,
        0,
        False,
    )


@suites
def test_a_field_of_another_ssrc_is_discarded_and_the_packet_processed(suite: Suite) -> None:
    sender, receiver = suite.sender("A"), suite.receiver()
    receiver.unprotect(sender.protect(rtp(1), suite.field("A")))
    foreign = suite.field("B", epoch=1, ssrc=2)
    assert open_number(receiver, sender.protect(rtp(2), foreign)) == (SPI, 0, False)
    with pytest.raises(PacketRejected, match="no_inner_key"):
        receiver.unprotect(suite.sender("B", ssrc=2).protect(rtp(1, ssrc=2)))


@suites
@pytest.mark.parametrize("message_type", [1, 3, 0x7F, 0xFF])
@pytest.mark.parametrize("length", [1, 5, 1024])
def test_unknown_message_types_are_discarded(suite: Suite, message_type: int, length: int) -> None:
    sender, receiver = suite.sender(), suite.receiver()
    receiver.unprotect(sender.protect(rtp(1), suite.field()))
    extension = bytes(length) + (length + 3).to_bytes(2, "big") + bytes([message_type])
    assert receiver.unprotect(sender.protect(rtp(2), extension)).packet == rtp(2)


@suites
@pytest.mark.parametrize(
    "field", ["0002", "000002", "000102", "000702", "ffff02", "000303", "000003", "ffff03"]
)
def test_lengths_that_can_not_be(suite: Suite, field: str) -> None:
    sender, receiver = suite.sender(), suite.receiver()
    packet = sender.protect(rtp(1))[:-1] + bytes.fromhex("00000000" + field)
    with pytest.raises(PacketRejected, match="ekt_field"):
        receiver.unprotect(packet)
    with pytest.raises(UsageError, match="EKT Field"):
        sender.protect(rtp(2), bytes.fromhex(field))


@suites
def test_a_flipped_bit_in_the_field_brings_no_key(suite: Suite) -> None:
    protected, field = suite.sender().protect(rtp(1))[:-1], suite.field()
    for bit in range(8 * (len(field) - 7)):
        flipped = bytearray(field)
        flipped[bit // 8] ^= 1 << bit % 8
        receiver = suite.receiver()
        with pytest.raises(PacketRejected, match="ekt_authentication"):
            receiver.unprotect(protected + flipped)
        assert receiver.unprotect(protected + field).new_key  # it can't bar the real one's way


@suites
def test_key_lengths_of_another_profile(suite: Suite) -> None:
    sender, receiver = suite.sender(), suite.receiver()
    for number, length in enumerate((1, 15, 17, 24, 48 - suite.length, 64)):
        full = full_ekt_field(suite.key("kek"), SPI, 0, SSRC, 0, bytes(length))
        with pytest.raises(PacketRejected, match="ekt_key_length"):
            receiver.unprotect(sender.protect(rtp(number), full))


@suites
def test_a_key_is_kept_though_its_packet_is_under_another(suite: Suite) -> None:
    """A newcomer hears of the next key while the one in use is unknown to it."""
    sender, receiver = suite.sender("A"), suite.receiver()
    with pytest.raises(PacketRejected, match="inner_authentication"):
        receiver.unprotect(sender.protect(rtp(1), suite.field("B", epoch=1)))
    sender.set_inner_key(SSRC, suite.key("B"), suite.salt("ekt"))
    assert open_number(receiver, sender.protect(rtp(2))) == (SPI, 1, False)


@suites
def test_removing_a_set_wipes_what_came_under_it(suite: Suite) -> None:
    sender, receiver = suite.sender("A"), suite.receiver()
    receiver.unprotect(sender.protect(rtp(1), suite.field()))
    receiver.remove_ekt_parameter_set(SPI)
    with pytest.raises(PacketRejected, match="no_inner_key"):
        receiver.unprotect(sender.protect(rtp(2)))
    with pytest.raises(PacketRejected, match="unknown_spi"):
        receiver.unprotect(sender.protect(rtp(3), suite.field()))
    receiver.remove_ekt_parameter_set(SPI)  # a set that isn't there
    receiver.add_ekt_parameter_set(SPI, suite.key("new"), suite.salt("new"))


@suites
def test_the_number_of_keys_for_an_ssrc_is_bounded(suite: Suite) -> None:
    """The oldest gives way, and its name can't bring it back."""
    sender, receiver = suite.sender("0"), suite.receiver()
    late = sender.protect(rtp(100))
    for epoch in range(5):
        sender.set_inner_key(SSRC, suite.key(str(epoch)), suite.salt("ekt"))
        receiver.unprotect(sender.protect(rtp(101 + epoch), suite.field(str(epoch), epoch=epoch)))
    with pytest.raises(PacketRejected, match="inner_authentication"):
        receiver.unprotect(late)
    with pytest.raises(PacketRejected, match="ekt_epoch"):
        receiver.unprotect(sender.protect(rtp(110), suite.field("0", epoch=0)))


def test_the_number_of_ssrcs_and_sets_is_bounded() -> None:
    suite = SUITES["128"]
    sender, receiver = suite.sender(), suite.receiver()
    for ssrc in range(1024):
        if ssrc < 1023:
            sender.set_inner_key(ssrc, suite.key("A"), suite.salt("ekt"))
            receiver.unprotect(sender.protect(rtp(1, ssrc=ssrc), suite.field(ssrc=ssrc)))
    receiver.unprotect(sender.protect(rtp(1), suite.field()))
    with pytest.raises(UsageError, match="SSRCs"):
        sender.set_inner_key(5000, suite.key("A"), suite.salt("ekt"))
    sender.set_inner_key(0, suite.key("B"), suite.salt("ekt"))
    extra = suite.sender(ssrc=5000).protect(rtp(1, ssrc=5000), suite.field(ssrc=5000))
    with pytest.raises(PacketRejected, match="ssrc_limit"):
        receiver.unprotect(extra)
    for spi in range(100, 163):
        receiver.add_ekt_parameter_set(spi, suite.key("kek"), suite.salt("ekt"))
    with pytest.raises(UsageError, match="too many"):
        receiver.add_ekt_parameter_set(999, suite.key("kek"), suite.salt("ekt"))


def test_an_spi_names_one_set() -> None:
    suite = SUITES["128"]
    receiver = suite.receiver()
    receiver.add_ekt_parameter_set(SPI, suite.key("kek"), suite.salt("ekt"))
    receiver.add_ekt_parameter_set(SPI, suite.key("kek"), suite.salt("ekt") + b"longer")
    with pytest.raises(UsageError, match="SPI"):
        receiver.add_ekt_parameter_set(SPI, suite.key("other"), suite.salt("ekt"))
    with pytest.raises(UsageError, match="SPI"):
        receiver.add_ekt_parameter_set(SPI, suite.key("kek"), suite.salt("other"))


@suites
def test_short_is_the_default(suite: Suite) -> None:
    assert suite.sender().protect(rtp(1)).endswith(SHORT)
    assert suite.sender().protect(rtp(1)) == suite.sender().protect(rtp(1), SHORT)
