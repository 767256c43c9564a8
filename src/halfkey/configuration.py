"""Configuration files: TOML that says what a command's options say, and nothing else.

A table groups keys: `[tunnel] listen` is the setting `tunnel_listen`, which is the option
`--tunnel-listen`. So there is one list of settings, the command's own, and each has one meaning.
"""

from __future__ import annotations

import difflib
import math
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from halfkey.errors import ConfigurationError

_KINDS = {
    str: "a string in quotes",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    Path: "a path in quotes",
}

Value = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Setting:
    """What a file may set.

    Attributes:
        kind: `str`, `int`, `float`, `bool` or `Path`.
        is_list: whether there may be several; then the file has an array.
        choices: the strings that are allowed; empty for any.
    """

    kind: type
    is_list: bool = False
    choices: tuple[str, ...] = ()

    @property
    def description(self) -> str:
        """What is to be written, for whoever wrote something else."""
        if self.choices:
            one = " or ".join(f'"{choice}"' for choice in self.choices)
        else:
            one = _KINDS[self.kind]
        return f"an array, each of it {one}" if self.is_list else one


@dataclass(frozen=True, slots=True)
class Entry:
    """What a file says of one setting.

    Attributes:
        value: of the setting's kind; a path as a string, and absolute.
        place: where it stands, for messages: ``"kd.toml: [tunnel] listen"``.
    """

    value: Value | list[Value]
    place: str


def read(path: Path, settings: Mapping[str, Setting]) -> dict[str, Entry]:
    """Reads a configuration file.

    Args:
        path: the file. Relative paths in it are relative to its folder.
        settings: what it may set, by name, with underscores.

    Returns:
        What it sets, by the same names.

    Raises:
        ConfigurationError: it can't be read, isn't TOML, or sets what it can't.
    """
    found: dict[str, Entry] = {}
    for table, key, value in _leaves(_parsed(path), ()):
        place = f"{path}: {_written(table, key)}"
        name = "_".join((*table, key))
        if name not in settings:
            raise ConfigurationError(f"{place}: no such setting{_advice(name, table, settings)}")
        if name in found:
            raise ConfigurationError(f"{place}: set before, as {found[name].place}; keep one")
        found[name] = Entry(_checked(value, settings[name], place, path.parent), place)
    return found


def read_tables(path: Path) -> dict[str, Any]:
    """What a file sets, by name, whether or not it may; for who needs one setting of any role.

    Raises:
        ConfigurationError: it can't be read, or isn't TOML.
    """
    return {"_".join((*table, key)): value for table, key, value in _leaves(_parsed(path), ())}


def _parsed(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as fault:
        raise ConfigurationError(
            f"{path}: can't be read ({fault.strerror}); name a configuration file that exists"
        ) from None
    except tomllib.TOMLDecodeError as fault:
        raise ConfigurationError(f"{path}: not TOML: {' '.join(str(fault).split())}") from None
    except (UnicodeDecodeError, RecursionError):
        raise ConfigurationError(f"{path}: not TOML: it must be plain text in UTF-8") from None


def _leaves(
    table: Mapping[str, Any], above: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], str, Any]]:
    """Yields (table names, key, value) for all that isn't a table."""
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*above, key))
        else:
            yield above, key, value


def _written(table: tuple[str, ...], key: str) -> str:
    """A key as the file has it, in one line whatever it is made of."""
    shown = f"[{'.'.join(table)}] {key}" if table else key
    return shown if shown.isprintable() else ascii(shown)


def _advice(name: str, table: tuple[str, ...], settings: Mapping[str, Setting]) -> str:
    near = difflib.get_close_matches(name, settings, n=1)
    if not near:
        return f"; there are {', '.join(sorted(settings))}"
    prefix = "".join(f"{part}_" for part in table)
    inside = near[0].removeprefix(prefix)
    if prefix and inside != near[0]:
        return f"; did you mean {_written(table, inside)}?"
    return f"; did you mean {near[0]}?"


def _checked(value: object, setting: Setting, place: str, folder: Path) -> Value | list[Value]:
    if not setting.is_list:
        return _one(value, setting, place, folder)
    if not isinstance(value, list):
        raise ConfigurationError(f"{place}: write {setting.description}")
    return [_one(item, setting, place, folder) for item in value]


def _one(value: object, setting: Setting, place: str, folder: Path) -> Value:
    kind = str if setting.kind is Path else setting.kind
    fits = type(value) is kind or (kind is float and type(value) is int)
    if not fits or not isinstance(value, Value):
        raise ConfigurationError(f"{place}: write {setting.description}")
    if isinstance(value, str):
        if not value or not value.isprintable():
            raise ConfigurationError(f"{place}: empty, or not to be printed; write a plain text")
        if setting.choices and value not in setting.choices:
            raise ConfigurationError(f"{place}: write {setting.description}")
        return str(folder.absolute() / value) if setting.kind is Path else value
    if not math.isfinite(value):
        raise ConfigurationError(f"{place}: write a number that has an end")
    return value
