"""Speaks with a running Key Distributor through the socket in its state folder."""

from __future__ import annotations

import http.client
import json
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from halfkey.cli.up.folder import Folder
from halfkey.errors import ConfigurationError, HalfkeyError
from halfkey.key_distributor.places import ADMINISTRATION_SOCKET

PATIENCE_SECONDS = 10.0

Directory = Annotated[
    Path, typer.Option(envvar="HALFKEY_DIRECTORY", help="The folder of 'halfkey up'.")
]
State = Annotated[
    Path | None,
    typer.Option(help="In place of it: the state folder of a Key Distributor run by itself."),
]


class OperatorError(HalfkeyError):
    """The Key Distributor can't be asked, or refuses; the message is one line."""


@dataclass(frozen=True, slots=True)
class Operator:
    """Asks one Key Distributor.

    Attributes:
        socket: its path.
    """

    socket: Path

    @classmethod
    def of(cls, directory: Path, state: Path | None) -> Operator:
        """Made of options.

        Raises:
            ConfigurationError: there is no such folder.
        """
        folder = directory if state is None else state
        if not folder.is_dir():
            option = "--directory" if state is None else "--state"
            hint = "start 'halfkey up', or name its folder" if state is None else "name another"
            raise ConfigurationError(f"{option} {folder}: no such folder; {hint}")
        own = Folder(directory).socket if state is None else state / ADMINISTRATION_SOCKET
        return cls(own)

    def get(self, *path: str) -> dict[str, Any]:
        """Asks for something."""
        return self.ask("GET", *path)

    def ask(self, method: str, *path: str, body: object = None, query: str = "") -> dict[str, Any]:
        """Asks for something to be done; gives what is answered.

        Args:
            method: of HTTP.
            path: its parts, which may hold any character.
            body: to be sent as JSON; None for none.
            query: what comes after ``?``.

        Raises:
            OperatorError: nobody answers, or the answer is no.
        """
        target = "/" + "/".join(quote(part, safe="") for part in path)
        target += f"?{query}" if query else ""
        content = None if body is None else json.dumps(body).encode()
        connection = _Connection(self.socket)
        try:
            connection.request(method, target, content)
            response = connection.getresponse()
            status, answer = response.status, response.read()
        except (OSError, http.client.HTTPException) as fault:
            reason = getattr(fault, "strerror", None) or type(fault).__name__
            raise OperatorError(
                f"{self.socket}: no Key Distributor answers ({reason}); is it running?"
            ) from None
        finally:
            connection.close()
        return _checked(status, answer)


def _checked(status: int, answer: bytes) -> dict[str, Any]:
    try:
        told = json.loads(answer) if answer else {}
    except ValueError:
        told = {"error": "its answer can't be read"}
    if status >= http.client.BAD_REQUEST or not isinstance(told, dict) or "error" in told:
        reason = told.get("error") if isinstance(told, dict) else None
        raise OperatorError(f"the Key Distributor refused: {reason or f'status {status}'}")
    return told


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=PATIENCE_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))
