"""Whose identity assertions are believed besides invites: a TOML file, read once.

[[oidc]]
issuer = "https://login.example.org"
audience = "halfkey"                       # the client id
conferences = ["board"]                    # what its people may join; ["*"] for every one
roles = ["participant"]                    # what its people may be
algorithms = ["RS256"]                     # optional

[passport]
roots = "sti-roots.pem"
domain = "meet.example.org"                # ours, as participants call it
conferences = ["*"]
roles = ["participant"]
service_providers = ["1234"]               # optional: believed for any telephone number
[passport.certificates]                    # what x5u addresses stand for; nothing is fetched
"https://cr.example.org/alice.pem" = "alice.pem"
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509

from halfkey.conference_name import is_conference_name
from halfkey.errors import ConfigurationError
from halfkey.identity.certificates import SigningCertificates
from halfkey.identity.claims import ANY_CONFERENCE
from halfkey.identity.oidc import Issuer
from halfkey.identity.passport import PassportVerifier


@dataclass(frozen=True, slots=True)
class Identities:
    """What such a file says.

    Attributes:
        issuers: OpenID providers.
        passports: verifies PASSporTs; None where none are believed.
    """

    issuers: tuple[Issuer, ...] = ()
    passports: PassportVerifier | None = None

    @property
    def conferences(self) -> frozenset[str]:
        """Those that are named as what somebody's people may join."""
        passports = () if self.passports is None else (self.passports.conferences,)
        named = frozenset[str]().union(*(one.conferences for one in self.issuers), *passports)
        return named - {ANY_CONFERENCE}

    @classmethod
    def read(cls, path: Path) -> Identities:
        """Reads a file.

        Raises:
            ConfigurationError: it can't be followed; one line that names the place and the fix.
        """
        try:
            content = tomllib.loads(path.read_text())
        except OSError as fault:
            raise ConfigurationError(
                f"{path}: can't be read ({fault.strerror}); name a file that is readable"
            ) from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
            raise ConfigurationError(f"{path}: is no TOML ({fault}); mend that place") from None
        table = _Table(content, path, "")
        issuers = tuple(_issuer(one) for one in table.tables("oidc"))
        passport = table.table("passport")
        table.finish()
        return cls(issuers, None if passport is None else _passports(passport))


class _Table:
    """One table of the file; everything in it must be taken."""

    def __init__(self, content: Mapping[str, Any], path: Path, name: str) -> None:
        self._left = dict(content)
        self._name = name
        self.path = path

    def fault(self, key: str, text: str) -> ConfigurationError:
        """The fault of one entry, or with an empty key of the table."""
        place = f"{self.path}: [{self._name}]" if self._name else f"{self.path}:"
        return ConfigurationError(f"{place} {key}{': ' if key else ''}{text}")

    def text(self, key: str) -> str:
        value = self._left.pop(key, None)
        if not isinstance(value, str) or not value:
            raise self.fault(key, "write a string in quotes")
        return value

    def texts(self, key: str, default: Sequence[str] | None = None) -> list[str]:
        value = self._left.pop(key, default)
        if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
            raise self.fault(key, "write an array of strings in quotes")
        return list(value)

    def file(self, name: str, key: str) -> bytes:
        """The content of a file whose name counts from our own folder."""
        path = self.path.parent / name
        try:
            return path.read_bytes()
        except OSError as fault:
            raise self.fault(key, f"can't read {path} ({fault.strerror}); name a file") from None

    def table(self, key: str) -> _Table | None:
        value = self._left.pop(key, None)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self.fault(key, f"write a table, [{key}]")
        return _Table(value, self.path, f"{self._name}.{key}" if self._name else key)

    def tables(self, key: str) -> list[_Table]:
        value = self._left.pop(key, [])
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            raise self.fault(key, f"write tables, [[{key}]]")
        return [_Table(one, self.path, key) for one in value]

    def strings(self) -> dict[str, str]:
        """All that is left, if it is strings by name."""
        left, self._left = self._left, {}
        for key, value in left.items():
            if not isinstance(value, str):
                raise self.fault(key, "write a string in quotes")
        return left

    def finish(self) -> None:
        if self._left:
            raise self.fault(next(iter(self._left)), "there is no such setting; take it out")


def _issuer(table: _Table) -> Issuer:
    values = table.text("issuer"), table.text("audience"), frozenset(table.texts("roles"))
    conferences = _conferences(table)
    algorithms = frozenset(table.texts("algorithms", ["RS256", "ES256"]))
    table.finish()
    try:
        return Issuer(*values, conferences, algorithms)
    except ConfigurationError as fault:
        raise table.fault("", str(fault)) from None


def _passports(table: _Table) -> PassportVerifier:
    roots = _certificates(table, "roots", table.text("roots"))
    domain, roles = table.text("domain"), table.texts("roles")
    conferences = _conferences(table)
    service_providers = table.texts("service_providers", [])
    chains: dict[str, Sequence[x509.Certificate]] = {}
    certificates = table.table("certificates")
    for url, name in certificates.strings().items() if certificates is not None else ():
        chains[url] = _certificates(table, url, name)
    table.finish()
    authorities = SigningCertificates(roots, service_providers)
    return PassportVerifier(authorities, chains.get, domain, roles, conferences)


def _conferences(table: _Table) -> frozenset[str]:
    """What an authority's people may join: never every conference unasked."""
    names = table.texts("conferences", [])
    wrong = [one for one in names if one != ANY_CONFERENCE and not is_conference_name(one)]
    if not names or wrong:
        raise table.fault(
            "conferences",
            'write which its people may join, such as ["board"], or ["*"] for every one',
        )
    return frozenset(names)


def _certificates(table: _Table, key: str, name: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(table.file(name, key))
    except ValueError:
        raise table.fault(key, f"no certificate in {name}; it must be in PEM form") from None
