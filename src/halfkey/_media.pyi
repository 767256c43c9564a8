"""Packet transforms and the Media Distributor's switch, in Rust.

A packet that a peer sent and that is refused raises `halfkey.errors.PacketRejected` with a stable
reason; keys of a wrong length, `ValueError`; misuse, `halfkey.errors.UsageError`. After any of them
nothing has been sent or opened.
"""

from collections.abc import Iterable
from typing import Any, Final, final

__all__ = [
    "MAX_WORKERS",
    "DoubleReceiver",
    "DoubleSender",
    "LoadGenerator",
    "SrtpReceiver",
    "SrtpSender",
    "Switch",
    "UnprotectedPacket",
    "derive_srtp_session_key",
    "full_ekt_field",
    "measure_load_floor",
]

MAX_WORKERS: Final[int] = 64
"""The most threads of a `Switch`."""

@final
class DoubleSender:
    """The sending half of one association: RFC 8723 section 5.1.

    Args:
        profile: 0x0009 or 0x000A.
        hop_master_key: the outer half of the key that this end sends with: 16 or 32 bytes.
        hop_master_salt: the outer half of the salt: 12 bytes.
    """

    def __new__(
        cls, profile: int, hop_master_key: bytes, hop_master_salt: bytes
    ) -> DoubleSender: ...
    def replace_hop_keys(self, hop_master_key: bytes, hop_master_salt: bytes) -> None:
        """Seals for the hop under other keys from the next packet on; inner keys and indices stay.

        Raises:
            ValueError: the keys are or were this hop's, serve end to end, or have a wrong length.
        """

    def set_inner_key(self, ssrc: int, master_key: bytes, master_salt: bytes) -> None:
        """Sets an SSRC's end-to-end key from its next packet on; the rollover counter goes on."""

    def rollover_counter(self, ssrc: int, sequence_number: int) -> int:
        """The inner rollover counter of a packet with this SSRC and sequence number."""

    def protect(self, packet: bytes, ekt_field: bytes = b"\x00") -> bytes:
        """Seals an RTP packet end to end and for the hop, and appends the EKT Field.

        Raises:
            UsageError: no inner key is set, the index was sealed before, or the arguments aren't
                an RTP packet and an EKT Field.
        """

    def protect_repair(self, packet: bytes, ekt_field: bytes = b"\x00") -> bytes:
        """Seals repair data for the hop only (repair mode), and appends the EKT Field."""

    def protect_rtcp(self, packet: bytes) -> bytes:
        """Seals a compound RTCP packet, for the hop only."""

@final
class DoubleReceiver:
    """The receiving half of one association: RFC 8723 section 5.3, RFC 8870 section 4.3.2.

    Args:
        profile: 0x0009 or 0x000A.
        hop_master_key: the outer half of the key that the other end sends with: 16 or 32 bytes.
        hop_master_salt: the outer half of the salt: 12 bytes.
    """

    def __new__(
        cls, profile: int, hop_master_key: bytes, hop_master_salt: bytes
    ) -> DoubleReceiver: ...
    def replace_hop_keys(self, hop_master_key: bytes, hop_master_salt: bytes) -> None:
        """Opens the hop's layer with other keys from now on; all that is known end to end stays.

        Raises:
            ValueError: the keys are or were this hop's, or have a wrong length.
        """

    def add_ekt_parameter_set(self, spi: int, ekt_key: bytes, srtp_master_salt: bytes) -> None:
        """Adds an EKTKey of 16 or 32 bytes, and the salt, whose first 12 bytes are used.

        Raises:
            UsageError: the SPI names another set, or there are 64 already.
        """

    def remove_ekt_parameter_set(self, spi: int) -> None:
        """Wipes a set, and the end-to-end keys that came under it."""

    def unprotect(self, packet: bytes) -> UnprotectedPacket:
        """Opens an SRTP packet with its EKT Field."""

    def unprotect_repair(self, packet: bytes) -> bytes:
        """Opens repair data with its EKT Field, which is left unread."""

    def unprotect_rtcp(self, packet: bytes) -> bytes:
        """Opens an SRTCP packet."""

