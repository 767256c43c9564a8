"""HelloRetryRequest without state (RFC 8446 sections 4.1.4 and 4.2.2, RFC 9147 section 5.1).

All that a server needs to know of the first ClientHello comes back in the cookie:

    struct {
        CipherSuite cipher_suite;          chosen then, and settled
        NamedGroup group;                  likewise
        uint8 is_group_requested;          whether the HelloRetryRequest had a key_share
        opaque first_hash[Hash.length];    of the first ClientHello
        opaque mac[32];                    over this, the peer, and what a ClientHello must repeat
    } Cookie;
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from halfkey.codec import encode_vector
from halfkey.dtls import extensions as codec
from halfkey.dtls import negotiation
from halfkey.dtls.configuration import Configuration
from halfkey.dtls.cookie import COOKIE_LENGTH, CookieSecrets
from halfkey.dtls.crypto.key_schedule import transcript_hash
from halfkey.dtls.crypto.suites import SUITES
from halfkey.dtls.faults import ProtocolFault
from halfkey.dtls.messages.client_hello import ClientHello, cookie_and_parameters
from halfkey.dtls.messages.framing import encode_tls_message
from halfkey.dtls.messages.server_hello import HELLO_RETRY_REQUEST_RANDOM, ServerHello
from halfkey.dtls.negotiation import choose
from halfkey.dtls.registries import (
    DTLS_1_2,
    DTLS_1_3,
    AlertDescription,
    CipherSuite,
    ExtensionType,
    HandshakeType,
    NamedGroup,
)

_ILLEGAL = AlertDescription.ILLEGAL_PARAMETER
_PURPOSE = b"HelloRetryRequest"
"""Sets these cookies apart from those of DTLS 1.2, which the same secrets make."""

_SETTLED = struct.Struct(">HHB")
"""The first three fields of a cookie."""

_EARLY_DATA, _PRE_SHARED_KEY = 42, 41
_MAY_CHANGE = frozenset({ExtensionType.COOKIE, ExtensionType.PADDING, _EARLY_DATA, _PRE_SHARED_KEY})
"""Extensions that the second ClientHello needn't repeat (RFC 8446 section 4.1.2)."""


class Settled(NamedTuple):
    """What a server chooses by the first ClientHello.

    Attributes:
        suite: the cipher suite.
        group: the group of the key exchange.
        is_group_requested: whether the client sent no key share of that group.
    """

    suite: CipherSuite
    group: NamedGroup
    is_group_requested: bool


class Retry(NamedTuple):
    """A HelloRetryRequest, as its cookie brings it back.

    Attributes:
        settled: what it chose.
        first_hash: of the first ClientHello.
        cookie: what it gave the client.
    """

    settled: Settled
    first_hash: bytes
    cookie: bytes

    def encode(self) -> bytes:
        """The message body, the same each time: it is part of the transcript."""
        extensions = {
            int(ExtensionType.SUPPORTED_VERSIONS): codec.encode_uint16(DTLS_1_3),
            ExtensionType.COOKIE: codec.encode_cookie(self.cookie),
        }
        if self.settled.is_group_requested:
            extensions[ExtensionType.KEY_SHARE] = codec.encode_uint16(self.settled.group)
        suite = self.settled.suite
        return ServerHello(DTLS_1_2, HELLO_RETRY_REQUEST_RANDOM, b"", suite, 0, extensions).encode()


def settle(configuration: Configuration, hello: ClientHello, peer: bytes) -> Settled:
    """Chooses cipher suite and group.

    Raises:
        ProtocolFault: nothing fits, or an extension is missing.
        CodecError: malformed.
    """
    if hello.cookie:
        raise ProtocolFault(_ILLEGAL, "cookie of another version")  # RFC 9147 section 5.3
    groups = codec.decode_uint16_list(_wanted(hello, ExtensionType.SUPPORTED_GROUPS))
    shares = codec.decode_key_shares(_wanted(hello, ExtensionType.KEY_SHARE))
    group = choose(configuration.groups, groups, "group")
    suite = _choose_suite(configuration, hello, peer)
    return Settled(suite, group, all(share.group != group for share in shares))


