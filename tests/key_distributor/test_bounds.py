"""What a Media Distributor, or whoever sends through it, can make the Key Distributor hold."""

from __future__ import annotations

import os
from uuid import uuid4

import pytest

from halfkey.demux import may_be_client_hello
from halfkey.dtls.fragments import MAXIMUM_AHEAD, MAXIMUM_BYTES_AHEAD, MAXIMUM_MESSAGE
from halfkey.dtls.messages.framing import Fragment, decode_fragments
from halfkey.dtls.record import PLAINTEXT_EPOCH, RecordNumber, encode_record
from halfkey.dtls.registries import DTLS_1_2, ContentType, HandshakeType
from halfkey.key_distributor.association import _ENDED_REMEMBERED, HANDSHAKE_BYTES
from halfkey.key_distributor.events import Disassociated, Refused
from halfkey.key_distributor.handshakes import Attempts
from halfkey.key_distributor.policy import Policy
from halfkey.tunnel import EndpointDisconnect
from tests.key_distributor.world import START, Endpoint, MediaDistributor, World, reconnect

ADMISSIONS_END = START + Policy().admission_age
"""When admissions of the beginning end that nobody used: nothing else is due then."""

SMALL = Policy(half_open_per_media_distributor=4, half_open=6)
RECORD_HEADER = 13


def first_client_hello(world: World, endpoint: Endpoint) -> bytes:
    endpoint.connection.start(world.now)
    (datagram,) = endpoint.connection.datagrams_to_send()
    world.endpoints.remove(endpoint)  # it sends nothing else
    return datagram