@final
class UnprotectedPacket:
    """A packet that was opened."""

    @property
    def packet(self) -> bytes:
        """What the application may believe (RFC 8723 section 5.3).

        The sender's packet, with the outer PT and SEQ. Header extensions are the outer packet's:
        hints, which nobody vouches for end to end.
        """

    @property
    def ssrc(self) -> int: ...
    @property
    def inner_sequence_number(self) -> int:
        """SEQ as the sender made it, for statistics."""

    @property
    def inner_payload_type(self) -> int:
        """PT as the sender made it, for statistics."""

    @property
    def ekt_spi(self) -> int:
        """The SPI under which the key came that opened the packet."""

    @property
    def ekt_epoch(self) -> int:
        """That key's epoch."""

    @property
    def new_key(self) -> bool:
        """Whether this packet's Full EKT Field brought a key that wasn't known for the SSRC."""

@final
class SrtpSender:
    """Protects the packets of one direction with a plain AES-GCM profile (RFC 7714).

    Args:
        profile: 0x0007 or 0x0008.
        master_key: 16 or 32 bytes.
        master_salt: 12 bytes.
    """

    def __new__(cls, profile: int, master_key: bytes, master_salt: bytes) -> SrtpSender: ...
    def protect(self, packet: bytes) -> bytes: ...
    def protect_rtcp(self, packet: bytes) -> bytes: ...

@final
class SrtpReceiver:
    """Opens the packets of one direction with a plain AES-GCM profile (RFC 7714).

    Args:
        profile: 0x0007 or 0x0008.
        master_key: 16 or 32 bytes.
        master_salt: 12 bytes.
    """

    def __new__(cls, profile: int, master_key: bytes, master_salt: bytes) -> SrtpReceiver: ...
    def unprotect(self, packet: bytes) -> bytes: ...
    def unprotect_rtcp(self, packet: bytes) -> bytes: ...

