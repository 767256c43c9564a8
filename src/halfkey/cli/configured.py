"""`--config FILE`: a command's options, from a file; what the command line says goes first.

The settings of a file are read off the command that takes it, so that nothing is listed twice.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import NoneType
from typing import Annotated, Any

import typer

from halfkey.configuration import Entry, Setting, read
from halfkey.errors import ConfigurationError

_PLACES = "halfkey.configuration"
_NOT_IN_FILES = {"config", "check_config", "stats", "help"}


def settings_of(command: Callable[..., Any], hidden: frozenset[str]) -> dict[str, Setting]:
    """What a file for this command may set, by name.

    Args:
        command: the function behind it.
        hidden: the options that aren't for people.
    """
    hints = typing.get_type_hints(inspect.unwrap(command))
    left_out = {"return", *_NOT_IN_FILES, *hidden}
    return {
        name: _setting(hint)
        for name, hint in hints.items()
        if name not in left_out and hint is not typer.Context
    }


def _setting(hint: Any) -> Setting:
    """The setting behind an annotation such as ``list[str] | None``."""
    options = [part for part in typing.get_args(hint) if part is not NoneType]
    if NoneType in typing.get_args(hint):
        (hint,) = options
    if typing.get_origin(hint) is list:
        return Setting(typing.get_args(hint)[0], is_list=True)
    if typing.get_origin(hint) is typing.Literal:
        return Setting(str, choices=typing.get_args(hint))
    return Setting(hint)


def _load(context: typer.Context, path: Path | None) -> Path | None:
    """Makes the file's values the defaults of the options that come after."""
    if path is None:
        return None
    hidden = frozenset(option.name for option in context.command.params if _is_hidden(option))
    callback = context.command.callback
    entries = read(path, settings_of(callback, hidden)) if callback is not None else {}
    context.default_map = {name: entry.value for name, entry in entries.items()}
    context.meta[_PLACES] = entries
    return path


def _is_hidden(option: object) -> bool:
    return bool(getattr(option, "hidden", False))


Config = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        is_eager=True,
        callback=_load,
        help="TOML file with these options, '-' as '_'; those given here go first.",
    ),
]
CheckConfig = Annotated[
    bool,
    typer.Option("--check-config", help="Check options and certificates, and do nothing else."),
]


@contextmanager
def as_written(context: typer.Context) -> Iterator[None]:
    """Names a faulty option as its file does, where it came from a file.

    Messages about an option begin with it: ``--tunnel-listen here: ...``.

    Raises:
        ConfigurationError: what was raised within, told that way.
    """
    try:
        yield
    except ConfigurationError as fault:
        raise ConfigurationError(_retold(str(fault), _from_file(context))) from None


def _from_file(context: typer.Context) -> Mapping[str, Entry]:
    """The entries that no option of the command line overrides."""
    entries: Mapping[str, Entry] = context.meta.get(_PLACES, {})
    sources = {name: context.get_parameter_source(name) for name in entries}
    return {
        name: entry
        for name, entry in entries.items()
        if (source := sources[name]) is not None and source.name == "DEFAULT_MAP"
    }


def _retold(message: str, entries: Mapping[str, Entry]) -> str:
    option, space, rest = message.partition(" ")
    entry = entries.get(option.removeprefix("--").rstrip(":").replace("-", "_"))
    if not option.startswith("--") or entry is None:
        return message
    return f"{entry.place}{':' if option.endswith(':') else ''}{space}{rest}"
