from __future__ import annotations

import asyncio
import os

import pytest
from aioice import Candidate, Connection, stun
from hypothesis import given
from hypothesis import strategies as st

from halfkey.ice import AddressNominated, AddressValidated, Credentials, IceLite

PEER = ("192.0.2.7", 4711)


def request(
    credentials: Credentials,
    username: str | None = None,
    password: str | None = None,
    **attributes: object,
) -> bytes:
    """A Binding request as a controlling peer with ufrag ``peer`` sends it."""
    message = stun.Message(
        message_method=stun.Method.BINDING,
        message_class=stun.Class.REQUEST,
        attributes={
            "USERNAME": username or f"{credentials.ice_ufrag}:peer",
            "PRIORITY": 1,
            **attributes,
        },
    )
    if "ICE-CONTROLLED" not in attributes:
        message.attributes["ICE-CONTROLLING"] = 1
    message.add_message_integrity((password or credentials.ice_pwd).encode())
    return bytes(message)


@pytest.fixture
def ice() -> IceLite:
    return IceLite()


def drain(ice: IceLite) -> list[object]:
    return list(iter(ice.next_event, None))


def test_a_check_is_answered_with_the_address_it_came_from(ice: IceLite) -> None:
    credentials = ice.add_session("alice", "peer")
    ice.receive_datagram(request(credentials), PEER)
    assert drain(ice) == [AddressValidated("alice", PEER)]
    [(target, answer)] = ice.datagrams_to_send()
    assert target == PEER
    parsed = stun.parse_message(answer)
    assert parsed.message_class is stun.Class.RESPONSE
    assert parsed.attributes["XOR-MAPPED-ADDRESS"] == PEER
    assert parsed.check_message_integrity(credentials.ice_pwd.encode())
    assert "FINGERPRINT" in parsed.attributes


def test_use_candidate_nominates(ice: IceLite) -> None:
    credentials = ice.add_session("alice", "peer")
    ice.receive_datagram(request(credentials, **{"USE-CANDIDATE": None}), PEER)
    assert drain(ice) == [AddressValidated("alice", PEER), AddressNominated("alice", PEER)]


def test_a_peer_that_wants_to_be_controlled_is_told_of_the_conflict(ice: IceLite) -> None:
    credentials = ice.add_session("alice", "peer")
    ice.receive_datagram(request(credentials, **{"ICE-CONTROLLED": 1}), PEER)
    assert drain(ice) == []
    [(_, answer)] = ice.datagrams_to_send()
    assert stun.parse_message(answer).attributes["ERROR-CODE"][0] == 487


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"password": "wrong-wrong-wrong-wrong"}, "stun_authentication"),
        ({"username": "nobody:peer"}, "stun_unknown_username"),
        ({"username": "peer"}, "stun_unknown_username"),
    ],
)
def test_who_can_not_prove_to_be_the_peer_gets_no_answer(
    ice: IceLite, changes: dict[str, str], reason: str
) -> None:
    credentials = ice.add_session("alice", "peer")
    ice.receive_datagram(request(credentials, **changes), PEER)
    assert (drain(ice), ice.datagrams_to_send()) == ([], [])
    assert ice.dropped == {reason: 1}


def test_a_message_without_integrity_gets_no_answer(ice: IceLite) -> None:
    credentials = ice.add_session("alice", "peer")
    bare = stun.Message(
        message_method=stun.Method.BINDING,
        message_class=stun.Class.REQUEST,
        attributes={"USERNAME": f"{credentials.ice_ufrag}:peer"},
    )
    bare.add_fingerprint()
    ice.receive_datagram(bytes(bare), PEER)
    assert ice.dropped == {"stun_authentication": 1}


def test_another_sessions_credentials_are_of_no_use(ice: IceLite) -> None:
    alice, bob = ice.add_session("alice", "peer"), ice.add_session("bob", "peer")
    ice.receive_datagram(request(alice, password=bob.ice_pwd), PEER)
    assert drain(ice) == []
    ice.receive_datagram(request(alice), PEER)
    assert drain(ice) == [AddressValidated("alice", PEER)]


