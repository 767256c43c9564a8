"""What is fuzzed: for each parser or engine a function of bytes, its invariant above it.

A target returns whether the input was taken for valid, so that the tests can hold that the seeds
reach what lies behind the parser. Anything it raises is a finding.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

from halfkey.codec import Reader, Writer
from halfkey.dtls import Connection, ConnectionTerminated, HandshakeCompleted
from halfkey.dtls import extensions as extension
from halfkey.dtls.crypto.signatures import certificate_public_key
from halfkey.dtls.faults import ProtocolFault
from halfkey.dtls.fragments import MAXIMUM_BYTES_AHEAD, MAXIMUM_MESSAGE
from halfkey.dtls.messages import certificate_1_3
from halfkey.dtls.messages.ack import Ack
from halfkey.dtls.messages.alert import Alert
from halfkey.dtls.messages.certificate import (
    CertificateMessage,
    CertificateRequest,
    CertificateVerify,
)
from halfkey.dtls.messages.client_hello import ClientHello, cookie_and_parameters
from halfkey.dtls.messages.encrypted_extensions import EncryptedExtensions
from halfkey.dtls.messages.finished import Finished
from halfkey.dtls.messages.framing import decode_fragments
from halfkey.dtls.messages.hello_verify_request import HelloVerifyRequest
from halfkey.dtls.messages.key_exchange import ClientKeyExchange, ServerKeyExchange
from halfkey.dtls.messages.key_update import KeyUpdate
from halfkey.dtls.messages.new_session_ticket import NewSessionTicket
from halfkey.dtls.messages.server_hello import ServerHello, ServerHelloDone
from halfkey.dtls.registries import ProtocolVersion
from halfkey.ekt.messages import EKTCipher, EKTKey
from halfkey.errors import CodecError, ConfigurationError
from halfkey.identity.claims import AssertionRefused
from halfkey.identity.envelope import IdentityAssertion
from halfkey.identity.invite import Invite, InviteSecret, InviteVerifier
from halfkey.identity.keyset import KeySet
from halfkey.identity.link import Link
from halfkey.identity.verifier import Verifiers
from halfkey.profiles import DOUBLE_128, DOUBLE_256
from halfkey.sdp import SessionDescription, read_answer, read_offer
from halfkey.tunnel.connection import KeyDistributorTunnel, MediaDistributorTunnel
from halfkey.tunnel.stream import DECODERS, HARD_SEND_LIMIT
from tests.dtls.helpers import (
    LATENCY,
    PEER,
    Delivery,
    Network,
    client_configuration,
    connected,
    ekt_key,
    server_configuration,
)
from tests.fuzz import key_distributor as distributor
from tests.identity.helpers import BINDING, CLAIMS, NOW
from tests.sdp.samples import OFFER

Target = Callable[[bytes], bool]

HELD_BOUND = MAXIMUM_BYTES_AHEAD + 2 * MAXIMUM_MESSAGE
AMPLIFICATION = 3
LARGEST_RECORD = 1 << 14
SHORTEST_SECRET = 8
SECRET = InviteSecret(bytes(range(16)), "board")
INVITE = Invite(
    id="invite-of-the-fuzzer",
    conference="board",
    name="Zoë",
    role=CLAIMS.role,
    thumbprint=SECRET.thumbprint,
)
MESSAGES = (
    ClientHello,
    ServerHello,
    HelloVerifyRequest,
    CertificateMessage,
    CertificateRequest,
    CertificateVerify,
    ServerKeyExchange,
    ServerHelloDone,
    ClientKeyExchange,
    Finished,
    EncryptedExtensions,
    certificate_1_3.CertificateMessage,
    certificate_1_3.CertificateRequest,
    KeyUpdate,
    NewSessionTicket,
    Alert,
    Ack,
)
EXTENSIONS = (
    (extension.decode_uint16_list, extension.encode_uint16_list),
    (extension.decode_uint8_list, extension.encode_uint8_list),
    (extension.decode_selected_ekt_cipher, extension.encode_selected_ekt_cipher),
    (extension.decode_offered_versions, extension.encode_offered_versions),
    (extension.decode_uint16, extension.encode_uint16),
    (extension.decode_cookie, extension.encode_cookie),
    (extension.decode_key_shares, extension.encode_key_shares),
    (extension.KeyShareEntry.decode, extension.KeyShareEntry.encode),
    (extension.decode_external_session_id, extension.encode_external_session_id),
    (extension.decode_external_id_hash, extension.encode_external_id_hash),
)


VERSIONS = (tuple(ProtocolVersion), (ProtocolVersion.DTLS_1_2,))
"""What both sides speak: 1.3, though they could both; or 1.2."""


def frame(chunks: list[bytes]) -> bytes:
    """Several datagrams as one input: two bytes of length before each."""
    return b"".join(len(chunk).to_bytes(2, "big") + chunk for chunk in chunks)


def chunks_of(data: bytes) -> Iterator[bytes]:
    """The counterpart of `frame`; the last may be short."""
    while data:
        end = 2 + int.from_bytes(data[:2], "big")
        yield data[2:end]
        data = data[end:]


# Nothing from outside completes a handshake, or makes a connection hold or say more than it may.
def dtls_datagrams(data: bytes) -> bool:
    client, server = (
        Connection(configuration, PEER)
        for configuration in (client_configuration(), server_configuration())
    )
    client.start(0.0)
    received = sent = 0
    is_answered = False
    client.datagrams_to_send()
    for datagram in chunks_of(data):
        received += len(datagram)
        for connection in (client, server):
            connection.receive_datagram(datagram, 1.0)
            check_bounds(connection)
        answers = server.datagrams_to_send()
        is_answered = is_answered or bool(answers or client.datagrams_to_send())
        if server.state.value == "EXPECT_CLIENT_HELLO":
            sent += sum(map(len, answers))
            assert sent <= AMPLIFICATION * received, "more is sent than an unproven address may get"
    for connection in (client, server):
        kinds = [type(event) for event in events_of(connection)]
        assert HandshakeCompleted not in kinds, "a handshake with nobody completed"
        assert kinds.count(ConnectionTerminated) <= 1, "an association ended twice"
    return is_answered


# A handshake that is tampered with completes on both sides with the same keys, or not at all.
def dtls_handshake(data: bytes) -> bool:
    if len(data) < 4:
        return False
    changed, is_insertion, at, change = data[0] % 12, data[1] & 1, data[2:4], data[4:]
    versions = VERSIONS[data[1] >> 1 & 1]

    def fate(index: int, sender: str, datagram: bytes) -> Delivery:
        if index != changed:
            return [(LATENCY, datagram)]
        if is_insertion:
            return [(LATENCY, change), (LATENCY, datagram)]
        place = int.from_bytes(at, "big") % len(datagram)
        part = datagram[place : place + len(change)]
        new = bytes(one ^ other for one, other in zip(part, change, strict=False))
        return [(LATENCY, datagram[:place] + new + datagram[place + len(new) :])]

    client = client_configuration(versions=versions)
    network = Network(client, server_configuration(versions=versions), fate).start().run()
    completed = []
    for side in (network.client, network.server):
        check_bounds(side.connection)
        assert len(side.of(ConnectionTerminated)) <= 1, "an association ended twice"
        completed += side.of(HandshakeCompleted)
    materials = {event.keying_material for event in completed if type(event) is HandshakeCompleted}
    assert len(materials) <= 1, "the sides completed with different keys"
    return len(completed) == 2


# Not even the authenticated peer makes an association raise, end twice, or hold without a bound.
def dtls_authenticated(data: bytes) -> bool:
    versions = VERSIONS[data[0] & 1 if data else 0]
    network = connected(
        client_configuration(versions=versions), server_configuration(versions=versions)
    )
    client, server = network.client.connection, network.server.connection
    server.send_ekt_key(ekt_key(), network.now)
    for chunk in chunks_of(data[1:]):
        for sender, receiver in ((client, server), (server, client)):
            if not chunk or sender.is_terminated:
                continue
            sender._channel.send_record(chunk[0], chunk[1 : 1 + LARGEST_RECORD])  # type: ignore[arg-type]
            for datagram in sender.datagrams_to_send():
                receiver.receive_datagram(datagram, network.now)
            check_bounds(receiver)
    for connection in (client, server):
        kinds = [type(event) for event in events_of(connection)]
        assert kinds.count(ConnectionTerminated) <= 1, "an association ended twice"
        assert HandshakeCompleted not in kinds, "an association completed twice"
    return client.is_connected and server.is_connected


# A message is refused with CodecError, or says the same after it was written and read again.
def dtls_messages(data: bytes) -> bool:
    accepted = False
    for message in MESSAGES:
        try:
            decoded = message.decode(data[1:])
        except CodecError:
            continue
        assert message.decode(decoded.encode()) == decoded, f"{message.__name__} changes"
        accepted = True
    for cipher in EKTCipher:
        try:
            key = EKTKey.decode(data[1:], cipher)
        except CodecError:
            continue
        assert EKTKey.decode(key.encode(), cipher) == key, "EKTKey changes"
        accepted = True
    for parse in (decode_fragments, cookie_and_parameters):
        try:
            parse(data[1:])
        except CodecError:
            continue
    return accepted


# A block of extensions is refused, or comes back byte for byte; likewise each extension's content.
def dtls_extensions(data: bytes) -> bool:
    try:
        reader = Reader(data)
        block = extension.read_extensions(reader)
        reader.finish()
    except CodecError:
        return False
    writer = Writer()
    extension.write_extensions(writer, block)
    # An empty block may be missing, and is then not written.
    assert writer.getvalue() == data or not block, "the block changes"
    for content in block.values():
        for decode, encode in EXTENSIONS:
            try:
                decoded = decode(content)
            except CodecError:
                continue
            assert encode(decoded) == content, f"{decode.__name__} loses something"  # type: ignore[arg-type]
        try:
            assert extension.encode_use_srtp(*extension.decode_use_srtp(content)) == content
        except CodecError:
            continue
    return True


# A certificate has a key that we can use, or is refused with an alert.
def dtls_certificate(data: bytes) -> bool:
    try:
        certificate_public_key(data)
    except ProtocolFault:
        return False
    return True


# The stream says the same in one piece and byte by byte, and each message survives a round trip.
def tunnel(data: bytes) -> bool:
    profiles = (DOUBLE_128, DOUBLE_256)
    accepted = False
    for make in (
        functools.partial(MediaDistributorTunnel, profiles),
        KeyDistributorTunnel,
    ):
        whole, pieces = make(), make()
        whole.receive_data(data, 0.0)
        for at in range(len(data)):
            pieces.receive_data(data[at : at + 1], 0.0)
            assert len(pieces._splitter._buffer) <= 3 + 0xFFFF, "more than a message is held"
        events = list(iter(whole.next_event, None))
        assert events == list(iter(pieces.next_event, None)), "the pieces matter"
        assert whole.state is pieces.state
        assert len(whole.data_to_send()) <= HARD_SEND_LIMIT
        accepted = accepted or whole.statistics.messages_received > 0
    for decode in DECODERS.values():
        try:
            message = decode(data[3:])
        except CodecError:
            continue
        assert decode(message.encode()[3:]) == message, "a message changes"
    return accepted


# Whatever comes by tunnels, a Key Distributor holds and associates no more than it may.
def key_distributor(data: bytes) -> bool:
    return distributor.run(list(chunks_of(data)))


# A description comes back to the letter; offer and answer are read, or refused with CodecError.
def sdp(data: bytes) -> bool:
    try:
        description = SessionDescription.parse(data)
    except CodecError:
        return False
    assert str(description).encode() == data, "the description changes"
    accepted = False
    for read in (read_offer, functools.partial(read_answer, offer=read_offer(OFFER))):
        try:
            read(data)
        except CodecError:
            continue
        accepted = True
    return accepted


# A link comes back as it was, or is refused without a word of what is secret in it.
def link(data: bytes) -> bool:
    text = data.decode("latin-1")
    try:
        parsed = Link.parse(text)
    except (ConfigurationError, CodecError) as error:
        _check_refusal(str(error), text.partition("#")[2].strip())
        return False
    assert Link.parse(str(parsed)) == parsed, "the link changes"
    return True


def _check_refusal(refusal: str, fragment: str) -> None:
    assert len(fragment) < SHORTEST_SECRET or fragment not in refusal, "the fragment is told"
    assert "\n" not in refusal, "the refusal has more than a line"


# Only the token that was signed is believed, in its one spelling; the JSON around it may be spaced.
def assertion(data: bytes) -> bool:
    text = data.decode("latin-1")
    verifiers = Verifiers([InviteVerifier(lambda thumbprint: INVITE)])
    try:
        person, claims = verifiers.verify(text, BINDING, NOW)
    except AssertionRefused:
        return False
    assert claims == CLAIMS, "other claims are believed"
    assert person.identity == f"invite:{INVITE.id}"
    token = IdentityAssertion.parse(text).assertion
    assert token == SECRET.sign(CLAIMS).assertion, "the token is believed in another spelling"
    return True


# A set of keys is read within its bounds, or refused with CodecError.
def key_set(data: bytes) -> bool:
    try:
        keys = KeySet.parse(data)
    except CodecError:
        return False
    for algorithm in ("ES256", "RS256", "EdDSA"):
        keys.find(None, algorithm)
    return len(keys) > 0


# Broken on purpose, for the test that a finding is seen.
def planted(data: bytes) -> bool:
    assert len(data) < 3, "found"
    return True


def check_bounds(connection: Connection) -> None:
    """What a connection holds is bounded, whatever it was sent."""
    held = connection._channel.reassembler.held_bytes
    assert held <= HELD_BOUND, "a connection holds too much"


def events_of(connection: Connection) -> list[object]:
    """Takes every event."""
    return list(iter(connection.next_event, None))


TARGETS: dict[str, Target] = {
    target.__name__: target
    for target in (
        dtls_datagrams,
        dtls_handshake,
        dtls_authenticated,
        dtls_messages,
        dtls_extensions,
        dtls_certificate,
        tunnel,
        key_distributor,
        sdp,
        link,
        assertion,
        key_set,
    )
}
