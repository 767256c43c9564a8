"""All the cryptography that the reference takes from elsewhere: one AES block, and AES-GCM."""

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM


class Refused(Exception):  # noqa: N818
    """What was received has to be refused; the reasons stand in tests/vectors/README.md."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


def aes_encrypt_block(key: bytes, block: bytes) -> bytes:
    """ENC(K, B) of RFC 5649 section 2: one 16-octet block."""
    assert len(block) == 16
    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    return encryptor.update(block) + encryptor.finalize()


def aes_decrypt_block(key: bytes, block: bytes) -> bytes:
    """DEC(K, B) of RFC 5649 section 2: one 16-octet block."""
    assert len(block) == 16
    decryptor = Cipher(algorithms.AES(key), modes.ECB()).decryptor()
    return decryptor.update(block) + decryptor.finalize()


def aead_encrypt(key: bytes, nonce: bytes, plaintext: bytes, aad: bytes) -> bytes:
    """RFC 7714 section 5.2.1: the ciphertext ends with the 16-octet tag."""
    return AESGCM(key).encrypt(nonce, plaintext, aad)


def aead_decrypt(key: bytes, nonce: bytes, ciphertext: bytes, aad: bytes, refusal: str) -> bytes:
    """RFC 7714 section 5.2.2: the plaintext, or Refused(refusal) and nothing else."""
    if len(ciphertext) < 16:
        raise Refused("malformed", "shorter than an authentication tag")
    try:
        return AESGCM(key).decrypt(nonce, ciphertext, aad)
    except InvalidTag:
        raise Refused(refusal, "authentication tag") from None


def xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))
