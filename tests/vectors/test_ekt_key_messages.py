"""halfkey.ekt.messages against rfc8870.json."""

import json
from pathlib import Path
from typing import Any

import pytest

from halfkey.ekt.messages import EKTCipher, EKTKey
from halfkey.errors import CodecError

VECTORS: list[dict[str, Any]] = [
    vector
    for vector in json.loads((Path(__file__).parent / "rfc8870.json").read_text())["vectors"]
    if vector["kind"] == "ekt_key"
]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_ekt_key(vector: dict[str, Any]) -> None:
    salt, body = bytes.fromhex(vector["srtp_master_salt"]), bytes.fromhex(vector["body"])
    cipher = EKTCipher[vector["ekt_cipher"]]
    message = EKTKey(
        bytes.fromhex(vector["ekt_key_value"]), salt, vector["ekt_spi"], vector["ekt_ttl"]
    )
    assert message.encode() == body
    assert EKTKey.decode(body, cipher) == message
    assert message.master_salt == salt[:12]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_every_truncation_is_refused(vector: dict[str, Any]) -> None:
    body = bytes.fromhex(vector["body"])
    for length in range(len(body)):
        with pytest.raises(CodecError):
            EKTKey.decode(body[:length], EKTCipher[vector["ekt_cipher"]])
