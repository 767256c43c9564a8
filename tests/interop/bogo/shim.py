"""The program that BoringSSL's runner starts for each test: our engine behind the runner's framing.

    runner --TCP--> Wire --datagrams, time--> DataConnection --application data--> echo, inverted

Exit status 0: all went well, as far as this side can tell. 1: the connection failed, and standard
error says why. 89: the test asks for what Halfkey doesn't do.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from halfkey.dtls import (
    AlertDescription,
    Certificate,
    Configuration,
    ConnectionTerminated,
    Fingerprint,
    HandshakeCompleted,
    Role,
    fragments,
    gate,
)
from halfkey.dtls.messages.alert import Alert
from halfkey.dtls.registries import (
    DTLS_1_3,
    AlertLevel,
    ContentType,
    HandshakeType,
    NamedGroup,
)
from halfkey.errors import ConfigurationError, HalfkeyError
from halfkey.profiles import SRTPProtectionProfile
from tests.interop.bogo.echo import AnyCertificate, DataConnection, NoCookies
from tests.interop.bogo.flags import Settings, UnimplementedError, parse
from tests.interop.bogo.wire import (
    NO_TIMEOUT,
    AdvanceClock,
    Command,
    ExpectTimeout,
    Packet,
    SetMTU,
    Wire,
)

FAILED, UNIMPLEMENTED = 1, 89
_DECOMPRESSION_FAILURE = 30
_TYPE, _MESSAGE_SEQ = 13, 18
"""In a datagram in plain text: the first message's type, and the last byte of its number."""
_HELLO_RETRY_REQUEST = hashlib.sha256(b"HelloRetryRequest").digest()
"""The random that makes it one (RFC 8446 section 4.1.3)."""
_GROUPS = (NamedGroup.X25519, NamedGroup.SECP256R1)
"""Without the hybrid one, for which we have no first key share, unless a test asks for it."""
_START = 1_000.0
_NEVER = 1e9
_UNBOUNDED = 1 << 16
_TRANSMISSIONS = 13
"""As often as BoringSSL sends a flight."""


class FailedError(Exception):
    """The connection, or what the runner expects of it, failed; the text says how."""


def configuration_for(settings: Settings) -> Configuration:
    """What the engine is told for this test.

    Raises:
        UnimplementedError: the test wants what it can't be told.
    """
    if not settings.versions:
        raise UnimplementedError("no version of ours")
    wrong = Fingerprint("sha-256", bytes(32))
    optional: dict[str, object] = {}
    if settings.mtu:
        optional["pmtu"] = settings.mtu
    if settings.no_cookie:
        optional["cookie_secrets"] = NoCookies()
    if settings.initial_timeout_duration_ms:
        optional["first_timeout"] = settings.initial_timeout_duration_ms / 1000
    try:
        return Configuration(
            role=Role.SERVER if settings.server else Role.CLIENT,
            versions=settings.versions,
            groups=tuple(settings.curves) or _GROUPS,
            certificate=Certificate.from_pem(
                Path(settings.cert_file).read_bytes(), Path(settings.key_file).read_bytes()
            ),
            srtp_profiles=tuple(settings.srtp_profiles)
            or (SRTPProtectionProfile.AEAD_AES_128_GCM,),
            peer_fingerprints=(wrong if settings.verify_fail else AnyCertificate(),),
            maximum_transmissions=_TRANSMISSIONS,
            handshake_timeout=_NEVER,
            **optional,
        )
    except (ConfigurationError, OSError) as error:
        raise UnimplementedError(str(error)) from error


