"""The Endpoint's side of the Focus's HTTPS interface."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote, urljoin, urlsplit

import aiohttp
from aiohttp import Fingerprint

from halfkey.errors import ConfigurationError, HalfkeyError
from halfkey.event_stream import ServerSentEvent, read_events
from halfkey.hosts import is_host
from halfkey.http_body import read_body
from halfkey.json_api import PARTICIPANT_HEADER, WAITING
from halfkey.tls import client_context, system_context

_REQUEST_TIMEOUT = 30.0
_LEAVE_TIMEOUT = 5.0
"""Short, so that a Focus that hangs doesn't keep a process from ending."""

_SILENCE_TIMEOUT = 60.0
"""Seconds without a byte of the event stream, which is kept alive by comments, until it is dead."""

_LARGEST_ANSWER = 256 * 1024
_LONGEST_DETAIL = 200
_LONGEST_RETRY = 30


class FocusError(HalfkeyError):
    """The Focus can't be reached, or refused; the message is one line that says why.

    Attributes:
        status: of its refusal; None where there was no answer.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class MustWaitError(FocusError):
    """The participant is in the waiting room, and may ask again with a fresh offer.

    Attributes:
        retry_after: seconds to wait before that.
    """

    def __init__(self, retry_after: float) -> None:
        super().__init__("waiting to be let in")
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Participation:
    """What the Focus gave us when we joined.

    Attributes:
        answer: its SDP answer, not checked yet.
        url: where the participation lives: whoever knows it can end it, so repr hides it.
        id: our public id, as the Focus says; empty where it doesn't.
    """

    answer: bytes = field(repr=False)
    url: str = field(repr=False)
    id: str = ""


class FocusClient:
    """Speaks with one Focus about one conference.

    Args:
        url: of the Focus, ``https://host:port``.
        conference: the conference's name.
        trusted: who is believed to be the Focus: PEM, a bundle of certificates; or the SHA-256 of
            its one certificate; or None for whoever the system's authorities say has that name.
        check_hostname: whether the certificate must name the host too (for a bundle with a CA).

    Raises:
        ConfigurationError: the URL or the bundle can't be used.
    """

    def __init__(
        self,
        url: str,
        conference: str,
        trusted: Path | bytes | None,
        *,
        check_hostname: bool = False,
    ) -> None:
        if not _is_usable(url):
            raise ConfigurationError(f"{url!r}: the Focus's URL must look like https://host:port")
        self._conference = f"{url.rstrip('/')}/conferences/{quote(conference, safe='')}"
        connector = aiohttp.TCPConnector(ssl=_trust(trusted, check_hostname))
        self._session = aiohttp.ClientSession(connector=connector)

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
            identifier = response.headers.get(PARTICIPANT_HEADER, "")
            try:
                answer = await read_body(response, _LARGEST_ANSWER)
            except ValueError as fault:
                raise FocusError(f"the Focus gave no usable answer: {fault}") from None
        return Participation(answer, self._location(location), identifier)

    def _location(self, location: str) -> str:
        """Where the participation is: at the Focus itself, and nowhere else."""
        try:
            url = urljoin(f"{self._conference}/participants", location)
            if location and urlsplit(url).netloc == urlsplit(self._conference).netloc:
                return url
        except ValueError:
            pass
        raise FocusError("the Focus gave no usable Location for the participation")

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

    async def events(self) -> AsyncGenerator[ServerSentEvent, None]:
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
                    raise await _refusal(response)
                yield response
        except aiohttp.ServerFingerprintMismatch:
            raise FocusError("the Focus has another certificate than the link names") from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise FocusError(f"the Focus can't be reached: {reason}") from error


def _is_usable(url: str) -> bool:
    """Whether it is an https URL of a host that can be asked for."""
    try:
        parts = urlsplit(url)
        usable_port = parts.port != 0
    except ValueError:
        return False
    return parts.scheme == "https" and usable_port and is_host(parts.hostname or "")


def _trust(trusted: Path | bytes | None, check_hostname: bool) -> ssl.SSLContext | Fingerprint:
    if isinstance(trusted, bytes):
        return Fingerprint(trusted)
    if trusted is None:
        return system_context()
    return client_context(trusted, check_hostname=check_hostname)


async def _refusal(response: aiohttp.ClientResponse) -> FocusError:
    """What a response that is no success means (RFC 9457)."""
    problem = await _problem(response)
    if response.status == HTTPStatus.SERVICE_UNAVAILABLE and problem.get("type") == WAITING:
        return MustWaitError(_retry_after(response))
    detail = _detail(problem, response.status)
    return FocusError(f"the Focus refused: {detail}", response.status)


def _retry_after(response: aiohttp.ClientResponse) -> float:
    """The seconds that the Focus asks for, within reason."""
    text = response.headers.get("Retry-After", "")
    return float(min(max(int(text), 1), _LONGEST_RETRY)) if text.isdigit() else 2.0


async def _problem(response: aiohttp.ClientResponse) -> dict[str, object]:
    try:
        problem = json.loads(await read_body(response, _LARGEST_ANSWER))
    except (ValueError, RecursionError):
        return {}
    return problem if isinstance(problem, dict) else {}


def _detail(problem: dict[str, object], status: int) -> str:
    """One line out of a problem response, or the bare status."""
    detail = problem.get("detail")
    if not isinstance(detail, str):
        return f"status {status}"
    return " ".join("".join(c if c.isprintable() else " " for c in detail).split())[
        :_LONGEST_DETAIL
    ]
