"""The `halfkey` command: its subcommands, and how a mistake is told to the person who made it."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from typer.exceptions import TyperException

from halfkey import __version__
from halfkey.cli.commands import Subcommands
from halfkey.errors import ConfigurationError, HalfkeyError

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130

app = typer.Typer(
    cls=Subcommands,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Privacy-enhanced RTP conferencing: the media server forwards all and can open none.",
)


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


def _print_version(is_wanted: bool) -> None:
    if is_wanted:
        version()
        raise typer.Exit


@app.callback()
def _halfkey(
    _: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """What comes before a subcommand."""


def main() -> None:
    """Runs the command line; a wrong argument or file is one line on stderr and status 2."""
    command = "halfkey"
    try:
        code = app(standalone_mode=False)
    except TyperException as error:
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else command
        message = error.format_message()
        if message.startswith("Usage: "):
            _fail(message, EXIT_USAGE)  # a group called with nothing: its help, as it is
        message = " ".join(message.split())
        _fail(f"{command}: {message} (see '{command} --help')", EXIT_USAGE)
    except ConfigurationError as error:
        _fail(f"halfkey: {error}", EXIT_USAGE)
    except HalfkeyError as error:
        _fail(f"halfkey: {error}", EXIT_FAILED)
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(EXIT_INTERRUPTED)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(line: str, status: int) -> None:
    sys.stderr.write(line + "\n")
    sys.exit(status)
