"""The key schedule of TLS 1.2 (RFC 5246 sections 5, 6.3 and 8.1; RFC 7627; RFC 5705)."""

from __future__ import annotations

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.hmac import HMAC

from halfkey.dtls.crypto.aead import BlockOpeningKey, BlockSealingKey
from halfkey.dtls.crypto.suites import SuiteParameters
from halfkey.dtls.messages.finished import VERIFY_DATA_LENGTH

_MASTER_SECRET_LENGTH = 48
RESERVED_LABELS = frozenset(
    {
        b"client finished",
        b"server finished",
        b"master secret",
        b"extended master secret",
        b"key expansion",
    }
)
"""Those that TLS uses itself (RFC 5705 section 4); they export nothing in either version."""


def prf(
    algorithm: hashes.HashAlgorithm,
    secret: bytes | bytearray,
    label: bytes,
    seed: bytes,
    length: int,
) -> bytearray:
    """The pseudorandom function P_hash (RFC 5246 section 5)."""
    labelled = label + seed
    keyed = HMAC(secret, algorithm)
    output = bytearray()
    chain = labelled
    while len(output) < length:
        chain = _mac(keyed, chain)
        output += _mac(keyed, chain + labelled)
    del output[length:]
    return output


def _mac(keyed: HMAC, data: bytes) -> bytes:
    mac = keyed.copy()
    mac.update(data)
    return mac.finalize()


def transcript_hash(suite: SuiteParameters, transcript: bytes | bytearray) -> bytes:
    """The hash of handshake messages, in the suite's PRF hash."""
    digest = hashes.Hash(suite.hash)
    digest.update(transcript)
    return digest.finalize()


class KeySchedule:
    """Everything that grows from one premaster secret.

    Args:
        suite: the negotiated suite.
        client_random: of ClientHello.
        server_random: of ServerHello.
        premaster_secret: of the key exchange; wiped here.
        session_hash: of all messages up to ClientKeyExchange (RFC 7627 section 3).
    """

    __slots__ = ("_client_random", "_master_secret", "_server_random", "_suite")

    def __init__(
        self,
        suite: SuiteParameters,
        client_random: bytes,
        server_random: bytes,
        premaster_secret: bytearray,
        session_hash: bytes,
    ) -> None:
        self._suite = suite
        self._client_random = client_random
        self._server_random = server_random
        self._master_secret = prf(
            suite.hash,
            premaster_secret,
            b"extended master secret",
            session_hash,
            _MASTER_SECRET_LENGTH,
        )
        wipe(premaster_secret)

    def client_keys(self) -> tuple[BlockSealingKey, BlockOpeningKey]:
        """What a client seals and opens with."""
        client, server = self._key_block()
        return BlockSealingKey(self._suite, *client), BlockOpeningKey(self._suite, *server)

    def server_keys(self) -> tuple[BlockSealingKey, BlockOpeningKey]:
        """What a server seals and opens with."""
        client, server = self._key_block()
        return BlockSealingKey(self._suite, *server), BlockOpeningKey(self._suite, *client)

    def verify_data(self, sender: bytes, messages_hash: bytes) -> bytes:
        """Finished of ``b"client"`` or ``b"server"`` (RFC 5246 section 7.4.9)."""
        label = sender + b" finished"
        return bytes(
            prf(self._suite.hash, self._master_secret, label, messages_hash, VERIFY_DATA_LENGTH)
        )

    def export(self, label: bytes, length: int, context: bytes | None) -> bytearray:
        """Keying material for others (RFC 5705 section 4).

        Raises:
            ValueError: the label is one that TLS uses itself.
        """
        if label in RESERVED_LABELS:
            raise ValueError("TLS uses this label itself")
        seed = self._client_random + self._server_random
        if context is not None:
            seed += len(context).to_bytes(2, "big") + context
        return prf(self._suite.hash, self._master_secret, label, seed, length)

    def wipe(self) -> None:
        """Forgets the master secret; nothing more can be derived."""
        wipe(self._master_secret)

    def _key_block(
        self,
    ) -> tuple[tuple[bytearray, bytearray], tuple[bytearray, bytearray]]:
        """Key and IV of the client's direction, and of the server's (RFC 5246 section 6.3)."""
        key, iv = self._suite.key_length, self._suite.iv_length
        seed = self._server_random + self._client_random
        block = prf(self._suite.hash, self._master_secret, b"key expansion", seed, 2 * (key + iv))
        ivs = 2 * key
        client = block[:key], block[ivs : ivs + iv]
        server = block[key:ivs], block[ivs + iv :]
        wipe(block)
        return client, server


def wipe(secret: bytearray) -> None:
    """Overwrites a secret in place."""
    secret[:] = bytes(len(secret))
