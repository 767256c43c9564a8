"""Problem responses (RFC 9457): every error that the Focus answers with, in one form."""

from __future__ import annotations

import json
import logging
from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Handler

from halfkey.json_api import WAITING

_LOGGER = logging.getLogger(__name__)

_MAXIMUM_DETAIL = 300

WAITING_RETRY = 2
"""Seconds after which somebody in the waiting room may ask again."""

RETRY_AFTER = 5
"""Seconds after which what is unavailable now may be asked for again."""


class Problem(Exception):  # noqa: N818 (an answer to a peer, not a fault of ours)
    """A request is answered with an error.

    Args:
        status: the HTTP status.
        detail: one line for whoever asked; no secret, nothing about third parties.
        retry_after: seconds, for statuses that pass.
        kind: a URI for a problem that a program may want to know from others of its status.
    """

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        retry_after: int | None = None,
        kind: str | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = " ".join(detail.split())[:_MAXIMUM_DETAIL]
        self.retry_after = retry_after
        self.kind = kind

    def response(self) -> web.Response:
        """The response to send."""
        body = {"title": self.status.phrase, "status": self.status.value, "detail": self.detail}
        if self.kind is not None:
            body["type"] = self.kind
        headers = {"Cache-Control": "no-store"}
        if self.retry_after is not None:
            headers["Retry-After"] = str(self.retry_after)
        return web.Response(
            status=self.status.value,
            text=json.dumps(body),
            content_type="application/problem+json",
            headers=headers,
        )


def unavailable(detail: str) -> Problem:
    """503, with the advice to come back."""
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, RETRY_AFTER)


def waiting() -> Problem:
    """503 for a participant in the waiting room: it may ask again with a fresh offer."""
    detail = "wait until you are let in"
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, WAITING_RETRY, WAITING)


@web.middleware
async def answer_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turns whatever a handler raises into a problem response."""
    try:
        return await handler(request)
    except Problem as problem:
        return problem.response()
    except web.HTTPException as error:
        response = Problem(HTTPStatus(error.status), error.reason).response()
        if "Allow" in error.headers:
            response.headers["Allow"] = error.headers["Allow"]
        return response
    except Exception:
        if request.transport is None or request.transport.is_closing():
            raise
        _LOGGER.exception("a request failed by a fault of ours")
        return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "the Focus failed").response()
