"""The key schedule of DTLS 1.3 (RFC 8446 section 7, with the labels of RFC 9147 section 5.9).

Each stage is a type, and leads to the next:

    shared secret, ClientHello..ServerHello -> HandshakeSecrets
    HandshakeSecrets, ..server Finished     -> ApplicationSecrets: two TrafficSecrets, an Exporter
    TrafficSecret, KeyUpdate                -> the next TrafficSecret

With no pre-shared key the early secret is a constant of the hash.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

from halfkey.codec import encode_vector
from halfkey.dtls.crypto.aead_1_3 import TrafficOpeningKey, TrafficSealingKey
from halfkey.dtls.crypto.key_schedule import RESERVED_LABELS, transcript_hash, wipe
from halfkey.dtls.crypto.suites import SuiteParameters

_LABEL_PREFIX = b"dtls13"
_SENDERS = (b"client", b"server")
_Secret = bytes | bytearray


def expand_label(
    algorithm: hashes.HashAlgorithm, secret: _Secret, label: bytes, context: bytes, length: int
) -> bytearray:
    """HKDF-Expand-Label (RFC 8446 section 7.1)."""
    output = bytearray(length)
    info = _length_and_label(length, label) + encode_vector(1, context)
    HKDFExpand(algorithm, length, info).derive_into(secret, output)
    return output


@functools.lru_cache
def _length_and_label(length: int, label: bytes) -> bytes:
    """What an HkdfLabel begins with; a handshake has few of them, each several times."""
    return length.to_bytes(2, "big") + encode_vector(1, _LABEL_PREFIX + label)


def _derive_secret(
    suite: SuiteParameters, secret: _Secret, label: bytes, digest: bytes
) -> bytearray:
    """Derive-Secret, given the hash of the messages (RFC 8446 section 7.1)."""
    return expand_label(suite.hash, secret, label, digest, suite.hash.digest_size)


def _extract(suite: SuiteParameters, salt: _Secret, key_material: _Secret) -> bytearray:
    """HKDF-Extract (RFC 5869 section 2.2)."""
    return bytearray(HKDF.extract(suite.hash, bytes(salt), bytes(key_material)))


@functools.cache
def _hash_of_nothing(suite: SuiteParameters) -> bytes:
    return transcript_hash(suite, b"")


@functools.cache
def _handshake_salt(suite: SuiteParameters) -> bytes:
    """What the early secret leads to: with no pre-shared key, no secret but a constant."""
    zeros = bytes(suite.hash.digest_size)
    early_secret = _extract(suite, zeros, zeros)
    return bytes(_derive_secret(suite, early_secret, b"derived", _hash_of_nothing(suite)))


class TrafficSecret:
    """What one side's keys of one epoch grow from."""

    __slots__ = ("_secret", "_suite")

    def __init__(self, suite: SuiteParameters, secret: bytearray) -> None:
        self._suite = suite
        self._secret = secret

    def sealing_key(self) -> TrafficSealingKey:
        """For the side whose secret this is."""
        return TrafficSealingKey(self._suite, *self._keys())

    def opening_key(self) -> TrafficOpeningKey:
        """For its peer."""
        return TrafficOpeningKey(self._suite, *self._keys())

    def next(self) -> TrafficSecret:
        """The secret after a KeyUpdate (RFC 8446 section 7.2); this one is wiped."""
        following = TrafficSecret(self._suite, self._expand(b"traffic upd", self._hash_length))
        self.wipe()
        return following

    def verify_data(self, messages_hash: bytes) -> bytes:
        """Finished under this secret (RFC 8446 section 4.4.4)."""
        finished_key = self._expand(b"finished", self._hash_length)
        mac = HMAC(finished_key, self._suite.hash)
        wipe(finished_key)
        mac.update(messages_hash)
        return mac.finalize()

    def wipe(self) -> None:
        """Forgets the secret."""
        wipe(self._secret)

    @property
    def _hash_length(self) -> int:
        return self._suite.hash.digest_size

    def _keys(self) -> tuple[bytearray, bytearray, bytearray]:
        """Key, IV and sn_key (RFC 8446 section 7.3, RFC 9147 section 4.2.3)."""
        return (
            self._expand(b"key", self._suite.key_length),
            self._expand(b"iv", self._suite.iv_length),
            self._expand(b"sn", self._suite.key_length),
        )

    def _expand(self, label: bytes, length: int) -> bytearray:
        return expand_label(self._suite.hash, self._secret, label, b"", length)


