"""What a client has offered, as a value that a server's answers are held against."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from halfkey.dtls.crypto.key_exchange import KeyExchange
from halfkey.dtls.extensions import Extensions
from halfkey.dtls.faults import ProtocolFault
from halfkey.dtls.registries import AlertDescription, CipherSuite, NamedGroup


@dataclass(frozen=True, slots=True)
class Offered:
    """The latest ClientHello.

    Attributes:
        random: ours.
        cipher_suites: of both versions.
        extensions: contents by type.
        key_exchanges: what the key shares belong to.
        retry_suite: what a HelloRetryRequest chose, if there was one.
    """

    random: bytes
    cipher_suites: tuple[CipherSuite, ...]
    extensions: Extensions
    key_exchanges: Mapping[NamedGroup, KeyExchange] = field(repr=False)
    retry_suite: CipherSuite | None = None

    def check_extensions(self, answered: Extensions, allowed: Collection[int]) -> None:
        """Checks that a message answers only what was offered, and where it may.

        Raises:
            ProtocolFault: unsupported_extension for what was not offered, illegal_parameter for
                what has its place in another message (RFC 8446 section 4.2).
        """
        for extension_type in answered:
            if extension_type in allowed:
                continue
            if extension_type in self.extensions:
                raise ProtocolFault(
                    AlertDescription.ILLEGAL_PARAMETER, "extension in the wrong message"
                )
            raise ProtocolFault(
                AlertDescription.UNSUPPORTED_EXTENSION, "extension that was not offered"
            )

    def allowed(self, *extension_types: int) -> set[int]:
        """Those of some extensions that were offered."""
        return {one for one in extension_types if one in self.extensions}
