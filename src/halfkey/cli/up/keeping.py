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
        role: the `halfkey` command that it is.
        configuration: its file.
        log: the file that takes its stderr; that of the run before is kept beside it.
        say: takes lines for the person who watches.
    """

    def __init__(
        self, name: str, role: str, configuration: Path, log: Path, say: Callable[[str], None]
    ) -> None:
        self._name = name
        self._arguments = [role, "--config", str(configuration)]
        self._configuration = str(configuration)
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
        _turn_over(self._log)
        self._child = child = Child(self._name, self._arguments, self._log, lambda _: None)
        await child.start()
        try:
            await child.ready()
        except ChildFailed:
            if child.status == _USAGE:
                raise ConfigurationError(f"{self._name}: {self._reason(child)}") from None
            raise

    def _reason(self, child: Child) -> str:
        """What it found wrong, and the file to mend it in."""
        reason = child.last_words.removeprefix("halfkey: ")
        return reason if self._configuration in reason else f"{reason} ({self._configuration})"

    async def keep(self) -> None:
        """Starts it again whenever it has died, for ever; call it when `start` has returned."""
        loop = asyncio.get_running_loop()
        started_at = loop.time()
        while self._child is not None:
            await self._child.wait()
            how = f"{self._name} {self._child.how_it_ended()}"
            if loop.time() - started_at >= STEADY_SECONDS:
                self._backoff.reset()
            while how:
                pause = self._backoff.next_pause()
                self._say(f"{how}; starting it again in {pause:g} s")
                await asyncio.sleep(pause)
                started_at = loop.time()
                how = await self._start_again()
            self._say(f"{self._name} runs again")

    async def _start_again(self) -> str:
        """Tries once; gives why not, or nothing."""
        try:
            await self.start()
        except (ConfigurationError, ChildFailed) as fault:
            await self.stop()
            return str(fault)
        return ""

    async def stop(self) -> None:
        """Ends it. Safe to call again."""
        if self._child is not None:
            await self._child.stop()


def _turn_over(log: Path) -> None:
    """Keeps the log of the run before; a folder that somebody took away is made again."""
    try:
        log.parent.mkdir(mode=0o700, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            log.replace(log.with_suffix(".log.1"))
    except OSError as fault:
        raise ConfigurationError(
            f"{log}: can't be written ({fault.strerror}); see to its folder's rights"
        ) from None
