"""What a participant joins with: how it shows who it is, and whose word about others it takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from halfkey.identity.claims import Claims
from halfkey.identity.envelope import IdentityAssertion
from halfkey.identity.link import Link


class Signer(Protocol):
    """Makes identity assertions of one kind."""

    def sign(self, claims: Claims) -> IdentityAssertion:
        """Signs an assertion.

        Raises:
            CodecError: the claims can't be written.
        """


@dataclass(frozen=True, slots=True)
class Credential:
    """For one conference.

    Attributes:
        conference: its name.
        authority: SHA-256 of the certificate (DER) of the Key Distributor's authority.
        role: to claim.
        signer: holds what is secret; it keeps that out of its own repr.
    """

    conference: str
    authority: bytes
    role: str
    signer: Signer

    @classmethod
    def of(cls, link: Link) -> Credential:
        """That of a link."""
        return cls(link.conference, link.authority, link.role, link.secret)