@final
class Switch:
    """The Media Distributor's packet path: a UDP address with workers, each in a thread of its own.

    Calls that give instructions wait until they are followed, and are followed in their order; what
    is sent leaves after all of them. Participants are numbers that the caller chooses.

    Args:
        address: the local IPv4 or IPv6 address.
        port: 0 for any.
        queue_limit: datagrams that wait for `drain`, half of them strangers' and half of
            participants; one address gets an eighth or 16, and those over 1,500 bytes count as
            several.
        capture_bytes: how many of the payload bytes that came last are kept per SSRC, still
            encrypted end to end.
        late_after: seconds that media may wait for its turn, by the kernel's time stamps: what
            waited longer is dropped. None for 0.2.
        workers: how many, from 1 to 64. A source is forwarded by the one to which its SSRC belongs:
            the SSRC modulo their number.
        retransmission_cache: bytes of memory, of all workers together, for what video sources sent
            last: packets that a receiver lost are sent again from there. 0 for none.

    Raises:
        OSError: the address can't be bound.
        ValueError: the address is no IP address, or there are no workers or too many.
    """

    def __new__(
        cls,
        address: str,
        port: int,
        queue_limit: int = 4096,
        capture_bytes: int = 0,
        workers: int = 1,
        late_after: float | None = None,
        retransmission_cache: int = 0,
    ) -> Switch: ...
    @property
    def local_address(self) -> tuple[str, int]: ...
    @property
    def event_fd(self) -> int:
        """A descriptor that is readable while `drain` has something to give or to raise. Not to be
        read or closed."""

    @property
    def granted(self) -> dict[str, int]:
        """What the system gave the sockets: ``receive_buffer_bytes`` and ``send_buffer_bytes`` of
        ``asked_bytes``, and whether it joins datagrams (``joining``, UDP_GRO), says when they came
        (``timing``), and takes them to the worker that has their SSRC (``steering``)."""

    def drain(self, limit: int = 256) -> list[tuple[str, int, bytes]]:
        """Takes what isn't media: (host, port, data), oldest first. It is DTLS from participants,
        and connectivity checks that are proved and would change something: which nominate another
        address, or claim our role. No other STUN gets here.

        Raises:
            UsageError: a worker has ended by itself; what it forwarded is forwarded no more.
        """

    def send(self, host: str, port: int, data: bytes) -> bool:
        """Sends a STUN or DTLS datagram; False if too much is waiting, and this one is lost."""

    def add_participant(
        self,
        participant: int,
        own_ssrc: int,
        cname: str,
        *,
        extensions: dict[str, int],
        payload_types: dict[str, int],
        sources: list[tuple[int, str]],
    ) -> None:
        """Adds a participant without address and keys, in place of an earlier one of this number.

        Args:
            participant: its number.
            own_ssrc: for the RTCP of the Media Distributor on this hop.
            cname: the Media Distributor's on this hop.
            extensions: ids of header extensions, by URI.
            payload_types: by name, for example ``{"opus/48000/2": 111}``.
            sources: SSRC and kind, ``"audio"`` or ``"video"``, of what it sends.
        """

    def remove_participant(self, participant: int) -> None:
        """Forgets a participant, with its address, keys, sources and slots.

        Raises:
            UsageError: there is none of this number; so for the methods below.
        """

    def set_address(self, participant: int, host: str, port: int) -> None:
        """Sets where a participant's packets come from and go to.

        Raises:
            UsageError: the address is another participant's.
        """

    def set_keys(
        self,
        participant: int,
        profile: int,
        client_write_key: bytes,
        server_write_key: bytes,
        client_write_salt: bytes,
        server_write_salt: bytes,
    ) -> None:
        """Sets the hop's SRTP master keys and salts; of a double profile, the outer halves.

        Raises:
            ValueError: the profile is unknown, or a length doesn't fit it.
        """

    def set_credentials(
        self, participant: int, ufrag: str, password: str, remote_ufrag: str
    ) -> None:
        """Sets the ICE credentials of a participant's session, in place of earlier ones: our own
        ufrag and password, and the participant's ufrag. What proves itself by them and changes
        nothing is answered from then on.

        Raises:
            UsageError: another participant's session has the ufrag.
        """

    def checks(self) -> dict[int, tuple[int, float]]:
        """By participant: how many of its connectivity checks were answered, and the seconds since
        the last one; missing if none was."""

    def remove_keys(self, participant: int) -> None:
        """Wipes the hop's keys: nothing is taken from the participant or sent to it any more."""

    def assign_slots(self, assignments: Iterable[tuple[int, str, int, int]]) -> None:
        """Puts sources into receivers' slots, in place of what is there; asks for keyframes.

        All that can be filled are. Media is forwarded in between.

        Args:
            assignments: each a receiver, one of its mids, the owner of a source, its SSRC.

        Raises:
            UsageError: for the first that can't be: the owner hasn't declared the SSRC, or the
                receiver has it in another slot, or has no id for the mid header extension.
        """

    def clear_slot(self, receiver: int, mid: str) -> None:
        """Empties a slot.

        Raises:
            UsageError: it is empty.
        """

    def idle(self) -> dict[int, float]:
        """By participant, seconds since its last authentic packet; missing if there was none."""

    def statistics(self) -> dict[str, Any]:
        """Counters: received_packets, handed_over_packets (came to another worker first),
        forwarded_packets, sent_rtcp_packets, answered_checks, keyframe_requests; dropped, by
        reason; sources, by SSRC: received, lost, jitter in timestamp units. Of packets that
        receivers asked for again: retransmitted_packets, retransmitted_bytes, which are not among
        the forwarded; retransmission_cache_hits, retransmission_cache_misses;
        retransmission_cache_refusals, packets of video that were not kept for want of memory;
        retransmission_cache_bytes, the memory taken now.

        Distributions, each with `counts`, of (size, how many had no larger one, and a larger one
        than the entry before), and `sum`: added_latency, of forwarded packets, in seconds;
        received_at_once, the datagrams of a turn; sent_at_once, the messages of a call; segments,
        the datagrams of a message.
        """

    def participants(self) -> list[dict[str, Any]]:
        """By participant: its number as participant; received_packets, received_bytes,
        refused_packets (of the received ones), sent_packets, sent_bytes, unsent_packets; streams:
        ssrc, kind, received_packets, received_bytes, lost, jitter, receivers, sent_packets,
        sent_bytes, retransmitted_packets, retransmitted_bytes, the former without the latter.
        Workers are asked for a few at a time."""

    def captured(self) -> dict[int, bytes]:
        """By SSRC, the payload bytes that came last."""

    def close(self) -> None:
        """Ends the thread and closes the socket; any other method raises `UsageError` then."""

