"""The openssl command line, s_server and s_client, as a judge of DTLS 1.2."""

from __future__ import annotations

import re
import shutil
import ssl
import subprocess
from collections.abc import Sequence
from pathlib import Path

from halfkey.dtls import Certificate, Role
from halfkey.profiles import SRTPProtectionProfile
from tests.interop.dtls.absence import MissingError
from tests.interop.dtls.peer import SRTP_LABEL, Peer, Report, srtp_length
from tests.interop.dtls.process_peer import ProcessPeer

PROFILES = {
    SRTPProtectionProfile.AEAD_AES_128_GCM: "SRTP_AEAD_AES_128_GCM",
    SRTPProtectionProfile.AEAD_AES_256_GCM: "SRTP_AEAD_AES_256_GCM",
}
_LISTENING = re.compile(r"^ACCEPT 127\.0\.0\.1:(\d+)$", re.MULTILINE)
_CERTIFICATE = re.compile(
    r"^(?:Client|Server) certificate\n"
    r"(-----BEGIN CERTIFICATE-----\n.*?\n-----END CERTIFICATE-----)$",
    re.MULTILINE | re.DOTALL,
)
_PROFILE = re.compile(r"^SRTP Extension negotiated, profile=(\w+)$", re.MULTILINE)
_MATERIAL = re.compile(r"^    Keying material: ([0-9A-F]+)$", re.MULTILINE)


def version() -> str:
    """Such as "3.0.19".

    Raises:
        MissingError: there is none.
    """
    answer = subprocess.run([_program(), "version"], capture_output=True, text=True, check=True)
    return answer.stdout.split()[1]


def open_peer(certificate: Certificate, role: Role, profile: SRTPProtectionProfile) -> Peer:
    """Starts `openssl s_server` or `openssl s_client`."""
    program = _program()

    def command(port: int, der: Path, key: Path) -> Sequence[str | Path]:
        server = ("s_server", "-accept", "127.0.0.1:0", "-Verify", "1")
        client = ("s_client", "-connect", f"127.0.0.1:{port}")
        return (
            *(program, *(server if role is Role.SERVER else client), "-dtls1_2"),
            *("-cert", der, "-certform", "DER", "-key", key, "-keyform", "DER"),
            *("-use_srtp", PROFILES[profile]),
            *("-keymatexport", SRTP_LABEL.decode()),
            *("-keymatexportlen", str(srtp_length(profile))),
        )

    return ProcessPeer(command, certificate, role, _read_port, _read_report)


def _program() -> str:
    program = shutil.which("openssl")
    if program is None:
        raise MissingError("openssl is missing; the package is openssl")
    return program


def _read_port(output: str) -> int | None:
    found = _LISTENING.search(output)
    return int(found[1]) if found else None


def _read_report(output: str) -> Report | None:
    certificate, profile, material = (
        pattern.search(output) for pattern in (_CERTIFICATE, _PROFILE, _MATERIAL)
    )
    if certificate is None or profile is None or material is None:
        return None
    return Report(
        profile=next(code for code, name in PROFILES.items() if name == profile[1]),
        certificate=ssl.PEM_cert_to_DER_cert(certificate[1]),
        srtp=bytes.fromhex(material[1]),
    )
