"""What the tests of the Key Distributor's service share."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from halfkey.key_distributor.events import Event
from halfkey.key_distributor.options import KeyDistributorOptions
from halfkey.serving import Address
from halfkey.tls import client_context, server_context


@dataclass(frozen=True)
class Certificates:
    """Pairs of certificate and key, all freshly made."""

    kd: tuple[Path, Path]
    md: tuple[Path, Path]
    focus: tuple[Path, Path]
    stranger: tuple[Path, Path]

    def dialling(self, who: tuple[Path, Path]) -> ssl.SSLContext:
        """Somebody who dials the Key Distributor."""
        return client_context(self.kd[0], *who)

    def waiting(self, who: tuple[Path, Path]) -> ssl.SSLContext:
        """Somebody whom the Key Distributor dials."""
        return server_context(*who, trusted=self.kd[0])

    def options(self, **changes: object) -> KeyDistributorOptions:
        """The Key Distributor's options, on ports that are free."""
        return KeyDistributorOptions(
            certificate=self.kd[0],
            key=self.kd[1],
            trusted_media_distributors=self.md[0],
            trusted_focuses=self.focus[0],
            **{"believe_focus": True, **changes},  # type: ignore[arg-type]
        )


@dataclass
class Running:
    """A Key Distributor that runs, and its Focus's HTTPS client."""

    addresses: dict[str, Address]
    focus: aiohttp.ClientSession
    events: list[Event] = field(default_factory=list)

    def url(self, path: str) -> str:
        host, port = self.addresses["admission"]
        return f"https://{host}:{port}{path}"
