"""Serving on a Unix socket, for whoever runs the machine and nobody else."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from halfkey.errors import ConfigurationError
from halfkey.serving import SHUTDOWN_SECONDS


@asynccontextmanager
async def serving_locally(
    application: web.Application, what: str, path: Path
) -> AsyncIterator[None]:
    """Serves an application in plain HTTP on a socket that its owner alone can open.

    A socket that is there already is taken for one left behind, and replaced: whoever calls makes
    sure that nobody else serves there.

    Args:
        application: to serve.
        what: what the socket is for, such as ``"administration socket"``.
        path: of the socket, in a folder that only its owner can write to.

    Raises:
        ConfigurationError: there can be no such socket.
    """
    runner = web.AppRunner(
        application, access_log=None, handle_signals=False, shutdown_timeout=SHUTDOWN_SECONDS
    )
    await runner.setup()
    try:
        await web.SockSite(runner, _bound(what, path)).start()
        try:
            yield
        finally:
            _forget(path)
    finally:
        await runner.cleanup()


def _bound(what: str, path: Path) -> socket.socket:
    own = socket.socket(socket.AF_UNIX)
    try:
        if path.is_socket():
            path.unlink()
        own.bind(str(path))
        # Before anybody listens: until then nobody can connect.
        path.chmod(0o600)
    except OSError as fault:
        own.close()
        # The one about a path that is too long has no number.
        reason = os.strerror(fault.errno) if fault.errno is not None else str(fault)
        raise ConfigurationError(
            f"{what} {path}: {reason}; name another folder, with a short path"
        ) from None
    return own


def _forget(path: Path) -> None:
    path.unlink(missing_ok=True)
