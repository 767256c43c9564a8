"""The vouched roster: who is in a conference, as the Key Distributor states it.

It signs one whenever somebody joins or leaves, whenever the EKTKey changes, and every
`ROSTER_INTERVAL` seconds, so that an Endpoint that is not told notices; and with each what has
changed in it (`halfkey.vouching.change`), for those who had the one before.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from halfkey.dtls.fingerprint import Fingerprint
from halfkey.errors import CodecError
from halfkey.identity.claims import MAXIMUM_SSRCS, Binding, Person
from halfkey.identity.jose import decode_base64url, encode_base64url
from halfkey.sdp.identity import external_id_hash
from halfkey.vouching.authority import Authority, Trust
from halfkey.vouching.fields import (
    MAXIMUM_TIME,
    Fields,
    check_name,
    check_range,
    check_tls_id,
    check_token,
)
from halfkey.vouching.refusal import VouchRefused

TYPE = "halfkey-roster+jwt"

ROSTER_INTERVAL = 10.0
"""Seconds between statements when nothing happens."""

MAXIMUM_ENTRIES = 1000

MAXIMUM_IDENTITY = 1536
"""ASCII characters: an OpenID issuer's address, and a subject of it."""

MEMBERS = ("conference", "entries", "iat", "instance", "spi", "version")

Kind = Literal["invite", "passport", "oidc"]

_KINDS: dict[str, Kind] = {"invite": "invite", "passport": "passport", "oidc": "oidc"}
_HASH_BYTES = 32


@dataclass(frozen=True, slots=True)
class RosterEntry:
    """A participant.

    Attributes:
        id: within the conference.
        name: of the person.
        role: of the person in the conference.
        identity: as in `Person`.
        kind: of the assertion.
        key_thumbprint: of the key that signed the assertion's proof (RFC 7638).
        ssrcs: of the participant's sources, ascending, each once.
        fingerprint: of its certificate.
        tls_id: its tls-id.
        assertion_sha256: hash of its assertion, as for external_id_hash (RFC 8844 section 3.2.1).
        joined_at: when it was admitted, Unix time in seconds.

    Raises:
        CodecError: a value is out of bounds.
    """

    id: str
    name: str
    role: str
    identity: str
    kind: Kind
    key_thumbprint: str
    ssrcs: tuple[int, ...]
    fingerprint: Fingerprint
    tls_id: str
    assertion_sha256: bytes
    joined_at: int

    def __post_init__(self) -> None:
        check_name("a participant", self.id)
        check_name("a name", self.name)
        check_name("a role", self.role)
        check_name("an identity", self.identity, MAXIMUM_IDENTITY)
        if not self.identity.isascii():
            raise CodecError("an identity is in ASCII")
        check_tls_id(self.tls_id)
        check_range("the time of joining", self.joined_at, MAXIMUM_TIME)
        if len(self.ssrcs) > MAXIMUM_SSRCS:
            raise CodecError(f"a participant has at most {MAXIMUM_SSRCS} SSRCs")
        if list(self.ssrcs) != sorted(set(self.ssrcs)):
            raise CodecError("SSRCs are listed ascending, each once")
        for ssrc in self.ssrcs:
            check_range("an SSRC", ssrc, 1 << 32)
        if len(self.assertion_sha256) != _HASH_BYTES:
            raise CodecError("an assertion's hash has 32 bytes")
        if len(decode_base64url(self.key_thumbprint)) != _HASH_BYTES:
            raise CodecError("a key's thumbprint has 32 bytes")

    @classmethod
    def of(
        cls, participant: str, person: Person, binding: Binding, assertion: str, joined_at: int
    ) -> RosterEntry:
        """Makes the entry of somebody who was admitted.

        Args:
            participant: the id within the conference.
            person: whom the assertion names.
            binding: what it binds.
            assertion: the value of a=identity.
            joined_at: Unix time, seconds.
        """
        return cls(
            id=participant,
            name=person.name,
            role=person.role,
            identity=person.identity,
            kind=person.kind,
            key_thumbprint=person.key_thumbprint,
            ssrcs=tuple(sorted(set(binding.ssrcs))),
            fingerprint=binding.fingerprint,
            tls_id=binding.tls_id,
            assertion_sha256=external_id_hash(assertion),
            joined_at=joined_at,
        )

    def as_json(self) -> dict[str, object]:
        """The entry as JSON-able values; one form for one entry."""
        return {
            "assertion-sha256": encode_base64url(self.assertion_sha256),
            "fingerprint": str(self.fingerprint),
            "id": self.id,
            "identity": self.identity,
            "joined-at": self.joined_at,
            "key-thumbprint": self.key_thumbprint,
            "kind": self.kind,
            "name": self.name,
            "role": self.role,
            "ssrcs": list(self.ssrcs),
            "tls-id": self.tls_id,
        }


