"""`--identity FILE`: joining as somebody whom a certificate or an OpenID provider vouches for.

The file is the counterpart of the Key Distributor's `identities`:

authority = "authority.crt"         # of the Key Distributor whose word is taken
role = "participant"                # optional
[passport]                          # either this
certificate = "alice.pem"
key = "alice.key"
url = "https://cr.example.org/alice.pem"
identity = "sip:alice@example.org"
domain = "meet.example.org"
[oidc]                              # or this
command = ["log-in", "--audience", "halfkey"]
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc.jwk import ECKey

from halfkey.configuration import Entry, Setting, read
from halfkey.errors import CodecError, ConfigurationError
from halfkey.identity.claims import AssertionRefused
from halfkey.identity.credential import Credential, Refresh, Signer
from halfkey.identity.oidc import Login, LoginKey
from halfkey.identity.passport import PassportSigner
from halfkey.pki import sha256_of
from halfkey.tls import read_certificates

NONCE = "HALFKEY_NONCE"
"""The variable in which the command that logs in finds what to send as ``nonce``."""

LOGIN_SECONDS = 300.0

_MARGIN = 5.0
"""Seconds before its end from which on an ID token isn't used any more."""

T = TypeVar("T")

_PASSPORT = {"certificate": Path, "key": Path, "url": str, "identity": str, "domain": str}
SETTINGS = {
    "authority": Setting(Path),
    "role": Setting(str),
    **{f"passport_{name}": Setting(kind) for name, kind in _PASSPORT.items()},
    "oidc_command": Setting(str, is_list=True),
}
_ROLE = re.compile(r"[A-Za-z0-9._-]{1,64}")
_DOMAIN = re.compile(r"[A-Za-z0-9.-]{1,253}")

IdentityFile = Annotated[
    Path | None,
    typer.Option(
        "--identity",
        metavar="FILE",
        help="Without a link: TOML file that says who you are, by a PASSporT or an OpenID login.",
    ),
]


def read_identity(path: Path, conference: str) -> Credential:
    """Reads such a file, and logs in where it says so.

    Args:
        path: the file.
        conference: to join.

    Raises:
        ConfigurationError: it can't be followed; one line that names the place and the fix.
    """
    entries = read(path, SETTINGS)
    role = _text(entries, "role", path) if "role" in entries else "participant"
    if not _ROLE.fullmatch(role):
        raise _fault(entries["role"], "give 1 to 64 letters, digits, '.', '_' or '-'")
    authority = sha256_of(Path(_text(entries, "authority", path)))
    return Credential(conference, authority, role, *_signer(entries, path))


def _signer(entries: dict[str, Entry], path: Path) -> tuple[Signer, Refresh | None]:
    passport = any(name.startswith("passport_") for name in entries)
    if passport == ("oidc_command" in entries):
        raise ConfigurationError(f"{path}: write one of [passport] and [oidc]")
    if passport:
        of = {name: _need(entries, f"passport_{name}", path) for name in _PASSPORT}
        return _passport(of), None
    logging_in = _LoggingIn(entries["oidc_command"])
    return logging_in.login, logging_in.refresh


def _passport(of: dict[str, Entry]) -> PassportSigner:
    if not _DOMAIN.fullmatch(str(of["domain"].value)):
        raise _fault(of["domain"], "write the domain that the Key Distributor has in its own file")
    key = _private_key(of["key"])
    certificate = Path(str(of["certificate"].value))
    if read_certificates(certificate, "certificate")[0].public_key() != key.public_key():
        raise _fault(of["key"], f"the private key doesn't belong to {certificate}; name its own")
    encoded = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    values = (str(of[name].value) for name in ("url", "identity", "domain"))
    try:
        return PassportSigner(ECKey.import_key(encoded), *values)
    except CodecError as fault:
        wrong = "url" if "x5u" in str(fault) else "identity"
        raise _fault(of[wrong], str(fault)) from None


def _private_key(entry: Entry) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(Path(str(entry.value)).read_bytes(), None)
    except OSError as fault:
        raise _fault(entry, f"can't be read ({fault.strerror}); name a PEM file") from None
    except (ValueError, TypeError):
        raise _fault(entry, "no private key, or an encrypted one; name a plain PEM file") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
        raise _fault(entry, "the key is not on the curve P-256, which a PASSporT must be signed by")
    return key


class _LoggingIn:
    """Runs the command that logs in, again when its ID token has expired.

    Args:
        entry: names the command.

    Raises:
        ConfigurationError: it can't be run, or prints no ID token of use.
    """

    def __init__(self, entry: Entry) -> None:
        self._entry = entry
        self._command = [str(word) for word in _words(entry)]
        key = LoginKey()
        printed = asyncio.run(self._run(key))
        self.login = self._taken(lambda: Login(key, printed))

    async def refresh(self) -> None:
        """See `Credential`."""
        if self.login.has_expired(time.time() + _MARGIN):
            key = LoginKey()
            printed = await self._run(key)
            self._taken(lambda: self.login.renew(key, printed))

    async def _run(self, key: LoginKey) -> str:
        """What the command prints, told of that key."""
        program, process = self._command[0], None
        try:
            async with asyncio.timeout(LOGIN_SECONDS):
                process = await asyncio.create_subprocess_exec(
                    *self._command,  # the person who joins wrote it
                    env={**os.environ, NONCE: key.thumbprint},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                )
                printed, _ = await process.communicate()
        except OSError as fault:
            raise _fault(
                self._entry, f"can't run {program} ({fault.strerror}); name a program"
            ) from None
        except TimeoutError:
            raise _fault(self._entry, f"no login in {LOGIN_SECONDS:g} s; run it again") from None
        finally:
            if process is not None and process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode != 0:
            ended = f"{program} ended with {process.returncode}; see what it said above"
            raise _fault(self._entry, ended)
        return printed.decode("ascii", "replace").strip()

    def _taken(self, take: Callable[[], T]) -> T:
        try:
            return take()
        except AssertionRefused as refused:
            raise _fault(self._entry, _login_fault(refused.reason)) from None


def _login_fault(reason: str) -> str:
    if reason == "key":
        return f"the ID token is for another key; log in with the variable {NONCE} as nonce"
    return f"what it printed is no ID token of use ({reason}); have it print that and nothing else"


def _words(entry: Entry) -> list[Any]:
    if not isinstance(entry.value, list) or not entry.value:
        raise _fault(entry, "write the program and its arguments, each in quotes")
    return entry.value


def _text(entries: dict[str, Entry], name: str, path: Path) -> str:
    return str(_need(entries, name, path).value)


def _need(entries: dict[str, Entry], name: str, path: Path) -> Entry:
    if name not in entries:
        table, _, key = name.rpartition("_")
        place = f"[{table}] {key}" if table else key
        raise ConfigurationError(f"{path}: {place} is missing; write it")
    return entries[name]


def _fault(entry: Entry, text: str) -> ConfigurationError:
    return ConfigurationError(f"{entry.place}: {text}")