@final
class LoadGenerator:
    """All Endpoints of a load test, on one thread: for `halfkey.load` alone.

    Args:
        host: the Media Distributor's IP address.
        port: its media port.
        profile: 0x0009 or 0x000A.
        sample: each receiver opens one packet of so many through both layers.

    Raises:
        OSError: the system has no room.
        ValueError: the address or the profile can't be used.
    """

    def __new__(cls, host: str, port: int, profile: int, sample: int) -> LoadGenerator: ...
    def add(
        self,
        conference: int,
        *,
        client: tuple[bytes, bytes],
        server: tuple[bytes, bytes],
        ekt: tuple[int, bytes, bytes],
        receives: bool,
        stream: tuple[int, bytes, int, tuple[list[tuple[float, int, int]], float], float]
        | None = None,
        socket: int | None = None,
    ) -> tuple[str, int]:
        """Adds an Endpoint; returns its address.

        Args:
            conference: which; receivers expect all that others in it send.
            client: the hop's key and salt of the Endpoint.
            server: the hop's key and salt of the Media Distributor.
            ekt: SPI, EKTKey and SRTP master salt of the conference.
            receives: whether it is sent what others send.
            stream: SSRC, end-to-end master key, payload type, bursts (seconds, length of each
                datagram, how many) with their period in seconds, and how many seconds later it
                begins.
            socket: the descriptor of the UDP socket that it joined by: the generator takes another
                one for the same socket, and reads it from then on. None for a socket of its own.

        Raises:
            OSError: a key has a wrong length, the descriptor is no socket's, or the system has no
                room.
            ValueError: the bursts can't be sent.
        """

    def run(self, time: float, flood: str | None = None) -> dict[str, Any]:
        """Sends by the schedule for so many seconds, takes what comes, and says what came of it.

        It ends with its time also where the schedule can't be kept: ``due`` are the packets that
        the schedule had until then, ``sent`` those that were sent of them, and ``behind`` says how
        many microseconds late the oldest of the others was. ``latencies`` has the counts behind
        ``latency``, in seconds.

        Args:
            time: seconds.
            flood: ``"garbage"``, ``"replay"`` or ``"unknown"``: sent besides, by another thread, as
                fast as it goes. Replayed is the packet that the first sender sent last.
        """

    def progress(self) -> tuple[int, int]:
        """Packets sent, and received by somebody, in all runs so far, from another thread."""

    def handed_back(self) -> list[tuple[int, bytes]]:
        """Takes what came of the Media Distributor and isn't media, from another thread: the place
        of its participant in the order of adding, and the datagram. 4096 wait; others are lost."""

    def stop(self) -> None:
        """Ends the run under way, and all later ones, from another thread."""

def measure_load_floor(
    host: str,
    profile: int,
    bursts: tuple[list[tuple[float, int, int]], float],
    conferences: int,
    receivers: int,
    time: float,
) -> tuple[float, float]:
    """Microseconds of CPU for a datagram by bare system calls, and for a bare seal of it.

    Each receiver has a socket; a burst goes to the `receivers` of one of `conferences` by turns.

    Raises:
        OSError: there is nobody, or the system has no room for so many sockets.
        ValueError: the host, the profile or the bursts can't be used.
    """

def full_ekt_field(
    ekt_key: bytes, spi: int, epoch: int, ssrc: int, roc: int, master_key: bytes
) -> bytes:
    """A Full EKT Field that carries an SRTP master key (RFC 8870 section 4.3.1)."""

def derive_srtp_session_key(profile: int, master_key: bytes, master_salt: bytes) -> bytes:
    """The SRTP session encryption key (label 0) of a plain profile, or of half a double one."""
