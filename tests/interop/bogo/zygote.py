"""Runs the shim in a forked process for each of the launcher's calls, with everything imported."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import socket
import traceback
from collections.abc import Iterator
from pathlib import Path

from tests.interop.bogo.shim import FAILED, main, take_pieces


@contextlib.contextmanager
def serving(path: Path) -> Iterator[None]:
    """Serves the launcher at a Unix socket, in a process of its own, until the block ends."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(64)
        server = os.fork()
        if server == 0:
            _serve(listener)
    try:
        yield
    finally:
        os.kill(server, signal.SIGTERM)
        os.waitpid(server, 0)


def _serve(listener: socket.socket) -> None:
    take_pieces()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the children
    while True:
        connection, _ = listener.accept()
        with connection:
            if os.fork() == 0:
                with contextlib.suppress(OSError):  # the runner ended the launcher
                    _answer(connection)
                os._exit(0)


def _answer(connection: socket.socket) -> None:
    """Runs the shim with the arguments that come in a line, and says what came of it in JSON."""
    output, errors = io.StringIO(), io.StringIO()
    with connection.makefile("rw", encoding="utf-8", errors="surrogateescape") as stream:
        arguments = json.loads(stream.readline())
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            try:
                status = main(arguments)
            except Exception:
                traceback.print_exc()
                status = FAILED
        result = {"Status": status, "Stdout": output.getvalue(), "Stderr": errors.getvalue()}
        json.dump(result, stream)
