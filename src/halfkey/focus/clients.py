"""The Focus as a client: the Key Distributor's admission and the Media Distributor's control."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncGenerator
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

import aiohttp

from halfkey.errors import CodecError, HalfkeyError
from halfkey.event_stream import ServerSentEvent, read_events
from halfkey.http_body import read_body
from halfkey.sdp import Offer
from halfkey.sdp.attributes import (
    parse_fingerprint,
    parse_ice_pwd,
    parse_ice_ufrag,
    parse_tls_id,
)

REQUEST_TIMEOUT = 10.0
"""Seconds that a Distributor has for one answer."""

CONNECT_TIMEOUT = 5.0

_MAXIMUM_ANSWER = 64 * 1024
_MAXIMUM_CANDIDATES = 16


class Unavailable(HalfkeyError):  # noqa: N818 (an outcome, not a fault of ours)
    """A Distributor can't be reached, fails, or answers what it must not.

    Args:
        message: one line.
        reached: whether the request may have reached it, so that it may have acted.
    """

    def __init__(self, message: str, *, reached: bool = True) -> None:
        super().__init__(message)
        self.reached = reached


class Refused(HalfkeyError):  # noqa: N818 (an outcome, not a fault of ours)
    """A Distributor said no, and did nothing.

    Args:
        status: its HTTP status, from 400 to 499.
        detail: its reason, one line.
    """

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class MustWait(HalfkeyError):  # noqa: N818 (an outcome, not a fault of ours)
    """The Key Distributor admits the participant once an operator has let it in."""


@dataclass(frozen=True, slots=True)
class Admission:
    """What the Key Distributor puts into an answer.

    Attributes:
        fingerprint: of its DTLS certificate.
        tls_id: its own for this participant's association.
        assertion: its identity assertion, or None.
    """

    fingerprint: str
    tls_id: str
    assertion: str | None


@dataclass(frozen=True, slots=True)
class Allocation:
    """What the Media Distributor puts into an answer.

    Attributes:
        ice_ufrag: its ICE user name fragment for this participant.
        ice_pwd: its ICE password; not shown by repr.
        candidates: its addresses and ports, the best first.
    """

    ice_ufrag: str
    ice_pwd: str = field(repr=False)
    candidates: tuple[tuple[str, int], ...]


class Client:
    """An HTTPS client of one service.

    Args:
        name: what to call the service in messages.
        url: its base URL.
        tls: whom to believe, and the certificate to show.
    """

    def __init__(self, name: str, url: str, tls: ssl.SSLContext) -> None:
        self.name = name
        self._url = url.rstrip("/")
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=tls),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT, connect=CONNECT_TIMEOUT),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._session.close()

    async def probe(self) -> None:
        """Asks for as much as shows that it is there.

        Raises:
            Unavailable: it isn't, or answers what it must not.
            Refused: it won't answer us.
        """
        await self._request("GET", "/statistics")

    async def remove(self, conference: str, participant: str) -> None:
        """Takes a participant out; one that isn't there is as good as taken out.

        Raises:
            Unavailable: it may still be in.
        """
        try:
            await self._request("DELETE", _path(conference, participant))
        except Refused as refusal:
            if refusal.status not in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
                raise Unavailable(f"{self.name} won't remove a participant: {refusal}") from refusal

    async def events(self) -> AsyncGenerator[ServerSentEvent, None]:
        """Follows what happens there, until it breaks off.

        Raises:
            Unavailable: it broke off, or never began.
        """
        timeout = aiohttp.ClientTimeout(total=None, connect=CONNECT_TIMEOUT)
        try:
            async with self._session.get(
                f"{self._url}/events", timeout=timeout, allow_redirects=False
            ) as response:
                if response.status != HTTPStatus.OK:
                    raise Unavailable(f"{self.name} answers with status {response.status}")
                async for event in read_events(response.content.iter_any()):
                    yield event
        except (TimeoutError, aiohttp.ClientError, OSError, CodecError) as error:
            fault = type(error).__name__
            raise Unavailable(f"{self.name}'s events can't be followed: {fault}") from error

    async def _request(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Sends a request; returns the JSON object of a 2xx answer, empty where there is none."""
        try:
            async with self._session.request(
                method, self._url + path, json=body, allow_redirects=False
            ) as response:
                content = await read_body(response, _MAXIMUM_ANSWER)
                status = response.status
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            message = f"{self.name} can't be reached: {type(error).__name__}"
            reached = not isinstance(error, aiohttp.ClientConnectorError)
            raise Unavailable(message, reached=reached) from error
        answer = _object(content)
        if 200 <= status < 300:
            return answer
        if 400 <= status < 500:
            raise Refused(status, str(answer.get("error", f"status {status}")))
        raise Unavailable(f"{self.name} answers with status {status}")


