"""Which names of hosts can be asked for at all."""

from __future__ import annotations


def is_host(host: str) -> bool:
    """Whether a name or address can be handed to a resolver, which may not know it.

    Python writes names as IDNA (RFC 3490) before it asks, and raises for those that can't be
    written so, such as ``a..b``: better said at start than wherever they are used.
    """
    if not host or not host.isprintable() or " " in host:
        return False
    try:
        host.encode("idna")
    except UnicodeError:
        return False
    return True
