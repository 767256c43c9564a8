"""What the HTTP APIs between roles share: every fault of a request is one line of JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from halfkey.errors import CodecError, HalfkeyError

WAITING = "urn:halfkey:problem:waiting"
"""The type (RFC 9457) of the problem that somebody in the waiting room is answered with."""

PARTICIPANT_HEADER = "Halfkey-Participant"
"""Of the answer to an offer: the participant's public id, by which the roster names it."""

Refusal = TypeVar("Refusal", bound=HalfkeyError)


def fault(status: int, line: str) -> web.Response:
    """Answers with ``{"error": line}``."""
    return web.json_response({"error": line}, status=status)


def answer_faults(
    refusal: type[Refusal], status: Callable[[Refusal], int] = lambda _: 409
) -> Middleware:
    """Makes a middleware that answers with what a handler raises.

    A `CodecError` is answered with 400.

    Args:
        refusal: what the role's core raises when it won't do what is asked; its message is one
            line for whoever asked.
        status: the HTTP status for one.
    """

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except CodecError as malformed:
            return fault(400, str(malformed))
        except refusal as refused:
            return fault(status(refused), str(refused))
        except web.HTTPException as other:
            return fault(other.status, other.reason)

    return answer
