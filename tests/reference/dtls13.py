"""The key schedule and record protection of DTLS 1.3, naively: hashlib, hmac, and the RFCs' text.

RFC 8446 section 7.1 to 7.5, RFC 9147 sections 4 and 5.9. For the suites with SHA-256 and AES-128.
"""

from __future__ import annotations

import hashlib
import hmac

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

ZEROS = bytes(32)


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def extract(salt: bytes, ikm: bytes) -> bytes:
    return hmac.new(salt, ikm, "sha256").digest()


def expand(prk: bytes, info: bytes, length: int) -> bytes:
    output = block = b""
    counter = 1
    while len(output) < length:
        block = hmac.new(prk, block + info + bytes([counter]), "sha256").digest()
        output += block
        counter += 1
    return output[:length]


def expand_label(
    secret: bytes, label: bytes, context: bytes, length: int, prefix: bytes = b"dtls13"
) -> bytes:
    full = prefix + label
    info = bytes([length >> 8, length & 255, len(full)]) + full + bytes([len(context)]) + context
    return expand(secret, info, length)


def derive_secret(secret: bytes, label: bytes, messages: bytes, prefix: bytes = b"dtls13") -> bytes:
    return expand_label(secret, label, sha256(messages), 32, prefix)


class Schedule:
    """Everything, from the shared secret and the messages.

    Args:
        shared_secret: of the key exchange.
        to_server_hello: all messages up to ServerHello, with headers of four bytes.
        to_server_finished: and up to the server's Finished.
    """

    def __init__(
        self, shared_secret: bytes, to_server_hello: bytes, to_server_finished: bytes
    ) -> None:
        early = extract(ZEROS, ZEROS)
        handshake = extract(derive_secret(early, b"derived", b""), shared_secret)
        self.client_handshake = derive_secret(handshake, b"c hs traffic", to_server_hello)
        self.server_handshake = derive_secret(handshake, b"s hs traffic", to_server_hello)
        master = extract(derive_secret(handshake, b"derived", b""), ZEROS)
        self.client_application = derive_secret(master, b"c ap traffic", to_server_finished)
        self.server_application = derive_secret(master, b"s ap traffic", to_server_finished)
        self.exporter_master = derive_secret(master, b"exp master", to_server_finished)

    def export(self, label: bytes, context: bytes, length: int) -> bytes:
        secret = derive_secret(self.exporter_master, label, b"")
        return expand_label(secret, b"exporter", sha256(context), length)


def verify_data(traffic_secret: bytes, messages: bytes) -> bytes:
    finished_key = expand_label(traffic_secret, b"finished", b"", 32)
    return hmac.new(finished_key, sha256(messages), "sha256").digest()


def updated(traffic_secret: bytes) -> bytes:
    return expand_label(traffic_secret, b"traffic upd", b"", 32)


def open_record(traffic_secret: bytes, record: bytes) -> tuple[int, int, bytes]:
    """Sequence number (below 65,536), content type and content of a record of ours."""
    key = expand_label(traffic_secret, b"key", b"", 16)
    iv = expand_label(traffic_secret, b"iv", b"", 12)
    sn_key = expand_label(traffic_secret, b"sn", b"", 16)
    first, number, length, sealed = record[0], record[1:3], record[3:5], record[5:]
    mask = Cipher(algorithms.AES(sn_key), modes.ECB()).encryptor().update(sealed[:16])
    shown = bytes([number[0] ^ mask[0], number[1] ^ mask[1]])
    sequence_number = shown[0] * 256 + shown[1]
    nonce = bytearray(iv)
    nonce[10] ^= shown[0]
    nonce[11] ^= shown[1]
    inner = AESGCM(key).decrypt(bytes(nonce), sealed, bytes([first]) + shown + length)
    while inner[-1] == 0:
        inner = inner[:-1]
    return sequence_number, inner[-1], inner[:-1]
