"""A Focus that delivers anything, to anybody, in any order, as often as it likes.

Whatever it does: what counts as verified is what the Key Distributor last said of all that was
delivered, it is fresh, and it is of our keys. And a Focus that then behaves makes all well again.
"""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from halfkey.vouching.people import SPI_GRACE
from halfkey.vouching.roster import RosterEntry
from halfkey.vouching.standing import StatementRefused
from halfkey.vouching.statements import STALE_AFTER
from tests.vouching.world import CONFERENCE, KeyDistributor, World, member

places = st.integers(0, 1 << 16)


@dataclass(frozen=True)
class Signed:
    """A statement that the Key Distributor made, with its place in the true order."""

    text: str
    order: int
    issued_at: float
    spi: int | None
    entries: dict[str, RosterEntry]


class AnyFocus(RuleBasedStateMachine):
    """The true history, what was delivered of it, and the Endpoint."""

    @initialize()
    def begin(self) -> None:
        self.world = World()
        self.signed: list[Signed] = []
        self.delivered: Signed | None = None
        self.spi: int | None = None
        self.assertions: set[tuple[str, str]] = {("p001", member(1).own.assertion)}
        self.restarts = 0
        self.matched_at = self.world.now

    # What is true

    @rule()
    def sign(self) -> None:
        key_distributor = self.world.key_distributor
        text = key_distributor.statement(self.world.now)
        self.signed.append(
            Signed(
                text,
                len(self.signed),
                self.world.now,
                key_distributor.spi,
                dict(key_distributor.entries),
            )
        )

    @rule(number=st.integers(2, 5))
    def come_or_go(self, number: int) -> None:
        entries = self.world.key_distributor.entries
        if entries.pop(member(number).entry.id, None) is None:
            self.world.key_distributor.admit(member(number))

    @rule(spi=st.integers(7, 9))
    def rekey(self, spi: int) -> None:
        self.world.key_distributor.spi = spi
        self.associate()

    @rule()
    def associate(self) -> None:
        if self.world.key_distributor.spi is not None:
            self.spi = self.world.key_distributor.spi
            self.world.people.ekt_key(self.spi, self.world.now)
            self.note_match()

    @rule(spi=st.none() | st.integers(7, 9))
    def restart(self, spi: int | None) -> None:
        self.restarts += 1
        self.pass_time(1)
        old = self.world.key_distributor
        self.world.key_distributor = old.restart(f"instance-number-{self.restarts:04}", spi)

    @rule(seconds=st.floats(0, 40))
    def pass_time(self, seconds: float) -> None:
        self.note_match()
        self.world.wait(seconds)
        self.note_match()

    # What the Focus does

    @precondition(lambda self: self.signed)
    @rule(place=places)
    def deliver(self, place: int) -> None:
        # Often of the newest ones, as otherwise hardly any would be taken.
        recent = self.signed[-4:] if place % 2 else self.signed
        chosen = recent[place // 2 % len(recent)]
        if self.delivered is None or chosen.order > self.delivered.order:
            self.delivered = chosen
        self.world.people.receive_roster(chosen.text, self.world.now)
        self.note_match()

    @precondition(lambda self: self.signed)
    @rule(place=places, garbage=st.text(max_size=5))
    def damage(self, place: int, garbage: str) -> None:
        text = self.signed[place % len(self.signed)].text
        cut = place % len(text)
        self.world.people.receive_roster(text[:cut] + garbage, self.world.now)

    @rule(spi=st.integers(7, 9))
    def mix(self, spi: int) -> None:
        other = KeyDistributor(conference=f"{CONFERENCE}-2", version=1 << 30, spi=spi)
        self.world.people.receive_roster(other.statement(self.world.now), self.world.now)

    @rule(to=st.integers(1, 6), of=st.integers(1, 6))
    def hand_out(self, to: int, of: int) -> None:
        identifier, value = member(to).own.participant, member(of).own.assertion
        self.assertions.add((identifier, value))
        self.world.people.receive_assertion(identifier, value, self.world.now)

    # What holds nevertheless

    def note_match(self) -> None:
        if self.delivered is not None and self.delivered.spi == self.spi:
            self.matched_at = self.world.now

    @invariant()
    def verified_is_vouched_and_fresh(self) -> None:
        people, now = self.world.people, self.world.now
        if people.reason is not None:
            assert not any(one.is_verified for one in people.people())
            assert people.code() is None
            return
        newest = self.delivered
        assert newest is not None
        assert {one.entry.id: one.entry for one in people.people()} == newest.entries
        assert now - newest.issued_at < STALE_AFTER
        assert newest.spi == self.spi or now - self.matched_at < SPI_GRACE
        for one in people.people():
            if one.is_verified:
                number = int(one.entry.id[1:])
                assert (one.entry.id, member(number).own.assertion) in self.assertions

    @invariant()
    def timers_are_ahead_and_events_few(self) -> None:
        due = self.world.people.next_timer()
        assert due is None or due > self.world.now
        refused = [one for one in self.world.events() if isinstance(one, StatementRefused)]
        assert len(refused) == len(set(refused))

    def teardown(self) -> None:
        """The control: it is not by refusing everything that all of this holds."""
        if not hasattr(self, "world"):
            return
        self.world.wait(2)
        self.rekey(9)
        self.sign()
        self.deliver(2 * len(self.signed[-4:]) - 1)
        for number in range(1, 6):
            self.hand_out(number, number)
        assert self.world.people.reason is None
        assert all(one.is_verified for one in self.world.people.people())
        assert self.world.people.code() is not None


TestAnyFocus = AnyFocus.TestCase
TestAnyFocus.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
