"""The DTLS tunnel between Media Distributor and Key Distributor (RFC 9185), without I/O."""

from halfkey.tunnel.connection import KeyDistributorTunnel, MediaDistributorTunnel
from halfkey.tunnel.messages import (
    VERSION,
    EndpointDisconnect,
    MediaKeys,
    Message,
    MessageType,
    SupportedProfiles,
    TunneledDtls,
    UnsupportedVersion,
)
from halfkey.tunnel.stream import State, TunnelEnd, TunnelStatistics, TunnelTerminated

__all__ = [
    "VERSION",
    "EndpointDisconnect",
    "KeyDistributorTunnel",
    "MediaDistributorTunnel",
    "MediaKeys",
    "Message",
    "MessageType",
    "State",
    "SupportedProfiles",
    "TunnelEnd",
    "TunnelStatistics",
    "TunnelTerminated",
    "TunneledDtls",
    "UnsupportedVersion",
]
