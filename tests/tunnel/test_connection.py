"""Both ends of the tunnel against each other, and against peers that break the rules."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halfkey.errors import UsageError
from halfkey.tunnel import (
    EndpointDisconnect,
    KeyDistributorTunnel,
    MediaDistributorTunnel,
    MediaKeys,
    Message,
    MessageType,
    State,
    SupportedProfiles,
    TunneledDtls,
    TunnelEnd,
    TunnelTerminated,
    UnsupportedVersion,
)
from halfkey.tunnel.stream import HARD_SEND_LIMIT, SEND_LIMIT

NOW = 0.0
A, B = uuid4(), uuid4()


def keys(association: UUID) -> MediaKeys:
    return MediaKeys(association, 9, b"", b"k" * 16, b"K" * 16, b"s" * 12, b"S" * 12)


SAMPLES: dict[MessageType, Message] = {
    message.message_type: message
    for message in (
        SupportedProfiles(0, (9, 10)),
        UnsupportedVersion(0),
        keys(A),
        TunneledDtls(A, b"dtls"),
        EndpointDisconnect(A),
    )
}


def drain(end: TunnelEnd) -> list[Message | TunnelTerminated]:
    events = []
    while (event := end.next_event()) is not None:
        events.append(event)
    return events


def established() -> tuple[MediaDistributorTunnel, KeyDistributorTunnel]:
    md, kd = MediaDistributorTunnel([9, 10]), KeyDistributorTunnel()
    kd.receive_data(md.data_to_send(), NOW)
    assert drain(kd) == [SupportedProfiles(0, (9, 10))]
    return md, kd


def test_the_media_distributor_speaks_first() -> None:
    assert KeyDistributorTunnel().data_to_send() == b""
    assert MediaDistributorTunnel([9, 10]).data_to_send().hex() == "0100070000040009000a"


def test_many_associations_share_one_tunnel_in_order() -> None:
    md, kd = established()
    associations = [uuid4() for _ in range(100)]
    for number, association in enumerate(associations):
        md.send_tunneled_dtls(association, b"up %d" % number)
        kd.send_tunneled_dtls(association, b"down %d" % number)
        kd.send_media_keys(keys(association))
        md.send_endpoint_disconnect(association)
    kd.receive_data(md.data_to_send(), NOW)
    md.receive_data(kd.data_to_send(), NOW)
    up: list[Message | TunnelTerminated] = []
    down: list[Message | TunnelTerminated] = []
    for number, association in enumerate(associations):
        up += [TunneledDtls(association, b"up %d" % number), EndpointDisconnect(association)]
        down += [TunneledDtls(association, b"down %d" % number), keys(association)]
    assert drain(kd) == up
    assert drain(md) == down


@given(st.lists(st.integers(1, 40), min_size=1, max_size=60))
def test_the_stream_may_be_cut_anywhere(sizes: list[int]) -> None:
    _md, kd = established()
    sent: list[Message] = [TunneledDtls(A, b"x" * 50), EndpointDisconnect(A), TunneledDtls(B, b"y")]
    stream = b"".join(message.encode() for message in sent)
    while stream:
        size = sizes.pop(0) if sizes else len(stream)
        kd.receive_data(stream[:size], NOW)
        stream = stream[size:]
    assert drain(kd) == sent


def test_byte_by_byte_in_both_directions() -> None:
    md, kd = MediaDistributorTunnel([9]), KeyDistributorTunnel()
    md.send_tunneled_dtls(A, bytes(300))
    kd.send_tunneled_dtls(A, bytes(70))
    kd.send_endpoint_disconnect(A)
    for receiver, sender in ((kd, md), (md, kd)):
        for octet in sender.data_to_send():
            receiver.receive_data(bytes([octet]), NOW)
    assert drain(kd) == [SupportedProfiles(0, (9,)), TunneledDtls(A, bytes(300))]
    assert drain(md) == [TunneledDtls(A, bytes(70)), EndpointDisconnect(A)]


def in_state(kind: type[TunnelEnd], state: State) -> TunnelEnd:
    """A fresh end that reached `state` by what a peer sent."""
    end = MediaDistributorTunnel([9]) if kind is MediaDistributorTunnel else KeyDistributorTunnel()
    first: Message = keys(A) if kind is MediaDistributorTunnel else SupportedProfiles(0, (9,))
    if state is not kind.INITIAL_STATE:
        end.receive_data(first.encode(), NOW)
    drain(end)
    assert end.state is state
    return end


@pytest.mark.parametrize("kind", [MediaDistributorTunnel, KeyDistributorTunnel])
def test_every_message_in_every_state(kind: type[TunnelEnd]) -> None:
    """What the table doesn't list ends the tunnel; what it lists comes out as an event."""
    for state, expected in kind.TRANSITIONS.items():
        for message_type, message in SAMPLES.items():
            end = in_state(kind, state)
            end.receive_data(message.encode(), NOW)
            if message_type is MessageType.UNSUPPORTED_VERSION and message_type in expected:
                assert drain(end) == [message, TunnelTerminated("unsupported_version")]
            elif message_type in expected:
                assert drain(end) == [message]
                assert end.state is expected[message_type]
            else:
                assert drain(end) == [TunnelTerminated("unexpected_message")]
                assert end.state is State.TERMINATED


