"""Every option that takes a number or one of some words, and every key of every role's file.

The cases are read off the commands themselves, so that a new option can't be left out. Those of
options and arguments that are texts, addresses or files are in `test_every_text`.
"""

from __future__ import annotations

import sys
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from halfkey.cli.identifying import SETTINGS
from halfkey.cli.main import app, main
from halfkey.configuration import Setting, read
from halfkey.errors import ConfigurationError
from tests.cli.test_configuration import ROLES, settings

WRONG = {str: "5", Path: "5", int: '"x"', float: '"x"', bool: '"x"'}


def commands(group: Any, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command that does something, with the words that call it."""
    for name in group.list_commands(None):
        command = group.get_command(None, name)
        if hasattr(command, "commands"):
            yield from commands(command, (*above, name))
        else:
            yield (*above, name), command


COMMANDS = list(commands(typer.main.get_command(app)))
FILES: dict[str, dict[str, Setting]] = {role: settings(role) for role in ROLES}
FILES["identity"] = SETTINGS


def narrow() -> list[tuple[tuple[str, ...], str]]:
    """Each option whose type alone forbids the value 'wrong'."""
    return [
        (words, option.opts[0])
        for words, command in COMMANDS
        for option in command.params
        if option.opts[0].startswith("-") and not option.is_flag and is_narrow(option)
    ]


def is_narrow(option: Any) -> bool:
    kind = option.type_descriptor.annotation
    parts = {kind, *typing.get_args(kind)}
    return bool(parts & {int, float}) or any(
        typing.get_origin(part) is typing.Literal for part in parts
    )


def ended(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["halfkey", *arguments])
    with pytest.raises(SystemExit) as caught:
        main()
    assert isinstance(caught.value.code, int)
    return caught.value.code


def test_the_commands_are_found() -> None:
    found = {" ".join(words) for words, _ in COMMANDS}
    assert {"join", "record", "kd", "invites list", "audit who", "up"} <= found
    assert (("join",), "--slots") in narrow()
    assert (("record",), "--layout") in narrow()


@pytest.mark.parametrize(("words", "option"), narrow(), ids=str)
def test_a_wrong_value_is_one_line(
    words: tuple[str, ...],
    option: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert ended(monkeypatch, *words, option, "wrong") == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert option in said.err
    assert "Invalid value" in said.err


@pytest.mark.parametrize("words", [words for words, _ in COMMANDS], ids=" ".join)
def test_an_option_that_is_none_is_one_line(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(monkeypatch, *words, "--never-heard-of") == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert "--never-heard-of" in said.err


@pytest.mark.parametrize(
    ("file", "name"), [(file, name) for file, known in FILES.items() for name in known]
)
def test_a_value_of_another_kind_in_a_file_is_one_line(
    tmp_path: Path, file: str, name: str
) -> None:
    setting, path = FILES[file][name], tmp_path / "it.toml"
    path.write_text(f"{name} = {WRONG[setting.kind]}\n")
    with pytest.raises(ConfigurationError) as caught:
        read(path, FILES[file])
    assert str(caught.value) == f"{path}: {name}: write {setting.description}"
