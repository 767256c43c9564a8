"""How assertions are verified, whatever their kind."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from halfkey.errors import CodecError
from halfkey.identity.claims import AssertionRefused, Binding, Claims, Person, check
from halfkey.identity.envelope import MAXIMUM_ENVELOPE, IdentityAssertion
from halfkey.identity.proof import FORMS, Proof


class Verifier(Protocol):
    """Verifies assertions of one protocol. Pure: it needs nothing but its configuration."""

    @property
    def protocol(self) -> str:
        """``invite``, ``passport`` or ``oidc``."""

    def verify(
        self, assertion: IdentityAssertion, expected: Binding, now: float
    ) -> tuple[Person, Claims]:
        """Says whom an assertion names.

        A replay is not found out here: whoever verifies keeps the nonces of each key until
        `Claims.replayable_until`.

        Args:
            assertion: as it came.
            expected: what it must bind, read from the offer that it came with.
            now: Unix time, seconds.

        Raises:
            AssertionRefused: it doesn't hold, whatever it consists of.
        """


class Verifiers:
    """The kinds of assertion that are accepted.

    Args:
        verifiers: one for each protocol.
    """

    def __init__(self, verifiers: Iterable[Verifier]) -> None:
        self._by_protocol = {verifier.protocol: verifier for verifier in verifiers}

    def verify(self, value: str, expected: Binding, now: float) -> tuple[Person, Claims]:
        """Verifies the value of a=identity; see `Verifier.verify`.

        Raises:
            AssertionRefused: it doesn't hold, or its protocol is not accepted here.
        """
        assertion = _parsed(value)
        verifier = self._by_protocol.get(assertion.protocol)
        if verifier is None:
            raise AssertionRefused("protocol")
        return verifier.verify(assertion, expected, now)


def check_possession(
    assertion: IdentityAssertion, key_thumbprint: str, expected: Binding, now: float | None = None
) -> Claims:
    """Checks what any participant can check of another's assertion.

    That is: the key of that thumbprint signed it, and it binds what is expected. Who holds the
    key is the Key Distributor's statement.

    Args:
        assertion: as it came.
        key_thumbprint: from the Key Distributor's statement.
        expected: likewise.
        now: Unix time, seconds; None for an assertion that was verified in time by somebody else.

    Raises:
        AssertionRefused: it doesn't hold.
    """
    form = FORMS.get(assertion.protocol)
    if form is None:
        raise AssertionRefused("protocol")
    claims, _ = Proof(assertion.assertion, form).verified(key_thumbprint)
    check(claims, expected, now)
    return claims


def _parsed(value: str) -> IdentityAssertion:
    if len(value) > MAXIMUM_ENVELOPE:
        raise AssertionRefused("too_large")
    try:
        return IdentityAssertion.parse(value)
    except CodecError:
        raise AssertionRefused("malformed") from None
