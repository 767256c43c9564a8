"""`--config FILE` and `--check-config`: a file says what options say, and mistakes are named."""

from __future__ import annotations

import inspect
import re
import socket
import subprocess
from pathlib import Path

import pytest
import typer.main

from halfkey.cli.configured import settings_of
from halfkey.cli.main import app
from halfkey.configuration import Setting, read
from halfkey.errors import ConfigurationError
from halfkey.pki import make_authority, make_certificate, make_vouching_certificate
from tests.cli.test_arguments import halfkey

EXAMPLES = Path(__file__).parents[2] / "deploy" / "config"
ROLES = ("kd", "md", "focus")
OFF = re.compile(r"^#(?=[a-z_]+ = )", re.MULTILINE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The example files, with all the files that they name."""
    for role in ROLES:
        certificate, key = make_certificate(tmp_path, role)
        assert (certificate.name, key.name) == (f"{role}.crt", f"{role}.key")
        (tmp_path / f"trusted-{role}s.pem").write_bytes(certificate.read_bytes())
        text = (EXAMPLES / f"{role}.toml").read_text()
        text = text.replace(f"/var/lib/halfkey/{role}", "state")
        (tmp_path / f"{role}.toml").write_text(text)
    (tmp_path / "trusted-focuses.pem").write_bytes((tmp_path / "focus.crt").read_bytes())
    (tmp_path / "state").mkdir()
    make_vouching_certificate(tmp_path, make_authority(tmp_path, "authority"), "vouching")
    return tmp_path


def check(file: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return halfkey(file.stem, "--config", str(file), "--check-config", *options)


def refused(file: Path, *options: str) -> str:
    """The one line that a check ends with."""
    run = check(file, *options)
    assert (run.returncode, run.stdout) == (2, ""), run
    assert run.stderr.count("\n") == 1
    return run.stderr


def edit(file: Path, old: str, new: str) -> Path:
    text = file.read_text()
    assert text.count(old) == 1, old
    file.write_text(text.replace(old, new))
    return file


def settings(role: str) -> dict[str, Setting]:
    command = typer.main.get_group(app).get_command(None, role)
    hidden = frozenset(option.name for option in command.params if option.hidden)
    return settings_of(command.callback, hidden)


def defaults(role: str) -> dict[str, object]:
    command = typer.main.get_group(app).get_command(None, role)
    signature = inspect.signature(inspect.unwrap(command.callback))
    return {name: parameter.default for name, parameter in signature.parameters.items()}


@pytest.mark.parametrize("role", ROLES)
def test_the_examples_are_right(folder: Path, role: str) -> None:
    run = check(folder / f"{role}.toml")
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.startswith(f"halfkey {role}: configuration is right")
    assert run.stdout.count("\n") == 1


def test_the_example_of_identities_is_right(folder: Path) -> None:
    """The control is the same with a key that nobody knows."""
    for name, like in (("sti-roots.pem", "authority.crt"), ("alice.pem", "vouching.crt")):
        (folder / name).write_bytes((folder / like).read_bytes())
    kd = edit(folder / "kd.toml", "#identities =", "identities =")
    assert "identities.toml: can't be read" in refused(kd)
    text = OFF.sub("", (EXAMPLES / "identities.toml").read_text())
    (folder / "identities.toml").write_text(text)
    run = check(kd)
    assert (run.returncode, run.stderr) == (0, "")
    for place in ('conferences = ["board", "weekly"]\n', 'conferences = ["weekly"]\n'):
        (folder / "identities.toml").write_text(text.replace(place, ""))
        table = "[oidc]" if "board" in place else "[passport]"
        assert f"{table} conferences: write which its people may join" in refused(kd)
    (folder / "identities.toml").write_text(text)
    edit(folder / "identities.toml", "domain =", "domains = 1\ndomain =")
    assert "[passport] domains: there is no such setting" in refused(kd)


@pytest.mark.parametrize("role", ROLES)
def test_the_examples_name_every_setting(tmp_path: Path, role: str) -> None:
    text, off = OFF.subn("", (EXAMPLES / f"{role}.toml").read_text())
    assert off > 0
    file = tmp_path / "all.toml"
    file.write_text(text)
    assert set(read(file, settings(role))) == set(settings(role))


@pytest.mark.parametrize("role", ROLES)
def test_what_the_examples_leave_off_are_the_defaults(tmp_path: Path, role: str) -> None:
    on = EXAMPLES / f"{role}.toml"
    everything = tmp_path / "all.toml"
    everything.write_text(OFF.sub("", on.read_text()))
    known = settings(role)
    left_off = {
        name: entry.value
        for name, entry in read(everything, known).items()
        if name not in read(on, known)
    }
    shown = {name: value for name, value in defaults(role).items() if value is not None}
    assert {name: shown.get(name, value) for name, value in left_off.items()} == left_off


@pytest.mark.parametrize(
    ("role", "old", "new", "said"),
    [
        (
            "kd",
            "[tunnel]\n",
            '[tunnel]\nlisen = "x:1"\n',
            "[tunnel] lisen: no such setting; did you mean [tunnel] listen?",
        ),
        ("kd", "state =", "stat =", "stat: no such setting; did you mean state?"),
        (
            "kd",
            "#believe_focus = false",
            'believe_focus = "no"',
            "believe_focus: write true or false",
        ),
        ("kd", "#ttl = 3600", 'ttl = "long"', "[ekt] ttl: write a whole number"),
        ("kd", "#ttl = 3600", "ttl = 1", "ttl 1: choose"),
        ("kd", "#ttl = 3600", "ttl = true", "[ekt] ttl: write a whole number"),
        (
            "kd",
            "#interval = 600.0",
            "interval = nan",
            "[rekey] interval: write a number that has an end",
        ),
        ("kd", "#interval = 600.0", "interval = 0.5", "[rekey] interval 0.5: give a number from"),
        ("kd", '#dial = ["md.example.org:7001"]', 'dial = "md:1"', "dial: write an array"),
        ("kd", '#dial = ["md.example.org:7001"]', 'dial = ["md"]', "dial md: give HOST:PORT"),
        (
            "kd",
            'listen = "0.0.0.0:7001"',
            'listen = "here"',
            "[tunnel] listen here: give HOST:PORT",
        ),
        ("kd", "[tunnel]\n", 'tunnel_listen = "x:1"\n[tunnel]\n', "no such setting"),
        (
            "kd",
            'certificate = "kd.crt"',
            'certificate = "no.crt"',
            "no.crt: can't read the certificate",
        ),
        ("kd", 'certificate = "kd.crt"', 'certificate = ""', "certificate: empty"),
        ("kd", 'certificate = "kd.crt"', "", "--certificate"),
        ("kd", 'key = "kd.key"', 'key = "md.key"', "md.key: the private key doesn't belong to"),
        (
            "kd",
            'focuses = "trusted-focuses.pem"',
            'focuses = "kd.key"',
            "kd.key: no certificate in it",
        ),
        ("kd", 'state = "state"', 'state = "nowhere"', "nowhere: no such folder"),
        ("kd", "[drain]", "[drain", "not TOML"),
        ("kd", "#seconds = 5.0", "seconds = -1", "[drain] seconds -1: give a number from 0"),
        ("kd", 'certificate = "vouching.crt"', "", "--vouching-certificate: a certificate and"),
        ("kd", 'key = "vouching.key"', 'key = "kd.key"', "kd.key: the private key doesn't"),
        ("kd", '"vouching.crt"', '"kd.crt"', "kd.crt: not a vouching certificate"),
        ("md", 'level = "info"', 'level = "loud"', '[log] level: write "debug" or'),
        (
            "md",
            'advertise = "192.0.2.7"',
            'advertise = "here"',
            "advertise here: give an IP address",
        ),
        ("md", 'advertise = "192.0.2.7"', "", "--advertise HOST"),
        ("md", 'key_distributor = "kd.example.org:7001"', "", "no way to a Key Distributor"),
        ("md", 'listen = "127.0.0.1:9703"', 'listen = "9703"', "[metrics] listen 9703: give"),
        (
            "focus",
            '"https://kd.example.org:7002"',
            '"http://kd:1"',
            "is no URL of a Key Distributor",
        ),
    ],
)
def test_mistakes_are_named(folder: Path, role: str, old: str, new: str, said: str) -> None:
    assert said in refused(edit(folder / f"{role}.toml", old, new))


def test_a_setting_twice_is_refused(folder: Path) -> None:
    file = folder / "kd.toml"
    file.write_text('tunnel_listen = "127.0.0.1:0"\n' + file.read_text())
    line = refused(file)
    assert "[tunnel] listen: set before, as" in line


def test_a_file_that_is_none(folder: Path) -> None:
    assert "can't be read" in refused(folder / "nowhere" / "kd.toml")
    (folder / "kd.toml").write_bytes(b"key = '\xff'")
    assert "not TOML" in refused(folder / "kd.toml")


def test_the_command_line_goes_first(folder: Path) -> None:
    file = edit(folder / "kd.toml", 'listen = "0.0.0.0:7001"', 'listen = "here"')
    assert "[tunnel] listen here" in refused(file)
    assert check(file, "--tunnel-listen", "127.0.0.1:0").returncode == 0
    assert refused(file, "--tunnel-listen", "there").startswith("halfkey: --tunnel-listen there:")


def test_paths_are_relative_to_the_file(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The control is the same path on the command line, which is relative to where one stands."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    options = ("kd", "--config", str(folder / "kd.toml"), "--check-config")
    assert halfkey(*options, cwd=elsewhere).returncode == 0
    assert halfkey(*options, "--certificate", "kd.crt", cwd=elsewhere).returncode == 2


def test_a_check_binds_nothing(folder: Path) -> None:
    """The control is the same file without the check: there the address is found taken."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        file = edit(folder / "focus.toml", "0.0.0.0:7000", place)
        assert check(file).returncode == 0
        run = halfkey("focus", "--config", str(file), "--metrics-listen", "127.0.0.1:0")
    assert run.returncode == 2
    assert f"listening address {place}: Address already in use" in run.stderr


def test_keys_that_cannot_be_printed_stay_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "kd.toml"
    file.write_text('"a\\nb\\u001b" = 1\n')
    with pytest.raises(ConfigurationError, match=r"a\\nb\\x1b") as caught:
        read(file, settings("kd"))
    assert str(caught.value).isprintable()
