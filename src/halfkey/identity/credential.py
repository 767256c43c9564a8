"""What a participant joins with: how it shows who it is, and whose word about others it takes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from halfkey.identity.claims import Claims
from halfkey.identity.envelope import IdentityAssertion
from halfkey.identity.link import Link

Refresh = Callable[[], Awaitable[None]]


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
        refresh: to be awaited before each offer: what the signer rests on may have expired. It
            raises `ConfigurationError` where that can't be had anew.
    """

    conference: str
    authority: bytes
    role: str
    signer: Signer
    refresh: Refresh | None = None

    @classmethod
    def of(cls, link: Link) -> Credential:
        """That of a link."""
        return cls(link.conference, link.authority, link.role, link.secret)
