"""Running one role as a process: ready line, stop signals, and commands from whoever started it.

Alone, a role says on stderr where it listens and runs until SIGINT or SIGTERM. The first of them
lets a role that can drain do so; the second ends it at once. Started with
``--supervised`` it speaks JSON lines: ``{"ready": ...}`` and reports on stdout, commands on stdin,
and it stops when stdin closes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

from halfkey.cli import attendance
from halfkey.cli.arguments import Address, shown
from halfkey.operations import logs

Message = dict[str, Any]
CommandHandler = Callable[[Message], Awaitable[None]]

Drain = Callable[[], Coroutine[Any, Any, object]]
"""Finishes what is in progress; cancelled if that is not to be waited for."""


class Supervision:
    """What a role is given to speak with the outside.

    Args:
        role: its name, for the person who reads stderr.
        supervised: whether JSON lines are spoken.

    Attributes:
        on_command: takes commands from whoever started the role.
        drain: what to do before ending when told to stop.
    """

    def __init__(self, role: str, supervised: bool) -> None:
        self._role = role
        self._supervised = supervised
        self.on_command: CommandHandler | None = None
        self.drain: Drain | None = None

    def ready(self, addresses: Mapping[str, Address]) -> None:
        """Says that the role is of use, and where it listens for what."""
        places = {name: shown(address) for name, address in addresses.items()}
        if self._supervised:
            self._write({"ready": places})
        else:
            listed = ", ".join(f"{name} {place}" for name, place in places.items())
            print(f"halfkey {self._role}: ready ({listed})", file=sys.stderr)  # noqa: T201

    def report(self, message: Mapping[str, Any]) -> None:
        """Says what happens: a JSON line, or what a person wants to read of it on stderr."""
        if self._supervised:
            self._write(message)
        elif (told := attendance.line(message)) is not None:
            print(f"halfkey {self._role}: {told}", file=sys.stderr)  # noqa: T201

    @staticmethod
    def _write(message: Mapping[str, Any]) -> None:
        # A supervisor that went away closes stdin too: that is what stops us.
        with contextlib.suppress(BrokenPipeError):
            sys.stdout.write(json.dumps(message) + "\n")
            sys.stdout.flush()

    async def read_commands(self) -> None:
        """Hands each line of stdin to `on_command`; returns when stdin closes."""
        reader = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            with contextlib.suppress(ValueError):
                message = json.loads(line)
                if self.on_command is not None and isinstance(message, dict):
                    await self.on_command(message)


def run_role(
    role: str,
    supervised: bool,
    main: Callable[[Supervision], Coroutine[Any, Any, None]],
    log_format: logs.Format = "text",
    log_level: logs.Level = "warning",
) -> None:
    """Runs a role until it ends by itself, is told to stop, or its supervisor goes away.

    Args:
        role: its name.
        supervised: whether JSON lines are spoken.
        main: runs it.
        log_format: how log lines on stderr look.
        log_level: which of them there are.

    Raises:
        ConfigurationError: whatever the role found wrong with its options.
    """
    # Keys are in memory: a crash must not write them to disk.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    logs.configure(log_format, log_level)
    asyncio.run(_run(Supervision(role, supervised), supervised, main))


async def _run(
    supervision: Supervision,
    supervised: bool,
    main: Callable[[Supervision], Coroutine[Any, Any, None]],
) -> None:
    loop = asyncio.get_running_loop()
    work = asyncio.create_task(main(supervision))
    stop, stop_at_once = asyncio.Event(), asyncio.Event()

    def told() -> None:
        (stop_at_once if stop.is_set() else stop).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told)
    stopping = [_drained(supervision, stop), stop_at_once.wait()]
    waiting: list[asyncio.Task[Any]] = [work, *map(asyncio.create_task, stopping)]
    if supervised:
        waiting.append(asyncio.create_task(supervision.read_commands()))
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    if not work.cancelled():
        work.result()  # what went wrong, be it on the way out


async def _drained(supervision: Supervision, stop: asyncio.Event) -> None:
    """Returns once a stop was asked for and the role, if it can, has drained."""
    await stop.wait()
    if supervision.drain is not None:
        await supervision.drain()
