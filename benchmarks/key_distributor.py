"""What strangers and associations cost a Key Distributor, through its tunnel.

Everything is the real thing but sockets and clocks: bytes of a tunnel go into the core, and bytes
of a tunnel come out. Only the time in the Key Distributor counts.
"""

from __future__ import annotations

import gc
import statistics
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path
from uuid import UUID, uuid4

from halfkey import dtls
from halfkey.dtls.registries import ProtocolVersion
from halfkey.ekt.messages import EKTCipher
from halfkey.key_distributor.core import KeyDistributor
from halfkey.key_distributor.policy import Policy
from halfkey.profiles import DOUBLE_128
from halfkey.tunnel import MediaDistributorTunnel, TunneledDtls

HERE = Path(__file__).parent
_STRAYS, _ROUNDS = 2000, 5
_REKEYED = 1000
_IDLE, _WARM_UP = 2000, 200
_KIB = 1024
_LIMIT = "at most"

KEY_DISTRIBUTOR = dtls.Certificate.generate("kd")
ENDPOINT = dtls.Certificate.generate("endpoint")


class Tunnel:
    """A Key Distributor and one Media Distributor's end of a tunnel to it.

    Args:
        version: of DTLS that is spoken.
    """

    def __init__(self, version: ProtocolVersion) -> None:
        policy = Policy(participants=10_000, dtls_versions=(version,))
        self.core = KeyDistributor(policy, KEY_DISTRIBUTOR)
        self._version = version
        self.end = MediaDistributorTunnel((DOUBLE_128,))
        self.id = self.core.open_tunnel(b"media distributor")
        self.spent = 0.0
        self.now = 0.0
        self.exchange()

    def exchange(self) -> list[TunneledDtls]:
        """Carries what waits at our end there, and gives the datagrams that come back."""
        data = self.end.data_to_send()
        begin = time.process_time()
        if data:
            self.core.receive_data(self.id, data, self.now)
        self.core.tunnels_to_send()
        answer = self.core.data_to_send(self.id)
        while self.core.next_event() is not None:
            pass
        self.spent += time.process_time() - begin
        self.end.receive_data(answer, self.now)
        events = iter(self.end.next_event, None)
        return [event for event in events if isinstance(event, TunneledDtls)]

    def client(self, name: str) -> dtls.Connection:
        """The client's end of an association that may be made."""
        tls_id = name.ljust(24, "-")
        admission = self.core.admit(
            "conference", name, ENDPOINT.fingerprint(), tls_id, now=self.now
        )
        configuration = dtls.Configuration(
            role=dtls.Role.CLIENT,
            versions=(self._version,),
            certificate=ENDPOINT,
            srtp_profiles=(DOUBLE_128,),
            ekt_ciphers=(EKTCipher.AESKW128,),
            external_session_id=tls_id.encode(),
            peer_fingerprints=(dtls.Fingerprint.parse(admission.fingerprint),),
            peer_external_session_id=admission.tls_id.encode(),
        )
        return dtls.Connection(configuration, b"benchmark")

    def join(self, name: str) -> tuple[UUID, dtls.Connection]:
        """An association that is complete, with its EKTKey acknowledged."""
        association, client = uuid4(), self.client(name)
        client.start(self.now)
        self.carry({association: client})
        if not client.is_connected:
            raise RuntimeError("the handshake under measurement failed")
        return association, client

    def carry(self, clients: dict[UUID, dtls.Connection]) -> None:
        """Carries datagrams both ways until there are none."""
        while True:
            for association, client in clients.items():
                for datagram in client.datagrams_to_send():
                    self.end.send_tunneled_dtls(association, datagram)
            arrived = self.exchange()
            if not arrived:
                return
            for message in arrived:
                client = clients[message.association_id]
                client.receive_datagram(message.dtls_message, self.now)
                while client.next_event() is not None:
                    pass


