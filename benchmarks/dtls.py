"""DTLS handshakes per second on one core, ours beside OpenSSL's in the same run.

Every handshake has a cookie exchange and P-256 certificates on both sides, with AES-128-GCM: in
DTLS 1.2 with X25519, in 1.3 with that and with the hybrid. OpenSSL here speaks 1.2 only. All are
driven from Python over memory, one datagram at a time.
"""

from __future__ import annotations

import contextlib
import functools
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol

from cryptography import x509
from OpenSSL import SSL

from halfkey.dtls import Certificate, Configuration, Connection, CookieSecrets, Role
from halfkey.dtls.crypto.key_exchange import AVAILABLE_GROUPS
from halfkey.dtls.registries import (
    DTLS_1_2,
    DTLS_1_3,
    CipherSuite,
    NamedGroup,
    ProtocolVersion,
)
from halfkey.profiles import DOUBLE_128

_ROUNDS = 20
_HANDSHAKES = 15
_HELLOS = 100
_RECORD_HEADER = 13
_FOREIGN = "pyOpenSSL 1.2"
_SIDES = {"client": "client", "server": "server", "both": "both sides"}
_PROFILE = b"SRTP_DOUBLE_AEAD_AES_128_GCM_AEAD_AES_128_GCM"

CLIENT = Certificate.generate("client")
SERVER = Certificate.generate("server")


class Peer(Protocol):
    """One side of a handshake."""

    def start(self) -> None: ...
    def receive(self, datagram: bytes) -> None: ...
    def send(self) -> list[bytes]: ...
    def is_connected(self) -> bool: ...


@dataclass(frozen=True)
class Flavour:
    """What is spoken in a handshake of ours."""

    version: ProtocolVersion
    group: NamedGroup

    @property
    def title(self) -> str:
        title = self.version.title
        return f"{title} with {self.group.name}" if self.group.is_hybrid else title


_SECRETS = CookieSecrets()
_SUITES = (CipherSuite.AES_128_GCM_SHA256, CipherSuite.ECDHE_ECDSA_WITH_AES_128_GCM_SHA256)
FLAVOURS = (
    Flavour(DTLS_1_2, NamedGroup.X25519),
    Flavour(DTLS_1_3, NamedGroup.X25519),
    *(Flavour(DTLS_1_3, group) for group in AVAILABLE_GROUPS if group.is_hybrid),
)


@functools.cache
def configuration(flavour: Flavour, role: Role) -> Configuration:
    """One for all connections, as the Key Distributor has it, and as OpenSSL's context is."""
    own, other = (CLIENT, SERVER) if role is Role.CLIENT else (SERVER, CLIENT)
    return Configuration(
        role=role,
        versions=(flavour.version,),
        # The client's first share is X25519 in any case: a server asks for the hybrid.
        groups=tuple(dict.fromkeys((flavour.group, NamedGroup.X25519))),
        cipher_suites=_SUITES,
        certificate=own,
        srtp_profiles=(DOUBLE_128,),
        peer_fingerprints=(other.fingerprint(),),
        cookie_secrets=_SECRETS,
    )


class Ours:
    """A side of the handshake by halfkey.dtls."""

    def __init__(self, flavour: Flavour, role: Role) -> None:
        self._connection = Connection(configuration(flavour, role), b"benchmark")

    def start(self) -> None:
        self._connection.start(0.0)

    def receive(self, datagram: bytes) -> None:
        self._connection.receive_datagram(datagram, 0.0)

    def send(self) -> list[bytes]:
        return self._connection.datagrams_to_send()

    def is_connected(self) -> bool:
        return self._connection.is_connected


class OpenSSL:
    """A side of the handshake by pyOpenSSL; one context for all, as one would have it."""

    _contexts: ClassVar[dict[Role, SSL.Context]] = {}

    def __init__(self, role: Role) -> None:
        if role not in self._contexts:
            self._contexts[role] = self._context(role)
        self._connection = SSL.Connection(self._contexts[role])
        self._connection.set_ciphertext_mtu(1200)
        if role is Role.SERVER:
            self._connection.set_accept_state()
        else:
            self._connection.set_connect_state()
        self._connected = False

    @staticmethod
    def _context(role: Role) -> SSL.Context:
        certificate = CLIENT if role is Role.CLIENT else SERVER
        context = SSL.Context(SSL.DTLS_METHOD)
        context.set_min_proto_version(DTLS_1_2)
        context.set_max_proto_version(DTLS_1_2)
        context.use_certificate(x509.load_der_x509_certificate(certificate.der))
        context.use_privatekey(certificate.private_key)
        context.set_cipher_list(b"ECDHE-ECDSA-AES128-GCM-SHA256")
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        context.set_tlsext_use_srtp(_PROFILE)
        context.set_verify(
            SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *arguments: True
        )
        if role is Role.SERVER:
            context.set_options(SSL.OP_COOKIE_EXCHANGE)
            context.set_cookie_generate_callback(lambda connection: b"cookie")
            context.set_cookie_verify_callback(lambda connection, cookie: cookie == b"cookie")
        return context

    def start(self) -> None:
        self._advance()

    def listen(self, datagram: bytes) -> None:
        """Answers a ClientHello without a cookie, and holds nothing of it."""
        self._connection.bio_write(datagram)
        with contextlib.suppress(SSL.WantReadError):
            self._connection.DTLSv1_listen()

    def receive(self, datagram: bytes) -> None:
        self._connection.bio_write(datagram)
        if not self._connected:
            self._advance()

    def send(self) -> list[bytes]:
        try:
            data = self._connection.bio_read(1 << 16)
        except SSL.WantReadError:
            return []
        datagrams = []
        while data:
            length = _RECORD_HEADER + int.from_bytes(data[11:13], "big")
            datagrams.append(data[:length])
            data = data[length:]
        return datagrams

    def is_connected(self) -> bool:
        return self._connected

    def _advance(self) -> None:
        try:
            self._connection.do_handshake()
            self._connected = True
        except SSL.WantReadError:
            pass


