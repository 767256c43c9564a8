"""Every option and argument that takes a text, an address or a file: what is wrong is one line.

Like `test_every_option`, the cases are read off the commands: one that is new must be given a value
that is wrong for it here, or the reason why none is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from halfkey.audit.keys import make_key
from halfkey.audit.log import AuditLog
from halfkey.audit.records import Admitted
from halfkey.pki import make_authority, make_certificate, make_vouching_certificate
from tests.cli.test_every_option import COMMANDS, ended, is_narrow

RIGHT: dict[str, list[str]] = {
    "kd": [
        *("--certificate", "own.crt", "--key", "own.key", "--check-config"),
        *("--trust-media-distributors", "other.crt", "--trust-focuses", "other.crt"),
        *("--vouching-certificate", "vouching.crt", "--vouching-key", "vouching.key"),
        *("--tunnel-listen", "127.0.0.1:0"),
    ],
    "md": [
        *("--certificate", "own.crt", "--key", "own.key", "--check-config"),
        *("--trust-key-distributors", "other.crt", "--trust-focuses", "other.crt"),
        *("--key-distributor", "127.0.0.1:1"),
    ],
    "focus": [
        *("--certificate", "own.crt", "--key", "own.key", "--check-config"),
        *("--trust-key-distributors", "other.crt", "--trust-media-distributors", "other.crt"),
        *("--key-distributor", "https://127.0.0.1:1", "--media-distributor", "https://127.0.0.1:1"),
    ],
    "join": [
        *("--focus", "https://127.0.0.1:1", "--trust-focus", "own.crt"),
        *("--conference", "weekly", "--name", "Alice"),
    ],
    "record": [
        *("--out", "new.mkv", "--focus", "https://127.0.0.1:1", "--trust-focus", "own.crt"),
        *("--conference", "weekly", "--name", "Recorder"),
    ],
    "invite": [
        *("Alice", "--conference", "weekly", "--state", "."),
        *("--focus", "https://127.0.0.1:1", "--focus-certificate", "own.crt"),
    ],
    "invite --directory": ["Alice", "--conference", "weekly"],
    "invites revoke": ["a1"],
    "lobby": ["weekly"],
    "remove": ["Alice", "--conference", "weekly"],
    "readmit": ["--conference", "weekly"],
    "rekey": ["weekly"],
    "policy": ["weekly", "--waiting-room"],
    "audit who": ["--conference", "weekly", "--at", "10:37"],
    "pki make": ["--out", "pki", "kd"],
    "pki make names": ["--out", "pki"],
    "load": ["audio", "--direct"],
}
"""By command, or one of its options, arguments with which nothing else is wrong."""

FOLDER, ADDRESS, URL = "gone", "nonsense", "ftp://x"

WRONG: dict[str, str] = {
    "--admission-listen": ADDRESS,
    "--advertise": "a b",
    "--at": "yesterday",
    "--certificate": "gone.crt",
    "--config": "gone.toml",
    "--conference": "a/b",
    "--control-listen": ADDRESS,
    "--dial": ADDRESS,
    "--directory": FOLDER,
    "--dtls": "1.1",
    "--expires": "soon",
    "--focus": URL,
    "--flood": "rain",
    "--focus-certificate": "gone.crt",
    "--format": "xml",
    "--head": "x",
    "--host": "a b",
    "--identities": "gone.toml",
    "--identity": "gone.toml",
    "--key": "gone.key",
    "--key-distributor": ADDRESS,
    "--listen": ADDRESS,
    "--log": FOLDER,
    "--media": "gone.mp4",
    "--media-distributor": ADDRESS,
    "--media-listen": ADDRESS,
    "--metrics-listen": ADDRESS,
    "--name": "A" * 65,
    "--out": "own.crt/x",
    "--pictures": "own.crt/x",
    "--profile": "192",
    "--public-key": "gone.pem",
    "--state": FOLDER,
    "--stats": ADDRESS,
    "--trust-focus": "gone.crt",
    "--trust-focuses": "gone.crt",
    "--trust-key-distributors": "gone.crt",
    "--trust-media-distributors": "gone.crt",
    "--trace": "gone.csv",
    "--tunnel-listen": ADDRESS,
    "--vouching-certificate": "gone.crt",
    "--vouching-key": "gone.key",
    "link": "nonsense",
    "files": "gone.crt",
    "names": "a/b",
    "places": ADDRESS,
    "scenario": "nonsense",
    "policy --media-distributor": "gone.crt",
    "up --directory": "own.crt/x",
}
"""By option or argument, with the command before it where it means something else there."""

ANY = {
    "audit export --conference",
    "invite --focus",
    "invite --role",
    "invite name",
    "invites list --conference",
    "invites revoke invites",
    "lobby --let-in",
    "lobby --reject",
    "lobby conference",
    "policy conference",
    "readmit --conference",
    "readmit who",
    "rekey conference",
    "remove --conference",
    "remove who",
}
"""Likewise, of which any value may be right, or which are looked at only where a Key Distributor
runs; see test_operators.py for what is said there."""


def texts() -> list[tuple[str, Any]]:
    return [
        (" ".join(words), option)
        for words, command in COMMANDS
        for option in command.params
        if not getattr(option, "is_flag", False) and option.name != "help" and not is_narrow(option)
    ]


TEXTS = texts()


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `RIGHT` names, and an audit log."""
    folder = tmp_path_factory.mktemp("right")
    for name in ("own", "other"):
        make_certificate(folder, name)
    make_vouching_certificate(folder, make_authority(folder, "authority"), "vouching")
    log = AuditLog.open(folder / "audit", make_key(folder / "audit.key"))
    log.append_durably(Admitted("weekly", "p1"))
    log.close()
    return folder


def test_no_exception_is_stale() -> None:
    assert {f"{words} {option.opts[0]}" for words, option in TEXTS} >= ANY


@pytest.mark.parametrize("role", ["kd", "md", "focus"])
def test_the_control_nothing_else_is_wrong(
    right: Path, role: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(right)
    assert ended(monkeypatch, role, *RIGHT[role]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("command", "option"),
    [one for one in TEXTS if f"{one[0]} {one[1].opts[0]}" not in ANY],
    ids=lambda one: one if isinstance(one, str) else one.opts[0],
)
def test_a_wrong_text_is_one_line(
    right: Path,
    command: str,
    option: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(right)
    name = option.opts[0]
    case = f"{command} {name}"
    wrong = WRONG.get(case, WRONG.get(name))
    assert wrong is not None, "give a value that is wrong, or say that any may be right"
    line = [*command.split(), *RIGHT.get(case, RIGHT.get(command, []))]
    if name in line:
        line[line.index(name) + 1] = wrong
    else:
        line += [name, wrong] if name.startswith("--") else [wrong]
    status = ended(monkeypatch, *line)
    said = capsys.readouterr()
    assert (status, said.out, said.err.count("\n")) == (2, "", 1), said
    assert wrong in said.err or name in said.err, said.err
