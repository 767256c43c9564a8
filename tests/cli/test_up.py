"""`halfkey up`: it makes its folder once, keeps its roles running, and leaves nothing behind."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from halfkey.cli.up.folder import PORTS
from tests.cli.test_arguments import halfkey
from tests.cli.upping import first_port, running


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
    with running(folder, "--port", str(first_port())) as up:
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
        assert list((folder / "focus-state").iterdir()), "a Focus that forgets makes all rejoin"
    with running(folder) as again:
        assert content(folder) == made
        listed = halfkey("invites", "list", "--directory", str(folder))
        assert "Alice" in listed.stdout
        assert again.end(signal.SIGTERM) == 0


def test_a_second_one_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "halfkey"
    with running(folder, "--port", str(first_port())) as up:
        assert "another 'halfkey up' runs there" in refused("--directory", str(folder))
        assert up.process.poll() is None


def test_a_port_in_use_is_named_before_anything_is_made(tmp_path: Path) -> None:
    folder, first = tmp_path / "halfkey", first_port()
    with socket.create_server(("127.0.0.1", first + 2)):
        said = refused("--directory", str(folder), "--port", str(first))
    assert f"127.0.0.1:{first + 2}" in said
    assert "--port" in said
    assert list(tmp_path.iterdir()) == []


def test_a_port_in_use_is_named_at_a_later_start(tmp_path: Path) -> None:
    folder, first = tmp_path / "halfkey", first_port()
    with running(folder, "--port", str(first)):
        pass
    with socket.create_server(("127.0.0.1", first)):
        said = refused("--directory", str(folder))
        assert "the Focus: " in said
        assert f"127.0.0.1:{first}" in said
        file = folder / "focus.toml"
        assert str(file) in said, "where another port is to be chosen"
        other = first_port()
        file.write_text(file.read_text().replace(f":{first}", f":{other}"))
        with running(folder) as up:
            assert f"ready at https://127.0.0.1:{other}" in up.said[-1]


def test_logs_that_cannot_be_written_are_named_and_waited_for(tmp_path: Path) -> None:
    folder = tmp_path / "halfkey"
    logs = folder / "logs"
    with running(folder, "--port", str(first_port())) as up:
        before = up.children()
        shutil.rmtree(logs)
        logs.write_text("in the way")
        os.kill(before["focus"], signal.SIGKILL)
        assert "starting it again" in up.until("logs/focus.log: can't be written")
        logs.unlink()
        up.until("the Focus runs again")
        after = up.children()
        assert [role for role in before if before[role] != after[role]] == ["focus"]
    shutil.rmtree(logs)
    logs.write_text("in the way")
    assert str(logs / "kd.log") in refused("--directory", str(folder))


def test_told_to_stop_while_it_makes_the_folder_it_leaves_nothing(tmp_path: Path) -> None:
    arguments = ["up", "--directory", str(tmp_path / "halfkey"), "--port", str(first_port())]
    program = (
        "import os, signal, sys\n"
        "from halfkey.cli.up import folder\n"
        "whole = folder.make_all\n"
        "def halfway(*arguments):\n"
        "    whole(*arguments)\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "folder.make_all = halfway\n"
        "from halfkey.cli.main import main\n"
        "main()\n"
    )
    command = [sys.executable, "-c", program, *arguments]
    run = subprocess.run(command, capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")
    assert list(tmp_path.iterdir()) == []


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
    with running(folder, "--port", str(first_port())):
        pass
    assert "links say so" in refused("--directory", str(folder), "--port", "9")
    assert "links say so" in refused("--directory", str(folder), "--host", "127.0.0.2")
