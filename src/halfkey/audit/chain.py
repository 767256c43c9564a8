"""The log's lines and its checkpoint as bytes: chained by hash, signed with Ed25519 (RFC 8032).

A line is one JSON object in ASCII, ``{"seq":N,"at":T,"event":E,...,"previous":H,"signature":S}``
and a newline. `previous` is the SHA-256 of the whole line before; `signature` is over the object
without its last member. Each line is signed by itself, so that the very line is named which was
changed; the chain makes one hash, noted elsewhere, stand for all that came before.

The checkpoint says how far the log goes. It is a JSON object too, padded to `CHECKPOINT_SIZE`,
so that writing it is one write within a disk's sector.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import re
from dataclasses import asdict, dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from halfkey.audit.records import Value
from halfkey.errors import CodecError

GENESIS = "0" * 64
"""What stands as `previous` in the first line."""

CHECKPOINT_SIZE = 512
MAXIMUM_LINE = 1 << 20

RESERVED = ("seq", "at", "event", "previous", "signature")
"""Members of every line, which no kind of record may have as a field."""

_LINE_CONTEXT = b"halfkey audit line 1\0"
_CHECKPOINT_CONTEXT = b"halfkey audit checkpoint 1\0"
_SIGNATURE = re.compile(rb',"signature":"([0-9a-f]{128})"\}')
_SIGNATURE_LENGTH = len(',"signature":""}') + 128


@dataclass(frozen=True, slots=True)
class Line:
    """A line whose signature was verified.

    Attributes:
        seq: its number in the log, from 1.
        at: when, RFC 3339 in UTC with milliseconds.
        event: the kind of record.
        fields: the record's.
        previous: SHA-256 of the line before, in hexadecimal.
        digest: SHA-256 of this line.
    """

    seq: int
    at: str
    event: str
    fields: dict[str, Value]
    previous: str
    digest: str


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far the log goes.

    Attributes:
        seq: the number of the last line; 0 for none.
        file: the name of the file that it is in; empty for none.
        number: its line number there, from 1.
        end: the offset of the byte after it.
        length: its length in bytes.
        digest: its SHA-256, or `GENESIS`.
    """

    seq: int = 0
    file: str = ""
    number: int = 0
    end: int = 0
    length: int = 0
    digest: str = GENESIS


def timestamp(now: float) -> str:
    """Unix seconds as RFC 3339 in UTC with milliseconds."""
    moment = datetime.datetime.fromtimestamp(now, datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def digest_of(line: bytes) -> str:
    """What the next line has as `previous`."""
    return hashlib.sha256(line).hexdigest()


def seal_line(
    seq: int, at: str, event: str, fields: dict[str, Value], previous: str, key: Ed25519PrivateKey
) -> bytes:
    """Makes a line."""
    values = {"seq": seq, "at": at, "event": event, **fields, "previous": previous}
    return _signed(values, _LINE_CONTEXT, key) + b"\n"


def open_line(data: bytes, key: Ed25519PublicKey) -> Line:
    """Reads a line, newline included.

    Raises:
        CodecError: it isn't one that this key has signed; says what is wrong.
    """
    if not data.endswith(b"\n"):
        raise CodecError("the line is unfinished")
    values = _verified(data[:-1], _LINE_CONTEXT, key)
    try:
        seq, at, event, previous = (values.pop(name) for name in RESERVED[:-1])
    except KeyError as missing:
        raise CodecError(f"it has no {missing}") from None
    return Line(seq, at, event, values, previous, digest_of(data))


def seal_checkpoint(checkpoint: Checkpoint, key: Ed25519PrivateKey) -> bytes:
    """Makes the content of the checkpoint file."""
    return _padded(_signed(asdict(checkpoint), _CHECKPOINT_CONTEXT, key))


def open_checkpoint(data: bytes, key: Ed25519PublicKey) -> Checkpoint:
    """Reads the content of the checkpoint file.

    Raises:
        CodecError: it isn't what this key has signed.
    """
    body = data.rstrip(b" \n")
    if data != _padded(body):
        raise CodecError("it is damaged")
    try:
        return Checkpoint(**_verified(body, _CHECKPOINT_CONTEXT, key))
    except TypeError:
        raise CodecError("its members are not those of a checkpoint") from None


def _padded(body: bytes) -> bytes:
    return body.ljust(CHECKPOINT_SIZE - 1) + b"\n"


def _signed(values: dict[str, Any], context: bytes, key: Ed25519PrivateKey) -> bytes:
    body = json.dumps(values, ensure_ascii=True, separators=(",", ":")).encode("ascii")
    signature = key.sign(context + body).hex().encode("ascii")
    return body[:-1] + b',"signature":"' + signature + b'"}'


def _verified(data: bytes, context: bytes, key: Ed25519PublicKey) -> dict[str, Any]:
    if len(data) > MAXIMUM_LINE:
        raise CodecError("it is longer than any line of the log")
    found = _SIGNATURE.fullmatch(data[-_SIGNATURE_LENGTH:])
    if found is None:
        raise CodecError("it doesn't end with a signature")
    body = data[:-_SIGNATURE_LENGTH] + b"}"
    try:
        key.verify(bytes.fromhex(found[1].decode("ascii")), context + body)
    except InvalidSignature:
        raise CodecError("its signature doesn't fit: it was changed, or another key made it") from (
            None
        )
    try:
        values = json.loads(body)
    except (ValueError, RecursionError):
        raise CodecError("it is signed, but no JSON") from None
    if not isinstance(values, dict):
        raise CodecError("it is signed, but no JSON object")
    return values
