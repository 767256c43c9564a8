"""A person's mistakes: one line that names the fault and the fix, exit status 2, no traceback."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from halfkey.cli.arguments import address, shown
from halfkey.errors import ConfigurationError
from halfkey.pki import make_certificate


def halfkey(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "halfkey", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=cwd,
    )


def join_at(focus: str) -> list[str]:
    make = ["--conference", "c", "--name", "n", "--trust-focus", "missing.pem"]
    return ["join", "--focus", focus, *make]


def test_the_control_a_right_command_line_works() -> None:
    run = halfkey("version")
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.strip()


def test_the_version_is_an_option_too() -> None:
    assert halfkey("--version").stdout == halfkey("version").stdout


@pytest.mark.parametrize("words", [(), ("audit",)])
def test_nothing_more_shows_the_help(words: tuple[str, ...]) -> None:
    run, asked = halfkey(*words), halfkey(*words, "--help")
    assert (run.returncode, run.stdout, run.stderr) == (2, "", asked.stdout)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nonsense"], "nonsense"),
        (["demo", "--nonsense"], "--nonsense"),
        (["demo", "--participants", "1"], "2 to 12"),
        (["demo", "--participants", "13"], "2 to 12"),
        (["demo", "--participants", "many"], "--participants"),
        (["demo", "--duration", "0"], "--duration 0"),
        (["demo", "--profile", "192"], "128 or 256"),
        (["demo", "--media", "missing.mp4"], "missing.mp4"),
        (["demo", "--media", "text.mp4"], "text.mp4"),
        (["demo", "--out", "text.mp4"], "text.mp4"),
        (["join"], "--focus"),
        (join_at("https://a..b:1"), "https://host:port"),
        (join_at("https://[::1:1"), "https://host:port"),
    ],
)
def test_one_line_that_names_the_fault(arguments: list[str], said: str, tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no film, only words\n")
    run = halfkey(*arguments, cwd=tmp_path)
    assert run.returncode == 2
    assert run.stdout == ""
    assert run.stderr.count("\n") == 1
    assert said in run.stderr


@pytest.mark.parametrize("wrong", ["", "host", "host:", ":7", "host:port", "host:65536", "host:-1"])
def test_a_wrong_address_is_named_with_its_option(wrong: str) -> None:
    with pytest.raises(ConfigurationError, match=r"--listen .*give HOST:PORT"):
        address(wrong, "--listen")


@pytest.mark.parametrize("wrong", ["a..b:1", "a b:1", f"{'a' * 64}:1", ".b:1"])
def test_a_host_that_cannot_be_asked_for_is_named_with_its_option(wrong: str) -> None:
    with pytest.raises(ConfigurationError, match=r"--dial .*no host can have that name"):
        address(wrong, "--dial")


@pytest.mark.parametrize("text", ["127.0.0.1:0", "[::1]:7000", "example.org:443"])
def test_addresses_are_shown_as_they_are_read(text: str) -> None:
    assert shown(address(text, "--listen")) == text


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """Two roles' certificates and keys, by a short name."""
    found = {}
    for name in ("own", "other"):
        certificate, key = make_certificate(tmp_path, name)
        found |= {name: str(certificate), f"{name}-key": str(key)}
    return found


def key_distributor(files: dict[str, str], **changes: str) -> subprocess.CompletedProcess[str]:
    options = {
        "certificate": files["own"],
        "key": files["own-key"],
        "trust-media-distributors": files["other"],
        "trust-focuses": files["other"],
        "tunnel-listen": "127.0.0.1:0",
        "admission-listen": "127.0.0.1:0",
    }
    options |= {name.replace("_", "-"): value for name, value in changes.items()}
    line = [word for name, value in options.items() for word in (f"--{name}", value)]
    return halfkey("kd", *line)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"key": "other-key"}, "doesn't belong"),
        ({"certificate": "nowhere.pem"}, "nowhere.pem"),
        ({"trust_focuses": "own-key"}, "no certificate in it"),
        ({"ekt_ttl": "1"}, "ttl 1"),
        ({"tunnel_listen": "here"}, "--tunnel-listen here"),
    ],
)
def test_a_wrong_file_of_a_role(files: dict[str, str], changes: dict[str, str], said: str) -> None:
    named = {name: files.get(value, value) for name, value in changes.items()}
    run = key_distributor(files, **named)
    assert run.returncode == 2, run.stderr
    assert run.stderr.count("\n") == 1
    assert said in run.stderr


def test_a_port_in_use(files: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        run = key_distributor(files, tunnel_listen=place)
    assert run.returncode == 2
    assert run.stderr.count("\n") == 1
    assert place.rpartition(":")[2] in run.stderr
