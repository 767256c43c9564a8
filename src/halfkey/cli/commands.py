"""The subcommands of `halfkey`, and the module of each, which is imported when it is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import typer
import typer.main
from typer.core import TyperGroup

MODULES = {
    "demo": "demonstration",
    "up": "up.command",
    "invite": "inviting",
    "invites": "inviting",
    "join": "join",
    "record": "record",
    "conferences": "administering",
    "lobby": "administering",
    "remove": "administering",
    "readmit": "administering",
    "rekey": "administering",
    "policy": "administering",
    "audit": "audit",
    "status": "status",
    "kd": "roles",
    "md": "roles",
    "focus": "roles",
    "pki": "pki",
    "load": "loading",
}
"""By subcommand, in the order of the help; names are relative to `halfkey.cli`."""


class Subcommands(TyperGroup):
    """A group whose subcommands load only what they need themselves.

    To list conferences needs neither codecs nor DTLS, and a person waits for every import.
    """

    def list_commands(self, ctx: object) -> list[str]:
        """Their names, in the order of the help."""
        return [*MODULES, *(name for name in self.commands if name not in MODULES)]

    def get_command(self, ctx: object, cmd_name: str) -> Any:
        """The subcommand of that name, None for none."""
        if cmd_name not in self.commands:
            # A name that is none is answered with the names that are like it: so all are needed.
            wanted = [MODULES[cmd_name]] if cmd_name in MODULES else MODULES.values()
            for module in dict.fromkeys(wanted):
                self._load(module)
        return self.commands.get(cmd_name)

    def _load(self, module: str) -> None:
        # With a callback it is a group even where there is one subcommand.
        part = typer.Typer(callback=lambda: None, rich_markup_mode=None)
        import_module(f"halfkey.cli.{module}").register(part)
        self.commands.update(typer.main.get_group(part).commands)
