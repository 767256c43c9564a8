"""Session descriptions as lines (RFC 8866), every one of them kept, in order, as it came.

A description is split into its session section and its media sections. Nothing is dropped or
rewritten: attributes that Halfkey doesn't know are as safe as those it does, since what a Key
Distributor verifies must be what the Endpoint wrote. Typed views of single attributes are in
`halfkey.sdp.attributes`; what an offer or an answer means is in `offer` and `answer`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TypeVar

from halfkey.errors import CodecError

T = TypeVar("T")

MAXIMUM_LENGTH = 64 * 1024
"""The longest description that is read, in bytes of UTF-8."""

MAXIMUM_MEDIA = 256
"""The most media sections that a description may have."""

CRLF = "\r\n"

_LINE = re.compile(r"([^\r\n]*)(\r\n|\n)")
_TOKEN = re.compile(r"[!#-'*+\-.0-9A-Z^-~]+")
_MEDIA = re.compile(
    rf"(?P<kind>{_TOKEN.pattern}) (?P<port>[0-9]{{1,5}})(?:/[1-9][0-9]{{0,4}})?"
    rf" (?P<protocol>{_TOKEN.pattern}(?:/{_TOKEN.pattern})*)"
    rf"(?P<formats>(?: {_TOKEN.pattern})+)"
)
_ORIGIN = re.compile(r"[^\s]+ [0-9]+ [0-9]+ [^\s]+ [^\s]+ [^\s]+")

# Where a line's type may stand (RFC 8866 section 9): ranks never fall within a section, and r
# and z lines follow the t line that they belong to.
_SESSION_RANKS = {t: rank for rank, t in enumerate("vosiuepcbtka")}
_SESSION_RANKS |= dict.fromkeys("rz", _SESSION_RANKS["t"])
_MEDIA_RANKS = {t: rank for rank, t in enumerate("micbka")}
_SESSION_ONCE = frozenset("vosiuck")
_MEDIA_ONCE = frozenset("mik")
_SESSION_REQUIRED = "vost"


def is_token(text: str) -> bool:
    """Whether `text` is a token of RFC 8866 section 9."""
    return _TOKEN.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Line:
    """One ``<type>=<value>`` line.

    Attributes:
        type: one lower-case letter.
        value: what follows ``=``; no CR, LF or NUL is in it.
        number: its 1-based place in the description that it was read from; 0 in one we wrote.
        ending: CRLF, or the bare LF that RFC 8866 section 9 tells parsers to accept.
    """

    type: str
    value: str
    number: int = field(default=0, compare=False)
    ending: str = CRLF

    def __post_init__(self) -> None:
        if any(character in self.value for character in "\r\n\0"):
            raise CodecError(f"line {self.number}: a value holds a control character")

    def __str__(self) -> str:
        return f"{self.type}={self.value}{self.ending}"

    @property
    def attribute_name(self) -> str:
        """For an ``a=`` line, its name; empty for the others."""
        return self.value.partition(":")[0] if self.type == "a" else ""

    @property
    def attribute_value(self) -> str:
        """For an ``a=`` line, its value; empty for a property attribute and for other lines."""
        return self.value.partition(":")[2] if self.type == "a" else ""

    def parse(self, parser: Callable[[str], T]) -> T:
        """Applies `parser` to the attribute's value; its `CodecError` is given the line number."""
        try:
            return parser(self.attribute_value)
        except CodecError as error:
            raise self.fault(str(error)) from error

    def fault(self, message: str) -> CodecError:
        """The error to raise about this line."""
        return CodecError(f"line {self.number}: {message}")


def attribute(name: str, value: object = None) -> Line:
    """Makes the line ``a=name`` or ``a=name:value``.

    Raises:
        CodecError: the value holds a character that no line can carry.
    """
    return Line("a", name if value is None else f"{name}:{value}")


@dataclass(frozen=True)
class Section:
    """The lines of the session section, or of one media section, in order."""

    lines: tuple[Line, ...]

    def __str__(self) -> str:
        return "".join(map(str, self.lines))

    def first(self, line_type: str) -> Line | None:
        """The first line of a type, or None."""
        return next((line for line in self.lines if line.type == line_type), None)

    def attributes(self, name: str) -> tuple[Line, ...]:
        """Every line of an attribute, in order."""
        return tuple(line for line in self.lines if line.attribute_name == name)

    def has(self, name: str) -> bool:
        """Whether the attribute is there."""
        return any(line.attribute_name == name for line in self.lines)

    def all(self, name: str, parser: Callable[[str], T]) -> tuple[T, ...]:
        """Every value of an attribute, parsed, in order.

        Raises:
            CodecError: a value doesn't follow its grammar.
        """
        return tuple(line.parse(parser) for line in self.attributes(name))

    def one(self, name: str, parser: Callable[[str], T]) -> T | None:
        """The value of an attribute that stands once at most, or None.

        Raises:
            CodecError: it stands twice, or doesn't follow its grammar.
        """
        lines = self.attributes(name)
        if len(lines) > 1:
            raise lines[1].fault(f"a={name} stands twice in a section")
        return lines[0].parse(parser) if lines else None


