"""`halfkey up`: it makes its folder once, keeps its roles running, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import socket
import stat
from pathlib import Path

import pytest

from halfkey.cli.up.folder import PORTS
from tests.cli.test_arguments import halfkey
from tests.cli.upping import free_ports, running


def refused(*arguments: str) -> str:
    run = halfkey("up", *arguments)
    assert (run.returncode, run.stdout) == (2, ""), run
    assert run.stderr.count("\n") == 1, run.stderr
    return run.stderr


def content(folder: Path) -> dict[Path, bytes]:
    """All that is made at the first start."""
    return {path: path.read_bytes() for path in (*folder.glob("*.toml"), *folder.glob("pki/*"))}


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_it_survives_deaths_and_restarts_and_leaves_nothing_running(tmp_path: Path) -> None:
    folder = tmp_path / "halfkey"
    with running(folder, "--port", str(free_ports())) as up:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        made, children = content(folder), up.children()
        assert set(children) == {"kd", "md", "focus"}
        for role, name in (("kd", "Key"), ("md", "Media"), ("focus", "Focus")):
            os.kill(children[role], signal.SIGKILL)
            assert "SIGKILL" in up.until("starting it again")
            assert name in up.until("runs again")
        latest = up.children()
        assert not set(latest.values()) & set(children.values())
        invite = halfkey("invite", "Alice", "--conference", "c", "--directory", str(folder))
        assert invite.returncode == 0
        assert up.end() == 130
        assert not [pid for pid in latest.values() if is_alive(pid)]
        assert not (folder / "state/kd.sock").exists()
    with running(folder) as again:
        assert content(folder) == made
        listed = halfkey("invites", "list", "--directory", str(folder))
        assert "Alice" in listed.stdout
        assert again.end(signal.SIGTERM) == 0


def test_a_second_one_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "halfkey"
    with running(folder, "--port", str(free_ports())) as up:
        assert "another 'halfkey up' runs there" in refused("--directory", str(folder))
        assert up.process.poll() is None


def test_a_port_in_use_is_named_before_anything_is_made(tmp_path: Path) -> None:
    folder, first = tmp_path / "halfkey", free_ports()
    with socket.create_server(("127.0.0.1", first + 2)):
        said = refused("--directory", str(folder), "--port", str(first))
    assert f"127.0.0.1:{first + 2}" in said
    assert "--port" in said
    assert list(tmp_path.iterdir()) == []


def test_a_port_in_use_is_named_at_a_later_start(tmp_path: Path) -> None:
    folder, first = tmp_path / "halfkey", free_ports()
    with running(folder, "--port", str(first)):
        pass
    with socket.create_server(("127.0.0.1", first)):
        said = refused("--directory", str(folder))
    assert "the Focus: " in said
    assert f"127.0.0.1:{first}" in said


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--host", "0.0.0.0"], "--host 0.0.0.0"),
        (["--host", "example.org"], "--host example.org"),
        (["--host", "192.0.2.77"], "192.0.2.77"),
        (["--port", "0"], "--port 0"),
        (["--port", str(65537 - PORTS)], "--port"),
    ],
)
def test_a_wrong_place_makes_nothing(tmp_path: Path, options: list[str], said: str) -> None:
    assert said in refused("--directory", str(tmp_path / "halfkey"), *options)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter").write_text("dear all")
    assert "not empty" in refused("--directory", str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["letter"]
    assert "not empty" in refused("--directory", str(tmp_path / "letter"))


def test_a_folder_stays_where_links_lead(tmp_path: Path) -> None:
    folder = tmp_path / "halfkey"
    with running(folder, "--port", str(free_ports())):
        pass
    assert "links say so" in refused("--directory", str(folder), "--port", "9")
    assert "links say so" in refused("--directory", str(folder), "--host", "127.0.0.2")
