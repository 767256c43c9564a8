"""The link that a person gets: where the conference is, and all that makes it safe to join there.

    https://HOST:PORT/join/CONFERENCE#1FRAGMENT

The fragment never goes to a server (RFC 3986 section 3.5). After the version, ``1``, it is base32
in lower case, which no mail program breaks or takes for markup:

    secret        16 bytes
    authority     32 bytes, SHA-256 of the certificate of the Key Distributor's authority
    focus         vector<0..255>, SHA-256 of the Focus' certificate, or empty
    role          vector<1..255>, the role to claim
    name          vector<1..65535>, UTF-8, the person's
    checksum      6 bytes, the start of a SHA-256 over everything before it, from ``https`` on

The checksum is against accidents; it protects from nobody.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from halfkey.codec import Reader, Writer
from halfkey.errors import ConfigurationError
from halfkey.identity.invite import SECRET_BYTES, InviteSecret

MAXIMUM_LINK = 2048
"""Characters."""

_VERSION = "1"
_HASH_BYTES = 32
_CHECKSUM_BYTES = 6
_CONFERENCE = re.compile(r"[A-Za-z0-9._-]{1,64}")
_ORIGIN = re.compile(r"https://(?:[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_COPY = "copy the whole link again"


@dataclass(frozen=True, slots=True)
class Link:
    """A link, taken apart.

    Attributes:
        focus_url: scheme, host and port of the Focus.
        conference: its name.
        secret: the invite's.
        authority: SHA-256 of the certificate (DER) of the Key Distributor's authority.
        focus: SHA-256 of the Focus' certificate (DER), or None where a public authority says who
            the Focus is.
        name: the person's, 1 to 64 printable characters.
        role: that the invite gives.

    Raises:
        ConfigurationError: a value is out of bounds.
    """

    focus_url: str
    conference: str
    secret: InviteSecret
    authority: bytes
    focus: bytes | None
    name: str
    role: str = "participant"

    def __post_init__(self) -> None:
        if not _ORIGIN.fullmatch(self.focus_url) or not _port_is_right(self.focus_url):
            raise ConfigurationError(
                "the link's address of the Focus is not 'https://HOST:PORT'; write it like that"
            )
        if not _CONFERENCE.fullmatch(self.conference):
            raise ConfigurationError(
                "the link's conference must be 1 to 64 letters, digits, '.', '_' or '-'; "
                "rename the conference"
            )
        if self.secret.conference != self.conference:
            raise ConfigurationError(
                "the link's secret is for another conference; make a new invite"
            )
        for digest in (self.authority, self.focus):
            if digest is not None and len(digest) != _HASH_BYTES:
                raise ConfigurationError(
                    "a certificate's hash in the link must be a SHA-256; make a new invite"
                )
        if not 1 <= len(self.name) <= 64 or not self.name.isprintable():
            raise ConfigurationError(
                "the link's name must have 1 to 64 printable characters; choose another name"
            )
        if not _CONFERENCE.fullmatch(self.role):
            raise ConfigurationError(
                "the link's role must be 1 to 64 letters, digits, '.', '_' or '-'; rename the role"
            )

    @classmethod
    def parse(cls, text: str) -> Link:
        """Reads a link.

        Raises:
            ConfigurationError: it is none, or was cut or changed; one line with fault and fix,
                and nothing of the fragment.
        """
        text = text.strip()
        if len(text) > MAXIMUM_LINK or not text.isascii():
            raise ConfigurationError(f"the link is too long, or not plain ASCII; {_COPY}")
        try:
            parts = urlsplit(text)
        except ValueError:
            raise ConfigurationError(f"the link is no web address; {_COPY}") from None
        conference = _conference(parts)
        if not parts.fragment:
            raise ConfigurationError(f"the link ends before its '#' part; {_COPY}")
        if parts.fragment[0] != _VERSION:
            raise ConfigurationError(
                f"the link is of a version that this program doesn't know; {_COPY}, "
                "or install a newer release"
            )
        reader = Reader(_checked(text, parts.fragment[1:]))
        try:
            secret, authority = reader.read(SECRET_BYTES), reader.read(_HASH_BYTES)
            focus = reader.vector(1)
            role, name = reader.vector(1).decode(), reader.vector(2).decode()
            reader.finish()
        except ValueError:
            raise ConfigurationError(
                "the link's '#' part is not one that 'halfkey invite' makes; ask for a new link"
            ) from None
        return cls(
            focus_url=f"https://{parts.netloc}",
            conference=conference,
            secret=InviteSecret(secret, conference),
            authority=authority,
            focus=focus or None,
            name=name,
            role=role,
        )

    def __str__(self) -> str:
        """The link itself, with the secret: for the person invited and nobody else."""
        body = (
            Writer()
            .write(self.secret.value)
            .write(self.authority)
            .vector(1, self.focus or b"")
            .vector(1, self.role.encode())
            .vector(2, self.name.encode())
            .getvalue()
        )
        start = f"{self.focus_url}/join/{self.conference}#{_VERSION}"
        return start + _encode(body + _checksum(start, body))


def _conference(parts: SplitResult) -> str:
    place, _, conference = parts.path.rpartition("/")
    if parts.scheme != "https" or place != "/join" or parts.query:
        raise ConfigurationError(
            f"the link is not of the form 'https://HOST:PORT/join/CONFERENCE#...'; {_COPY}"
        )
    return conference


def _checked(text: str, encoded: str) -> bytes:
    damaged = ConfigurationError(f"the link was cut or changed on its way; {_COPY}")
    try:
        data = base64.b32decode(encoded.upper() + "=" * (-len(encoded) % 8))
    except (binascii.Error, ValueError):
        raise damaged from None
    body, checksum = data[:-_CHECKSUM_BYTES], data[-_CHECKSUM_BYTES:]
    start = text[: len(text) - len(encoded)]
    if _encode(data) != encoded or checksum != _checksum(start, body):
        raise damaged
    return body


def _checksum(start: str, body: bytes) -> bytes:
    return hashlib.sha256(start.encode() + body).digest()[:_CHECKSUM_BYTES]


def _encode(data: bytes) -> str:
    return base64.b32encode(data).decode().rstrip("=").lower()


def _port_is_right(url: str) -> bool:
    try:
        port = urlsplit(url).port
    except ValueError:
        return False
    return port is None or port > 0
