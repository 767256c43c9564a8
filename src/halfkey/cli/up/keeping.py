"""Keeps a child process running: starts it, and starts it again when it has died."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

from halfkey.backoff import Backoff
from halfkey.cli.children import Child, ChildFailed
from halfkey.errors import ConfigurationError

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0

STEADY_SECONDS = 60.0
"""For how long a child has to live for its next death to count as the first."""

_USAGE = 2


class Kept:
    """One role, kept running.

    Args:
        name: what to call it, such as ``"the Focus"``.
        arguments: of the `halfkey` command.
        log: the file that takes its stderr; that of the run before is kept beside it.
        say: takes lines for the person who watches.
    """

    def __init__(
        self, name: str, arguments: list[str], log: Path, say: Callable[[str], None]
    ) -> None:
        self._name = name
        self._arguments = arguments
        self._log = log
        self._say = say
        self._child: Child | None = None
        self._backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)

    async def start(self) -> None:
        """Starts it, and returns when it is ready.

        Raises:
            ConfigurationError: it found something wrong with its options, and said so.
            ChildFailed: it ended otherwise, or did not become ready.
        """
        with contextlib.suppress(FileNotFoundError):
            self._log.replace(self._log.with_suffix(".log.1"))
        self._child = child = Child(self._name, self._arguments, self._log, lambda _: None)
        await child.start()
        try:
            await child.ready()
        except ChildFailed:
            if child.status == _USAGE:
                reason = child.last_words.removeprefix("halfkey: ")
                raise ConfigurationError(f"{self._name}: {reason}") from None
            raise

    async def keep(self) -> None:
        """Starts it again whenever it has died, for ever; call it when `start` has returned."""
        loop = asyncio.get_running_loop()
        started_at = loop.time()
        while self._child is not None:
            await self._child.wait()
            if loop.time() - started_at >= STEADY_SECONDS:
                self._backoff.reset()
            pause = self._backoff.next_pause()
            how = self._child.how_it_ended()
            self._say(f"{self._name} {how}; starting it again in {pause:g} s")
            await asyncio.sleep(pause)
            started_at = loop.time()
            try:
                await self.start()
            except (ConfigurationError, ChildFailed):
                await self._child.stop()  # its end is told in the next round
            else:
                self._say(f"{self._name} runs again")

    async def stop(self) -> None:
        """Ends it. Safe to call again."""
        if self._child is not None:
            await self._child.stop()