@dataclass
class Spent:
    """Seconds of CPU in each side of one handshake."""

    client: float = 0.0
    server: float = 0.0

    @property
    def both(self) -> float:
        return self.client + self.server


def handshake(make: Callable[[Role], Peer]) -> Spent:
    """One handshake, each side timed by itself."""
    spent = Spent()
    clock = time.thread_time  # of a processor: what else runs there is not ours
    begin = clock()
    client = make(Role.CLIENT)
    client.start()
    to_server = client.send()
    spent.client += clock() - begin
    begin = clock()
    server = make(Role.SERVER)
    server.start()
    spent.server += clock() - begin
    while to_server:
        begin = clock()
        for datagram in to_server:
            server.receive(datagram)
        to_client = server.send()
        middle = clock()
        for datagram in to_client:
            client.receive(datagram)
        to_server = client.send()
        spent.server += middle - begin
        spent.client += clock() - middle
    if not (client.is_connected() and server.is_connected()):
        raise RuntimeError("the handshake under measurement failed")
    return spent


def _median(spent: list[Spent], side: str) -> float:
    return statistics.median(getattr(one, side) for one in spent)


def _first_client_hello(client: Peer) -> bytes:
    client.start()
    (hello,) = client.send()
    return hello


def _answers(flavour: Flavour) -> Callable[[], None]:
    """What a server of ours does for a ClientHello without a cookie, its connection included."""
    hello = _first_client_hello(Ours(flavour, Role.CLIENT))
    server = configuration(flavour, Role.SERVER)

    def answer() -> None:
        connection = Connection(server, b"benchmark")
        connection.receive_datagram(hello, 0.0)
        (datagram,) = connection.datagrams_to_send()
        if len(datagram) > 3 * len(hello):
            raise RuntimeError("more than three times the bytes before the cookie")

    return answer


def _foreign_answers() -> Callable[[], None]:
    """The same by OpenSSL, in the way it has for servers that hold nothing for strangers."""
    hello = _first_client_hello(OpenSSL(Role.CLIENT))

    def answer() -> None:
        server = OpenSSL(Role.SERVER)
        server.listen(hello)
        if len(server.send()) != 1:
            raise RuntimeError("the ClientHello under measurement was not answered")

    return answer


def _timed(function: Callable[[], None]) -> float:
    begin = time.thread_time()
    function()
    return time.thread_time() - begin


def _client_hellos() -> list[dict[str, object]]:
    """A row for each flavour, OpenSSL beside it; all take turns."""
    answers = {flavour.title: _answers(flavour) for flavour in FLAVOURS}
    answers[_FOREIGN] = _foreign_answers()
    times: dict[str, list[float]] = {name: [] for name in answers}
    for _ in range(_ROUNDS):
        for name, answer in answers.items():
            times[name] += [_timed(answer) for _ in range(_HELLOS)]
    medians = {name: statistics.median(of_one) * 1e6 for name, of_one in times.items()}
    theirs = medians.pop(_FOREIGN)
    return [
        {
            "measurement": f"{title}, ClientHello without a cookie, us",
            "halfkey": ours,
            _FOREIGN: theirs,
            "ratio": theirs / ours,
        }
        for title, ours in medians.items()
    ]


def measure() -> list[dict[str, object]]:
    """The measurements, one row of the table each.

    Rounds of all of them alternate, so that none has the quieter moment.
    """
    stacks: dict[str, Callable[[Role], Peer]] = {
        flavour.title: functools.partial(Ours, flavour) for flavour in FLAVOURS
    }
    stacks[_FOREIGN] = OpenSSL
    spent: dict[str, list[Spent]] = {name: [] for name in stacks}
    for stack in stacks.values():
        handshake(stack)  # warms up
    for _ in range(_ROUNDS):
        for name, stack in stacks.items():
            spent[name] += [handshake(stack) for _ in range(_HANDSHAKES)]
    rows: list[dict[str, object]] = []
    for flavour in FLAVOURS:
        ours, theirs = spent[flavour.title], spent[_FOREIGN]
        rows += [_row(flavour.title, side, ours, theirs) for side in _SIDES]
    rows += _client_hellos()
    return rows


def _row(title: str, side: str, ours: list[Spent], theirs: list[Spent]) -> dict[str, object]:
    rates = {"halfkey": 1 / _median(ours, side), _FOREIGN: 1 / _median(theirs, side)}
    ratio = rates["halfkey"] / rates[_FOREIGN]
    return {"measurement": f"{title}, {_SIDES[side]}, handshakes/s", **rates, "ratio": ratio}


if __name__ == "__main__":
    for row in measure():
        print(row)
