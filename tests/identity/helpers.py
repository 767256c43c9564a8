"""What the tests of assertions start from: one offer, and signers of each kind."""

from __future__ import annotations

import base64
import dataclasses
import json
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import ECKey, OKPKey, RSAKey

from halfkey.dtls.fingerprint import Fingerprint
from halfkey.identity.claims import AssertionRefused, Binding, Claims, Reason
from halfkey.identity.envelope import IdentityAssertion

NOW = 1_800_000_000

BINDING = Binding("board", Fingerprint.of(b"a certificate"), "Xz0" * 8, (7, 3_000_000_000))
CLAIMS = Claims.of(BINDING, "participant", NOW, "n0nce-of-the-tests")

OTHER_BINDINGS: dict[str, Binding] = {
    "conference": dataclasses.replace(BINDING, conference="boards"),
    "fingerprint": dataclasses.replace(BINDING, fingerprint=Fingerprint.of(b"another")),
    "tls_id": dataclasses.replace(BINDING, tls_id="Xz1" * 8),
    "ssrcs": dataclasses.replace(BINDING, ssrcs=(7,)),
}
"""By the reason for which an assertion of `CLAIMS` is refused there."""

Key = OKPKey | ECKey | RSAKey


def refuses(reason: Reason) -> Any:
    """Expects a refusal for one reason."""
    return pytest.raises(AssertionRefused, match="refused", check=lambda e: e.reason == reason)


def encode(data: bytes) -> str:
    """Unpadded base64url."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """Unpadded base64url."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and payload of a JWS."""
    header, payload, _ = token.split(".")
    return json.loads(decode(header)), json.loads(decode(payload))


def compact(value: object) -> bytes:
    """Canonical JSON, by other means than the code under test."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


def forge(key: Key, header: bytes | dict[str, Any], payload: bytes | dict[str, Any]) -> str:
    """Signs any bytes at all as header and payload, rightly, with the key's own algorithm."""
    algorithm = {"OKP": "Ed25519", "EC": "ES256", "RSA": "RS256"}[key.key_type]
    pair = [part if isinstance(part, bytes) else compact(part) for part in (header, payload)]
    signed = ".".join(encode(part) for part in pair)
    model = jws.JWSRegistry(algorithms=[algorithm]).get_alg(algorithm)
    return f"{signed}.{encode(model.sign(signed.encode(), key))}"


def carried(assertion: IdentityAssertion, token: str) -> IdentityAssertion:
    """The same envelope around another token."""
    return dataclasses.replace(assertion, assertion=token)
