"""The vector files: that they're what the generator makes, and that foreign judges agree."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import aes_key_wrap_with_padding
from pylibsrtp import Policy, Session

from tests.vectors import generate

HERE = Path(__file__).parent
FILES = ("rfc8723.json", "rfc8870.json", "rfc9185.json")


def load(file: str) -> list[dict[str, Any]]:
    vectors: list[dict[str, Any]] = json.loads((HERE / file).read_text())["vectors"]
    return vectors


def octets(text: str) -> bytes:
    return bytes.fromhex(text)


@pytest.mark.parametrize("file", FILES)
def test_committed_file_is_what_the_generator_makes(file: str) -> None:
    assert (HERE / file).read_text() == generate.documents()[file]


def test_check_says_so_from_the_command_line() -> None:
    command = [sys.executable, str(HERE / "generate.py"), "--check"]
    assert subprocess.run(command, capture_output=True, check=True).stdout == b""


def layers(value: Any) -> Iterator[dict[str, Any]]:
    """Every application of AES-GCM that a vector lays open."""
    if isinstance(value, dict):
        if {"session_key", "nonce", "aad", "plaintext", "ciphertext"} <= value.keys():
            yield value
        for inside in value.values():
            yield from layers(inside)
    elif isinstance(value, list):
        for inside in value:
            yield from layers(inside)


def test_every_layer_is_aes_gcm_of_what_stands_beside_it() -> None:
    found = list(layers(load("rfc8723.json")))
    assert len(found) > 300
    for layer in found:
        key, nonce, aad = (octets(layer[name]) for name in ("session_key", "nonce", "aad"))
        ciphertext = AESGCM(key).encrypt(nonce, octets(layer["plaintext"]), aad)
        assert ciphertext == octets(layer["ciphertext"])


LIBSRTP_PROFILES = {
    16: Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
    32: Policy.SRTP_PROFILE_AEAD_AES_256_GCM,
}


def test_libsrtp_opens_every_layer_of_a_first_roc_from_its_master_key() -> None:
    found = [layer for layer in layers(load("rfc8723.json")) if layer.get("roc") == 0]
    assert len(found) > 300
    for layer in found:
        master_key = octets(layer["master_key"])
        session = Session(
            Policy(
                master_key + octets(layer["master_salt"]),
                ssrc_type=Policy.SSRC_ANY_INBOUND,
                srtp_profile=LIBSRTP_PROFILES[len(master_key)],
            )
        )
        aad = octets(layer["aad"])
        opened = session.unprotect(aad + octets(layer["ciphertext"]))
        assert opened == aad + octets(layer["plaintext"])


def test_the_crypto_librarys_key_wrap_makes_every_ekt_ciphertext() -> None:
    fields = [vector for vector in load("rfc8870.json") if vector["kind"] == "full_field"]
    assert len(fields) == 12
    for vector in fields:
        wrapped = aes_key_wrap_with_padding(
            octets(vector["ekt_key"]), octets(vector["ekt_plaintext"])
        )
        assert wrapped == octets(vector["ekt_ciphertext"])
        assert vector["ekt_field"].startswith(vector["ekt_ciphertext"])


def test_every_key_is_used_with_a_nonce_only_for_one_plaintext() -> None:
    """What section 5.2 of RFC 8723 demands of relays, over all of the file."""
    used: dict[tuple[str, str], str] = {}
    for layer in layers(load("rfc8723.json")):
        sealed = layer["aad"] + layer["plaintext"]
        assert used.setdefault((layer["session_key"], layer["nonce"]), sealed) == sealed


def test_a_file_has_every_kind_that_its_description_names() -> None:
    kinds = {file: {vector["kind"] for vector in load(file)} for file in FILES}
    assert kinds["rfc8723.json"] == {
        "prf_double",
        "kdf",
        "protect",
        "relay",
        "repair",
        "rtcp",
        "refuse",
        "refuse_rtcp",
    }
    assert kinds["rfc8870.json"] == {"full_field", "other_field", "ekt_key", "receive"}
    assert kinds["rfc9185.json"] == {
        "SupportedProfiles",
        "UnsupportedVersion",
        "MediaKeys",
        "TunneledDtls",
        "EndpointDisconnect",
        "stream",
        "refuse",
    }