def test_a_restart_makes_the_old_credentials_worthless(ice: IceLite) -> None:
    old = ice.add_session("alice", "peer")
    new = ice.add_session("alice", "peer")
    ice.receive_datagram(request(old), PEER)
    assert drain(ice) == []
    ice.receive_datagram(request(new), PEER)
    assert drain(ice) == [AddressValidated("alice", PEER)]


def test_a_removed_session_is_silent(ice: IceLite) -> None:
    credentials = ice.add_session("alice", "peer")
    ice.remove_session("alice")
    ice.remove_session("alice")
    ice.receive_datagram(request(credentials), PEER)
    assert (drain(ice), ice.datagrams_to_send()) == ([], [])


def test_the_password_is_not_shown(ice: IceLite) -> None:
    credentials = ice.add_session("alice", "peer")
    assert credentials.ice_pwd not in repr(credentials)
    assert len(credentials.ice_ufrag) >= 4
    assert len(credentials.ice_pwd) >= 22


@given(st.binary(max_size=600))
def test_junk_never_raises_and_is_never_answered(data: bytes) -> None:
    ice = IceLite()
    ice.add_session("alice", "peer")
    ice.receive_datagram(data, PEER)
    assert ice.datagrams_to_send() == []


@given(st.data())
def test_a_damaged_check_never_raises_and_proves_nothing(data: st.DataObject) -> None:
    ice = IceLite(random=lambda length: bytes(length))
    whole = bytearray(request(ice.add_session("alice", "peer")))
    # FINGERPRINT, the last 8 bytes, comes after MESSAGE-INTEGRITY: damage there forges nothing.
    at = data.draw(st.integers(0, len(whole) - 9))
    whole[at] ^= data.draw(st.integers(1, 255))
    cut = data.draw(st.one_of(st.just(len(whole)), st.integers(0, len(whole) - 1)))
    ice.receive_datagram(bytes(whole[:cut]), PEER)
    assert drain(ice) == []


class LiteSocket(asyncio.DatagramProtocol):
    """A real UDP socket with an `IceLite` behind it."""

    def __init__(self, ice: IceLite) -> None:
        self.ice = ice
        self.events: list[object] = []
        self.transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self.transport = transport

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        assert self.transport is not None
        self.ice.receive_datagram(data, address)
        for target, answer in self.ice.datagrams_to_send():
            self.transport.sendto(answer, target)
        self.events += drain(self.ice)


class LoopbackConnection(Connection):
    """aioice leaves loopback out when it gathers; here it is all there is."""

    async def get_component_candidates(self, component, addresses, **options):  # type: ignore[no-untyped-def, override]
        return await super().get_component_candidates(component, ["127.0.0.1"], **options)


async def test_aioice_connects_to_it_over_loopback(ice: IceLite) -> None:
    loop = asyncio.get_running_loop()
    transport, socket = await loop.create_datagram_endpoint(
        lambda: LiteSocket(ice), local_addr=("127.0.0.1", 0)
    )
    peer = LoopbackConnection(ice_controlling=True)
    peer.remote_is_lite = True
    credentials = ice.add_session("alice", peer.local_username)
    peer.remote_username, peer.remote_password = credentials.ice_ufrag, credentials.ice_pwd
    try:
        await peer.gather_candidates()
        host, port = transport.get_extra_info("sockname")
        await peer.add_remote_candidate(
            Candidate("1", 1, "udp", 2130706431, host, port, "host", generation=0)
        )
        await peer.add_remote_candidate(None)
        await asyncio.wait_for(peer.connect(), 10)
        nominated = [event for event in socket.events if isinstance(event, AddressNominated)]
        assert nominated
        assert nominated[0].session == "alice"
    finally:
        await peer.close()
        transport.close()


def test_random_bytes_are_taken_from_outside() -> None:
    drawn: list[int] = []

    def random(length: int) -> bytes:
        drawn.append(length)
        return os.urandom(length)

    IceLite(random).add_session("alice", "peer")
    assert drawn
