"""Brings halfkey._media's contexts to where a vector begins, with packets of the reference's."""

from dataclasses import replace
from typing import Any

from halfkey._media import DoubleReceiver, DoubleSender
from tests.reference import double, ekt, rtp
from tests.reference.rtp import RtpPacket

SPI = 1
EKT_KEY = bytes(range(16))
SHORT = b"\0"
STEP = 0x7000
"""Less than half of the sequence numbers: a longer leap would be taken for one backwards."""


def octets(text: str) -> bytes:
    return bytes.fromhex(text)


def indices_before(index: int) -> list[int]:
    """Packet indices that lead from a first packet, whose ROC is 0, to this one."""
    return list(range(index % STEP, index, STEP)) if index > 0xFFFF else []


def index_of(roc: int, packet: RtpPacket) -> int:
    return roc << 16 | packet.sequence_number


def full_field(keys: double.DoubleKeys, ssrc: int, roc: int) -> bytes:
    plaintext = ekt.EktPlaintext(keys.inner.master_key, ssrc, roc)
    return ekt.FullEktField(ekt.encrypt(EKT_KEY, plaintext), SPI, epoch=0).encode()


def sender(vector: dict[str, Any]) -> DoubleSender:
    """A sender that has sent up to the vector's index. Inner and outer ROC are the same."""
    given = vector["input"]
    keys = double.double_keys(octets(given["master_key"]), octets(given["master_salt"]))
    packet = rtp.parse(octets(given["rtp_packet"]))
    context = DoubleSender(given["profile"], keys.outer.master_key, keys.outer.master_salt)
    context.set_inner_key(packet.ssrc, keys.inner.master_key, keys.inner.master_salt)
    for index in indices_before(index_of(given["outer_roc"], packet)):
        before = RtpPacket(False, 0, index & 0xFFFF, 0, packet.ssrc, payload=b"before")
        context.protect(before.encode())
    return context


def new_receiver(profile: int, keys: double.DoubleKeys) -> DoubleReceiver:
    context = DoubleReceiver(profile, keys.outer.master_key, keys.outer.master_salt)
    context.add_ekt_parameter_set(SPI, EKT_KEY, keys.inner.master_salt)
    return context


def deliver(
    profile: int, keys: double.DoubleKeys, packet: bytes, inner_roc: int, outer_roc: int
) -> tuple[DoubleReceiver, bytes]:
    """A receiver that has come to the vector's ROCs, and the packet with its EKTField."""
    context = new_receiver(profile, keys)
    header = rtp.parse(packet)
    before = indices_before(index_of(outer_roc, header))
    for count, index in enumerate(before):
        earlier = RtpPacket(False, 0, index & 0xFFFF, 0, header.ssrc, payload=b"before")
        inner = inner_roc - outer_roc + (index >> 16)
        sealed = double.protect(keys, earlier.encode(), inner, index >> 16).outer.packet
        context.unprotect(sealed + (SHORT if count else full_field(keys, header.ssrc, inner)))
    return context, packet + (SHORT if before else full_field(keys, header.ssrc, inner_roc))


def install_key(context: DoubleReceiver, keys: double.DoubleKeys, ssrc: int) -> None:
    """One good packet, well before those of the refusals, that brings the inner key."""
    first = RtpPacket(False, 0, 0x1200, 0, ssrc, payload=b"first")
    for template in (first, replace(first, ssrc=ssrc ^ 1)):
        sealed = double.protect(keys, template.encode(), 0, 0).outer.packet
        context.unprotect(sealed + full_field(keys, template.ssrc, 0))
