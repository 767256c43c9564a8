"""Whatever comes in whatever order: nothing raises, and core and packet path stay one."""

from __future__ import annotations

from uuid import UUID, uuid4

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from halfkey._media import Switch
from halfkey.ice import Credentials
from halfkey.media_distributor.conference import Allocation, Slot, Source
from halfkey.media_distributor.core import AllocationRefusedError, MediaDistributor
from halfkey.media_distributor.events import ParticipantDisconnected, SlotChanged
from halfkey.media_distributor.path import SwitchPath
from halfkey.tunnel.messages import EndpointDisconnect, MediaKeys, TunneledDtls
from tests.media_distributor.media import MID, PASSWORD, UFRAG
from tests.media_distributor.stage import CLIENT_HELLO, binding_request

KEYS = st.tuples(st.sampled_from(["c", "d"]), st.sampled_from(["P1", "P2", "P3"]))
ADDRESSES = st.sampled_from([(f"192.0.2.{host}", 5000) for host in range(1, 5)])
SSRCS = st.integers(1, 4)


class AnyOrder(RuleBasedStateMachine):
    """Three names in two conferences, four addresses, four SSRCs."""

    @initialize(hostile=st.booleans())
    def begin(self, hostile: bool) -> None:
        self.switch = Switch("127.0.0.1", 0)
        self.core = MediaDistributor(SwitchPath(self.switch), hostile)
        self.hostile = hostile
        self.now = 0.0
        self.credentials: dict[tuple[str, str], Credentials] = {}
        self.associations: list[UUID] = [uuid4()]
        self.slots: dict[tuple[str, str, str], int] = {}
        self.present: set[tuple[str, str]] = set()

    @rule(key=KEYS, ssrcs=st.lists(SSRCS, max_size=2), slots=st.integers(0, 2))
    def allocate(self, key: tuple[str, str], ssrcs: list[int], slots: int) -> None:
        allocation = Allocation(
            UFRAG,
            PASSWORD,
            tuple(Source(f"s{i}", "audio", ssrc) for i, ssrc in enumerate(ssrcs)),
            tuple(Slot(f"r{i}", "audio") for i in range(slots)),
            {MID: 4},
            {"opus/48000/2": 111},
        )
        try:
            self.credentials[key] = self.core.allocate(key, allocation, self.now)
        except AllocationRefusedError:
            return
        self.present.add(key)

    @rule(key=KEYS, address=ADDRESSES, ssrc=SSRCS, fill=st.integers(0, 255))
    def join(self, key: tuple[str, str], address: tuple[str, int], ssrc: int, fill: int) -> None:
        """The usual order, so that keys and slots are common."""
        self.core.tunnel_connected(True)
        self.allocate(key, [ssrc], 2)
        self.check(key, address, True)
        self.drain()
        self.dtls(address)
        self.drain()
        self.core.receive_tunnel_message(self.keys(self.associations[-1], 9, fill))

    @rule(key=KEYS)
    def remove(self, key: tuple[str, str]) -> None:
        assert self.core.has(key) == (key in self.present)
        assert self.core.remove(key) == (key in self.present)

    @rule(key=KEYS, address=ADDRESSES, nominate=st.booleans())
    def check(self, key: tuple[str, str], address: tuple[str, int], nominate: bool) -> None:
        if key in self.credentials:
            request = binding_request(self.credentials[key], nominate=nominate)
            self.core.receive_datagram(request, address, self.now)

    @rule(address=ADDRESSES)
    def dtls(self, address: tuple[str, int]) -> None:
        self.core.receive_datagram(CLIENT_HELLO, address, self.now)

    @rule(noise=st.binary(max_size=40), address=ADDRESSES)
    def noise(self, noise: bytes, address: tuple[str, int]) -> None:
        self.core.receive_datagram(noise, address, self.now)

    @rule(data=st.data(), profile=st.sampled_from([9, 10, 7]), fill=st.integers(0, 3))
    def media_keys(self, data: st.DataObject, profile: int, fill: int) -> None:
        association = data.draw(st.sampled_from(self.associations))
        self.core.receive_tunnel_message(self.keys(association, profile, fill))

    @rule(data=st.data(), ends=st.booleans())
    def tunnel_message(self, data: st.DataObject, ends: bool) -> None:
        association = data.draw(st.sampled_from(self.associations))
        message = EndpointDisconnect(association) if ends else TunneledDtls(association, b"\x16")
        self.core.receive_tunnel_message(message)

    @rule(is_connected=st.booleans())
    def tunnel(self, is_connected: bool) -> None:
        self.core.tunnel_connected(is_connected)

    @rule(seconds=st.floats(0.1, 20))
    def time(self, seconds: float) -> None:
        self.now += seconds
        at = self.core.next_timer()
        if at is not None and at <= self.now:
            self.core.handle_timer(self.now)
            later = self.core.next_timer()
            assert later is None or later > self.now

    @invariant()
    def core_and_packet_path_agree(self) -> None:
        self.drain()
        figures = self.core.statistics()
        in_path = self.switch.statistics()["forwarder_participants"]
        assert figures["participants"] == len(self.present)
        if self.hostile:
            assert in_path >= len(self.present)
        else:
            assert in_path == len(self.present)
            assert figures["conferences"] == len({conference for conference, _ in self.present})
        assert figures["associations"] <= in_path

    @staticmethod
    def keys(association: UUID, profile: int, fill: int) -> MediaKeys:
        length = 32 if profile == 10 else 16
        lengths = (length, length, 12, 12)
        return MediaKeys(association, profile, b"", *(bytes([fill]) * n for n in lengths))

    def drain(self) -> None:
        self.core.datagrams_to_send()
        for message in self.core.tunnel_messages_to_send():
            if isinstance(message, TunneledDtls):
                self.associations = [*self.associations[-5:], message.association_id]
        while (event := self.core.next_event()) is not None:
            if isinstance(event, ParticipantDisconnected):
                self.see_disconnected(event)
            elif isinstance(event, SlotChanged):
                self.see_slot(event)
            else:
                assert (event.conference, event.participant) in self.present

    def see_disconnected(self, event: ParticipantDisconnected) -> None:
        """Once each; slots of who is out are nobody's."""
        if event.reason != "key_distributor":
            gone = (event.conference, event.participant)
            self.present.remove(gone)
            self.slots = {place: ssrc for place, ssrc in self.slots.items() if place[:2] != gone}

    def see_slot(self, event: SlotChanged) -> None:
        """A slot is emptied only if something was in it, and filled only if nothing was."""
        place = (event.conference, event.receiver, event.mid)
        assert place[:2] in self.present
        if event.ssrc is None:
            del self.slots[place]
            return
        assert place not in self.slots
        others = [ssrc for key, ssrc in self.slots.items() if key[:2] == place[:2]]
        assert event.ssrc not in others
        self.slots[place] = event.ssrc

    def teardown(self) -> None:
        self.switch.close()


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
