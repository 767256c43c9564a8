"""A judge that is a program of its own, on the other end of a UDP socket."""

from __future__ import annotations

import contextlib
import json
import select
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from cryptography.hazmat.primitives import serialization

from halfkey.dtls import Certificate, Role
from tests.interop.dtls.peer import Report

WAIT = 0.02
"""Seconds to wait for a datagram before looking elsewhere."""

LARGEST_DATAGRAM = 1 << 16
ENOUGH_TIME_TO_END = 10.0

ReadReport = Callable[[str], Report | None]
"""Reads the report out of the output so far; None if it isn't all there."""

ReadPort = Callable[[str], int | None]
"""Likewise the port that a server listens on."""


class ProcessPeer:
    """A program that is started with its certificate in files, and talks UDP.

    Args:
        command: makes the command line, given port, certificate file and key file (both DER); the
            port is the one to connect to, or 0 for a server.
        certificate: the judge's.
        role: the judge's.
        read_port: finds a server's port in its output.
        read_report: finds the report in its output.
    """

    def __init__(
        self,
        command: Callable[[int, Path, Path], Sequence[str | Path]],
        certificate: Certificate,
        role: Role,
        read_port: ReadPort,
        read_report: ReadReport,
    ) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._read_report = read_report
        self._output = ""
        self._address: tuple[str, int] | None = None
        self._folder = Path(tempfile.mkdtemp(prefix="halfkey-interop-"))
        files = _write(certificate, self._folder)
        port = self._socket.getsockname()[1] if role is Role.CLIENT else 0
        self._errors = (self._folder / "stderr").open("wb+")
        self._process = subprocess.Popen(
            [str(word) for word in command(port, *files)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._changed = threading.Condition()
        self._reader.start()
        if role is Role.SERVER:
            self._address = ("127.0.0.1", self._wait_for(read_port))

    def start(self) -> None:
        """It began by itself."""

    def receive_datagram(self, data: bytes) -> None:
        if self._address is not None:
            self._socket.sendto(data, self._address)

    def datagrams_to_send(self) -> list[bytes]:
        datagrams = []
        wait = WAIT
        while select.select([self._socket], [], [], wait)[0]:
            wait = 0.0
            try:
                data, self._address = self._socket.recvfrom(LARGEST_DATAGRAM)
            except ConnectionRefusedError:  # it is gone; what it said is in its output
                continue
            datagrams.append(data)
        return datagrams

    def report(self) -> Report | None:
        with self._changed:
            return self._read_report(self._output)

    def close(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(ENOUGH_TIME_TO_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._errors.close()
        self._socket.close()
        shutil.rmtree(self._folder)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._changed:
                self._output += line
                self._changed.notify()
        with self._changed:
            self._changed.notify()

    def _wait_for(self, read_port: ReadPort) -> int:
        with self._changed:
            found = self._changed.wait_for(
                lambda: read_port(self._output) or not self._reader.is_alive(), ENOUGH_TIME_TO_END
            )
            port = read_port(self._output)
        if not found or port is None:
            self._errors.seek(0)
            said = self._errors.read().decode(errors="replace")
            self.close()
            raise RuntimeError(f"the peer did not listen: {said.strip() or 'it said nothing'}")
        return port


def read_port_line(output: str) -> int | None:
    """The port on the first line."""
    line, newline, _ = output.partition("\n")
    return int(line) if newline and line.isdecimal() else None


def read_report_line(output: str) -> Report | None:
    """The report as a line of JSON."""
    for line in output.splitlines():
        if line.startswith("{") and line.endswith("}"):
            fields = json.loads(line)
            exported = fields.get("exported")
            return Report(
                profile=fields["profile"],
                certificate=bytes.fromhex(fields["certificate"]),
                srtp=bytes.fromhex(fields["srtp"]),
                exported=None if exported is None else bytes.fromhex(exported),
            )
    return None


def _write(certificate: Certificate, folder: Path) -> tuple[Path, Path]:
    der, key = folder / "certificate.der", folder / "key.der"
    der.write_bytes(certificate.der)
    encoded = certificate.private_key.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    key.write_bytes(encoded)
    return der, key