class HandshakeSecrets:
    """What protects a handshake from ServerHello on.

    Args:
        suite: the negotiated suite.
        shared_secret: of the key exchange; wiped here.
        hellos_hash: of all messages up to ServerHello.
    """

    __slots__ = ("_master_secret", "_suite", "client", "server")

    def __init__(
        self, suite: SuiteParameters, shared_secret: bytearray, hellos_hash: bytes
    ) -> None:
        self._suite = suite
        secret = _extract(suite, _handshake_salt(suite), shared_secret)
        wipe(shared_secret)
        self.client = TrafficSecret(
            suite, _derive_secret(suite, secret, b"c hs traffic", hellos_hash)
        )
        self.server = TrafficSecret(
            suite, _derive_secret(suite, secret, b"s hs traffic", hellos_hash)
        )
        salt = _derive_secret(suite, secret, b"derived", _hash_of_nothing(suite))
        self._master_secret = _extract(suite, salt, bytes(suite.hash.digest_size))
        wipe(secret)
        wipe(salt)

    def verify_data(self, sender: bytes, messages_hash: bytes) -> bytes:
        """Finished of ``b"client"`` or ``b"server"``."""
        return dict(zip(_SENDERS, (self.client, self.server), strict=True))[sender].verify_data(
            messages_hash
        )

    def application(self, messages_hash: bytes) -> ApplicationSecrets:
        """The next stage, which takes the hash of all messages up to the server's Finished."""
        suite, master_secret = self._suite, self._master_secret
        client, server, exporter = (
            _derive_secret(suite, master_secret, label, messages_hash)
            for label in (b"c ap traffic", b"s ap traffic", b"exp master")
        )
        wipe(master_secret)
        return ApplicationSecrets(
            TrafficSecret(suite, client), TrafficSecret(suite, server), Exporter(suite, exporter)
        )

    def wipe(self) -> None:
        """Forgets every secret."""
        self.client.wipe()
        self.server.wipe()
        wipe(self._master_secret)


class Exporter:
    """Gives keying material to others (RFC 8446 section 7.5)."""

    __slots__ = ("_secret", "_suite")

    def __init__(self, suite: SuiteParameters, secret: bytearray) -> None:
        self._suite = suite
        self._secret = secret

    def export(self, label: bytes, length: int, context: bytes | None) -> bytearray:
        """Keying material; no context is the same as an empty one.

        Raises:
            ValueError: the label is one that TLS uses itself.
        """
        if label in RESERVED_LABELS:
            raise ValueError("TLS uses this label itself")
        suite = self._suite
        secret = _derive_secret(suite, self._secret, label, _hash_of_nothing(suite))
        context_hash = transcript_hash(suite, context or b"")
        output = expand_label(suite.hash, secret, b"exporter", context_hash, length)
        wipe(secret)
        return output

    def wipe(self) -> None:
        """Forgets the secret; nothing more can be exported."""
        wipe(self._secret)


@dataclass(frozen=True, slots=True)
class ApplicationSecrets:
    """What protects an association from its handshake's end on, and what is exported."""

    client: TrafficSecret = field(repr=False)
    server: TrafficSecret = field(repr=False)
    exporter: Exporter = field(repr=False)

    def wipe(self) -> None:
        """Forgets every secret."""
        self.client.wipe()
        self.server.wipe()
        self.exporter.wipe()
