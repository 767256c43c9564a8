"""The shim against our own engine, by the runner's framing over TCP: BoringSSL isn't needed."""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from halfkey.dtls import Certificate, Configuration, ConnectionTerminated, HandshakeCompleted, Role
from halfkey.dtls.registries import DTLS_1_2, HandshakeType
from halfkey.profiles import SRTPProtectionProfile
from tests.interop.bogo.echo import AnyCertificate, DataConnection
from tests.interop.bogo.shim import FAILED, UNIMPLEMENTED, main
from tests.interop.bogo.wire import NO_TIMEOUT

ROOT = Path(__file__).parents[3]
SHIM_ID = 0x0123456789ABCDEF
FIRST_TIMEOUT = 400_000_000
DEADLINE = 60.0


class HungUpError(Exception):
    """The shim has ended the connection."""


class Runner:
    """One test of a runner: the peer of a shim, which is a process of its own."""

    def __init__(self, shim: subprocess.Popen[str], stream: socket.socket, role: Role) -> None:
        self.shim = shim
        self._stream = stream
        self.peer = DataConnection(
            Configuration(
                role=role,
                certificate=Certificate.generate("runner"),
                srtp_profiles=(SRTPProtectionProfile.AEAD_AES_128_GCM,),
                peer_fingerprints=(AnyCertificate(),),
            ),
            b"shim",
        )
        self.completed: HandshakeCompleted | None = None
        self.terminated: ConnectionTerminated | None = None

    def read(self, length: int) -> bytes:
        data = b""
        while len(data) < length:
            chunk = self._stream.recv(length - len(data))
            if not chunk:
                raise HungUpError
            data += chunk
        return data

    def receive(self) -> bytes:
        """The next datagram."""
        assert self.read(1) == b"P"
        return self.read(*struct.unpack("!I", self.read(4)))

    def send(self, datagram: bytes) -> None:
        self._stream.sendall(b"P" + struct.pack("!I", len(datagram)) + datagram)

    def advance_clock(self, nanoseconds: int) -> None:
        self._stream.sendall(b"T" + struct.pack("!Q", nanoseconds))
        assert self.read(1) == b"t"

    def expect_timeout(self, nanoseconds: int) -> None:
        self._stream.sendall(b"E" + struct.pack("!Q", nanoseconds))

    def flush(self) -> None:
        for datagram in self.peer.datagrams_to_send():
            self.send(datagram)
        while (event := self.peer.next_event()) is not None:
            if isinstance(event, HandshakeCompleted):
                self.completed = event
            elif isinstance(event, ConnectionTerminated):
                self.terminated = event

    def step(self) -> None:
        self.peer.receive_datagram(self.receive(), 0.0)
        self.flush()

    def shake_hands(self) -> Self:
        self.peer.start(0.0)
        self.flush()
        while self.completed is None:
            self.step()
        return self

    def end(self) -> tuple[int, str]:
        """Hangs up: the shim's exit status, and what it says."""
        self._stream.close()
        _, errors = self.shim.communicate(timeout=DEADLINE)
        return self.shim.returncode, errors.strip()


Start = Callable[..., Runner]


