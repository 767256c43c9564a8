"""The one transport of a bundle: ICE, DTLS identity and role, as one side describes its end.

All sections of a conference share one 5-tuple and one DTLS association (RFC 9143), so these
attributes are read from the tagged section, or from the session section as the default of all.
Every other section of the bundle must say the same or nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from halfkey.errors import CodecError
from halfkey.sdp.attributes import (
    SHA_256,
    Candidate,
    Group,
    Setup,
    parse_fingerprint,
    parse_ice_pwd,
    parse_ice_ufrag,
    parse_tls_id,
)
from halfkey.sdp.description import (
    Line,
    MediaDescription,
    Section,
    SessionDescription,
    attribute,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Transport:
    """One side's end of the transport.

    Attributes:
        fingerprint: of its DTLS certificate, ``"sha-256 AB:CD:..."``.
        tls_id: its half of the association's name, which is also the external_session_id of its
            ClientHello or ServerHello (RFC 9185 section 5.1).
        ice_ufrag: the ICE user name fragment.
        ice_pwd: the ICE password; not shown by repr.
        setup: the DTLS roles that it can take.
        candidates: its addresses; may be empty in an offer to an ICE-lite peer.
        ice_lite: whether it is an ICE-lite agent (RFC 8445 section 2.5).
    """

    fingerprint: str
    tls_id: str
    ice_ufrag: str
    ice_pwd: str = field(repr=False)
    setup: Setup = Setup.ACTPASS
    candidates: tuple[Candidate, ...] = ()
    ice_lite: bool = False

    @property
    def session_lines(self) -> list[Line]:
        """The lines that stand in the session section of a description that we write."""
        lines = [attribute("ice-lite")] if self.ice_lite else []
        return [
            *lines,
            attribute("ice-options", "ice2"),
            attribute("ice-ufrag", self.ice_ufrag),
            attribute("ice-pwd", self.ice_pwd),
            attribute("fingerprint", self.fingerprint),
            attribute("setup", self.setup.value),
        ]

    @property
    def tagged_lines(self) -> list[Line]:
        """The lines of the tagged section: RFC 8842 section 4 keeps tls-id to media sections,
        RFC 8839 section 5.1 candidates."""
        candidates = [attribute("candidate", candidate) for candidate in self.candidates]
        if candidates:
            candidates.append(attribute("end-of-candidates"))
        return [attribute("tls-id", self.tls_id), *candidates]

    @classmethod
    def read(cls, description: SessionDescription, bundle: Sequence[MediaDescription]) -> Transport:
        """Reads the transport of a bundle.

        Args:
            description: the whole description.
            bundle: the sections in use, the tagged one first.

        Raises:
            CodecError: something is missing, malformed, or said in two ways.
        """
        session = description.session

        def value(name: str, parser: Callable[[str], T]) -> T:
            return _agreed(name, lambda section: section.one(name, parser), session, bundle)

        return cls(
            fingerprint=_agreed("fingerprint", _sha_256, session, bundle),
            tls_id=value("tls-id", parse_tls_id),
            ice_ufrag=value("ice-ufrag", parse_ice_ufrag),
            ice_pwd=value("ice-pwd", parse_ice_pwd),
            setup=value("setup", Setup.parse),
            candidates=_usable(bundle[0].all("candidate", Candidate.parse)),
            ice_lite=session.has("ice-lite"),
        )


def _agreed(
    name: str,
    read: Callable[[Section], T | None],
    session: Section,
    bundle: Sequence[MediaDescription],
) -> T:
    """The one value that the sections of a bundle have for an attribute."""
    default = read(session)
    own = [read(section) for section in bundle]
    value = own[0] if own[0] is not None else default
    if value is None:
        raise CodecError(f"there is no usable a={name} for the bundle")
    for section, other in zip(bundle, own, strict=True):
        if other is not None and other != value:
            raise section.lines[0].fault(f"the section's a={name} isn't that of its bundle")
    return value


def _sha_256(section: Section) -> str | None:
    """The section's SHA-256 fingerprint; those of other hashes are passed over (RFC 8122 5)."""
    found = [
        line.parse(parse_fingerprint)
        for line in section.attributes("fingerprint")
        if line.attribute_value.lower().startswith(SHA_256)
    ]
    if len(found) > 1:
        raise CodecError(f"a section has two {SHA_256} fingerprints; one certificate is meant")
    return found[0] if found else None


def _usable(candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Candidates for RTP over UDP at an address; others are ignored (RFC 8839 section 5.1)."""
    return tuple(
        c for c in candidates if c.component == 1 and c.transport == "udp" and c.is_address
    )


def bundle_mids(description: SessionDescription) -> tuple[str, ...]:
    """The mids of the one a=group:BUNDLE (RFC 9143 section 5), in order.

    Raises:
        CodecError: there is none, or more than one.
    """
    groups = [g for g in description.session.all("group", Group.parse) if g.semantics == "BUNDLE"]
    if len(groups) != 1:
        raise CodecError("there must be one a=group:BUNDLE")
    mids = groups[0].mids
    if len(set(mids)) != len(mids):
        raise CodecError("a=group:BUNDLE names a section twice")
    return mids
