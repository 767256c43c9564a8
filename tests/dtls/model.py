"""What a side may do with any input in any state, read off the versions' state tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from halfkey.dtls import AlertDescription
from halfkey.dtls.record import PLAINTEXT_EPOCH
from halfkey.dtls.registries import HandshakeType, ProtocolVersion
from halfkey.dtls.states import CLIENT_TABLES, SERVER_TABLES, State, StateTable, plaintext_types

_A, _H = AlertDescription, HandshakeType

REFUSALS_OF_CONTENT = frozenset(
    {
        _A.DECODE_ERROR,
        _A.ILLEGAL_PARAMETER,
        _A.HANDSHAKE_FAILURE,
        _A.PROTOCOL_VERSION,
        _A.BAD_CERTIFICATE,
        _A.UNSUPPORTED_CERTIFICATE,
        _A.UNSUPPORTED_EXTENSION,
        _A.MISSING_EXTENSION,
        _A.DECRYPT_ERROR,
        _A.ACCESS_DENIED,
    }
)
"""What a message may be refused with that came when its type was due."""


@dataclass(frozen=True, eq=False)
class Version:
    """A version under test.

    Attributes:
        name: for people.
        tables: of both sides.
        settings: for the configurations of both sides, so that they choose it.
    """

    name: str
    tables: Mapping[str, StateTable]
    settings: Mapping[str, object] = field(default_factory=dict)


VERSIONS = tuple(
    Version(
        version.title,
        {"client": CLIENT_TABLES[version], "server": SERVER_TABLES[version]},
        {"versions": (version,)},
    )
    for version in ProtocolVersion
)


@dataclass(frozen=True)
class Verdict:
    """What may come of an input.

    Attributes:
        alerts: the refusals that are right; none: it has to be silence.
        may_pass: whether it may also be taken, or dropped, without an alert.
        may_advance: whether the state may change for it.
    """

    alerts: frozenset[AlertDescription] = frozenset()
    may_pass: bool = True
    may_advance: bool = False


SILENCE = Verdict()
NO_COMMON_VERSION = Verdict(frozenset({_A.PROTOCOL_VERSION}), may_pass=False)
"""For a client of 1.3 alone, in the first answer that it gets: what only a server of 1.2 says."""
UNEXPECTED = Verdict(frozenset({_A.UNEXPECTED_MESSAGE}), may_pass=False)
TAKEN = Verdict(REFUSALS_OF_CONTENT, may_advance=True)


def of_plaintext(table: StateTable, state: State, kind: int) -> Verdict:
    """A whole handshake message in plain text, with the message_seq that is due: by anybody."""
    row = table.get(state)
    if row is None or state in (State.EXPECT_CLIENT_HELLO, State.CONNECTED):
        return SILENCE  # a server's gate at most answers; later nothing plain is looked at
    is_cookie = kind == HandshakeType.HELLO_VERIFY_REQUEST
    if state is State.EXPECT_SERVER_HELLO and is_cookie and kind not in row.transitions:
        return NO_COMMON_VERSION
    if kind not in plaintext_types(table) or row.epoch != PLAINTEXT_EPOCH:
        return SILENCE
    return TAKEN if kind in row.transitions else UNEXPECTED


def of_protected(table: StateTable, state: State, kind: int, epoch: int) -> Verdict:
    """The same under the peer's own key: by nobody but whom this handshake is with."""
    row = table.get(state)
    if row is None or state is State.EXPECT_CLIENT_HELLO:
        return SILENCE
    if row.epoch != epoch:
        # Not to be opened yet, or under the wrong key.
        return Verdict(UNEXPECTED.alerts)
    return TAKEN if kind in row.transitions else UNEXPECTED