@pytest.fixture
def credential(tmp_path: Path) -> list[str]:
    """The flags of the shim's certificate."""
    certificate = Certificate.generate("shim")
    key = tmp_path / "key.pem"
    key.write_bytes(
        certificate.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    chain = tmp_path / "chain.pem"
    parsed = x509.load_der_x509_certificate(certificate.der)
    chain.write_bytes(parsed.public_bytes(Encoding.PEM))
    return ["-cert-file", str(chain), "-key-file", str(key)]


@pytest.fixture
def start(credential: list[str]) -> Iterator[Start]:
    """Starts a shim with more flags, and plays its runner."""
    runners: list[Runner] = []

    def run(*flags: str) -> Runner:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(DEADLINE)
            port = str(listener.getsockname()[1])
            command = [sys.executable, "-m", "tests.interop.bogo.shim", "-port", port]
            command += ["-shim-id", str(SHIM_ID), "-dtls", *credential, *flags]
            shim = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
            stream, _ = listener.accept()
        stream.settimeout(DEADLINE)
        runners.append(Runner(shim, stream, Role.CLIENT if "-server" in flags else Role.SERVER))
        assert struct.unpack("<Q", runners[-1].read(8)) == (SHIM_ID,)
        return runners[-1]

    yield run
    for runner in runners:
        runner.shim.kill()
        runner.shim.wait()


@pytest.mark.parametrize("flags", [(), ("-server",)], ids=["client", "server"])
def test_a_handshake_and_an_inverted_echo(start: Start, flags: tuple[str, ...]) -> None:
    runner = start(*flags).shake_hands()
    runner.peer.send(b"\x00\x0f")
    runner.flush()
    while not runner.peer.received:
        runner.step()
    assert runner.peer.received.popleft() == b"\xff\xf0"
    assert runner.end() == (0, "")


def test_time_passes_only_when_the_runner_says_so(start: Start) -> None:
    runner = start()
    first = runner.receive()
    runner.expect_timeout(FIRST_TIMEOUT)
    runner.advance_clock(FIRST_TIMEOUT - 1_000)
    runner.expect_timeout(1_000)
    # What comes after this acknowledgement is the next thing that the shim sends.
    runner.advance_clock(1_000)
    again = runner.receive()
    assert again[13:] == first[13:]
    assert again != first
    runner.expect_timeout(2 * FIRST_TIMEOUT)
    assert runner.end() == (FAILED, "the runner hung up during the handshake")


@pytest.mark.parametrize("expected", [FIRST_TIMEOUT + 1_000, NO_TIMEOUT])
def test_another_timeout_than_expected_fails(start: Start, expected: int) -> None:
    runner = start()
    runner.receive()
    runner.expect_timeout(expected)
    status, says = runner.end()
    assert status == FAILED
    assert f"a timeout of {expected} ns was expected, not {FIRST_TIMEOUT}" in says


def test_no_timeout_is_expected_of_a_connection(start: Start) -> None:
    runner = start().shake_hands()
    runner.expect_timeout(NO_TIMEOUT)
    assert runner.end() == (0, "")


def test_a_certificate_that_must_be_refused_is(start: Start) -> None:
    runner = start("-server", "-verify-fail")
    with pytest.raises(HungUpError):
        runner.shake_hands()
    assert runner.end() == (FAILED, "fingerprint mismatch: BAD_CERTIFICATE")


def test_keying_material_is_exported(start: Start) -> None:
    flags = ("-export-keying-material", "40", "-export-label", "label", "-export-context", "c")
    runner = start(*flags, "-use-export-context").shake_hands()
    while not runner.peer.received:
        runner.step()
    assert runner.peer.received.popleft() == runner.peer.export_keying_material(b"label", 40, b"c")
    assert runner.end() == (0, "")


def test_the_shim_shuts_down(start: Start) -> None:
    runner = start("-shim-shuts-down").shake_hands()
    while runner.terminated is None:
        runner.step()
    assert runner.terminated.reason == "closed by the peer"
    assert runner.end() == (0, "")


def test_a_server_can_be_had_without_cookies(start: Start) -> None:
    of_1_2 = ("-max-version", str(DTLS_1_2))
    for flags, answer in (
        (("-server", *of_1_2), HandshakeType.HELLO_VERIFY_REQUEST),
        (("-server", "-no-cookie", *of_1_2), HandshakeType.SERVER_HELLO),
    ):
        runner = start(*flags)
        runner.peer.start(0.0)
        runner.flush()
        assert runner.receive()[13] == answer


@pytest.mark.parametrize(
    "flags",
    [
        ["-psk", "1234"],
        ["-no-such-flag"],
        ["-max-version", str(0xFEFF)],
        ["-curves", "24"],
        ["-srtp-profiles", "SRTP_AES128_CM_SHA1_80"],
        ["-cert-file", "missing.pem"],
    ],
    ids=lambda flags: flags[0],
)
def test_what_we_do_not_do_is_said_so(
    credential: list[str], flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*credential, *flags]) == UNIMPLEMENTED
    assert capsys.readouterr().err.startswith("unimplemented: ")


def test_an_rsa_key_is_not_taken(credential: list[str], tmp_path: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    path = tmp_path / "rsa.pem"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    assert main([*credential, "-key-file", str(path)]) == UNIMPLEMENTED


def test_there_is_no_handshaker(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-is-handshaker-supported"]) == 0
    assert capsys.readouterr().out == "No\n"
