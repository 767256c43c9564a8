"""What a participant has shown of itself when it was admitted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from halfkey.identity.claims import Person


@dataclass(frozen=True, slots=True)
class VerifiedIdentity:
    """An identity assertion that was verified.

    Attributes:
        person: whom it names.
        ssrcs: the SSRCs that it binds, in the offer's order.
        nonce: the assertion's own, which the answer repeats.
        assertion: the a=identity value that it came in.
    """

    person: Person
    ssrcs: tuple[int, ...]
    nonce: str
    assertion: str = field(repr=False)
