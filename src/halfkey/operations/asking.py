"""Asking roles how they are, at their operator's addresses."""

from __future__ import annotations

import asyncio
import datetime
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from halfkey.http_body import read_body
from halfkey.serving import Address

TIMEOUT_SECONDS = 5.0

_MAXIMUM_BODY = 4 * 1024 * 1024

FIGURES = {
    "kd": ("conferences", "participants", "associations_active", "tunnels"),
    "md": ("conferences", "participants", "packets_forwarded_total", "tunnel_up"),
    "focus": ("conferences", "participants", "event_streams"),
}
"""By role, the metrics that tell most, without their prefix."""


@dataclass(frozen=True, slots=True)
class RoleStatus:
    """What a role said of itself.

    Attributes:
        address: where it was asked.
        role: ``"kd"``, ``"md"`` or ``"focus"``; None if nothing like one answers.
        version: of its software.
        is_ready: whether it is of use.
        is_draining: whether it takes nobody new.
        faults: why it isn't ready.
        figures: those of `FIGURES`; what has labels is summed up.
        certificate_expires: when the first of its certificates ends.
    """

    address: Address
    role: str | None = None
    version: str | None = None
    is_ready: bool = False
    is_draining: bool = False
    faults: tuple[str, ...] = ()
    figures: dict[str, float] = field(default_factory=dict)
    certificate_expires: datetime.datetime | None = None


async def ask_all(addresses: Sequence[Address]) -> list[RoleStatus]:
    """Asks all at once; the answers are in the order of the addresses."""
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        return await asyncio.gather(*(_ask(session, address) for address in addresses))


async def _ask(session: aiohttp.ClientSession, address: Address) -> RoleStatus:
    base = base_url(address)
    try:
        readiness = json.loads(await get_text(session, f"{base}/readyz"))
        metrics = await get_text(session, f"{base}/metrics")
        return _read(address, readiness, metrics)
    except (aiohttp.ClientError, TimeoutError, OSError) as fault:
        return RoleStatus(address, faults=(f"can't be reached: {type(fault).__name__}",))
    except (ValueError, LookupError, TypeError, OverflowError, RecursionError):
        return RoleStatus(address, faults=("answers, but not as a role of Halfkey does",))


def base_url(address: Address) -> str:
    """Of a role's operator's address."""
    host, port = address
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def get_text(session: aiohttp.ClientSession, url: str) -> str:
    """The body, whatever the status; raises ValueError if it is too long or no text."""
    async with session.get(url, allow_redirects=False) as response:
        return (await read_body(response, _MAXIMUM_BODY)).decode()


def _read(address: Address, readiness: dict[str, Any], metrics: str) -> RoleStatus:
    """What the answers say; raises what `_ask` catches if they aren't a role's."""
    role = readiness["role"]
    prefix = f"halfkey_{role}_"
    found: dict[str, list[float]] = {}
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples:
            found.setdefault(sample.name.removeprefix(prefix), []).append(sample.value)
    expiry = min(found["certificate_expiry_timestamp_seconds"])
    return RoleStatus(
        address,
        role=str(role),
        version=str(readiness["version"]),
        is_ready=readiness["ready"] is True,
        is_draining=readiness["draining"] is True,
        faults=tuple(map(str, readiness["faults"])),
        figures={name: sum(found[name]) for name in FIGURES[role] if name in found},
        certificate_expires=datetime.datetime.fromtimestamp(expiry, datetime.UTC),
    )