def make_retry(
    secrets: CookieSecrets,
    settled: Settled,
    hello: ClientHello,
    body: bytes,
    peer: bytes,
    now: float,
) -> Retry:
    """Makes a HelloRetryRequest with its cookie."""
    first = encode_tls_message(HandshakeType.CLIENT_HELLO, body)
    first_hash = transcript_hash(SUITES[settled.suite], first)
    content = _content(settled, first_hash)
    mac = secrets.make(peer, _bound(content, settled, hello, body), now)
    return Retry(settled, first_hash, content + mac)


def read_retry(
    configuration: Configuration,
    secrets: CookieSecrets,
    cookie: bytes,
    hello: ClientHello,
    body: bytes,
    peer: bytes,
    now: float,
) -> Retry:
    """Takes from a cookie what it was given.

    Raises:
        ProtocolFault: illegal_parameter for a cookie that isn't ours, or not for this ClientHello
            (RFC 9147 section 5.1), or settles what we don't speak.
    """
    content, mac = cookie[:-COOKIE_LENGTH], cookie[-COOKIE_LENGTH:]
    try:
        settled, first_hash = _read_content(content)
    except (ValueError, struct.error) as error:  # a length, or a code point that we don't know
        raise _bad_cookie() from error
    if not secrets.accepts(mac, peer, _bound(content, settled, hello, body), now):
        raise _bad_cookie()
    # Servers with other settings may have the same secrets.
    suites = configuration.suites_of(DTLS_1_3)
    if settled.suite not in suites or settled.group not in configuration.groups:
        raise _bad_cookie()
    return Retry(settled, first_hash, cookie)


def _bad_cookie() -> ProtocolFault:
    return ProtocolFault(_ILLEGAL, "bad cookie")


def _content(settled: Settled, first_hash: bytes) -> bytes:
    return _SETTLED.pack(*settled) + first_hash


def _read_content(content: bytes) -> tuple[Settled, bytes]:
    suite, group, is_group_requested = _SETTLED.unpack(content[: _SETTLED.size])
    settled = Settled(CipherSuite(suite), NamedGroup(group), bool(is_group_requested))
    first_hash = content[_SETTLED.size :]
    if len(first_hash) != SUITES[settled.suite].hash.digest_size:
        raise ValueError("a hash of another length")
    return settled, first_hash


def _bound(content: bytes, settled: Settled, hello: ClientHello, body: bytes) -> bytes:
    """What the MAC covers: the cookie's own content, and all that the client must repeat.

    Extensions in any order (RFC 8446 section 4.2): wolfSSL has another one with a cookie.
    """
    left_out = _MAY_CHANGE | ({ExtensionType.KEY_SHARE} if settled.is_group_requested else set())
    kept = {one: what for one, what in sorted(hello.extensions.items()) if one not in left_out}
    legacy_cookie, parameters = cookie_and_parameters(body)
    vectors = encode_vector(1, content) + encode_vector(1, legacy_cookie)
    return _PURPOSE + vectors + parameters + codec.encode_extensions(kept)


def _wanted(hello: ClientHello, extension_type: ExtensionType) -> bytes:
    content = hello.extensions.get(extension_type)
    if content is None:
        # RFC 8446 section 9.2.
        raise ProtocolFault(AlertDescription.MISSING_EXTENSION, f"no {extension_type.name.lower()}")
    return content


def _choose_suite(configuration: Configuration, hello: ClientHello, peer: bytes) -> CipherSuite:
    """The suite that fits the keys it is to carry, as far as these can be foreseen."""
    ours = configuration.suites_of(DTLS_1_3)
    summary = negotiation.summarize(hello.extensions, peer)
    carried: negotiation.Carried | None = None
    if configuration.foresee is not None:
        carried = configuration.foresee(summary)
    elif configuration.select is None:
        carried = configuration.srtp_profiles, configuration.ekt_ciphers
    if carried is not None:
        try:
            return negotiation.choose_together(*carried, ours, summary, hello.cipher_suites).suite
        except ProtocolFault:
            pass  # refused, with its reason, once the cookie has come back
    # A client says first what its best profile needs.
    offered = [suite for suite in hello.cipher_suites if suite in ours]
    return choose(ours, offered[:1], "cipher suite")