class Shim:
    """One connection with the runner."""

    def __init__(self, settings: Settings, wire: Wire) -> None:
        self._settings = settings
        self._wire = wire
        self._now = _START
        self._configuration = configuration_for(settings)
        self._connection = DataConnection(self._configuration, b"runner")
        self._was_retried = False
        self._refusal: int | None = None

    def run(self) -> None:
        """Talks until the runner is through.

        Raises:
            FailedError: something went wrong.
        """
        self._connection.start(self._now)
        while True:
            self._drain()
            command = self._wire.receive()
            if command is None:
                break
            self._obey(command)
        self._finish()

    def _obey(self, command: Command) -> None:
        if isinstance(command, Packet):
            self._connection.receive_datagram(command.data, self._now)
        elif isinstance(command, AdvanceClock):
            self._wire.acknowledge()
            self._now += command.duration / 1e9
            self._connection.handle_timer(self._now)
        elif isinstance(command, ExpectTimeout):
            self._check_timer(command.duration)
        elif isinstance(command, SetMTU):
            # Frozen for its users; the runner plays a path that changes.
            object.__setattr__(self._configuration, "pmtu", command.mtu)
        else:
            raise UnimplementedError("the first timeout can't change during a handshake")

    def _drain(self) -> None:
        """Sends what waits, handles events, echoes application data."""
        connection = self._connection
        self._send()
        while (event := connection.next_event()) is not None:
            if isinstance(event, HandshakeCompleted):
                self._complete(event)
            elif isinstance(event, ConnectionTerminated):
                self._terminated(event)
        while connection.received:
            if self._settings.key_update:
                connection.update_keys(self._now)
            connection.send(bytes(byte ^ 0xFF for byte in connection.received.popleft()))
            self._before_read()
        self._send()

    def _before_read(self) -> None:
        if self._settings.key_update_before_read:
            self._connection.update_keys(self._now)

    def _send(self) -> None:
        try:
            for datagram in self._connection.datagrams_to_send():
                self._note(datagram)
                self._wire.send(datagram)
        except OSError:
            pass  # the runner has gone; what it sent before that is still there to be read

    def _note(self, datagram: bytes) -> None:
        """Notes what the engine tells nobody: a HelloRetryRequest, or its answer, and a refusal."""
        if datagram[0] == ContentType.ALERT:
            self._refusal = datagram[-1]
        if datagram[0] != ContentType.HANDSHAKE:
            return
        repeats = datagram[_TYPE] == HandshakeType.CLIENT_HELLO and datagram[_MESSAGE_SEQ] > 0
        self._was_retried |= repeats or _HELLO_RETRY_REQUEST in datagram

    def _complete(self, event: HandshakeCompleted) -> None:
        settings, connection = self._settings, self._connection
        self._check_expectations(event)
        if settings.export_keying_material:
            context = settings.export_context.encode() if settings.use_export_context else None
            label = settings.export_label.encode()
            connection.send(
                connection.export_keying_material(label, settings.export_keying_material, context)
            )
        if settings.send_alert:
            alert = Alert(AlertLevel.FATAL, _DECOMPRESSION_FAILURE)
            connection._channel.send_record(ContentType.ALERT, alert.encode())
        if settings.shim_writes_first:
            connection.send(b"hello")
        if settings.shim_shuts_down:
            connection.close(self._now)
        else:
            self._before_read()

    def _check_expectations(self, event: HandshakeCompleted) -> None:
        settings = self._settings
        if settings.expect_version not in (0, event.version):
            raise FailedError("the other version was expected")
        was_retried = self._was_retried and event.version is DTLS_1_3
        if settings.expect_hrr and not was_retried:
            raise FailedError("HelloRetryRequest was expected")
        if settings.expect_no_hrr and was_retried:
            raise FailedError("no HelloRetryRequest was expected")
        if settings.expect_peer_cert_file:
            pem = Path(settings.expect_peer_cert_file).read_bytes()
            expected = x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)
            if event.peer_certificate != expected:
                raise FailedError("another certificate was expected")

    def _check_timer(self, expected: int) -> None:
        timer = self._connection.next_timer()
        armed = NO_TIMEOUT
        if timer is not None and timer < _NEVER:
            armed = max(0, round((timer - self._now) * 1e6)) * 1000
        if armed != expected:
            raise FailedError(f"a timeout of {expected} ns was expected, not {armed}")

    def _terminated(self, event: ConnectionTerminated) -> None:
        closed_by_peer = event.alert is AlertDescription.CLOSE_NOTIFY and event.by_peer
        if event.reason != "closed" and not closed_by_peer:
            alert = event.alert.name if event.alert is not None else "no alert"
            raise FailedError(f"{event.explanation}: {alert}")

    def _finish(self) -> None:
        """The runner has hung up: that is an end only to what had a beginning."""
        if not self._connection.is_connected and not self._connection.is_terminated:
            raise FailedError(f"the runner hung up during the handshake{self._alerts()}")

    def _alerts(self) -> str:
        """What was said of it in plain text: a server refuses like that, and forgets, at first."""
        hint = self._connection._hint
        said = f", saying {hint.name}" if hint is not None else ""
        if self._refusal is not None:
            said += f", refused: {AlertDescription(self._refusal).name}"
        return said


def take_pieces() -> None:
    """For a process of the shim's own: lets messages come in any number of pieces.

    The runner cuts them to a byte, packs and shuffles the pieces, which no peer does.
    """
    gate._MAXIMUM_PARTS = fragments._MAXIMUM_GAPS = _UNBOUNDED


def main(arguments: Sequence[str]) -> int:
    """Runs one test; gives the exit status."""
    try:
        settings = parse(arguments)
        if settings.is_handshaker_supported:
            print("No")
            return 0
        configuration_for(settings)
    except UnimplementedError as error:
        print(f"unimplemented: {error}", file=sys.stderr)
        return UNIMPLEMENTED
    wire = Wire.connect(settings.port, settings.shim_id, ipv6=settings.ipv6)
    shim = Shim(settings, wire)
    try:
        shim.run()
    except UnimplementedError as error:
        print(f"unimplemented: {error}", file=sys.stderr)
        return UNIMPLEMENTED
    except (FailedError, HalfkeyError) as error:
        shim._send()
        print(error, file=sys.stderr)
        return FAILED
    finally:
        wire.close()
    return 0


if __name__ == "__main__":
    take_pieces()
    sys.exit(main(sys.argv[1:]))