def _path(conference: str, participant: str) -> str:
    return f"/conferences/{conference}/participants/{participant}"


def _object(content: bytes) -> dict[str, Any]:
    """A JSON object, or an empty one in place of anything else."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _text(answer: dict[str, Any], name: str) -> str:
    value = answer.get(name)
    if not isinstance(value, str):
        raise CodecError(f"{name} is missing")
    return value


class KeyDistributorClient(Client):
    """Admission at the Key Distributor."""

    async def admit(self, conference: str, participant: str, offer: Offer) -> Admission:
        """Asks for a participant to be admitted.

        The offer goes along verbatim: the Key Distributor needn't believe what we read in it.

        Raises:
            Refused: the participant may not join.
            MustWait: an operator has to let it in first.
            Unavailable: no usable answer; the participant may be admitted all the same.
        """
        body = {
            "fingerprint": offer.transport.fingerprint,
            "tls_id": offer.transport.tls_id,
            "offer": offer.text,
            "assertion": offer.identity,
        }
        answer = await self._request("PUT", _path(conference, participant), body)
        if answer.get("waiting") is True:
            raise MustWait
        try:
            assertion = answer.get("assertion")
            return Admission(
                parse_fingerprint(_text(answer, "fingerprint")),
                parse_tls_id(_text(answer, "tls_id")),
                assertion if isinstance(assertion, str) else None,
            )
        except CodecError as error:
            raise Unavailable(f"{self.name} gives no usable answer: {error}") from error


class MediaDistributorClient(Client):
    """Control of the Media Distributor."""

    async def allocate(self, conference: str, participant: str, offer: Offer) -> Allocation:
        """Asks for a participant's ICE end and slots; again for the same one, to restart its ICE.

        Raises:
            Refused: the offer can't be served.
            Unavailable: no usable answer; the participant may be allocated all the same.
        """
        body = {
            "ice_ufrag": offer.transport.ice_ufrag,
            "ice_pwd": offer.transport.ice_pwd,
            "sources": [asdict(source) for source in offer.sources],
            "slots": [asdict(slot) for slot in offer.slots],
            "extensions": offer.extensions,
            "payload_types": offer.payload_types,
        }
        answer = await self._request("PUT", _path(conference, participant), body)
        try:
            return Allocation(
                parse_ice_ufrag(_text(answer, "ice_ufrag")),
                parse_ice_pwd(_text(answer, "ice_pwd")),
                _candidates(answer.get("candidates")),
            )
        except CodecError as error:
            raise Unavailable(f"{self.name} gives no usable answer: {error}") from error


def _candidates(value: object) -> tuple[tuple[str, int], ...]:
    """Reads ``[{"address": ..., "port": ...}]``; `build_answer` checks the addresses."""
    if not isinstance(value, list) or not 1 <= len(value) <= _MAXIMUM_CANDIDATES:
        raise CodecError("candidates are missing")
    found: list[tuple[str, int]] = []
    for item in value:
        address = item.get("address") if isinstance(item, dict) else None
        port = item.get("port") if isinstance(item, dict) else None
        if not isinstance(address, str) or not isinstance(port, int) or not 0 < port <= 0xFFFF:
            raise CodecError("a candidate is malformed")
        found.append((address, port))
    return tuple(found)