@dataclass(frozen=True, slots=True)
class RosterVouch:
    """The whole roster of a conference at one time.

    Attributes:
        conference: its name.
        instance: random, 16 to 128 characters of base64url; another for each run of the Key
            Distributor.
        version: grows with every statement of one instance and conference; from 1.
        spi: of the current EKTKey; None where there is none.
        issued_at: Unix time, seconds.
        entries: of all who are admitted, ascending by id, each id once.

    Raises:
        CodecError: a value is out of bounds.
    """

    conference: str
    instance: str
    version: int
    spi: int | None
    issued_at: int
    entries: tuple[RosterEntry, ...]

    def __post_init__(self) -> None:
        check_name("a conference", self.conference)
        check_token("an instance", self.instance)
        check_range("the version", self.version, MAXIMUM_TIME, begin=1)
        check_range("the SPI", self.spi or 0, 1 << 16)
        check_range("the time of issue", self.issued_at, MAXIMUM_TIME)
        if len(self.entries) > MAXIMUM_ENTRIES:
            raise CodecError(f"a roster has at most {MAXIMUM_ENTRIES} entries")
        if any(one.id >= other.id for one, other in pairwise(self.entries)):
            raise CodecError("entries are listed ascending by id, each once")

    @staticmethod
    def ordered(entries: Iterable[RosterEntry]) -> tuple[RosterEntry, ...]:
        """Entries in the order that a statement has them in."""
        return tuple(sorted(entries, key=lambda entry: entry.id))

    def members(self) -> dict[str, object]:
        """The members of the statement, `MEMBERS` by name."""
        return {
            "conference": self.conference,
            "entries": [entry.as_json() for entry in self.entries],
            "iat": self.issued_at,
            "instance": self.instance,
            "spi": self.spi,
            "version": self.version,
        }

    def sign(self, authority: Authority) -> str:
        """Gives the statement."""
        return authority.sign(TYPE, self.members())

    @classmethod
    def verify(cls, text: str, trust: Trust, now: float) -> RosterVouch:
        """Reads a statement; whether it is the newest is the caller's to check.

        Args:
            text: from the Focus.
            trust: from the link.
            now: Unix time, seconds; for the certificates' validity.

        Raises:
            VouchRefused: it doesn't hold, whatever it consists of.
        """
        payload = trust.verify(text, TYPE, now)
        try:
            return _read(payload)
        except CodecError:
            raise VouchRefused("malformed") from None


def _read(payload: object) -> RosterVouch:
    return read_roster(Fields(payload, *MEMBERS))


def read_roster(fields: Fields) -> RosterVouch:
    """Reads the members that `RosterVouch.members` writes.

    Raises:
        CodecError: one doesn't follow the format.
    """
    return RosterVouch(
        conference=fields.text("conference"),
        instance=fields.text("instance"),
        version=fields.integer("version"),
        spi=fields.optional_integer("spi"),
        issued_at=fields.integer("iat"),
        entries=tuple(_read_entry(one) for one in fields.items("entries", MAXIMUM_ENTRIES)),
    )


def _read_entry(value: object) -> RosterEntry:
    fields = Fields(
        value,
        "assertion-sha256",
        "fingerprint",
        "id",
        "identity",
        "joined-at",
        "key-thumbprint",
        "kind",
        "name",
        "role",
        "ssrcs",
        "tls-id",
    )
    kind = _KINDS.get(fields.text("kind"))
    if kind is None:
        raise CodecError("kind is not a known one")
    return RosterEntry(
        id=fields.text("id"),
        name=fields.text("name"),
        role=fields.text("role"),
        identity=fields.text("identity"),
        kind=kind,
        key_thumbprint=fields.text("key-thumbprint"),
        ssrcs=fields.integers("ssrcs", MAXIMUM_SSRCS),
        fingerprint=fields.fingerprint("fingerprint"),
        tls_id=fields.text("tls-id"),
        assertion_sha256=decode_base64url(fields.text("assertion-sha256")),
        joined_at=fields.integer("joined-at"),
    )
