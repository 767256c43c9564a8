"""A foreign DTLS stack as a judge, and the handshake that it judges."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from halfkey.dtls import (
    Certificate,
    Configuration,
    Connection,
    ConnectionTerminated,
    HandshakeCompleted,
    Role,
)
from halfkey.dtls.registries import DTLS_1_2, ProtocolVersion
from halfkey.profiles import SRTPProtectionProfile

SRTP_LABEL = b"EXTRACTOR-dtls_srtp"
OTHER_LABEL = b"EXPERIMENTAL halfkey"
OTHER_LENGTH = 77
OUR_SESSION_ID = b"a tls-id that they do not know"
PATIENCE = 30.0
"""Seconds for a handshake that hangs to be called so; nothing is measured by it."""


@dataclass(frozen=True)
class Report:
    """What the judge saw of a finished handshake.

    Attributes:
        profile: the code point of the protection profile.
        certificate: ours, as it arrived there, in DER form.
        srtp: what its exporter gives for the SRTP keys; inner before outer, client before server.
        exported: what its exporter gives for another label; None if it only exports SRTP keys.
    """

    profile: int
    certificate: bytes
    srtp: bytes = field(repr=False)
    exported: bytes | None = field(default=None, repr=False)


class Peer(Protocol):
    """One association of a judge."""

    def start(self) -> None:
        """A client begins."""

    def receive_datagram(self, data: bytes) -> None:
        """Takes a datagram of ours."""

    def datagrams_to_send(self) -> list[bytes]:
        """Takes what it sends; may wait a few milliseconds for it."""

    def report(self) -> Report | None:
        """What it saw, once its handshake is finished."""

    def close(self) -> None:
        """Frees what it holds; may be called at any time."""


Open = Callable[[Certificate, Role, SRTPProtectionProfile], Peer]
"""Opens an association with the certificate, in the role, for the profile.

Raises `AbsentError` where the judge can't be had.
"""


@dataclass(frozen=True)
class Judge:
    """A foreign stack.

    Attributes:
        name: what people call it.
        version: of it; found out when it is there.
        profiles: the protection profiles that it can negotiate.
        open: opens an association.
        dtls: the version of DTLS that it speaks here.
        package: the distribution's package that has it; None: it comes from a registry.
        note: what a reader of the table should know.
    """

    name: str
    version: Callable[[], str]
    profiles: tuple[SRTPProtectionProfile, ...]
    open: Open
    dtls: ProtocolVersion = DTLS_1_2
    package: str | None = None
    note: str = ""

    @property
    def title(self) -> str:
        """Its name with the version of DTLS, which tells it from the same stack with another."""
        return f"{self.name}-{self.dtls.title.removeprefix('DTLS ')}"


@dataclass(frozen=True)
class Verdict:
    """How a handshake went, from both sides.

    Attributes:
        completed: what our engine says, if it got there.
        terminated: why our engine ended it, if it did.
        report: what the judge says, if it got there.
        exported: what our exporter gives for `OTHER_LABEL`.
    """

    completed: HandshakeCompleted | None
    terminated: ConnectionTerminated | None
    report: Report | None
    exported: bytes | None = field(default=None, repr=False)


def shake_hands(
    judge: Judge,
    role: Role,
    profile: SRTPProtectionProfile,
    *,
    expected: Certificate | None = None,
    pmtu: int = 1200,
) -> Verdict:
    """One handshake with us in the role.

    Args:
        judge: the peer.
        role: ours.
        profile: the one that both sides name.
        expected: whose certificate we insist on; the judge's own, if it is None.
        pmtu: the size of our largest datagram, in bytes.

    Raises:
        AbsentError: the judge can't be had.
    """
    ours, theirs = Certificate.generate("ours"), Certificate.generate("theirs")
    configuration = Configuration(
        role=role,
        certificate=ours,
        srtp_profiles=(profile,),
        external_session_id=OUR_SESSION_ID,
        peer_fingerprints=((expected or theirs).fingerprint(),),
        pmtu=pmtu,
    )
    connection = Connection(configuration, judge.name.encode())
    their_role = Role.SERVER if role is Role.CLIENT else Role.CLIENT
    peer = judge.open(theirs, their_role, profile)
    try:
        verdict = _exchange(connection, peer)
    finally:
        peer.close()
    _check_certificates(verdict, ours, theirs)
    return verdict


def _check_certificates(verdict: Verdict, ours: Certificate, theirs: Certificate) -> None:
    if verdict.completed is not None:
        assert verdict.completed.peer_certificate == theirs.der
    if verdict.report is not None:
        assert verdict.report.certificate == ours.der


def _exchange(connection: Connection, peer: Peer) -> Verdict:
    """Carries datagrams until both sides are through, or ours has ended it."""
    completed, report = None, None
    deadline = time.monotonic() + PATIENCE
    connection.start(time.monotonic())
    peer.start()
    while time.monotonic() < deadline:
        now = time.monotonic()
        if (timer := connection.next_timer()) is not None and timer <= now:
            connection.handle_timer(now)
        for datagram in connection.datagrams_to_send():
            peer.receive_datagram(datagram)
        for datagram in peer.datagrams_to_send():
            connection.receive_datagram(datagram, now)
        report = report or peer.report()
        while (event := connection.next_event()) is not None:
            if isinstance(event, ConnectionTerminated):
                for datagram in connection.datagrams_to_send():
                    peer.receive_datagram(datagram)
                return Verdict(completed, event, report)
            if isinstance(event, HandshakeCompleted):
                completed = event
        if completed is not None and report is not None:
            exported = connection.export_keying_material(OTHER_LABEL, OTHER_LENGTH)
            return Verdict(completed, None, report, exported)
    return Verdict(completed, None, report)


def check_agreement(
    judge: Judge, verdict: Verdict, profile: SRTPProtectionProfile
) -> HandshakeCompleted:
    """Both sides got there, with the judge's version and the profile, and with the same keys.

    Returns:
        What our side came to.

    Raises:
        AssertionError: they didn't; its text says which of it.
    """
    completed, report = verdict.completed, verdict.report
    assert verdict.terminated is None, verdict.terminated.explanation
    assert completed is not None, "our engine did not complete the handshake"
    assert report is not None, "the peer did not complete the handshake"
    assert completed.version is judge.dtls, "another version of DTLS was chosen"
    assert completed.srtp_profile is profile, "we have another profile"
    assert report.profile == profile, "the peer has another profile"
    material = completed.keying_material
    assert report.srtp == (
        material.client_write_key
        + material.server_write_key
        + material.client_write_salt
        + material.server_write_salt
    ), "the SRTP keys differ"
    if report.exported is not None:
        assert report.exported == verdict.exported, "the exporters differ"
    return completed


def srtp_length(profile: int) -> int:
    """How many bytes the exporter gives for a profile's keys and salts of both directions."""
    parameters = SRTPProtectionProfile(profile).parameters
    return 2 * (parameters.key_length + parameters.salt_length)