@pytest.mark.parametrize("kind", [MediaDistributorTunnel, KeyDistributorTunnel])
def test_a_malformed_body_ends_the_tunnel(kind: type[TunnelEnd]) -> None:
    for state, expected in kind.TRANSITIONS.items():
        for message_type in expected:
            end = in_state(kind, state)
            end.receive_data(bytes([message_type, 0, 0]), NOW)
            assert drain(end) == [TunnelTerminated("malformed")]


@pytest.mark.parametrize("unknown", [6, 0x80, 0xFF])
def test_unassigned_types_are_skipped_and_counted(unknown: int) -> None:
    _md, kd = established()
    kd.receive_data(bytes([unknown, 0, 3]) + b"???" + EndpointDisconnect(A).encode(), NOW)
    assert drain(kd) == [EndpointDisconnect(A)]
    assert kd.statistics.unknown_messages == 1


def test_nothing_takes_the_place_of_supported_profiles() -> None:
    kd = KeyDistributorTunnel()
    kd.receive_data(bytes([9, 0, 0]), NOW)
    assert drain(kd) == [TunnelTerminated("unexpected_message")]


def test_the_reserved_type_ends_the_tunnel() -> None:
    _, kd = established()
    kd.receive_data(bytes(3), NOW)
    assert drain(kd) == [TunnelTerminated("malformed")]


def test_the_key_distributor_refuses_another_version_and_says_its_own() -> None:
    md, kd = MediaDistributorTunnel([9], version=4), KeyDistributorTunnel()
    kd.receive_data(md.data_to_send(), NOW)
    assert drain(kd) == [TunnelTerminated("unsupported_version")]
    refusal = kd.data_to_send()
    assert refusal == UnsupportedVersion(0).encode()
    md.receive_data(refusal, NOW)
    assert drain(md) == [UnsupportedVersion(0), TunnelTerminated("unsupported_version")]
    assert md.state is State.TERMINATED


def test_another_version_is_recognised_whatever_follows_it() -> None:
    """Only the version byte can be read of a SupportedProfiles from the future."""
    kd = KeyDistributorTunnel()
    kd.receive_data(bytes.fromhex("01 0004 01 ffffff"), NOW)
    assert drain(kd) == [TunnelTerminated("unsupported_version")]
    assert kd.data_to_send() == UnsupportedVersion(0).encode()


def test_unsupported_version_is_recognised_behind_an_unknown_message_too() -> None:
    unknown, refusal = b"\xe0\0\0", b"\x02\0\x04\x05new"
    for pieces in ([unknown + refusal], [unknown, refusal], [unknown + refusal[:4]]):
        md = MediaDistributorTunnel([9])
        for piece in pieces:
            md.receive_data(piece, NOW)
        assert drain(md) == [UnsupportedVersion(5), TunnelTerminated("unsupported_version")]


def test_four_octets_of_unsupported_version_are_enough() -> None:
    """RFC 9185 section 5.5: a newer one may be longer, and the rest is discarded."""
    md = MediaDistributorTunnel([9])
    for octet in bytes.fromhex("02 0100"):
        md.receive_data(bytes([octet]), NOW)
        assert drain(md) == []
    md.receive_data(b"\x05", NOW)
    assert drain(md) == [UnsupportedVersion(5), TunnelTerminated("unsupported_version")]
    md.receive_data(keys(A).encode(), NOW)
    assert drain(md) == []


def test_after_the_end_nothing_is_received_or_sent() -> None:
    _md, kd = established()
    kd.close("connection_lost")
    kd.close("again")
    kd.send_tunneled_dtls(A, b"x")
    kd.send_endpoint_disconnect(A)
    kd.receive_data(EndpointDisconnect(A).encode(), NOW)
    assert drain(kd) == [TunnelTerminated("connection_lost")]
    assert kd.data_to_send() == b""


def test_datagrams_are_dropped_when_too_much_waits_but_not_what_must_arrive() -> None:
    md, kd = established()
    for _ in range(1000):
        kd.send_tunneled_dtls(A, bytes(2000))
    assert kd.statistics.datagrams_dropped > 0
    kd.send_endpoint_disconnect(A)
    kd.send_media_keys(keys(B))
    data = kd.data_to_send()
    assert SEND_LIMIT < len(data) < SEND_LIMIT + 4000
    md.receive_data(data, NOW)
    assert drain(md)[-2:] == [EndpointDisconnect(A), keys(B)]
    kd.send_tunneled_dtls(A, b"again")
    assert kd.data_to_send() == TunneledDtls(A, b"again").encode()


def test_a_peer_that_never_reads_ends_the_tunnel() -> None:
    _, kd = established()
    for _ in range(HARD_SEND_LIMIT // 19 + 2):
        kd.send_endpoint_disconnect(A)
    assert drain(kd) == [TunnelTerminated("send_buffer_full")]
    assert len(kd.data_to_send()) < HARD_SEND_LIMIT + 20


def test_misuse_raises() -> None:
    with pytest.raises(UsageError):
        MediaDistributorTunnel([])
    with pytest.raises(UsageError):
        KeyDistributorTunnel().send_media_keys(keys(A))
    md, _ = established()
    for datagram in (b"", bytes(0xFFFF)):
        with pytest.raises(UsageError):
            md.send_tunneled_dtls(A, datagram)


@given(st.lists(st.binary(max_size=80), max_size=20))
def test_noise_never_raises(pieces: list[bytes]) -> None:
    for end in (MediaDistributorTunnel([9]), *established()):
        for piece in pieces:
            end.receive_data(piece, NOW)
        events = drain(end)
        ends = [event for event in events if isinstance(event, TunnelTerminated)]
        assert len(ends) == (end.state is State.TERMINATED)
