"""`halfkey pki`: what it makes is of use to the roles, and nothing is written over."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography import x509

from halfkey.audit.keys import load_key
from halfkey.vouching.authority import Authority
from tests.cli.test_arguments import halfkey

FILES = {
    f"{name}.{end}"
    for name in ("kd", "md", "focus", "authority", "vouching")
    for end in ("crt", "key")
} | {"audit.key"}


def refused(*arguments: str) -> str:
    run = halfkey("pki", *arguments)
    assert (run.returncode, run.stdout) == (2, ""), run
    assert run.stderr.count("\n") == 1
    return run.stderr


@pytest.fixture
def made(tmp_path: Path) -> Path:
    out = tmp_path / "pki"
    options = ["--host", "focus.example.org", "--host", "192.0.2.7", "--days", "30"]
    run = halfkey("pki", "make", "--out", str(out), *options)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.count("until 20") == 6  # the vouching certificate's file has its authority's
    return out


def test_everything_that_roles_need(made: Path) -> None:
    assert {path.name for path in made.iterdir()} == FILES
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    for key in made.glob("*.key"):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
    load_key(made / "audit.key")
    Authority.load(made / "vouching.crt", made / "vouching.key")


def test_servers_are_for_the_hosts_named(made: Path) -> None:
    certificate = x509.load_pem_x509_certificate((made / "focus.crt").read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "focus.example.org" in names.get_values_for_type(x509.DNSName)
    assert "192.0.2.7" in [str(one) for one in names.get_values_for_type(x509.IPAddress)]
    assert (certificate.not_valid_after_utc - certificate.not_valid_before_utc).days == 30


def test_nothing_is_written_over(made: Path) -> None:
    before = {path: path.read_bytes() for path in made.iterdir()}
    assert "kd.crt: is there already" in refused("make", "--out", str(made))
    assert {path: path.read_bytes() for path in made.iterdir()} == before
    assert halfkey("pki", "make", "--out", str(made), "md2").returncode == 0
    assert (made / "md2.crt").exists()


def test_a_new_vouching_certificate_is_the_same_authoritys(made: Path) -> None:
    """So that links go on to hold when the old one ends."""
    first = Authority.load(made / "vouching.crt", made / "vouching.key")
    (made / "vouching.crt").unlink()
    (made / "vouching.key").unlink()
    assert halfkey("pki", "make", "--out", str(made), "vouching").returncode == 0
    second = Authority.load(made / "vouching.crt", made / "vouching.key")
    assert second.ca_sha256 == first.ca_sha256


def test_files_are_shown(made: Path) -> None:
    run = halfkey("pki", "show", str(made / "vouching.crt"), str(made / "audit.key"))
    assert run.returncode == 0
    vouching, authority, audit = run.stdout.splitlines()
    assert "CN=vouching" in vouching
    digest = Authority.load(made / "vouching.crt", made / "vouching.key").ca_sha256.hex()
    assert authority.endswith(digest)
    assert audit.endswith("key of an audit log")


def test_mistakes_are_one_line(made: Path, tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("words\n")
    assert "text" in refused("show", str(text))
    assert "nowhere" in refused("show", str(tmp_path / "nowhere"))
    assert "certificate name" in refused("make", "--out", str(tmp_path / "a"), "a b")
    assert "host" in refused("make", "--out", str(tmp_path / "b"), "--host", "a:1", "kd")
    assert "--days 0" in refused("make", "--out", str(tmp_path / "c"), "--days", "0")
    assert "--out" in refused("make", "--out", str(text / "d"))
    assert "vouching" in refused("make", "--out", str(tmp_path / "e"), "authority")


@pytest.mark.parametrize("wrong", [["kd", "a/b"], ["vouching", "kd", "--host", "a:1"]])
def test_nothing_is_made_beside_a_mistake(tmp_path: Path, wrong: list[str]) -> None:
    refused("make", "--out", str(tmp_path / "new"), *wrong)
    assert not (tmp_path / "new").exists()
    assert halfkey("pki", "make", "--out", str(tmp_path / "new"), wrong[0]).returncode == 0