@dataclass(frozen=True)
class MediaDescription(Section):
    """One media section; the fields are those of its ``m=`` line.

    Attributes:
        kind: the media type, ``"audio"`` or ``"video"`` for us.
        port: 0 for a section that is rejected or bundle-only.
        protocol: ``"UDP/TLS/RTP/SAVPF"`` for us.
        formats: RTP payload types as they stand, by preference.
    """

    kind: str
    port: int
    protocol: str
    formats: tuple[str, ...]

    @classmethod
    def of(cls, lines: Iterable[Line]) -> MediaDescription:
        """Reads the ``m=`` line, which comes first of `lines`.

        Raises:
            CodecError: it doesn't follow RFC 8866 section 5.14.
        """
        kept = tuple(lines)
        match = _MEDIA.fullmatch(kept[0].value)
        if match is None or int(match["port"]) > 0xFFFF:
            raise kept[0].fault("m= is malformed")
        formats = tuple(match["formats"].split())
        return cls(kept, match["kind"], int(match["port"]), match["protocol"], formats)


@dataclass(frozen=True)
class SessionDescription:
    """A whole description.

    Attributes:
        session: the lines before the first ``m=``.
        media: the media sections, in order.
    """

    session: Section
    media: tuple[MediaDescription, ...]

    @property
    def lines(self) -> Iterator[Line]:
        """Every line, in order."""
        yield from self.session.lines
        for section in self.media:
            yield from section.lines

    def __str__(self) -> str:
        return "".join(map(str, self.lines))

    @classmethod
    def parse(cls, data: bytes | str) -> SessionDescription:
        """Reads a description; ``str()`` of it gives the very same text again.

        Raises:
            CodecError: it is no UTF-8, too long, or breaks the grammar of RFC 8866; the message
                names the line.
        """
        lines = _split(_decode(data))
        bounds = [index for index, line in enumerate(lines) if line.type == "m"]
        if len(bounds) > MAXIMUM_MEDIA:
            raise CodecError(f"more than {MAXIMUM_MEDIA} media sections")
        bounds.append(len(lines))
        session = lines[: bounds[0]]
        _check_session(session)
        sections = [lines[start:end] for start, end in pairwise(bounds)]
        for section in sections:
            _check_order(section, _MEDIA_RANKS, _MEDIA_ONCE)
        return cls(Section(tuple(session)), tuple(map(MediaDescription.of, sections)))


def _decode(data: bytes | str) -> str:
    """The text of a description, once its length is known to be bearable."""
    try:
        encoded = data.encode() if isinstance(data, str) else data
        if len(encoded) > MAXIMUM_LENGTH:
            raise CodecError(f"the description is longer than {MAXIMUM_LENGTH} bytes")
        return encoded.decode()
    except UnicodeError:
        raise CodecError("the description isn't UTF-8") from None


def _split(text: str) -> list[Line]:
    """Cuts a text into lines, each of which ends in CRLF or LF."""
    lines: list[Line] = []
    position = 0
    while position < len(text):
        number = len(lines) + 1
        match = _LINE.match(text, position)
        if match is None:
            raise CodecError(f"line {number}: doesn't end in CRLF")
        lines.append(_line(match[1], number, match[2]))
        position = match.end()
    return lines


def _line(text: str, number: int, ending: str) -> Line:
    """Reads one line, and the grammar that every line of its type shares."""
    if len(text) < 2 or text[1] != "=":
        raise CodecError(f"line {number}: not of the form <type>=<value>")
    line = Line(text[0], text[2:], number, ending)
    # RFC 8866 wants one character of s= at least; the examples of RFC 9143 have none.
    if not line.value and line.type != "s":
        raise line.fault(f"{line.type}= has no value")
    if line.type == "a":
        name, colon, value = line.value.partition(":")
        if not is_token(name) or (colon and not value):
            raise line.fault("a= is malformed")
    return line


def _check_session(lines: list[Line]) -> None:
    """Checks the session section: order, and the lines that every description has."""
    _check_order(lines, _SESSION_RANKS, _SESSION_ONCE)
    first = {line.type: line for line in reversed(lines)}
    for required in _SESSION_REQUIRED:
        if required not in first:
            raise CodecError(f"there is no {required}= line")
    if first["v"].value != "0":
        raise first["v"].fault("the version isn't 0")
    if not _ORIGIN.fullmatch(first["o"].value):
        raise first["o"].fault("o= is malformed")


def _check_order(lines: list[Line], ranks: dict[str, int], once: frozenset[str]) -> None:
    """Checks that the lines of one section stand in the order of RFC 8866 section 9."""
    reached, seen, previous = 0, set[str](), ""
    for line in lines:
        rank = ranks.get(line.type)
        # Section 5: a description with a type letter that isn't understood is refused whole.
        if rank is None:
            raise line.fault(f"{line.type!r} is no type of line here")
        if rank < reached:
            raise line.fault(f"{line.type}= stands too late")
        if line.type in once and line.type in seen:
            raise line.fault(f"{line.type}= stands twice")
        if (line.type == "r" and previous not in "tr") or (line.type == "z" and previous != "r"):
            raise line.fault(f"{line.type}= follows {previous}=")
        seen.add(line.type)
        reached, previous = rank, line.type
