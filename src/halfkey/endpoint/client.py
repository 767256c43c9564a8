"""The Endpoint's side of the Focus's HTTPS interface."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urljoin, urlsplit

import aiohttp

from halfkey.errors import ConfigurationError, HalfkeyError
from halfkey.event_stream import ServerSentEvent, read_events
from halfkey.tls import client_context

_REQUEST_TIMEOUT = 30.0
_LEAVE_TIMEOUT = 5.0
"""Short, so that a Focus that hangs doesn't keep a process from ending."""

_SILENCE_TIMEOUT = 60.0
"""Seconds without a byte of the event stream, which is kept alive by comments, until it is dead."""

_LARGEST_ANSWER = 256 * 1024
_LONGEST_DETAIL = 200


class FocusError(HalfkeyError):
    """The Focus can't be reached, or refused; the message is one line that says why."""


@dataclass(frozen=True, slots=True)
class Participation:
    """What the Focus gave us when we joined.

    Attributes:
        answer: its SDP answer, not checked yet.
        url: where the participation lives: whoever knows it can end it, so repr hides it.
    """

    answer: bytes = field(repr=False)
    url: str = field(repr=False)


class FocusClient:
    """Speaks with one Focus about one conference.

    Args:
        url: of the Focus, ``https://host:port``.
        conference: the conference's name.
        trusted: PEM, the certificates believed for the Focus.
        check_hostname: whether the certificate must name the host too (for a bundle with a CA).

    Raises:
        ConfigurationError: the URL or the bundle can't be used.
    """

    def __init__(
        self, url: str, conference: str, trusted: Path, *, check_hostname: bool = False
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.netloc:
            raise ConfigurationError(f"{url}: the Focus's URL must look like https://host:port")
        self._conference = f"{url.rstrip('/')}/conferences/{quote(conference, safe='')}"
        context = client_context(trusted, check_hostname=check_hostname)
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context))

    async def join(self, offer: str) -> Participation:
        """Posts an offer.

        Raises:
            FocusError: it was refused, or the Focus can't be reached.
        """
        async with self._request(
            "POST",
            f"{self._conference}/participants",
            data=offer.encode(),
            headers={"Content-Type": "application/sdp"},
        ) as response:
            location = response.headers.get("Location", "")
            answer = await response.content.read(_LARGEST_ANSWER)
            url = urljoin(str(response.url), location)
        if not location or urlsplit(url).netloc != urlsplit(self._conference).netloc:
            raise FocusError("the Focus gave no usable Location for the participation")
        return Participation(answer, url)

    async def leave(self, participation: Participation) -> None:
        """Ends a participation; one that is over already is fine.

        Raises:
            FocusError: the Focus can't be reached or failed.
        """
        patience = aiohttp.ClientTimeout(total=_LEAVE_TIMEOUT)
        async with self._request(
            "DELETE", participation.url, timeout=patience, tolerate=(404, 410)
        ):
            pass

    async def events(self) -> AsyncIterator[ServerSentEvent]:
        """The conference's events, the whole roster first, until the stream breaks.

        Raises:
            FocusError: the stream was refused or broke.
            CodecError: it is malformed.
        """
        patience = aiohttp.ClientTimeout(total=None, sock_read=_SILENCE_TIMEOUT)
        async with self._request("GET", f"{self._conference}/events", timeout=patience) as response:
            async for event in read_events(response.content.iter_any()):
                yield event

    async def close(self) -> None:
        """Closes all connections."""
        await self._session.close()

    @asynccontextmanager
    async def _request(
        self,
        method: str,
        url: str,
        *,
        data: bytes | None = None,
        headers: dict[str, str] | None = None,
        timeout: aiohttp.ClientTimeout | None = None,  # noqa: ASYNC109 (aiohttp's own)
        tolerate: tuple[int, ...] = (),
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        timeout = timeout or aiohttp.ClientTimeout(total=_REQUEST_TIMEOUT)
        try:
            async with self._session.request(
                method, url, data=data, headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                if response.status not in (*range(200, 300), *tolerate):
                    raise FocusError(f"the Focus refused: {await _detail(response)}")
                yield response
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise FocusError(f"the Focus can't be reached: {reason}") from error


async def _detail(response: aiohttp.ClientResponse) -> str:
    """One line out of a problem response (RFC 9457), or the bare status."""
    try:
        problem = json.loads(await response.content.read(_LARGEST_ANSWER))
        detail = problem["detail"]
    except (ValueError, KeyError, TypeError, RecursionError):
        detail = None
    if not isinstance(detail, str):
        return f"status {response.status}"
    return " ".join("".join(c if c.isprintable() else " " for c in detail).split())[
        :_LONGEST_DETAIL
    ]
