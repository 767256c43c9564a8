"""A Full EKT Field made with the cryptography library, and EKTKeys to feed the engines."""

from __future__ import annotations

from cryptography.hazmat.primitives.keywrap import (
    aes_key_unwrap_with_padding,
    aes_key_wrap_with_padding,
)

from halfkey.ekt.messages import EKTKey


def full_ekt_field(
    ekt_key: bytes, spi: int, epoch: int, ssrc: int, rollover_counter: int, master_key: bytes
) -> bytes:
    """RFC 8870 section 4.1, figure 1 and the ABNF of figure 3."""
    plaintext = (
        bytes([len(master_key)])
        + master_key
        + ssrc.to_bytes(4, "big")
        + rollover_counter.to_bytes(4, "big")
    )
    ciphertext = aes_key_wrap_with_padding(ekt_key, plaintext)
    tail = spi.to_bytes(2, "big") + epoch.to_bytes(2, "big")
    length = len(ciphertext) + len(tail) + 3
    return ciphertext + tail + length.to_bytes(2, "big") + b"\x02"


def open_field(ekt_field: bytes, ekt_key: bytes) -> tuple[int, int, bytes, int, int]:
    """Gives (spi, epoch, master key, SSRC, rollover counter) of a Full EKT Field."""
    assert ekt_field[-1] == 2
    assert int.from_bytes(ekt_field[-3:-1], "big") == len(ekt_field)
    spi = int.from_bytes(ekt_field[-7:-5], "big")
    epoch = int.from_bytes(ekt_field[-5:-3], "big")
    plaintext = aes_key_unwrap_with_padding(ekt_key, ekt_field[:-7])
    length = plaintext[0]
    ssrc = int.from_bytes(plaintext[1 + length : 5 + length], "big")
    return (
        spi,
        epoch,
        plaintext[1 : 1 + length],
        ssrc,
        int.from_bytes(plaintext[5 + length :], "big"),
    )


def ekt_key(spi: int, ttl: int = 3600) -> EKTKey:
    """An EKTKey whose key and salt follow from its SPI."""
    return EKTKey(bytes([spi % 256]) * 16, bytes([spi % 256 ^ 0xFF]) * 12, spi, ttl)
