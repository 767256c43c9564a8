"""AES Key Wrap with Padding (RFC 5649), over the index-based key wrap of RFC 3394 section 2.2."""

from tests.reference.primitives import Refused, aes_decrypt_block, aes_encrypt_block

AIV_CONSTANT = bytes.fromhex("A65959A6")


def wrap(key: bytes, plaintext: bytes) -> bytes:
    """RFC 5649 section 4.1."""
    assert 1 <= len(plaintext) < 2**32
    # 1) Append padding.
    padded = plaintext + bytes(-len(plaintext) % 8)
    # The AIV (section 3): the constant, then the message length indicator.
    aiv = AIV_CONSTANT + len(plaintext).to_bytes(4)
    # 2) Wrapping.
    if len(padded) == 8:
        return aes_encrypt_block(key, aiv + padded)
    return _wrap_blocks(key, aiv, padded)


def unwrap(key: bytes, ciphertext: bytes) -> bytes:
    """RFC 5649 section 4.2. Refused("key_wrap") when any of the three checks fails."""
    if len(ciphertext) < 16 or len(ciphertext) % 8:
        raise Refused("key_wrap", "not n+1 blocks of 64 bits")
    # 1) Key unwrapping.
    if len(ciphertext) == 16:
        block = aes_decrypt_block(key, ciphertext)
        a, padded = block[:8], block[8:]
    else:
        a, padded = _unwrap_blocks(key, ciphertext)
    # 2) AIV verification, the three checks of section 3.
    n = len(padded) // 8
    if a[:4] != AIV_CONSTANT:
        raise Refused("key_wrap", "MSB(32,A)")
    mli = int.from_bytes(a[4:])
    if not 8 * (n - 1) < mli <= 8 * n:
        raise Refused("key_wrap", "LSB(32,A)")
    if padded[mli:] != bytes(8 * n - mli):
        raise Refused("key_wrap", "padding")
    # 3) Remove padding.
    return padded[:mli]


def _wrap_blocks(key: bytes, initial_value: bytes, padded: bytes) -> bytes:
    """RFC 3394 section 2.2.1: R[1..n] go round six times; t counts the steps from 1."""
    a = initial_value
    r = [padded[at : at + 8] for at in range(0, len(padded), 8)]
    n = len(r)
    for j in range(6):
        for i in range(1, n + 1):
            b = aes_encrypt_block(key, a + r[i - 1])
            t = n * j + i
            a = (int.from_bytes(b[:8]) ^ t).to_bytes(8)
            r[i - 1] = b[8:]
    return a + b"".join(r)


def _unwrap_blocks(key: bytes, ciphertext: bytes) -> tuple[bytes, bytes]:
    """RFC 3394 section 2.2.2: the same steps backwards. The answer is A[0] and the plaintext."""
    a = ciphertext[:8]
    r = [ciphertext[at : at + 8] for at in range(8, len(ciphertext), 8)]
    n = len(r)
    for j in range(5, -1, -1):
        for i in range(n, 0, -1):
            t = n * j + i
            a_xor_t = (int.from_bytes(a) ^ t).to_bytes(8)
            b = aes_decrypt_block(key, a_xor_t + r[i - 1])
            a, r[i - 1] = b[:8], b[8:]
    return a, b"".join(r)
