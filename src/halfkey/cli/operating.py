"""What the commands of all three roles share: metrics, logs, drain, and `--check-config`."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from halfkey.cli.arguments import address, within
from halfkey.cli.supervised import Supervision, run_role
from halfkey.operations.certificates import expiry
from halfkey.operations.health import showing
from halfkey.operations.logs import Format, Level
from halfkey.operations.metrics import Metrics
from halfkey.operations.role import Operated
from halfkey.operations.telling import Telling
from halfkey.serving import Address, Ready

MAXIMUM_DRAIN_SECONDS = 3600.0

MetricsListen = Annotated[
    str | None,
    typer.Option(help="HOST:PORT for /metrics, /healthz and /readyz, in plain HTTP."),
]
LogFormat = Annotated[Format, typer.Option(help="How log lines on stderr look.")]
LogLevel = Annotated[Level, typer.Option(help="Which log lines there are; info tells events.")]
DrainSeconds = Annotated[
    float, typer.Option(help="How long what is in progress may go on after SIGTERM.")
]

Serve = Callable[[Ready, Telling, Operated], Coroutine[Any, Any, None]]
"""Runs a role: takes what to call when it listens, what takes its events, and its operator."""


@dataclass(frozen=True, slots=True)
class Operation:
    """How a role is operated.

    Attributes:
        role: ``"kd"``, ``"md"`` or ``"focus"``.
        certificates: PEM files whose expiry is told, by short names; "own" is the role's.
        metrics: the operator's address; None for none.
        log_format: how log lines look.
        log_level: which there are.
        drain_seconds: how long a drain may take.
        supervised: see `halfkey.cli.supervised`.
    """

    role: str
    certificates: dict[str, Path]
    metrics: Address | None
    log_format: Format
    log_level: Level
    drain_seconds: float
    supervised: bool

    @classmethod
    def of(
        cls,
        role: str,
        certificate: Path,
        metrics_listen: str | None,
        logs: tuple[Format, Level],
        drain_seconds: float,
        supervised: bool,
    ) -> Operation:
        """Made of options.

        Raises:
            ConfigurationError: one of them is wrong.
        """
        within("--drain-seconds", drain_seconds, 0, MAXIMUM_DRAIN_SECONDS)
        place = None if metrics_listen is None else address(metrics_listen, "--metrics-listen")
        return cls(role, {"own": certificate}, place, *logs, drain_seconds, supervised)

    def approve(self) -> None:
        """Says that all was checked and is right."""
        first = datetime.datetime.fromtimestamp(min(self._expiries().values()), datetime.UTC)
        typer.echo(
            f"halfkey {self.role}: configuration is right; certificates until {first:%Y-%m-%d}"
        )

    def _expiries(self) -> dict[str, float]:
        return {name: expiry(path) for name, path in self.certificates.items()}

    def run(self, serve: Serve) -> None:
        """Runs the role until it ends or is told to.

        Raises:
            ConfigurationError: whatever it found wrong with its options.
        """
        main = partial(self._main, serve)
        run_role(self.role, self.supervised, main, self.log_format, self.log_level)

    async def _main(self, serve: Serve, supervision: Supervision) -> None:
        operated = Operated()
        metrics = Metrics(self.role, operated, self._expiries())
        supervision.drain = partial(operated.drain, self.drain_seconds)
        try:
            async with showing(self.role, operated, metrics, self.metrics) as shown:

                def ready(addresses: dict[str, Address]) -> None:
                    operated.is_listening = True
                    supervision.ready({**addresses, **shown})

                await serve(ready, Telling(operated.journal, metrics), operated)
        finally:
            operated.journal.close()
