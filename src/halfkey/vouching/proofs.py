"""The others' assertions: each held against what the Key Distributor says of its sender.

An assertion may come before the statement that it belongs to, and a wrong one before the right
one, so the latest of each participant that proves nothing yet is held. All that is held is bounded:
where a Focus floods, the oldest gives way, and shows as missing.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection

from halfkey.errors import CodecError
from halfkey.identity.claims import AssertionRefused, Binding
from halfkey.identity.envelope import MAXIMUM_ENVELOPE, IdentityAssertion
from halfkey.identity.verifier import check_possession
from halfkey.sdp.identity import external_id_hash
from halfkey.vouching.fields import MAXIMUM_NAME_LENGTH
from halfkey.vouching.roster import MAXIMUM_ENTRIES, RosterEntry
from halfkey.vouching.standing import PersonReason

MAXIMUM_HELD = 4 * 1024 * 1024
"""Characters of all assertions that are held."""


class Proofs:
    """Holds assertions until they prove something.

    Args:
        conference: its name.
    """

    def __init__(self, conference: str) -> None:
        self._conference = conference
        self._proven: dict[str, RosterEntry] = {}
        self._held: OrderedDict[str, str] = OrderedDict()
        self._held_characters = 0

    @property
    def held(self) -> int:
        """The number of assertions that prove nothing yet."""
        return len(self._held)

    def receive(self, participant: str, value: str) -> bool:
        """Takes a participant's assertion, in place of one that proved nothing.

        Args:
            participant: the id, as the Focus says.
            value: of a=identity, likewise.

        Returns:
            Whether it was within bounds.
        """
        if len(participant) > MAXIMUM_NAME_LENGTH or len(value) > MAXIMUM_ENVELOPE:
            return False
        self._drop(participant)
        self._held[participant] = value
        self._held_characters += len(value)
        while len(self._held) > MAXIMUM_ENTRIES or self._held_characters > MAXIMUM_HELD:
            self._drop(next(iter(self._held)))
        return True

    def judge(self, entry: RosterEntry) -> PersonReason | None:
        """Says whether an entry is proven by its participant's own assertion."""
        held = self._held.get(entry.id)
        proven = self._proven.get(entry.id)
        if proven is not None and _proof_of(proven) == _proof_of(entry):
            return None
        if held is None:
            return "assertion_missing"
        if not self._proves(held, entry):
            return "assertion_wrong"
        self._drop(entry.id)
        self._proven[entry.id] = entry
        return None

    def keep_only(self, left: Collection[str], present: Collection[str]) -> None:
        """Forgets what is of those that left, and what was proven of anybody not present."""
        for participant in left:
            self._drop(participant)
        self._proven = {one: self._proven[one] for one in present if one in self._proven}

    def _proves(self, value: str, entry: RosterEntry) -> bool:
        expected = Binding(self._conference, entry.fingerprint, entry.tls_id, entry.ssrcs)
        try:
            if external_id_hash(value) != entry.assertion_sha256:
                return False
            assertion = IdentityAssertion.parse(value)
            if assertion.protocol != entry.kind:
                return False
            # Its age was the Key Distributor's to check: somebody may have joined long ago.
            check_possession(assertion, entry.key_thumbprint, expected)
        except (CodecError, AssertionRefused):
            return False
        return True

    def _drop(self, participant: str) -> None:
        self._held_characters -= len(self._held.pop(participant, ""))


def _proof_of(entry: RosterEntry) -> tuple[object, ...]:
    """What of an entry an assertion proves."""
    return (
        entry.kind,
        entry.key_thumbprint,
        entry.ssrcs,
        entry.fingerprint,
        entry.tls_id,
        entry.assertion_sha256,
    )
