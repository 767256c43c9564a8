"""Subcommands are imported when they are asked for, and the table of them is true."""

from __future__ import annotations

import subprocess
import sys

import typer.main

from halfkey.cli.commands import MODULES
from halfkey.cli.main import app

LOADED = "from halfkey.cli.main import main\nimport sys\ntry: main()\nfinally: print(*sys.modules)"


def test_every_module_adds_what_the_table_says() -> None:
    group = typer.main.get_group(app)
    assert all(group.get_command(None, name) is not None for name in MODULES)  # type: ignore[arg-type]
    assert set(group.commands) == {*MODULES, "version"}


def loaded(*arguments: str) -> set[str]:
    """The modules that a command line loads."""
    run = subprocess.run(
        [sys.executable, "-c", LOADED, *arguments], capture_output=True, text=True, check=True
    )
    return set(run.stdout.splitlines()[-1].split())


def test_what_asks_a_running_role_loads_no_engine() -> None:
    heavy = {"halfkey.dtls", "halfkey._media", "aiohttp", "av"}
    assert not heavy & loaded("lobby", "--help")
    assert not heavy & loaded("invite", "--help")
    assert {"halfkey.dtls", "aiohttp"} <= loaded("kd", "--help") | loaded("join", "--help")
