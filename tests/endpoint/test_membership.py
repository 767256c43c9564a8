"""What time it is for who joins by a link."""

from __future__ import annotations

import time

import pytest

from halfkey.dtls import Certificate
from halfkey.endpoint import membership
from halfkey.endpoint.membership import Membership
from halfkey.identity.credential import Credential
from halfkey.identity.envelope import IdentityAssertion
from tests.identity.helpers import parts
from tests.identity.test_link import LINK

NOW = 1_800_000_000
ASLEEP = 90


class Clocks:
    """The system's, as a test sets them; stands in for the module `time`."""

    CLOCK_BOOTTIME = time.CLOCK_BOOTTIME

    def __init__(self) -> None:
        self.wall, self.since_boot = float(NOW), 5_000.0

    def time(self) -> float:
        return self.wall

    def clock_gettime(self, clock: int) -> float:
        assert clock == self.CLOCK_BOOTTIME
        return self.since_boot


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    clocks = Clocks()
    monkeypatch.setattr(membership, "time", clocks)
    return clocks


def asserted_at(member: Membership) -> int:
    """When a fresh assertion says that it was made."""
    value = member.assert_identity(Certificate.generate().fingerprint(), "Xz0" * 8, (7,))
    _, payload = parts(IdentityAssertion.parse(value).assertion)
    issued_at = payload["iat"]
    assert isinstance(issued_at, int)
    return issued_at


async def test_an_assertion_made_after_the_machine_slept_is_fresh(clocks: Clocks) -> None:
    """The event loop's clock stands still meanwhile, and its time would be 90 seconds old."""
    member = Membership(Credential.of(LINK), lambda _: None)
    assert asserted_at(member) == NOW
    clocks.wall += ASLEEP
    clocks.since_boot += ASLEEP
    assert asserted_at(member) == NOW + ASLEEP


async def test_an_assertion_follows_a_clock_that_was_set(clocks: Clocks) -> None:
    """The Key Distributor holds it against Unix time, not against what ours was once."""
    member = Membership(Credential.of(LINK), lambda _: None)
    clocks.wall += 3600
    assert asserted_at(member) == NOW + 3600


async def test_between_offers_time_goes_on_whatever_is_set(clocks: Clocks) -> None:
    """Else whoever sets the clock back would keep a roster fresh."""
    member = Membership(Credential.of(LINK), lambda _: None)
    asserted_at(member)
    clocks.wall -= 3600
    clocks.since_boot += 40
    assert member.now == NOW + 40
