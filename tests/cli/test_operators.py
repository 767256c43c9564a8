"""What operators type, against a real `halfkey up`; and links that are no use, each in one line."""

from __future__ import annotations

import datetime
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from halfkey.cli.inviting import read_expiry
from halfkey.cli.operator import Operator
from halfkey.errors import ConfigurationError
from halfkey.identity.link import Link
from tests.cli.test_arguments import halfkey
from tests.cli.upping import first_port, running

NOW = datetime.datetime(2030, 5, 4, 12, tzinfo=datetime.UTC)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("up") / "halfkey"
    with running(folder, "--port", str(first_port())):
        yield folder


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return halfkey(*arguments, "--directory", str(folder))


def failed(done: subprocess.CompletedProcess[str], status: int) -> str:
    """The one line that a command ended with."""
    assert (done.returncode, done.stdout) == (status, ""), done
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def invite(folder: Path, name: str, *options: str, conference: str = "weekly") -> str:
    done = run(folder, "invite", name, "--conference", conference, *options)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    assert done.stderr.count("\n") == 1
    assert "#" not in done.stderr
    return done.stdout.strip()


def invite_id(folder: Path, name: str) -> str:
    listed = run(folder, "invites", "list").stdout.splitlines()
    (line,) = [line for line in listed if f" {name} " in line]
    return line.split()[0]


def test_the_link_alone_is_on_stdout_and_says_all(folder: Path) -> None:
    link = Link.parse(invite(folder, "Zoë Ångström", "--role", "host"))
    assert (link.name, link.conference, link.role) == ("Zoë Ångström", "weekly", "host")
    assert link.focus is not None


def test_a_revoked_link_is_refused_and_another_is_not(folder: Path) -> None:
    revoked, other = invite(folder, "Mallory"), invite(folder, "Grace")
    assert run(folder, "invites", "revoke", invite_id(folder, "Mallory")).returncode == 0
    assert "Mallory" not in run(folder, "invites", "list").stdout
    said = failed(halfkey("join", revoked, "--duration", "1"), 1)
    assert "can't join weekly: the Focus refused" in said
    assert revoked.partition("#")[2] not in said
    assert halfkey("join", other, "--duration", "1").returncode == 0


def test_an_expired_link_is_refused(folder: Path) -> None:
    link = invite(folder, "Late", "--expires", in_seconds(6))
    time.sleep(max(0.0, expiry_of(folder) - time.time()) + 0.1)
    said = failed(halfkey("join", link, "--duration", "1"), 1)
    assert "expired" in said


def in_seconds(seconds: float) -> str:
    end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
    return end.isoformat()


def expiry_of(folder: Path) -> float:
    found = Operator.of(folder, None).get("invites")["invites"]
    return float(next(one["expires_at"] for one in found if one["name"] == "Late"))


def join(*arguments: str, stdin: str = "", link: str | None = None) -> tuple[int, str]:
    environment = {name: value for name, value in os.environ.items() if name != "HALFKEY_LINK"}
    if link is not None:
        environment["HALFKEY_LINK"] = link
    done = subprocess.run(
        [sys.executable, "-m", "halfkey", "join", *arguments],
        input=stdin,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stderr


def test_a_link_comes_by_argument_input_or_environment(folder: Path) -> None:
    link = invite(folder, "Carol")
    for arguments, ways in (
        ([link], {}),
        (["-"], {"stdin": f"{link}\nand more"}),
        ([], {"link": link}),
    ):
        status, said = join(*arguments, "--duration", "2", **ways)
        assert status == 0, said
        assert "Carol (invite:" in said
        assert "is here, verified" in said


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda link: link[:-5], "cut or changed"),
        (lambda link: link.partition("#")[0], "ends before its '#' part"),
        (lambda link: link.replace("weekly", "daily"), "cut or changed"),
        (lambda link: link.replace("https", "http"), "not of the form"),
        (lambda _: "hello", "not of the form"),
    ],
)
def test_a_damaged_link_is_named_as_such(folder: Path, spoil: object, said: str) -> None:
    assert callable(spoil)
    link = spoil(invite(folder, "Dan"))
    for command in (["join", link], ["record", link, "--out", "never.mkv"]):
        line = failed(halfkey(*command), 2)
        assert said in line
        secret = link.partition("#")[2]
        assert not secret or secret not in line


def test_a_link_says_what_options_say(folder: Path) -> None:
    link = invite(folder, "Erin")
    status, said = join(link, "--name", "Else")
    assert (status, said.count("\n")) == (2, 1)
    assert "--name" in said
    status, said = join("--name", "Else", link=link)
    assert (status, said.count("\n")) == (2, 1)
    assert "--focus" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["invite", "A", "--conference", "a b"], "--conference 'a b'"),
        (["invite", "A", "--conference", ".."], "--conference '..'"),
        (["invite", "", "--conference", "c"], "name"),
        (["invite", "A", "--conference", "c", "--role", "a b"], "role"),
        (["invite", "A", "--conference", "c", "--devices", "0"], "--devices 0"),
        (["invite", "A", "--conference", "c", "--expires", "soon"], "--expires 'soon'"),
        (["invite", "A", "--conference", "c", "--expires", "2020-01-01"], "over already"),
        (["invite", "A", "--conference", "c", "--focus", "https://f"], "--state"),
        (["lobby", "c", "--let-in", "a", "--reject", "b"], "one at a time"),
        (["policy", "c", "--media-distributor", "missing.pem"], "missing.pem"),
    ],
)
def test_wrong_options(folder: Path, arguments: list[str], said: str) -> None:
    assert said in failed(run(folder, *arguments), 2)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["invites", "revoke", "nothing"], "nothing: "),
        (["remove", "Nobody", "--conference", "weekly"], "Nobody: not in weekly"),
        (["remove", "Nobody", "--conference", "unheard"], "--conference unheard"),
        (["readmit", "Nobody", "--conference", "weekly"], "Nobody: not kept out of weekly"),
        (["lobby", "weekly", "--let-in", "Nobody"], "Nobody: not waiting for weekly"),
        (["rekey", "unheard"], "nobody is in such a conference"),
        (["policy", "a b", "--waiting-room"], "conference"),
    ],
)
def test_unknown_names(folder: Path, arguments: list[str], said: str) -> None:
    invite(folder, "Somebody")
    assert said in failed(run(folder, *arguments), 1)


