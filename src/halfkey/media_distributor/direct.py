"""Reading the body of a direct admission: an allocation with address and hop keys, for load tests.

The JSON of an allocation, and besides it ``address`` (an IP address), ``port``, ``profile``, and in
base64 ``client_key``, ``client_salt``, ``server_key``, ``server_salt``.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from halfkey.errors import CodecError
from halfkey.ice.lite import Address
from halfkey.media_distributor.conference import Allocation
from halfkey.media_distributor.request import is_number, read_allocation, read_object
from halfkey.tunnel.messages import MediaKeys


@dataclass(frozen=True, slots=True)
class DirectAdmission:
    """What is asked for.

    Attributes:
        allocation: what the participant sends and receives.
        address: where it is.
        keys: its hop's keys, under no association.
    """

    allocation: Allocation
    address: Address
    keys: MediaKeys


def read_direct_admission(body: bytes) -> DirectAdmission:
    """Reads a request's JSON.

    Raises:
        CodecError: it is not what it should be.
    """
    allocation, value = read_allocation(body), read_object(body)
    keys = MediaKeys(
        association_id=UUID(int=0),
        protection_profile=_number(value, "profile", 1, 0xFFFF),
        mki=b"",
        client_write_SRTP_master_key=_bytes(value, "client_key"),
        server_write_SRTP_master_key=_bytes(value, "server_key"),
        client_write_SRTP_master_salt=_bytes(value, "client_salt"),
        server_write_SRTP_master_salt=_bytes(value, "server_salt"),
    )
    address = _host(value), _number(value, "port", 1, 65535)
    return DirectAdmission(allocation, address, keys)


def _host(value: dict[str, Any]) -> str:
    try:
        return str(ipaddress.ip_address(str(value.get("address"))))
    except ValueError:
        raise CodecError("address: give an IP address") from None


def _number(value: dict[str, Any], name: str, least: int, most: int) -> int:
    number = value.get(name)
    if not is_number(number, least, most):
        raise CodecError(f"{name}: give a number from {least} to {most}")
    return number


def _bytes(value: dict[str, Any], name: str) -> bytes:
    text = value.get(name)
    try:
        return base64.b64decode(text if isinstance(text, str) else "?", validate=True)
    except (binascii.Error, ValueError):
        raise CodecError(f"{name}: give base64") from None
