"""The Key Distributor's own assertion, in the a=identity of an answer.

It says: I admitted you, under this certificate and tls-id, and these are mine. So an Endpoint does
its DTLS handshake with the Key Distributor of its link, or with nobody.
"""

from __future__ import annotations

from dataclasses import dataclass

from halfkey.dtls.fingerprint import Fingerprint
from halfkey.errors import CodecError
from halfkey.identity.claims import AssertionRefused, check_time
from halfkey.identity.envelope import MAXIMUM_ENVELOPE, IdentityAssertion
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

TYPE = "halfkey-answer+jwt"

DOMAIN = "key-distributor.invalid"
"""No provider on the network stands behind it: the link's hash does (RFC 2606 section 2)."""

PROTOCOL = "halfkey-answer"


@dataclass(frozen=True, slots=True)
class DTLSIdentity:
    """What one end of a DTLS association is known by.

    Attributes:
        fingerprint: of its certificate.
        tls_id: its tls-id (RFC 8842 section 4).

    Raises:
        CodecError: the tls-id is out of bounds.
    """

    fingerprint: Fingerprint
    tls_id: str

    def __post_init__(self) -> None:
        check_tls_id(self.tls_id)


@dataclass(frozen=True, slots=True)
class ExpectedAnswer:
    """What an Endpoint knows before it reads the Key Distributor's assertion.

    Attributes:
        conference: that it asked for.
        endpoint: its own fingerprint and tls-id.
        nonce: of the assertion in its offer.
        key_distributor: what the SDP answer says.
    """

    conference: str
    endpoint: DTLSIdentity
    nonce: str
    key_distributor: DTLSIdentity


@dataclass(frozen=True, slots=True)
class AnswerVouch:
    """An admission, as the Key Distributor states it.

    Attributes:
        conference: its name.
        participant: the id within the conference.
        name: of the person, as the roster will have it.
        role: of the person in the conference.
        key_distributor: its fingerprint and tls-id.
        endpoint: the participant's.
        nonce: of the participant's assertion, so that the answer is to that one.
        issued_at: Unix time, seconds.
        roster_time: what a roster would have been dated then; None for `issued_at`. Rosters go on
            where they were when the Key Distributor's clock is set back, and so may be ahead of it.

    Raises:
        CodecError: a value is out of bounds.
    """

    conference: str
    participant: str
    name: str
    role: str
    key_distributor: DTLSIdentity
    endpoint: DTLSIdentity
    nonce: str
    issued_at: int
    roster_time: int | None = None

    def __post_init__(self) -> None:
        check_name("a conference", self.conference)
        check_name("a participant", self.participant)
        check_name("a name", self.name)
        check_name("a role", self.role)
        check_token("a nonce", self.nonce)
        check_range("the time of issue", self.issued_at, MAXIMUM_TIME)
        check_range("the time of rosters", self.admitted_at, MAXIMUM_TIME)

    @property
    def admitted_at(self) -> int:
        """By the clock of rosters, Unix time in seconds: none that counts is older."""
        return self.issued_at if self.roster_time is None else self.roster_time

    def sign(self, authority: Authority) -> str:
        """Gives the value of a=identity."""
        payload = {
            "conference": self.conference,
            "endpoint": _write(self.endpoint),
            "iat": self.issued_at,
            "jti": self.nonce,
            "key-distributor": _write(self.key_distributor),
            "name": self.name,
            "participant": self.participant,
            "role": self.role,
            "roster-time": self.roster_time,
        }
        return str(IdentityAssertion(DOMAIN, PROTOCOL, authority.sign(TYPE, payload)))

    @classmethod
    def verify(cls, value: str, trust: Trust, expected: ExpectedAnswer, now: float) -> AnswerVouch:
        """Reads the a=identity of an answer, and holds it against what must be in it.

        Args:
            value: from the answer.
            trust: from the link.
            expected: what must be in it.
            now: Unix time, seconds.

        Raises:
            VouchRefused: it doesn't hold, whatever it consists of. Nothing falls back.
        """
        payload = trust.verify(_unwrap(value), TYPE, now)
        try:
            vouch = _read(payload)
        except CodecError:
            raise VouchRefused("malformed") from None
        vouch._check(expected, now)
        return vouch

    def _check(self, expected: ExpectedAnswer, now: float) -> None:
        if self.conference != expected.conference:
            raise VouchRefused("conference")
        if self.nonce != expected.nonce:
            raise VouchRefused("nonce")
        for end, wanted in (
            (self.endpoint, expected.endpoint),
            (self.key_distributor, expected.key_distributor),
        ):
            if end.fingerprint != wanted.fingerprint:
                raise VouchRefused("fingerprint")
            if end.tls_id != wanted.tls_id:
                raise VouchRefused("tls_id")
        try:
            check_time(self.issued_at, now)
        except AssertionRefused as fault:
            raise VouchRefused("future" if fault.reason == "future" else "expired") from None


def _unwrap(value: str) -> str:
    if len(value) > MAXIMUM_ENVELOPE:
        raise VouchRefused("too_large")
    try:
        assertion = IdentityAssertion.parse(value)
    except CodecError:
        raise VouchRefused("malformed") from None
    if (assertion.domain, assertion.protocol) != (DOMAIN, PROTOCOL):
        raise VouchRefused("protocol")
    return assertion.assertion


def _read(payload: object) -> AnswerVouch:
    fields = Fields(
        payload,
        "conference",
        "endpoint",
        "iat",
        "jti",
        "key-distributor",
        "name",
        "participant",
        "role",
        "roster-time",
    )
    return AnswerVouch(
        conference=fields.text("conference"),
        participant=fields.text("participant"),
        name=fields.text("name"),
        role=fields.text("role"),
        key_distributor=_read_end(fields.object("key-distributor", "fingerprint", "tls-id")),
        endpoint=_read_end(fields.object("endpoint", "fingerprint", "tls-id")),
        nonce=fields.text("jti"),
        issued_at=fields.integer("iat"),
        roster_time=fields.optional_integer("roster-time"),
    )


def _read_end(fields: Fields) -> DTLSIdentity:
    return DTLSIdentity(fields.fingerprint("fingerprint"), fields.text("tls-id"))


def _write(end: DTLSIdentity) -> dict[str, str]:
    return {"fingerprint": str(end.fingerprint), "tls-id": end.tls_id}