def test_a_policy_is_shown_and_changed(folder: Path) -> None:
    assert "waiting room: off" in run(folder, "policy", "daily").stdout
    certificate = str(folder / "pki/md.crt")
    changed = run(
        folder, "policy", "daily", "--waiting-room", "--media-distributor", certificate
    ).stdout
    assert "waiting room: on" in changed
    shown = halfkey("pki", "show", certificate).stdout
    digest = shown.split()[-1]
    assert f"media distributors: {digest}" in changed
    assert run(folder, "policy", "daily").stdout == changed
    assert (
        "media distributors: any"
        in run(folder, "policy", "daily", "--any-media-distributor").stdout
    )


def test_who_waits_is_let_in_by_name(folder: Path) -> None:
    assert run(folder, "policy", "board", "--waiting-room").returncode == 0
    link = invite(folder, "Frank", conference="board")
    command = [sys.executable, "-m", "halfkey", "join", "-", "--duration", "1"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as waiting:
        assert waiting.stdin is not None
        assert waiting.stderr is not None
        waiting.stdin.write(f"{link}\n")
        waiting.stdin.flush()
        assert "waiting to be let in" in waiting.stderr.readline()
        assert "Frank" in run(folder, "lobby", "board").stdout
        assert "1 waiting" in run(folder, "conferences").stdout
        assert run(folder, "lobby", "board", "--let-in", "Frank").returncode == 0
        rest = waiting.stderr.read()
        assert waiting.wait() == 0
    assert "joined in" in rest
    assert "nobody waits" in run(folder, "lobby", "board").stderr


def test_who_was_put_out_is_readmitted_by_name(folder: Path) -> None:
    assert "nobody is kept out" in run(folder, "readmit", "--conference", "club").stderr
    link = invite(folder, "Heidi", conference="club")
    command = [sys.executable, "-m", "halfkey", "join", "-", "--duration", "30"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as joined:
        assert joined.stdin is not None
        assert joined.stderr is not None
        joined.stdin.write(f"{link}\n")
        joined.stdin.flush()
        assert any("joined in" in line for line in joined.stderr)
        said = run(folder, "remove", "Heidi", "--conference", "club").stderr
        assert "removed Heidi, until you readmit them (halfkey readmit)" in said
        joined.kill()
    assert "1 kept out" in run(folder, "conferences").stdout
    assert "Heidi" in run(folder, "readmit", "--conference", "club").stdout
    assert "put out" in failed(halfkey("join", link, "--duration", "1"), 1)
    assert run(folder, "readmit", "Heidi", "--conference", "club").returncode == 0
    assert halfkey("join", link, "--duration", "1").returncode == 0


def test_no_running_key_distributor(tmp_path: Path) -> None:
    for command in (
        ["conferences"],
        ["invites", "list"],
        ["remove", "A", "--conference", "c"],
        ["lobby", "c"],
    ):
        assert "no such folder" in failed(run(tmp_path / "none", *command), 2)
        assert "no Key Distributor answers" in failed(run(tmp_path, *command), 1)
        state = halfkey(*command, "--state", str(tmp_path))
        assert str(tmp_path / "kd.sock") in failed(state, 1)


def test_a_key_distributor_by_its_state_folder(folder: Path) -> None:
    """As in a deployment, where nothing but the state folder is at hand."""
    state = ["--state", str(folder / "state")]
    here = ["invite", "Heidi", "--conference", "weekly", *state]
    assert "--focus" in failed(halfkey(*here), 2)
    assert "https://HOST:PORT" in failed(halfkey(*here, "--focus", "ftp://x"), 2)
    options = ["--focus", "https://focus.example.org", "--focus-certificate"]
    link = Link.parse(halfkey(*here, *options, str(folder / "pki/focus.crt")).stdout)
    assert link.focus_url == "https://focus.example.org"
    assert link.authority == Link.parse(invite(folder, "Ivan")).authority
    assert "Heidi" in halfkey("invites", "list", *state).stdout


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("45m", 2700), ("2h", 7200), ("7d", 604_800), ("4w", 2_419_200), ("2030-05-04T12:00:01Z", 1)],
)
def test_when_an_invite_expires(text: str, seconds: int) -> None:
    assert read_expiry(text, NOW) == int(NOW.timestamp()) + seconds


def test_an_invite_may_never_expire_and_a_date_is_local() -> None:
    assert read_expiry("never", NOW) is None
    zone = datetime.timezone(datetime.timedelta(hours=2))
    local = read_expiry("2030-12-01", NOW.astimezone(zone))
    assert local == datetime.datetime(2030, 12, 1, tzinfo=zone).timestamp()


@pytest.mark.parametrize("text", ["", "2x", "2", "-1h", "0m", "2030-13-01", "9" * 6 + "w\n"])
def test_no_such_expiry(text: str) -> None:
    with pytest.raises(ConfigurationError, match="--expires"):
        read_expiry(text, NOW)
