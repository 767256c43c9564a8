"""The a=identity attribute (RFC 8827 section 5) as far as DTLS needs it."""

from __future__ import annotations

import base64
import binascii
import hashlib

from halfkey.errors import CodecError


def external_id_hash(value: str) -> bytes:
    """What an external_id_hash extension must carry for an assertion (RFC 8844 section 3.2.1).

    Args:
        value: of a=identity.

    Returns:
        The SHA-256 of what the value encodes, 32 bytes.

    Raises:
        CodecError: the value is not base64.
    """
    try:
        return hashlib.sha256(base64.b64decode(value, validate=True)).digest()
    except (binascii.Error, ValueError):
        raise CodecError("the value of a=identity is not base64") from None
