"""Child processes of the demo and of `halfkey up`: one role each, spoken to in lines of JSON.

A child says on stdout, one JSON object a line, first ``{"ready": {...}}`` and then what happens.
It takes commands the same way on stdin, and ends when stdin closes: so no child outlives whoever
started it, however that ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from halfkey.errors import ConfigurationError, HalfkeyError

Message = dict[str, Any]

READY_TIMEOUT = 60.0
"""Seconds a child has to become ready; many Endpoints that start at once share two cores."""

STOP_TIMEOUT = 10.0
"""Seconds a child has to end by itself before it is killed."""

_WATCH_INTERVAL = 0.2
_LINE_LIMIT = 16 * 1024 * 1024


class ChildFailed(HalfkeyError):  # noqa: N818 (names what happened)
    """A child ended, or didn't become ready; the message is one line for the person watching."""


class Child:
    """One child process.

    Args:
        name: what to call it in messages, for example ``"Media Distributor"``.
        arguments: of the `halfkey` command, for example ``["md", "--kd", ...]``.
        log: the file that takes its stderr.
        on_message: called with every JSON object it prints after the ready line.
        disclose: called with every line that it writes to the pipe of ``--disclose-secrets-to``;
            without it there is no such pipe.
        environment: variables that it gets besides ours: where secrets go, since arguments are for
            everybody on the machine to see.
    """

    def __init__(
        self,
        name: str,
        arguments: list[str],
        log: Path,
        on_message: Callable[[Message], None],
        disclose: Callable[[Message], None] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self._environment = {**os.environ, **(environment or {})}
        self._arguments = arguments
        self._log = log
        self._on_message = on_message
        self._disclose = disclose
        self._process: asyncio.subprocess.Process | None = None
        self._ready: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._readers: list[asyncio.Task[None]] = []
        self.stopping = False

    @property
    def pid(self) -> int:
        """The process id.

        Raises:
            ChildFailed: it was never started.
        """
        if self._process is None:
            raise ChildFailed(f"{self.name} was not started")
        return self._process.pid

    @property
    def status(self) -> int | None:
        """The exit status; None while it runs, negative for a signal."""
        return None if self._process is None else self._process.returncode

    @property
    def last_words(self) -> str:
        """The last line of its log; empty for none, or for a log that can't be read any more."""
        lines: list[str] = []
        with contextlib.suppress(OSError):
            lines = self._log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""

    @property
    def started(self) -> bool:
        """Whether the process exists, or did."""
        return self._process is not None

    async def start(self) -> None:
        """Starts the process; `ready` tells when it is of use.

        Raises:
            ChildFailed: the system has no room for it.
            ConfigurationError: its log can't be written.
        """
        arguments = [sys.executable, "-m", "halfkey", *self._arguments, "--supervised"]
        pass_fds: tuple[int, ...] = ()
        pipe: tuple[int, int] | None = None
        if self._disclose is not None:
            pipe = os.pipe()
            pass_fds = (pipe[1],)
            arguments += ["--disclose-secrets-to", str(pipe[1])]
        self._process = process = await self._spawn(arguments, pass_fds)
        if process.stdout is not None:
            self._read(process.stdout, self._received)
        if pipe is not None and self._disclose is not None:
            os.close(pipe[1])
            self._read(await _pipe_reader(pipe[0]), self._disclose)

    async def _spawn(
        self, arguments: list[str], pass_fds: tuple[int, ...]
    ) -> asyncio.subprocess.Process:
        try:
            log = self._log.open("wb")
        except OSError as fault:
            raise ConfigurationError(
                f"{self._log}: can't be written ({fault.strerror}); see to its folder's rights"
            ) from None
        with log:
            try:
                return await asyncio.create_subprocess_exec(
                    *arguments,
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=log,
                    pass_fds=pass_fds,
                    env=self._environment,
                    start_new_session=True,  # Ctrl-C is ours to handle, not each child's
                    limit=_LINE_LIMIT,
                )
            except OSError as fault:
                raise ChildFailed(f"{self.name} can't be started: {fault.strerror}") from None

    def _read(self, stream: asyncio.StreamReader, handle: Callable[[Message], None]) -> None:
        async def loop() -> None:
            while line := await stream.readline():
                with contextlib.suppress(ValueError):
                    message = json.loads(line)
                    if isinstance(message, dict):
                        handle(message)

        self._readers.append(asyncio.create_task(loop()))

    def _received(self, message: Message) -> None:
        if "ready" in message and not self._ready.done():
            self._ready.set_result(message["ready"])
        else:
            self._on_message(message)

    async def ready(self) -> Message:
        """Waits until the child says that it is ready, and gives what it said.

        Raises:
            ChildFailed: it ended first, or took longer than `READY_TIMEOUT`.
        """
        return await self.outcome(self._ready, READY_TIMEOUT, "did not become ready in time")

    async def outcome(
        self, future: asyncio.Future[Message], seconds: float, otherwise: str
    ) -> Message:
        """Waits for something that the child is to say.

        Args:
            future: gets it.
            seconds: how long to wait.
            otherwise: a phrase for when it lives and doesn't say it.

        Raises:
            ChildFailed: it ended first, or it took too long.
        """
        ended = asyncio.create_task(self.wait())
        either: list[asyncio.Future[Any]] = [future, ended]
        try:
            await asyncio.wait(either, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended.cancel()
        if future.done():
            return future.result()
        raise ChildFailed(f"{self.name} {self.how_it_ended(otherwise)}")

    async def wait(self) -> None:
        """Waits until the process has ended and all that it printed was read."""
        if self._process is not None:
            await self._process.wait()
            await asyncio.gather(*self._readers, return_exceptions=True)

    def how_it_ended(self, otherwise: str = "still runs") -> str:
        """A phrase that says how the process ended, with the last line of its log.

        Args:
            otherwise: the phrase for one that hasn't.
        """
        code = self.status
        if code is None:
            what = otherwise
        elif code < 0:
            what = f"was killed by {signal.Signals(-code).name}"
        else:
            what = f"ended with status {code}"
        last = self.last_words
        return f"{what}: {last}" if last else f"{what} (nothing in {self._log})"

    async def send(self, command: Mapping[str, Any]) -> None:
        """Gives the child a command; one that has ended already takes none."""
        if self._process is None or self._process.stdin is None:
            return
        with contextlib.suppress(ConnectionError, RuntimeError):
            self._process.stdin.write(json.dumps(command).encode() + b"\n")
            await self._process.stdin.drain()

    async def stop(self) -> None:
        """Ends the process: asks, waits `STOP_TIMEOUT`, then kills. Safe to call again."""
        self.stopping = True
        if self._process is None:
            return
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            await asyncio.wait_for(self.wait(), STOP_TIMEOUT)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self.wait()


async def _pipe_reader(descriptor: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit=_LINE_LIMIT)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", buffering=0)
    )
    return reader


class Children:
    """All children of one parent, and the task that notices when one of them dies."""

    def __init__(self) -> None:
        self._children: list[Child] = []

    async def start(self, child: Child) -> Child:
        """Starts a child and keeps it, so that `stop` ends it."""
        self._children.append(child)  # first, so that one cancelled halfway is ended too
        await child.start()
        return child

    async def first_death(self) -> None:
        """Runs until a child ends that was not asked to.

        Raises:
            ChildFailed: always, naming the child and how it ended.
        """
        watched: dict[asyncio.Task[None], Child] = {}
        try:
            while True:
                for child in self._children:
                    if child.started and child not in watched.values():
                        watched[asyncio.create_task(child.wait())] = child
                for task, child in watched.items():
                    if task.done() and not child.stopping:
                        raise ChildFailed(f"{child.name} {child.how_it_ended()}")
                await asyncio.sleep(_WATCH_INTERVAL)
        finally:
            for task in watched:
                task.cancel()

    async def stop(self) -> None:
        """Ends every child, the latest first (Endpoints before the servers that they use)."""
        endings = [child.stop() for child in reversed(self._children)]
        await asyncio.gather(*endings, return_exceptions=True)
