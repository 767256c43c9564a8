"""Members of statements: taken one by one, each of the right type and within its bounds."""

from __future__ import annotations

import re
from typing import Any

from halfkey.dtls.fingerprint import Fingerprint
from halfkey.errors import CodecError

MAXIMUM_NAME_LENGTH = 128
"""Characters of a conference's, participant's or person's name, as the Key Distributor has it."""

MAXIMUM_TIME = 1 << 53
"""Above what every JSON reader holds exactly."""

_TLS_ID = re.compile(r"[A-Za-z0-9+/_-]{20,255}")  # RFC 8842 section 4
_TOKEN = re.compile(r"[A-Za-z0-9_-]{16,128}")


class Fields:
    """A JSON object of which every member is taken.

    Every method raises `CodecError` where a member is not what is wanted.

    Args:
        value: parsed JSON.
        names: the members that it must have, and no others.
    """

    def __init__(self, value: object, *names: str) -> None:
        if not isinstance(value, dict) or value.keys() != set(names):
            raise CodecError(f"an object of {', '.join(names)} is wanted")
        self._value: dict[str, Any] = value

    def text(self, name: str) -> str:
        """Takes a string."""
        return _text(name, self._value[name])

    def integer(self, name: str) -> int:
        """Takes an integer; JSON's true and 1.0 are none."""
        return _integer(name, self._value[name])

    def optional_integer(self, name: str) -> int | None:
        """Takes an integer or null."""
        return None if self._value[name] is None else self.integer(name)

    def items(self, name: str, maximum: int) -> list[Any]:
        """Takes an array of at most `maximum` elements."""
        value = self._value[name]
        if not isinstance(value, list) or len(value) > maximum:
            raise CodecError(f"{name} is not an array of at most {maximum} elements")
        return value

    def integers(self, name: str, maximum: int) -> tuple[int, ...]:
        """Takes an array of at most `maximum` integers."""
        return tuple(_integer(name, value) for value in self.items(name, maximum))

    def texts(self, name: str, maximum: int) -> tuple[str, ...]:
        """Takes an array of at most `maximum` strings."""
        return tuple(_text(name, value) for value in self.items(name, maximum))

    def object(self, name: str, *names: str) -> Fields:
        """Takes an object."""
        return Fields(self._value[name], *names)

    def fingerprint(self, name: str) -> Fingerprint:
        """Takes a certificate's fingerprint, in the one spelling that `Fingerprint` writes."""
        text = self.text(name)
        fingerprint = Fingerprint.parse(text)
        if str(fingerprint) != text:
            raise CodecError(f"{name} is not written as usual")
        return fingerprint


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise CodecError(f"{name} is not a string")
    return value


def _integer(name: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise CodecError(f"{name} is not an integer")
    return value


def check_name(what: str, text: str, maximum: int = MAXIMUM_NAME_LENGTH) -> None:
    """Refuses what is empty, too long, or would steer a terminal or turn text around."""
    if not 1 <= len(text) <= maximum or not text.isprintable():
        raise CodecError(f"{what} has 1 to {maximum} printable characters")


def check_tls_id(tls_id: str) -> None:
    """Refuses what is no tls-id."""
    if not _TLS_ID.fullmatch(tls_id):
        raise CodecError("a tls-id has 20 to 255 letters, digits or +/-_")


def check_token(what: str, text: str) -> None:
    """Refuses what is not 16 to 128 characters of base64url."""
    if not _TOKEN.fullmatch(text):
        raise CodecError(f"{what} has 16 to 128 characters of base64url")


def check_range(what: str, value: int, end: int, begin: int = 0) -> None:
    """Refuses a value that is not in the half-open range."""
    if not begin <= value < end:
        raise CodecError(f"{what} is out of range")