def first_half(hello: bytes) -> bytes:
    """A datagram with the first part of a ClientHello."""
    (whole,) = decode_fragments(hello[RECORD_HEADER:])
    part = whole._replace(data=whole.data[: len(whole.data) // 2])
    number = RecordNumber(PLAINTEXT_EPOCH, 0)
    return encode_record(ContentType.HANDSHAKE, DTLS_1_2, number, part.encode())


def flood(world: World, md: MediaDistributor, datagram: bytes, count: int) -> None:
    for _ in range(count):
        md.end.send_tunneled_dtls(uuid4(), datagram)
    world.pump()


def last_flight_lost(endpoint: Endpoint, direction: str, datagram: bytes) -> bool:
    """A handshake that stays half done: nothing but ClientHellos comes through."""
    return direction == "up" and not may_be_client_hello(datagram)


def test_noise_makes_no_association() -> None:
    world = World()
    md = world.media_distributor()
    noise = [b"\x16", b"\x17" * 50, bytes(50), b"\x16\xfe\xfd\x00\x01" + bytes(50), os.urandom(99)]
    for datagram in noise:
        md.end.send_tunneled_dtls(uuid4(), datagram)
    world.pump()
    figures = world.core.snapshot()
    assert figures["dropped"] == {"unknown_association": len(noise)}
    assert figures["associations_now"] == 0
    assert world.core.next_timer() is None


def test_a_flood_of_client_hellos_leaves_nothing_behind_and_keeps_nobody_out() -> None:
    """The cookie is the state: an association begins when it comes back."""
    world = World(SMALL)
    md = world.media_distributor()
    hello = first_client_hello(world, world.endpoint(md, "mallory"))
    flood(world, md, hello, 500)
    figures = world.core.snapshot()
    assert (figures["half_open_now"], figures["associations_now"]) == (0, 0)
    assert figures["noise"] == {"cookie_missing": 500}
    assert figures["dropped"] == figures["refused"] == {}
    assert world.core.next_timer() == ADMISSIONS_END
    assert len(md.log) == 500  # each was answered
    assert len(world.join(md, "alice").spis) == 1


def test_client_hellos_in_parts_are_bounded_and_keep_nobody_out() -> None:
    """A part has to be held; before a cookie it is cheap to make, so the oldest makes room."""
    world = World(SMALL)
    greedy, honest = world.media_distributor(b"greedy"), world.media_distributor(b"honest")
    part = first_half(first_client_hello(world, world.endpoint(greedy, "mallory")))
    flood(world, greedy, part, 4)
    assert world.core.snapshot()["dropped"] == {}
    flood(world, greedy, part, 496)
    figures = world.core.snapshot()
    assert figures["half_open_now"] == 4
    assert figures["dropped"] == {"too_many_unproven": 496}
    assert len(world.join(greedy, "alice").spis) == len(world.join(honest, "bob").spis) == 1


def test_a_client_hello_in_parts_is_forgotten_after_30_seconds() -> None:
    world = World(SMALL)
    md = world.media_distributor()
    flood(world, md, first_half(first_client_hello(world, world.endpoint(md, "mallory"))), 3)
    world.advance(29)
    assert world.core.snapshot()["half_open_now"] == 3
    world.advance(1.5)
    figures = world.core.snapshot()
    assert (figures["half_open_now"], figures["dropped"]) == (0, {"client_hello_timeout": 3})
    # Nobody is told: nobody has shown to be there.
    assert not [one for one in md.log if isinstance(one, EndpointDisconnect)]
    assert world.core.next_timer() == ADMISSIONS_END


def test_an_association_that_had_to_make_room_still_completes() -> None:
    """Its first ClientHello may go lost with what it was held in; the next one makes it anew."""
    world = World(SMALL)
    md = world.media_distributor()
    part = first_half(first_client_hello(world, world.endpoint(md, "mallory")))
    alice = world.endpoint(md, "alice")
    alice.connection.start(world.now)
    world._pump_endpoints()
    flood(world, md, part, 10)
    assert len(alice.spis) == 1


@pytest.mark.parametrize("elsewhere", ["another association", "another Media Distributor"])
def test_a_cookie_is_good_for_one_association_only(elsewhere: str) -> None:
    world = World()
    md, other = world.media_distributor(b"md"), world.media_distributor(b"other")
    alice = world.endpoint(md, "alice")
    hellos: list[bytes] = []

    def lost(endpoint: Endpoint, direction: str, datagram: bytes) -> bool:
        if direction == "up":
            hellos.append(datagram)
        return direction == "up" and len(hellos) == 2  # the one with the cookie

    world.lost = lost
    alice.connection.start(world.now)
    world.pump()
    if elsewhere == "another association":
        md.end.send_tunneled_dtls(uuid4(), hellos[1])
    else:
        other.end.send_tunneled_dtls(alice.association_id, hellos[1])
    world.pump()
    assert world.core._table._handshakes == 0
    md.end.send_tunneled_dtls(alice.association_id, hellos[1])
    world.pump()
    assert len(alice.spis) == 1


def test_the_bound_over_all_falls_on_who_has_the_most() -> None:
    world = World(SMALL)
    greedy, modest = world.media_distributor(b"greedy"), world.media_distributor(b"modest")
    part = first_half(first_client_hello(world, world.endpoint(greedy, "mallory")))
    flood(world, modest, part, 2)
    flood(world, greedy, part, 50)
    assert len(world.core._table.of(b"modest")) == 2
    assert len(world.core._table.of(b"greedy")) == 4
    third = world.media_distributor(b"third")
    flood(world, third, part, 1)
    assert world.core.snapshot()["half_open_now"] == 6
    assert len(world.core._table.of(b"third")) == 1


def test_handshakes_under_way_are_bounded() -> None:
    world = World(SMALL)
    md = world.media_distributor()
    world.lost = last_flight_lost
    for number in range(6):
        world.join(md, f"p{number}")
    figures = world.core.snapshot()
    assert figures["half_open_now"] == 4
    assert figures["refused"] == {"too_many_handshakes": 2}
    honest = world.media_distributor(b"honest")
    world.lost = lambda endpoint, direction, datagram: False
    assert len(world.join(honest, "alice").spis) == 1


def test_handshakes_under_way_are_bounded_over_all_media_distributors() -> None:
    world = World(SMALL)
    world.lost = last_flight_lost
    for number in range(8):
        world.join(world.media_distributor(b"md %d" % number), f"p{number}")
    figures = world.core.snapshot()
    assert figures["half_open_now"] == 6
    assert figures["refused"] == {"too_many_handshakes": 2}
    world.lost = lambda endpoint, direction, datagram: False
    world.advance(31)  # those have had their time
    assert len(world.join(world.media_distributor(b"another"), "alice").spis) == 1


@pytest.mark.parametrize(
    "scarce",
    [
        {"handshakes_unrationed": 3},
        {"half_open_per_media_distributor": 6},
        {"half_open": 6},
    ],
    ids=lambda scarce: next(iter(scarce)),
)
def test_one_participant_makes_us_sign_a_few_times_only_where_that_is_scarce(
    scarce: dict[str, int],
) -> None:
    world = World(Policy(handshakes_per_participant=3, **scarce))
    md, other = world.media_distributor(), world.media_distributor(b"other")
    world.lost = last_flight_lost
    alice = world.join(md, "alice")
    for _ in range(4):
        reconnect(world, alice)
    figures = world.core.snapshot()
    assert figures["half_open_now"] == 3
    assert figures["refused"] == {"too_many_attempts": 2}
    world.lost = lambda endpoint, direction, datagram: False
    assert len(world.join(other, "bob").spis) == 1
    world.advance(31)
    assert len(reconnect(world, alice).spis) == 1


def test_nobody_uses_up_the_handshakes_of_another() -> None:
    """All in a conference know its tls-id, and any of them can begin handshakes as it."""
    world = World(Policy())
    md = world.media_distributor()
    alice = world.join(md, "alice")
    world.lost = last_flight_lost
    for _ in range(10 * Policy().handshakes_per_participant):
        reconnect(world, alice)
    world.lost = lambda endpoint, direction, datagram: False
    assert len(reconnect(world, alice).spis) == 1
    assert world.core.snapshot()["refused"] == {}


def test_attempts_are_not_counted_against_anybody_until_they_are_many() -> None:
    attempts = Attempts(2, 10.0, 5)
    assert all(attempts.admit(b"alice", 0.0) for _ in range(4))
    assert not attempts.admit(b"alice", 1.0, is_scarce=True)
    assert attempts.admit(b"bob", 1.0)
    assert not attempts.admit(b"alice", 2.0)
    assert attempts.admit(b"bob", 2.0)
    assert not attempts.admit(b"bob", 2.0)
    assert attempts.admit(b"alice", 10.0)  # her four are forgotten


def test_attempts_are_forgotten_with_their_period() -> None:
    attempts = Attempts(2, 10.0)
    assert [attempts.admit(b"alice", at) for at in (0.0, 9.0, 9.5)] == [True, True, False]
    assert attempts.admit(b"bob", 5.0)
    assert attempts.admit(b"alice", 10.0)
    assert len(attempts) == 2
    assert attempts.admit(b"carol", 30.0)
    assert len(attempts) == 1


@pytest.mark.parametrize("is_over", [False, True])
def test_the_work_for_a_handshake_is_bounded_in_bytes(is_over: bool) -> None:
    """Anybody on the way can send these records; past the bound they aren't even looked at."""
    world = World()
    md, other = world.media_distributor(), world.media_distributor(b"other")
    world.lost = last_flight_lost
    alice = world.join(md, "alice")
    record = encode_record(
        ContentType.HANDSHAKE, DTLS_1_2, RecordNumber(PLAINTEXT_EPOCH, 9), bytes(1000)
    )
    # Beside the handshake itself: in 1.3 the hybrid makes a long ClientHello of the second.
    fitting = (HANDSHAKE_BYTES - 4096) // len(record)
    for _ in range(fitting + (9 if is_over else 0)):
        md.end.send_tunneled_dtls(alice.association_id, record)
        world.pump()
    dropped = world.core.snapshot()["dropped"]
    assert dropped == ({"handshake_bytes": dropped["handshake_bytes"]} if is_over else {})
    world.lost = lambda endpoint, direction, datagram: False
    assert len(world.join(other, "bob").spis) == 1
    world.advance(1)
    assert len(alice.spis) == (0 if is_over else 1)


def plain_fragment(message_seq: int, length: int, at: int = 0) -> bytes:
    """A record with a byte of a Certificate of that length."""
    fragment = Fragment(HandshakeType.CERTIFICATE, length, message_seq, at, b"\0")
    number = RecordNumber(PLAINTEXT_EPOCH, 9)
    return encode_record(ContentType.HANDSHAKE, DTLS_1_2, number, fragment.encode())


def early_record(number: int) -> bytes:
    """A protected record that comes before its key."""
    at = RecordNumber(PLAINTEXT_EPOCH + 1, number)
    return encode_record(ContentType.HANDSHAKE, DTLS_1_2, at, bytes(100))


NEXT = 2
"""The message_seq after two ClientHellos."""
HELD = {
    "a message that is too long": (
        [plain_fragment(NEXT, MAXIMUM_MESSAGE)],
        [plain_fragment(NEXT + 1, MAXIMUM_MESSAGE + 1)],
        "reassembly_limit",
    ),
    "messages ahead": (
        [plain_fragment(NEXT + number, 100) for number in range(MAXIMUM_AHEAD)],
        [plain_fragment(NEXT + MAXIMUM_AHEAD, 100)],
        "reassembly_limit",
    ),
    "bytes ahead": (
        [plain_fragment(NEXT + number, MAXIMUM_BYTES_AHEAD // 4) for number in range(1, 5)],
        [plain_fragment(NEXT + 5, 100)],
        "reassembly_limit",
    ),
    "records before their key": (
        [early_record(number) for number in range(8)],
        [early_record(8)],
        "early_record_limit",
    ),
}


@pytest.mark.parametrize(("within", "beyond", "counter"), HELD.values(), ids=HELD)
def test_what_a_handshake_can_make_us_hold_is_bounded(
    within: list[bytes], beyond: list[bytes], counter: str
) -> None:
    # In 1.3 nothing of a client's in plain text is kept, once its ClientHello is there.
    world = World(Policy(dtls_versions=(DTLS_1_2,)))
    md, other = world.media_distributor(), world.media_distributor(b"other")
    world.lost = last_flight_lost
    mallory = world.join(md, "mallory")
    for datagrams, expected in ((within, 0), (beyond, len(beyond))):
        for datagram in datagrams:
            md.end.send_tunneled_dtls(mallory.association_id, datagram)
            world.pump()
        assert world.core.snapshot()["noise"].get(counter, 0) == expected
    world.lost = lambda endpoint, direction, datagram: False
    assert len(world.join(other, "bob").spis) == 1


def test_a_connected_association_is_not_bounded_in_bytes() -> None:
    world = World()
    md = world.media_distributor()
    alice = world.join(md, "alice")
    for _ in range(2 * HANDSHAKE_BYTES // 1000):
        md.end.send_tunneled_dtls(alice.association_id, b"\x16" * 1000)
        world.pump()
    assert world.core.snapshot()["dropped"] == {}
    assert world.core.rekey("c", world.now + 2)
    world.pump()
    assert len(alice.spis) == 2


def test_a_handshake_is_given_30_seconds() -> None:
    world = World()
    md = world.media_distributor()
    world.lost = last_flight_lost
    alice = world.join(md, "alice")
    world.advance(29)
    assert world.core.snapshot()["half_open_now"] == 1
    assert not alice.was_disconnected
    world.advance(1.5)
    assert world.core.snapshot()["half_open_now"] == 0
    assert alice.was_disconnected
    assert world.core.snapshot()["refused"] == {"handshake_timeout": 1}
    assert world.core.next_timer() == ADMISSIONS_END  # it may try again until then


def test_late_datagrams_of_an_ended_association_begin_no_other() -> None:
    world = World()
    md = world.media_distributor()
    alice = world.endpoint(md, "alice")
    hello = first_client_hello(world, alice)
    md.end.send_tunneled_dtls(alice.association_id, hello)
    world.pump()
    md.end.send_endpoint_disconnect(alice.association_id)
    md.end.send_tunneled_dtls(alice.association_id, hello)
    world.pump()
    figures = world.core.snapshot()
    assert figures["dropped"] == {"unknown_association": 1, "ended_association": 1}
    assert figures["associations_now"] == 0


def test_late_datagrams_of_a_handshake_that_ended_begin_no_other() -> None:
    world = World()
    md = world.media_distributor()
    world.lost = last_flight_lost
    alice = world.join(md, "alice")
    assert world.core.snapshot()["half_open_now"] == 1
    md.end.send_endpoint_disconnect(alice.association_id)
    world.pump()
    world.lost = lambda endpoint, direction, datagram: False
    world.advance(1)  # it sends its last flight again
    figures = world.core.snapshot()
    assert figures["dropped"] == {"ended_association": figures["dropped"]["ended_association"]}
    assert (figures["half_open_now"], alice.spis) == (0, [])


def test_the_memory_of_ended_associations_is_bounded() -> None:
    world = World()
    md = world.media_distributor()
    hello = first_client_hello(world, world.endpoint(md, "mallory"))
    for _ in range(_ENDED_REMEMBERED + 50):
        association = uuid4()
        md.end.send_tunneled_dtls(association, hello)
        md.end.send_endpoint_disconnect(association)
        if _ % 500 == 0:
            world.pump()
    world.pump()
    assert len(world.core._table._of(md.identity).ended) == _ENDED_REMEMBERED


def test_refusals_are_all_counted_and_told_at_a_bounded_rate() -> None:
    world = World()
    md = world.media_distributor()
    for number in range(30):
        world.join(md, f"p{number}", external_session_id=b"not what was admitted.")
    assert world.core.snapshot()["refused"] == {"unknown_tls_id": 30}
    assert len(world.of(Refused)) == 10
    world.advance(2)
    world.join(md, "late", external_session_id=b"not what was admitted.")
    assert len(world.of(Refused)) == 11


@pytest.mark.parametrize("seconds", [1, 29])
def test_associations_outlive_a_short_loss_of_the_tunnel(seconds: int) -> None:
    world = World()
    md = world.media_distributor()
    alice, bob = world.join(md, "alice"), world.join(md, "bob")
    world.lose_tunnel(md)
    world.advance(seconds)
    world.core.remove("c", "bob", world.now)  # the rekey finds no way, and tries again
    world.pump()
    assert len(alice.spis) == 1
    world.dial_again(md)
    world.advance(70)
    assert len(alice.spis) == 2
    assert alice.terminated is None
    assert world.core.snapshot()["associations_now"] == 1
    assert bob.spis == alice.spis[:1]


def test_associations_end_when_the_tunnel_stays_away() -> None:
    world = World()
    md = world.media_distributor()
    world.join(md, "alice")
    world.join(md, "bob")
    world.lost = last_flight_lost
    world.join(md, "carol")
    world.lose_tunnel(md)
    assert world.core.snapshot()["refused"] == {"tunnel_lost": 1}
    world.advance(31)
    assert [event.reason for event in world.of(Disassociated)] == ["tunnel_lost"] * 2
    assert world.core.snapshot()["associations_now"] == 0
    assert world.core.snapshot()["rekeys"] == 0  # nobody was left to rekey


def test_participants_of_a_lost_media_distributor_are_rekeyed_out_once() -> None:
    world = World()
    near, far = world.media_distributor(b"near"), world.media_distributor(b"far")
    alice = world.join(near, "alice")
    for name in ("bob", "carol", "dave"):
        world.join(far, name)
    world.lose_tunnel(far)
    world.advance(31)
    assert len(alice.spis) == 2


def test_another_tunnel_of_the_same_media_distributor_takes_over_at_once() -> None:
    world = World()
    first = world.media_distributor()
    alice = world.join(first, "alice")
    second = world.media_distributor()
    world.lose_tunnel(first)
    alice.media_distributor = second
    assert world.core.rekey("c", world.now + 2)
    world.pump()
    assert len(set(alice.spis)) == 2
    world.advance(60)
    assert world.core.snapshot()["associations_now"] == 1


def test_a_tunnel_that_breaks_the_rules_is_over_and_raises_nothing() -> None:
    world = World()
    md = world.media_distributor()
    alice = world.join(md, "alice")
    world.core.receive_data(md.tunnel_id, b"\x01\x00\x00", world.now)
    assert world.core.is_over(md.tunnel_id)
    world.lose_tunnel(md)
    world.dial_again(md)
    assert world.core.rekey("c", world.now + 2)
    world.pump()
    assert len(set(alice.spis)) == 2
    world.core.receive_data(12345, b"data of no tunnel", world.now)
