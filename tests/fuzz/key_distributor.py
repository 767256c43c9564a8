"""The Key Distributor's core behind two tunnels, as a fuzz target with its seeds."""

from __future__ import annotations

from uuid import UUID

from halfkey import dtls
from halfkey.ekt.messages import EKTCipher
from halfkey.key_distributor.core import KeyDistributor
from halfkey.key_distributor.policy import Policy
from halfkey.profiles import DOUBLE_128
from halfkey.tunnel import MediaDistributorTunnel, TunneledDtls
from halfkey.tunnel.messages import EndpointDisconnect, SupportedProfiles
from tests.dtls.helpers import CLIENT_CERTIFICATE, SERVER_CERTIFICATE, seeded

POLICY = Policy(half_open_per_media_distributor=3, half_open=4, handshakes_per_participant=2)
TLS_ID = "alice".ljust(24, "-")
SECONDS = 11
"""That pass before a chunk whose first byte says so: a handshake may take 30."""

_OTHER_TUNNEL, _DISCONNECT, _RAW, _LATER = 1, 2, 4, 8
_ASSOCIATION_SHIFT = 4


class Distributor:
    """A Key Distributor that draws everything from a seed, with one participant admitted."""

    def __init__(self) -> None:
        self.core = KeyDistributor(POLICY, SERVER_CERTIFICATE, seeded("key distributor"))
        self.now = 0.0
        self.admission = self.core.admit(
            "c", "alice", CLIENT_CERTIFICATE.fingerprint(), TLS_ID, now=self.now
        )
        self.tunnels = [self.core.open_tunnel(name) for name in (b"one", b"two")]
        for tunnel in self.tunnels:
            self.core.receive_data(tunnel, SupportedProfiles(0, (DOUBLE_128,)).encode(), self.now)

    def take(self, chunk: bytes) -> bytes:
        """Has a chunk come by a tunnel; gives what goes back by that one."""
        how, rest = chunk[0], chunk[1:]
        if how & _LATER:
            self.now += SECONDS
            self.core.handle_timer(self.now)
        association = UUID(int=how >> _ASSOCIATION_SHIFT)
        tunnel = self.tunnels[how & _OTHER_TUNNEL]
        if how & _RAW:
            data = rest
        elif how & _DISCONNECT or not rest:
            data = EndpointDisconnect(association).encode()
        else:
            data = TunneledDtls(association, rest).encode()
        self.core.receive_data(tunnel, data, self.now)
        self.core.tunnels_to_send()
        return self.core.data_to_send(tunnel)


def run(chunks: list[bytes]) -> bool:
    """Has each chunk come; checks the bounds; whether an association came of it."""
    distributor = Distributor()
    for chunk in filter(None, chunks):
        distributor.take(chunk)
        figures = distributor.core.snapshot()
        half_open = figures["half_open_now"]
        # Parts of ClientHellos, and handshakes, are bounded each.
        assert half_open <= 2 * POLICY.half_open, "too much is half open"
        assert figures["associations_now"] - half_open <= 1, "one participant is there twice"
        assert not half_open or distributor.core.next_timer() is not None, "it is never given up"
    return bool(distributor.core.snapshot()["associations"])


def seeds() -> list[list[bytes]]:
    """A whole handshake, which its replay repeats; and the same with others between."""
    distributor = Distributor()
    end = MediaDistributorTunnel((DOUBLE_128,))
    client = dtls.Connection(_client(distributor), b"md")
    client.start(0.0)
    chunks = []
    while datagrams := client.datagrams_to_send():
        for datagram in datagrams:
            chunks.append(b"\0" + datagram)
            end.receive_data(distributor.take(chunks[-1]), 0.0)
        for message in iter(end.next_event, None):
            if isinstance(message, TunneledDtls):
                client.receive_datagram(message.dtls_message, 0.0)
    strays = [bytes([stray << _ASSOCIATION_SHIFT]) + chunks[0][1:] for stray in (1, 2, 3)]
    return [chunks, [*strays, *chunks, b"\2"], [*chunks[:-1], b"\x08", b"\4\1\2"]]


def _client(distributor: Distributor) -> dtls.Configuration:
    admission = distributor.admission
    return dtls.Configuration(
        role=dtls.Role.CLIENT,
        certificate=CLIENT_CERTIFICATE,
        srtp_profiles=(DOUBLE_128,),
        ekt_ciphers=(EKTCipher.AESKW128,),
        external_session_id=TLS_ID.encode(),
        peer_fingerprints=(dtls.Fingerprint.parse(admission.fingerprint),),
        peer_external_session_id=admission.tls_id.encode(),
        # ML-KEM's encapsulation takes its randomness from nobody: a replay would fail.
        groups=tuple(group for group in dtls.NamedGroup if not group.is_hybrid),
        random=seeded("fuzzed client"),
    )
