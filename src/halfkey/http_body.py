"""Reading what an HTTP server answers, up to a length that can be borne."""

from __future__ import annotations

import aiohttp


async def read_body(response: aiohttp.ClientResponse, most: int) -> bytes:
    """The whole body, in however many pieces it comes.

    ``response.content.read(most)`` would give the first piece only.

    Args:
        response: whose body wasn't read yet.
        most: bytes.

    Raises:
        ValueError: it is longer.
    """
    body = bytearray()
    async for piece in response.content.iter_any():
        body += piece
        if len(body) > most:
            raise ValueError(f"the answer has more than {most} bytes")
    return bytes(body)