def strays(version: ProtocolVersion) -> tuple[float, int]:
    """Seconds for a ClientHello that nobody waits for, and bytes that all of them left behind."""
    tunnel = Tunnel(version)
    client = tunnel.client("stray")
    client.start(0.0)
    (hello,) = client.datagrams_to_send()
    _flood(tunnel, hello)  # warms up
    times = []
    for _ in range(_ROUNDS):
        tunnel.spent = 0.0
        _flood(tunnel, hello)
        times.append(tunnel.spent / _STRAYS)
    tracemalloc.start()
    _flood(tunnel, hello)
    gc.collect()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(_ROUNDS):
        _flood(tunnel, hello)
    gc.collect()
    left = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return statistics.median(times), left


def _flood(tunnel: Tunnel, hello: bytes) -> None:
    for _ in range(_STRAYS):
        tunnel.end.send_tunneled_dtls(uuid4(), hello)
    if len(tunnel.exchange()) != _STRAYS:
        raise RuntimeError("a stray ClientHello was not answered")


def rekey(version: ProtocolVersion) -> float:
    """Seconds of the Key Distributor to seal and send an EKTKey for each, and take the ACKs."""
    tunnel = Tunnel(version)
    clients = dict(tunnel.join(f"p{number}") for number in range(_REKEYED))
    times = []
    for _ in range(3):
        tunnel.now += 5
        acknowledged = tunnel.core.statistics.ekt_keys_acknowledged
        begin = time.process_time()
        tunnel.core.rekey("conference", tunnel.now)
        tunnel.spent = time.process_time() - begin
        tunnel.carry(clients)
        if tunnel.core.statistics.ekt_keys_acknowledged - acknowledged != _REKEYED:
            raise RuntimeError("a rekey under measurement didn't reach everybody")
        times.append(tunnel.spent)
    return statistics.median(times)


def idle(version: ProtocolVersion) -> float:
    """Bytes that the process grows by for an association, its client not counted."""
    tunnel = Tunnel(version)
    for number in range(_WARM_UP):
        tunnel.join(f"warm-up{number}")
    gc.collect()
    before = _resident()
    for number in range(_IDLE):
        tunnel.join(f"p{number}")
    gc.collect()
    if tunnel.core.snapshot()["associations_now"] != _WARM_UP + _IDLE:
        raise RuntimeError("an association under measurement is gone")
    return (_resident() - before) / _IDLE


def _resident() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * _KIB
    raise RuntimeError("this system doesn't tell a process's memory")


def measure() -> list[dict[str, object]]:
    """The measurements, one row of the table each."""
    return [row for version in ProtocolVersion for row in _measure(version)]


def _measure(version: ProtocolVersion) -> list[dict[str, object]]:
    title, (seconds, left) = version.title, strays(version)
    # In a process of its own, so that nothing freed before is used again.
    command = [sys.executable, "-m", "benchmarks.key_distributor", "--idle", version.name]
    output = subprocess.run(command, check=True, capture_output=True, text=True, cwd=HERE.parent)
    flood = f"{title}, {_ROUNDS * _STRAYS:,} of them leave behind, bytes"
    return [
        {"measurement": f"{title}, stray ClientHello, us", "halfkey": seconds * 1e6, _LIMIT: 100},
        {"measurement": flood, "halfkey": left, _LIMIT: "none"},
        {
            "measurement": f"{title}, ekt_key to {_REKEYED:,} associations and their ACKs, ms",
            "halfkey": rekey(version) * 1e3,
            _LIMIT: 500,
        },
        {
            "measurement": f"{title}, memory for one of {_IDLE:,} idle associations, KiB",
            "halfkey": float(output.stdout) / _KIB,
            _LIMIT: 32,
        },
    ]


if __name__ == "__main__":
    if sys.argv[1:2] == ["--idle"]:
        print(idle(ProtocolVersion[sys.argv[2]]))
    else:
        for row in measure():
            print(row)
