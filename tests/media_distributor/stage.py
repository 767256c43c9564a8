"""A Media Distributor core with the real `Switch`, real UDP sockets, and virtual time.

The tests are the Key Distributor and the Focus: they look at what goes into the tunnel and at the
events, and answer by hand.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

from aioice import stun

from halfkey._media import Switch
from halfkey.ice import Credentials
from halfkey.media_distributor.core import MediaDistributor
from halfkey.media_distributor.events import Event
from halfkey.media_distributor.path import SwitchPath
from halfkey.profiles import SRTPProtectionProfile
from halfkey.tunnel.messages import EndpointDisconnect, MediaKeys, TunneledDtls
from tests.media_distributor.media import UFRAG, Group, Media, is_media

PATIENCE = 10.0
START = 1000.0
CLIENT_HELLO = bytes([22, 254, 253]) + bytes(20)


def binding_request(credentials: Credentials, *, nominate: bool = True) -> bytes:
    """A connectivity check as a controlling peer with ufrag ``peer`` sends it."""
    message = stun.Message(
        message_method=stun.Method.BINDING,
        message_class=stun.Class.REQUEST,
        attributes={
            "USERNAME": f"{credentials.ice_ufrag}:{UFRAG}",
            "PRIORITY": 1,
            "ICE-CONTROLLING": 1,
            **({"USE-CANDIDATE": None} if nominate else {}),
        },
    )
    message.add_message_integrity(credentials.ice_pwd.encode())
    return bytes(message)


def udp_socket() -> socket.socket:
    """On a free port of the loopback."""
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind(("127.0.0.1", 0))
    made.settimeout(PATIENCE)
    return made


class Stage:
    """One core, its switch, and what came out of it.

    Args:
        switch: the packet path.
        hostile: see `MediaDistributor`.
    """

    def __init__(self, switch: Switch, hostile: bool = False) -> None:
        self.switch = switch
        self.core = MediaDistributor(SwitchPath(switch), hostile)
        self.now = START
        self.tunnel: list[TunneledDtls | EndpointDisconnect] = []
        self.events: list[Event] = []
        self.members: list[Member] = []
        self.core.tunnel_connected(True)

    def settle(self) -> None:
        """Sends what is to be sent and keeps the rest."""
        for (host, port), data in self.core.datagrams_to_send():
            assert self.switch.send(host, port, data)
        self.tunnel += self.core.tunnel_messages_to_send()
        self.events += iter(self.core.next_event, None)

    def pump(self) -> None:
        """Takes what came to the media socket and isn't media: one datagram at least."""
        assert select.select([self.switch.event_fd], [], [], PATIENCE)[0], "nothing came"
        for host, port, data in self.switch.drain():
            self.core.receive_datagram(data, (host, port), self.now)
        self.settle()

    def receive(self, message: MediaKeys | TunneledDtls | EndpointDisconnect) -> None:
        """The Key Distributor says something."""
        self.core.receive_tunnel_message(message)
        self.settle()

    def advance(self, seconds: float) -> None:
        """Lets time pass, serving the timer when it is due."""
        end = self.now + seconds
        while (at := self.core.next_timer()) is not None and at <= end:
            self.now = max(self.now, at)
            self.core.handle_timer(self.now)
            self.settle()
        self.now = end

    def of(self, kind: type) -> list[Event]:
        """The events of a kind."""
        return [event for event in self.events if isinstance(event, kind)]

    def wait_for_drop(self, reason: str, count: int = 1) -> None:
        """Waits for the packet path to have dropped so many packets."""
        wait(lambda: self.switch.statistics()["dropped"].get(reason, 0) >= count)

    def close(self) -> None:
        for member in self.members:
            member.socket.close()
        self.switch.close()


class Member(Media):
    """A participant: its socket, its ICE credentials, its hop.

    Args:
        stage: where it takes part.
        number: see `Media`.
        group: the conference's keys.
        conference: its name.
        slots: see `Media`.
    """

    def __init__(
        self, stage: Stage, number: int, group: Group, conference: str = "c", slots: int = 2
    ) -> None:
        super().__init__(number, group, group.hop(), slots)
        self.stage, self.key = stage, (conference, f"P{number}")
        self.socket = udp_socket()
        self.credentials: Credentials | None = None
        stage.members.append(self)

    @property
    def address(self) -> tuple[str, int]:
        host, port = self.socket.getsockname()
        return host, port

    def allocate(self) -> Credentials:
        """The Focus's request on its behalf."""
        self.credentials = self.stage.core.allocate(self.key, self.allocation(), self.stage.now)
        self.stage.settle()
        return self.credentials

    def send(self, datagram: bytes) -> None:
        self.socket.sendto(datagram, self.stage.switch.local_address)

    def check(self, *, nominate: bool = True) -> None:
        """A connectivity check, and its answer."""
        assert self.credentials is not None
        self.send(binding_request(self.credentials, nominate=nominate))
        answer = stun.parse_message(self._answer())
        self.stage.core.note_checks(self.stage.now)
        assert answer.message_class is stun.Class.RESPONSE
        assert answer.attributes["XOR-MAPPED-ADDRESS"] == self.address

    def _answer(self) -> bytes:
        """Of the packet path, or of the core, where a check changes something."""
        queue = self.stage.switch.event_fd
        while True:
            ready = select.select([queue, self.socket], [], [], PATIENCE)[0]
            assert ready, "nothing came"
            if queue in ready:
                self.stage.pump()
            elif (datagram := self.socket.recv(65536))[0] <= 3:
                return datagram

    def dtls(self, datagram: bytes = CLIENT_HELLO) -> UUID:
        """Sends a DTLS datagram; gives the association under which it was carried."""
        self.send(datagram)
        self.stage.pump()
        carried = self.stage.tunnel.pop()
        assert isinstance(carried, TunneledDtls)
        assert carried.dtls_message == datagram
        return carried.association_id

    def media_keys(
        self, association_id: UUID, profile: SRTPProtectionProfile | int | None = None
    ) -> MediaKeys:
        """What the Key Distributor says when the handshake is done."""
        hop = self.hop
        return MediaKeys(
            association_id,
            int(self.group.profile if profile is None else profile),
            b"",
            hop.client_write_key,
            hop.server_write_key,
            hop.client_write_salt,
            hop.server_write_salt,
        )

    def join(self) -> UUID:
        """All of it; gives the association."""
        self.allocate()
        self.check()
        association_id = self.dtls()
        self.stage.receive(self.media_keys(association_id))
        return association_id

    def receive(self, wanted: Callable[[bytes], bool]) -> bytes:
        """The next datagram of a kind."""
        while True:
            datagram = self.socket.recv(65536)
            if wanted(datagram):
                return datagram

    def opened(self) -> bytes:
        """The payload and more of the next SRTP packet, opened end to end."""
        return self.receiver.unprotect(self.receive(is_media)).packet


@contextmanager
def on_stage(hostile: bool = False) -> Iterator[Stage]:
    """A stage on a free port; closed at the end."""
    stage = Stage(Switch("127.0.0.1", 0), hostile)
    try:
        yield stage
    finally:
        stage.close()


def wait(condition: Callable[[], bool]) -> None:
    """Waits for what another thread brings about; fails if it doesn't."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.001)
