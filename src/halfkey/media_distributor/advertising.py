"""Which address goes into ICE candidates: one that Endpoints can send to."""

from __future__ import annotations

import ipaddress

from halfkey.errors import ConfigurationError


def advertised_host(media_host: str, advertise: str | None) -> str:
    """The host for candidates.

    Args:
        media_host: the IP address that the media socket is bound to.
        advertise: the address that Endpoints reach it at, if that is another; None if it isn't.

    Raises:
        ConfigurationError: Endpoints couldn't send there.
    """
    if advertise is None:
        if _address(media_host).is_unspecified:
            raise ConfigurationError(
                f"media address {media_host}: Endpoints can't send to that; "
                "name the address that they reach with --advertise HOST"
            )
        return media_host
    try:
        address = _address(advertise)
    except ValueError:
        raise ConfigurationError(
            f"--advertise {advertise}: give an IP address, for example 192.0.2.7"
        ) from None
    if address.is_unspecified or address.is_multicast:
        raise ConfigurationError(
            f"--advertise {advertise}: Endpoints can't send to that; give one host's address"
        )
    if address.version == 6 and _address(media_host).version == 4:
        raise ConfigurationError(
            f"--advertise {advertise}: the media address {media_host} takes IPv4 only; "
            "give an IPv4 address, or bind media to an IPv6 one"
        )
    return str(address)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Reads an address without a zone, as an IPv4 one if it is that in disguise."""
    address = ipaddress.ip_address(host)
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            raise ValueError("a zone means nothing to others")
        return address.ipv4_mapped or address
    return address
