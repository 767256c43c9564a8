"""`halfkey status` against real roles, and against what isn't one."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.cli.test_arguments import halfkey
from tests.operations.system import System, eventually, faults

ROLES = ("kd", "md", "focus")


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with System(tmp_path_factory.mktemp("status")) as system:
        system.start_all()
        yield system


def test_all_are_ready(system: System) -> None:
    run = halfkey("status", *(system.metrics(role) for role in ROLES))
    assert (run.returncode, run.stderr) == (0, "")
    rows = run.stdout.splitlines()[1:]
    assert [row.split()[0] for row in rows] == list(ROLES)
    assert all(" ready " in row and "not ready" not in row for row in rows)


def test_as_json(system: System) -> None:
    run = halfkey("status", "--json", *(system.metrics(role) for role in ROLES))
    answers = json.loads(run.stdout)
    assert [answer["role"] for answer in answers] == list(ROLES)
    assert all(answer["is_ready"] for answer in answers)
    now = datetime.datetime.now(datetime.UTC)
    assert all(datetime.datetime.fromisoformat(a["certificate_expires"]) > now for a in answers)
    assert answers[0]["figures"] == {
        "conferences": 0,
        "participants": 0,
        "associations_active": 0,
        "tunnels": 1,
    }


def test_one_that_is_down(system: System) -> None:
    run = halfkey("status", system.metrics("kd"), "127.0.0.1:1")
    assert run.returncode == 1
    assert "can't be reached" in run.stdout
    assert " ready " in run.stdout.splitlines()[1]


def test_one_that_is_not_ready(tmp_path: Path) -> None:
    with System(tmp_path) as system:
        system.start_all()
        system.roles["kd"].end()
        eventually(lambda: faults(system.metrics("md")))
        run = halfkey("status", system.metrics("md"))
    assert run.returncode == 1
    assert "not ready: no tunnel to a Key Distributor" in run.stdout


def test_the_address_of_a_file(system: System, tmp_path: Path) -> None:
    port = system.metrics("md").rpartition(":")[2]
    file = tmp_path / "md.toml"
    file.write_text(f'[metrics]\nlisten = "0.0.0.0:{port}"\n')
    assert halfkey("status", "--config", str(file)).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "nobody to ask"),
        (["here"], "give HOST:PORT"),
        (["--config", "nowhere.toml"], "nowhere.toml: can't be read"),
        (["--config", "empty.toml"], "empty.toml: no [metrics] listen"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, arguments: list[str], said: str) -> None:
    (tmp_path / "empty.toml").write_text("")
    run = halfkey("status", *arguments, cwd=tmp_path)
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.count("\n") == 1
    assert said in run.stderr


class Stranger(BaseHTTPRequestHandler):
    """Answers what no role does: a name that would speak to the terminal."""

    body = b""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        pass


ROLE = b'{"role": "kd", "version": "1", "ready": true, "draining": false, "faults": []}'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"\xff",
        b'{"role": "\\u001b[31mkd"}',
        b'{"role": []}',
        ROLE,
    ],
)
def test_a_stranger_is_not_ready(body: bytes) -> None:
    server = HTTPServer(("127.0.0.1", 0), type("Handler", (Stranger,), {"body": body}))
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        run = halfkey("status", f"127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        server.server_close()
    assert run.returncode == 1
    assert run.stderr == ""
    assert "not as a role of Halfkey" in run.stdout
    assert "\x1b" not in run.stdout
