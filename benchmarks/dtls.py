"""DTLS 1.2 handshakes per second on one core, ours beside OpenSSL's in the same run.

Every handshake has a cookie exchange and certificates on both sides: ECDHE-ECDSA on P-256
certificates, X25519, AES-128-GCM. Both are driven from Python over memory, one datagram at a time.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol

from cryptography import x509
from OpenSSL import SSL

from halfkey.dtls import Certificate, Configuration, Connection, CookieSecrets, Role
from halfkey.profiles import DOUBLE_128

_ROUNDS = 5
_HANDSHAKES = 60
_HELLOS = 2000
_DTLS_1_2 = 0xFEFD
_RECORD_HEADER = 13
_PROFILE = b"SRTP_DOUBLE_AEAD_AES_128_GCM_AEAD_AES_128_GCM"

CLIENT = Certificate.generate("client")
SERVER = Certificate.generate("server")


class Peer(Protocol):
    """One side of a handshake."""

    def start(self) -> None: ...
    def receive(self, datagram: bytes) -> None: ...
    def send(self) -> list[bytes]: ...
    def is_connected(self) -> bool: ...


class Ours:
    """A side of the handshake by halfkey.dtls."""

    _secrets = CookieSecrets()

    def __init__(self, role: Role) -> None:
        own, other = (CLIENT, SERVER) if role is Role.CLIENT else (SERVER, CLIENT)
        configuration = Configuration(
            role=role,
            certificate=own,
            srtp_profiles=(DOUBLE_128,),
            peer_fingerprints=(other.fingerprint(),),
            cookie_secrets=self._secrets,
        )
        self._connection = Connection(configuration, b"benchmark")

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
        context.set_min_proto_version(_DTLS_1_2)
        context.set_max_proto_version(_DTLS_1_2)
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


def handshake(make_client: Callable[[Role], Peer], make_server: Callable[[Role], Peer]) -> Spent:
    """One handshake, each side timed by itself."""
    spent = Spent()
    clock = time.perf_counter
    begin = clock()
    client = make_client(Role.CLIENT)
    client.start()
    to_server = client.send()
    spent.client += clock() - begin
    begin = clock()
    server = make_server(Role.SERVER)
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


def _client_hello_without_cookie() -> float:
    """Seconds for a server to answer it, the making of the connection included."""
    client = Ours(Role.CLIENT)
    client.start()
    (hello,) = client.send()
    configuration = Configuration(
        role=Role.SERVER,
        certificate=SERVER,
        srtp_profiles=(DOUBLE_128,),
        cookie_secrets=CookieSecrets(),
    )
    times = []
    for _ in range(_HELLOS):
        begin = time.perf_counter()
        connection = Connection(configuration, b"benchmark")
        connection.receive_datagram(hello, 0.0)
        (answer,) = connection.datagrams_to_send()
        times.append(time.perf_counter() - begin)
        if len(answer) > 3 * len(hello):
            raise RuntimeError("more than three times the bytes before the cookie")
    return statistics.median(times)


def measure() -> list[dict[str, object]]:
    """The measurements, one row of the table each.

    Rounds of both stacks alternate, so that neither has the quieter moment.
    """
    stacks: dict[str, type[Ours] | type[OpenSSL]] = {"halfkey": Ours, "pyOpenSSL": OpenSSL}
    spent: dict[str, list[Spent]] = {name: [] for name in stacks}
    for stack in stacks.values():
        handshake(stack, stack)  # warms up
    for _ in range(_ROUNDS):
        for name, stack in stacks.items():
            spent[name] += [handshake(stack, stack) for _ in range(_HANDSHAKES)]
    rows = [_row(side, spent) for side in ("client", "server")]
    both = {
        name: [Spent(one.client + one.server) for one in results] for name, results in spent.items()
    }
    rows.append(_row("client", both) | {"measurement": "both sides, handshakes/s"})
    rows.append(
        {
            "measurement": "ClientHello without a cookie, us",
            "halfkey": _client_hello_without_cookie() * 1e6,
        }
    )
    return rows


def _row(side: str, spent: dict[str, list[Spent]]) -> dict[str, object]:
    rates = {name: 1 / _median(results, side) for name, results in spent.items()}
    ratio = rates["halfkey"] / rates["pyOpenSSL"]
    return {"measurement": f"{side}, handshakes/s", **rates, "ratio": ratio}


if __name__ == "__main__":
    for row in measure():
        print(row)
