"""The value of a=identity: provider, protocol and assertion (RFC 8827 section 7.6)."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field

from halfkey.errors import CodecError
from halfkey.identity.jose import MAXIMUM_TOKEN, canonical, parse_object

MAXIMUM_ENVELOPE = 24 * 1024
"""Characters of an a=identity value."""

_DOMAIN = re.compile(r"[A-Za-z0-9.:\[\]-]{1,255}")
_PROTOCOL = re.compile(r"[A-Za-z0-9._-]{1,32}")


@dataclass(frozen=True, slots=True)
class IdentityAssertion:
    """An assertion as signaling carries it; nothing in it is verified.

    Attributes:
        domain: of the identity provider, with a port if it has one.
        protocol: ``invite``, ``passport`` or ``oidc`` for those that this package reads.
        assertion: the JWS, at most 16 KiB.

    Raises:
        CodecError: a value is out of bounds.
    """

    domain: str
    protocol: str
    # Whoever has it before its nonce was seen could present it, so it stays out of logs.
    assertion: str = field(repr=False)

    def __post_init__(self) -> None:
        if not _DOMAIN.fullmatch(self.domain):
            raise CodecError("idp.domain is not a domain name")
        if not _PROTOCOL.fullmatch(self.protocol):
            raise CodecError("idp.protocol is not 1 to 32 letters, digits, '.', '_', '-'")
        if not 1 <= len(self.assertion) <= MAXIMUM_TOKEN or not self.assertion.isascii():
            raise CodecError(f"assertion is not 1 to {MAXIMUM_TOKEN} ASCII characters")

    @classmethod
    def parse(cls, value: str) -> IdentityAssertion:
        """Reads the value of a=identity.

        Raises:
            CodecError: it is too long, not base64 in its one spelling, or not the JSON wanted.
        """
        if len(value) > MAXIMUM_ENVELOPE:
            raise CodecError(f"a=identity is longer than {MAXIMUM_ENVELOPE} characters")
        try:
            data = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            raise CodecError("the value of a=identity is not base64") from None
        if base64.b64encode(data).decode() != value:
            raise CodecError("the value of a=identity is not in the one spelling of base64")
        content = parse_object(data)
        provider = content.get("idp")
        if content.keys() != {"idp", "assertion"} or not isinstance(provider, dict):
            raise CodecError("a=identity holds 'idp' and 'assertion'")
        if provider.keys() != {"domain", "protocol"}:
            raise CodecError("idp holds 'domain' and 'protocol'")
        texts = provider["domain"], provider["protocol"], content["assertion"]
        if not all(isinstance(text, str) for text in texts):
            raise CodecError("domain, protocol and assertion are strings")
        return cls(*texts)

    def __str__(self) -> str:
        """The value of a=identity."""
        provider = {"domain": self.domain, "protocol": self.protocol}
        content = canonical({"assertion": self.assertion, "idp": provider})
        return base64.b64encode(content).decode()
