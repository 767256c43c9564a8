"""How a peer's values reach the code under test."""

from __future__ import annotations

from halfkey._media import DoubleReceiver
from halfkey.dtls.crypto import key_exchange
from halfkey.dtls.registries import NamedGroup
from halfkey.errors import PacketRejected
from tests.media.helpers import SPI, SUITES, rtp

KEY_WRAP_REFUSAL = "ekt_authentication"
"""The reason of the key wrap itself; any other comes after it was opened."""


def exchange(group: NamedGroup, private: bytes, public: bytes) -> bytes:
    """The shared secret of our end, with this private key.

    Raises:
        ProtocolFault: the public key is of no use.
    """
    drawn = int.from_bytes(private, "big")
    if group is NamedGroup.SECP256R1:
        drawn -= 1  # a private key is made as one more than what is drawn, modulo n - 1
    ours = key_exchange.generate(group, lambda length: drawn.to_bytes(length, "big"))
    return bytes(ours.exchange(public))


def unwrapping(ekt_key: bytes, ciphertext: bytes) -> str:
    """The reason for which a Full EKT Field with this ciphertext is refused, or ``"taken"``."""
    suite = SUITES["256" if len(ekt_key) == SUITES["256"].length else "128"]
    trailer = SPI.to_bytes(2, "big") + bytes(2) + (len(ciphertext) + 7).to_bytes(2, "big") + b"\2"
    receiver = DoubleReceiver(*suite.hop())
    receiver.add_ekt_parameter_set(SPI, ekt_key, suite.salt("ekt"))
    try:
        receiver.unprotect(suite.sender().protect(rtp())[:-1] + ciphertext + trailer)
    except PacketRejected as refusal:
        return refusal.reason
    return "taken"
