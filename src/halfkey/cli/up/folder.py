"""The folder of `halfkey up`: certificates, configuration files, state and logs of all three roles.

    pki/                          see `halfkey.cli.pki`
    kd.toml, md.toml, focus.toml  as for a deployment; meant to be edited
    state/                        the Key Distributor's, with its audit log and socket
    focus-state/                  the Focus's: who is in
    logs/                         what each role says

It is made whole or not at all. Paths in it are relative, so it may be moved.
"""

from __future__ import annotations

import fcntl
import ipaddress
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from halfkey.cli.arguments import address, shown
from halfkey.cli.pki import VOUCHING, make_all
from halfkey.configuration import read_tables
from halfkey.errors import ConfigurationError
from halfkey.key_distributor.places import ADMINISTRATION_SOCKET, AUDIT_FOLDER

DEFAULT = Path("halfkey")
DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 7000

ROLES = ("kd", "md", "focus")

PORTS = 8
"""How many there are from the first on, all TCP but the media's."""

_MEDIA = 4
_LOOPBACK = "127.0.0.1"

_KD = """\
# The Key Distributor of this folder; deploy/config/kd.toml tells of all settings.
certificate = "pki/kd.crt"
key = "pki/kd.key"
state = "state"

[trust]
media_distributors = "pki/md.crt"
focuses = "pki/focus.crt"

[vouching]
certificate = "pki/vouching.crt"
key = "pki/vouching.key"

[tunnel]
listen = "{tunnel}"

[admission]
listen = "{admission}"

[metrics]
listen = "{kd_metrics}"
"""

_MD = """\
# The Media Distributor of this folder; deploy/config/md.toml tells of all settings.
certificate = "pki/md.crt"
key = "pki/md.key"
key_distributor = "{tunnel}"

[trust]
key_distributors = "pki/kd.crt"
focuses = "pki/focus.crt"

[media]
listen = "{media}"

[control]
listen = "{control}"

[metrics]
listen = "{md_metrics}"
"""

_FOCUS = """\
# The Focus of this folder; deploy/config/focus.toml tells of all settings. Links name its address.
certificate = "pki/focus.crt"
key = "pki/focus.key"
listen = "{focus}"
key_distributor = "https://{admission}"
media_distributor = "https://{control}"
state = "focus-state"

[trust]
key_distributors = "pki/kd.crt"
media_distributors = "pki/md.crt"

[metrics]
listen = "{focus_metrics}"
"""

_FILES = {"kd": _KD, "md": _MD, "focus": _FOCUS}


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of `halfkey up`.

    Attributes:
        path: where.
    """

    path: Path

    def configuration(self, role: str) -> Path:
        """The configuration file of ``"kd"``, ``"md"`` or ``"focus"``."""
        return self.path / f"{role}.toml"

    def log(self, role: str) -> Path:
        """What takes its stderr."""
        return self.path / "logs" / f"{role}.log"

    @property
    def socket(self) -> Path:
        """Where the Key Distributor takes its operator's orders."""
        return self.path / "state" / ADMINISTRATION_SOCKET

    @property
    def audit(self) -> Path:
        """The folder of the audit log."""
        return self.path / "state" / AUDIT_FOLDER

    @property
    def focus_certificate(self) -> Path:
        """What links name as the Focus's."""
        return self.path / "pki" / "focus.crt"

    @property
    def focus_url(self) -> str:
        """Where links lead to.

        Raises:
            ConfigurationError: the Focus's file doesn't say it.
        """
        file = self.configuration("focus")
        listen = read_tables(file).get("listen")
        if not isinstance(listen, str):
            raise ConfigurationError(f"{file}: no listen in it; set HOST:PORT")
        return f"https://{shown(address(listen, f'{file}: listen'))}"

    def is_made(self) -> bool:
        """Whether it has been made.

        Raises:
            ConfigurationError: something else is there.
        """
        if all(self.configuration(role).is_file() for role in ROLES):
            return True
        try:
            is_free = not self.path.exists() or not any(self.path.iterdir())
        except OSError:
            is_free = False
        if not is_free:
            raise ConfigurationError(
                f"{self.path}: no folder of 'halfkey up', and not empty; name another"
            )
        return False

    def make(self, host: str, port: int) -> None:
        """Makes it.

        Args:
            host: IP address of this machine that Endpoints reach.
            port: the first of `PORTS` ports.

        Raises:
            ConfigurationError: it can't be written.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            unfinished = Path(tempfile.mkdtemp(prefix=f".{self.path.name}-", dir=self.path.parent))
        except OSError as fault:
            raise _not_written(self.path, fault) from None
        try:
            _fill(unfinished, host, port)
            unfinished.rename(self.path)
        except OSError as fault:
            raise _not_written(self.path, fault) from None
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Ours alone for as long as the context is open.

        Raises:
            ConfigurationError: another 'halfkey up' runs there.
        """
        try:
            descriptor = os.open(self.path / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as fault:
            raise _not_written(self.path, fault) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError:
            raise ConfigurationError(
                f"{self.path}: another 'halfkey up' runs there; stop it, or name another folder"
            ) from None
        finally:
            os.close(descriptor)


def check_host(host: str) -> None:
    """Raises `ConfigurationError` unless it is one IP address that Endpoints can be told."""
    try:
        parsed = ipaddress.ip_address(host)
    except ValueError:
        parsed = None
    if parsed is None or parsed.is_unspecified or parsed.is_multicast:
        raise ConfigurationError(
            f"--host {host}: give an IP address of this machine, which participants reach"
        )


def check_ports(host: str, port: int) -> None:
    """Raises `ConfigurationError` if one of the ports is in use, or there is no such address."""
    if not 1 <= port <= 65536 - PORTS:
        raise ConfigurationError(f"--port {port}: give a number from 1 to {65536 - PORTS}")
    for offset in range(PORTS):
        place = (host if offset in (0, _MEDIA) else _LOOPBACK, port + offset)
        family = socket.AF_INET6 if ":" in place[0] else socket.AF_INET
        kind = socket.SOCK_DGRAM if offset == _MEDIA else socket.SOCK_STREAM
        with socket.socket(family, kind) as trial:
            if kind is socket.SOCK_STREAM:
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind(place)
            except OSError as fault:
                raise ConfigurationError(
                    f"{shown(place)}: {fault.strerror}; choose another --port (it is the first of "
                    f"{PORTS} in a row) or --host"
                ) from None


def _fill(folder: Path, host: str, port: int) -> None:
    from halfkey.pki import AUTHORITY_VALIDITY_DAYS  # loads what makes certificates

    names = ("focus", "tunnel", "admission", "control", "media")
    metrics = ("kd_metrics", "md_metrics", "focus_metrics")
    hosts = [host if name in ("focus", "media") else _LOOPBACK for name in (*names, *metrics)]
    places = {
        name: shown((at, port + offset))
        for offset, (name, at) in enumerate(zip((*names, *metrics), hosts, strict=True))
    }
    for name in ("pki", "state", "focus-state", "logs"):
        (folder / name).mkdir(mode=0o700)
    make_all(folder / "pki", (*ROLES, VOUCHING), (host,), AUTHORITY_VALIDITY_DAYS)
    for role, text in _FILES.items():
        (folder / f"{role}.toml").write_text(text.format(**places))


def _not_written(path: Path, fault: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"{path}: can't be written ({fault.strerror}); name another folder with --directory"
    )
