"""ICE as the Media Distributor speaks it: lite, without I/O (RFC 8445 section 2.5)."""

from halfkey.ice.lite import AddressNominated, AddressValidated, Credentials, Event, IceLite

__all__ = ["AddressNominated", "AddressValidated", "Credentials", "Event", "IceLite"]
