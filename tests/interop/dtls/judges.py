"""The foreign stacks that judge our DTLS, and how each is opened."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from importlib.metadata import version as package_version
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from halfkey.dtls import Certificate, Role
from halfkey.dtls.crypto.key_exchange import AVAILABLE_GROUPS
from halfkey.dtls.registries import DTLS_1_3
from halfkey.profiles import SRTPProtectionProfile
from tests.interop.dtls import building, gnutls, openssl_command
from tests.interop.dtls.openssl_peer import PROFILE_NAMES, OpenSSLPeer
from tests.interop.dtls.peer import (
    OTHER_LABEL,
    OTHER_LENGTH,
    SRTP_LABEL,
    Judge,
    Open,
    Peer,
    Report,
    srtp_length,
)
from tests.interop.dtls.process_peer import ProcessPeer, read_port_line, read_report_line

SINGLE = (SRTPProtectionProfile.AEAD_AES_128_GCM, SRTPProtectionProfile.AEAD_AES_256_GCM)
EVERY = tuple(SRTPProtectionProfile)


class PyOpenSSLPeer(OpenSSLPeer):
    """pyOpenSSL, with the report of a judge."""

    def start(self) -> None:
        self.advance()

    def report(self) -> Report | None:
        certificate = self.connection.get_peer_certificate(as_cryptography=True)
        if not self.is_connected or certificate is None:
            return None
        names = {name: profile for profile, name in PROFILE_NAMES.items()}
        profile = names[self.selected_profile()]
        return Report(
            profile=profile,
            certificate=certificate.public_bytes(Encoding.DER),
            srtp=self.export(SRTP_LABEL, srtp_length(profile)),
            exported=self.export(OTHER_LABEL, OTHER_LENGTH),
        )

    def close(self) -> None:
        """The garbage collector does it."""


def _open_pyopenssl(
    certificate: Certificate, role: Role, profile: SRTPProtectionProfile
) -> PyOpenSSLPeer:
    return PyOpenSSLPeer(certificate, profile, server=role is Role.SERVER)


def _program(build: Callable[[], Path], *spoken: str) -> Open:
    """Opens a program of ours around a foreign stack: see `pion/`, `dimpl/` and `wolfssl/`."""

    def open_program(certificate: Certificate, role: Role, profile: SRTPProtectionProfile) -> Peer:
        program = build()

        def command(port: int, der: Path, key: Path) -> Sequence[str | Path]:
            return (program, role.value, str(port), der, key, str(int(profile)), *spoken)

        return ProcessPeer(command, certificate, role, read_port_line, read_report_line)

    return open_program


def _pinned(file: str, pattern: str) -> Callable[[], str]:
    """The version that a lock file in this folder has."""

    def read() -> str:
        found = re.search(pattern, (building.HERE / file).read_text())
        assert found is not None, f"{file} pins no version"
        return found[1]

    return read


JUDGES = (
    Judge(
        "pyOpenSSL",
        lambda: package_version("pyopenssl"),
        EVERY,
        _open_pyopenssl,
        note="cookies on both sides",
    ),
    Judge(
        "openssl",
        openssl_command.version,
        SINGLE,
        openssl_command.open_peer,
        package="openssl",
        note="s_server and s_client; its names end at single GCM",
    ),
    Judge(
        "GnuTLS",
        gnutls.version,
        EVERY,
        gnutls.GnuTLSPeer,
        package="libgnutls30",
        note="the C library; profiles by code point, as it has names for older ones only",
    ),
    Judge(
        "pion/dtls",
        _pinned("pion/go.mod", r"github.com/pion/dtls/v3 v(\S+)"),
        SINGLE,
        _program(building.pion),
        note="ignores the code points of the double profiles",
    ),
    Judge(
        "dimpl",
        _pinned("dimpl/Cargo.lock", r'name = "dimpl"\nversion = "(.+)"'),
        SINGLE,
        _program(building.dimpl, "1.2"),
        note="exports the SRTP keys only",
    ),
    Judge(
        "dimpl",
        _pinned("dimpl/Cargo.lock", r'name = "dimpl"\nversion = "(.+)"'),
        SINGLE,
        _program(building.dimpl, "1.3"),
        dtls=DTLS_1_3,
    ),
    Judge(
        "wolfSSL",
        building.wolfssl_version,
        EVERY,
        _program(building.wolfssl, str(int(AVAILABLE_GROUPS[0]))),
        dtls=DTLS_1_3,
        note="the C library; profiles by code point, as it names those of single GCM only",
    ),
)
