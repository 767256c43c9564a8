"""The core's `MediaPath` over the switch, and the way of all that isn't media.

An IPv6 socket sees IPv4 peers at mapped addresses (RFC 4291 section 2.5.5.2). Outside of here they
have their IPv4 addresses, which is what STUN has to tell them.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from halfkey._media import Switch
from halfkey.ice import Credentials
from halfkey.media_distributor.conference import Allocation, SlotAssignment
from halfkey.tunnel.messages import MediaKeys

_MAPPED = "::ffff:"
_CNAME_BYTES = 12  # RFC 7022 section 4.2: 96 random bits


def lacks(granted: dict[str, int]) -> list[str]:
    """What the system didn't give the media socket, a line each for who runs it.

    Args:
        granted: as `Switch.granted`.
    """
    asked = granted["asked_bytes"]
    sizes = [("receive", "rmem_max"), ("send", "wmem_max")]
    lines = [
        f"the media socket's {name} buffer has {granted[f'{name}_buffer_bytes'] >> 10} KiB, which "
        f"loses packets in bursts: set net.core.{setting} to {asked}"
        for name, setting in sizes
        if granted[f"{name}_buffer_bytes"] < asked
    ]
    without = {
        "joining": "joins no datagrams (UDP_GRO): each costs more",
        "timing": "doesn't say when datagrams came: what waits too long is forwarded all the same",
        "steering": "takes datagrams to any worker (no SO_ATTACH_REUSEPORT_CBPF): they are handed "
        "over, which costs more",
    }
    return lines + [f"the system {text}" for name, text in without.items() if not granted[name]]


class SwitchPath:
    """Tells a `Switch` what to do.

    Args:
        switch: the packet path.
    """

    def __init__(self, switch: Switch) -> None:
        self._switch = switch
        self._cname = secrets.token_urlsafe(_CNAME_BYTES)
        self._is_ipv6 = ":" in switch.local_address[0]

    def drain(self) -> list[tuple[str, int, bytes]]:
        """Takes DTLS that arrived, and checks that would change something: (host, port, data)."""
        drained = self._switch.drain()
        if self._is_ipv6:
            return [(_unmapped(host), port, data) for host, port, data in drained]
        return drained

    def send(self, host: str, port: int, data: bytes) -> None:
        """Sends a STUN or DTLS datagram, unless too much is waiting already."""
        self._switch.send(self._mapped(host), port, data)

    def add_participant(self, number: int, allocation: Allocation) -> None:
        """Makes a participant known; our own RTCP to it gets an SSRC that isn't one of its own."""
        declared = {source.ssrc for source in allocation.sources}
        own_ssrc = secrets.randbits(32)
        while own_ssrc in declared or own_ssrc == 0:
            own_ssrc = secrets.randbits(32)
        self._switch.add_participant(
            number,
            own_ssrc,
            self._cname,
            extensions=allocation.extensions,
            payload_types=allocation.payload_types,
            sources=[(source.ssrc, source.kind) for source in allocation.sources],
        )

    def remove_participant(self, number: int) -> None:
        """Forgets a participant with its keys."""
        self._switch.remove_participant(number)

    def set_address(self, number: int, address: tuple[str, int]) -> None:
        """Takes packets from, and sends them to, this address and no other."""
        host, port = address
        self._switch.set_address(number, self._mapped(host), port)

    def set_credentials(self, number: int, ours: Credentials, remote_ufrag: str) -> None:
        """Answers checks that are proved by these and change nothing."""
        self._switch.set_credentials(number, ours.ice_ufrag, ours.ice_pwd, remote_ufrag)

    def checks(self) -> dict[int, tuple[int, float]]:
        """By participant: the checks that were answered, and the seconds since the last one."""
        return self._switch.checks()

    def set_keys(self, number: int, keys: MediaKeys) -> None:
        """Uses these keys for the hop; raises ValueError if they don't fit their profile."""
        self._switch.set_keys(
            number,
            keys.protection_profile,
            keys.client_write_SRTP_master_key,
            keys.server_write_SRTP_master_key,
            keys.client_write_SRTP_master_salt,
            keys.server_write_SRTP_master_salt,
        )

    def clear_keys(self, number: int) -> None:
        """Wipes the keys of the hop."""
        self._switch.remove_keys(number)

    def fill_slots(self, assignments: Sequence[SlotAssignment]) -> None:
        """Forwards sources to receivers: each a receiver, its slot, a sender, its source."""
        self._switch.assign_slots(assignments)

    def clear_slot(self, receiver: int, mid: str) -> None:
        """Stops forwarding into this slot."""
        self._switch.clear_slot(receiver, mid)

    def _mapped(self, host: str) -> str:
        return _MAPPED + host if self._is_ipv6 and ":" not in host else host


def _unmapped(host: str) -> str:
    return host.removeprefix(_MAPPED) if "." in host else host
