"""Key derivation: RFC 3711 section 4.3 for 128-bit keys, RFC 6188 section 3 for 256-bit ones."""

from dataclasses import dataclass

from tests.reference.primitives import aes_encrypt_block

# Labels, RFC 3711 sections 4.3.1 and 4.3.2.
SRTP_ENCRYPTION = 0x00
SRTP_AUTHENTICATION = 0x01
SRTP_SALTING = 0x02
SRTCP_ENCRYPTION = 0x03
SRTCP_AUTHENTICATION = 0x04
SRTCP_SALTING = 0x05
# RFC 6904 section 4.1 gives two labels more, for encrypted header extensions.
HEADER_ENCRYPTION = 0x06
HEADER_SALTING = 0x07


def aes_cm_prf(k_master: bytes, x: bytes, n: int) -> bytes:
    """PRF_n of RFC 3711 section 4.3.3, n in octets: AES in counter mode from IV = x * 2^16."""
    assert len(x) == 14
    iv = int.from_bytes(x) << 16
    blocks = [aes_encrypt_block(k_master, (iv + b_c).to_bytes(16)) for b_c in range(-(-n // 16))]
    return b"".join(blocks)[:n]


def prf_input(label: int, master_salt: bytes) -> bytes:
    """x = key_id XOR master_salt (RFC 3711 section 4.3.1), key derivation rate zero.

    key_id is <label> || r with r = 0 in 48 bits, right-aligned with a 112-bit salt. RFC 7714's
    96-bit salts have to be widened to the 112 bits that the PRF takes (RFC 6188 section 3), which
    no RFC here spells out: zeros are appended, which is what deployed implementations do.
    """
    assert len(master_salt) in (12, 14)
    salt = int.from_bytes(master_salt.ljust(14, b"\0"))
    return (salt ^ label << 48).to_bytes(14)


def derive(master_key: bytes, master_salt: bytes, label: int, n: int) -> bytes:
    return aes_cm_prf(master_key, prf_input(label, master_salt), n)


@dataclass(frozen=True)
class SessionKeys:
    """Of one AEAD transform (RFC 7714 section 11). AEAD has no authentication keys (7.1)."""

    master_key: bytes
    master_salt: bytes
    rtp_key: bytes
    rtp_salt: bytes
    rtcp_key: bytes
    rtcp_salt: bytes


def session_keys(master_key: bytes, master_salt: bytes) -> SessionKeys:
    """AEAD_AES_128_GCM and AEAD_AES_256_GCM: keys as long as the master key, 96-bit salts."""
    assert len(master_key) in (16, 32)
    assert len(master_salt) == 12
    return SessionKeys(
        master_key=master_key,
        master_salt=master_salt,
        rtp_key=derive(master_key, master_salt, SRTP_ENCRYPTION, len(master_key)),
        rtp_salt=derive(master_key, master_salt, SRTP_SALTING, 12),
        rtcp_key=derive(master_key, master_salt, SRTCP_ENCRYPTION, len(master_key)),
        rtcp_salt=derive(master_key, master_salt, SRTCP_SALTING, 12),
    )
