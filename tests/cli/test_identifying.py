"""`--identity FILE`: each thing that is wrong in it is one line, and no login is of another key."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc.jwk import OKPKey

from halfkey.cli.identifying import SETTINGS, read_identity
from halfkey.cli.main import main
from halfkey.dtls.fingerprint import Fingerprint
from halfkey.errors import ConfigurationError
from halfkey.identity.claims import Binding, Claims
from halfkey.identity.jose import UnverifiedToken, sign
from halfkey.identity.oidc import Login
from halfkey.identity.passport import PassportSigner
from halfkey.pki import make_certificate, sha256_of

PASSPORT = {
    "certificate": "alice.crt",
    "key": "alice.key",
    "url": "https://cr.example/alice.pem",
    "identity": "sip:alice@example.org",
    "domain": "meet.example",
}
# What logs in: prints a token for whatever key it is told of, as a provider would.
PROVIDER = """
import os, sys
from joserfc.jwk import OKPKey
from halfkey.identity.jose import sign
payload = {"iss": sys.argv[1], "nonce": os.environ["HALFKEY_NONCE"]}
if sys.argv[2:]:
    open(sys.argv[2], "a").write(payload["nonce"] + "\\n")
    payload["exp"] = int(sys.argv[3])
print(sign({"alg": "Ed25519"}, payload, OKPKey.generate_key("Ed25519")))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("alice", "other", "authority"):
        make_certificate(tmp_path, name)
    (tmp_path / "p384.key").write_bytes(
        ec.generate_private_key(ec.SECP384R1()).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )
    )
    (tmp_path / "provider.py").write_text(PROVIDER)
    return tmp_path


def passport(**changes: str) -> str:
    lines = [f"{key} = {json.dumps(value)}" for key, value in (PASSPORT | changes).items() if value]
    return "[passport]\n" + "\n".join(lines) + "\n"


def login(*command: str) -> str:
    return f"[oidc]\ncommand = {json.dumps(list(command))}\n"


def write(folder: Path, content: str, head: str = 'authority = "authority.crt"\n') -> Path:
    path = folder / "me.toml"
    path.write_text(head + content)
    return path


def test_the_control_right_files_are_followed(folder: Path) -> None:
    credential = read_identity(write(folder, passport()), "weekly")
    assert isinstance(credential.signer, PassportSigner)
    assert (credential.conference, credential.role) == ("weekly", "participant")
    assert credential.authority == sha256_of(folder / "authority.crt")
    good = login(sys.executable, str(folder / "provider.py"), "https://login.example")
    credential = read_identity(write(folder, 'role = "host"\n' + good), "weekly")
    assert isinstance(credential.signer, Login)
    assert credential.role == "host"


@pytest.mark.parametrize(
    ("setting", "content", "said"),
    [
        ("passport_certificate", passport(certificate="gone.crt"), "gone.crt: can't read"),
        ("passport_certificate", passport(certificate="alice.key"), "no certificate in it"),
        ("passport_certificate", passport(certificate=""), "[passport] certificate is missing"),
        ("passport_key", passport(key="other.key"), "[passport] key: the private key doesn't"),
        ("passport_key", passport(key="gone.key"), "[passport] key: can't be read"),
        ("passport_key", passport(key="alice.crt"), "[passport] key: no private key"),
        ("passport_key", passport(key="p384.key"), "[passport] key: the key is not on the curve"),
        ("passport_url", passport(url="http://x/a.pem"), "[passport] url: x5u is an https"),
        ("passport_identity", passport(identity="alice"), "[passport] identity: an identity is"),
        ("passport_domain", passport(domain="a b"), "[passport] domain: write the domain"),
        ("role", 'role = "a b"\n' + passport(), "role: give 1 to 64"),
        ("oidc_command", "", "write one of [passport] and [oidc]"),
        ("oidc_command", login("x") + passport(), "write one of [passport] and [oidc]"),
        ("oidc_command", login(), "[oidc] command: write the program"),
        ("oidc_command", '[oidc]\ncommand = "x"\n', "[oidc] command: write an array"),
        ("oidc_command", login("/nowhere/x"), "[oidc] command: can't run /nowhere/x"),
        ("oidc_command", login("false"), "[oidc] command: false ended with 1"),
        ("oidc_command", login("echo", "hello"), "is no ID token of use (malformed)"),
        ("oidc_command", login("echo", "a" * 9000), "is no ID token of use (too_large)"),
    ],
)
def test_what_is_wrong_is_named(folder: Path, setting: str, content: str, said: str) -> None:
    assert setting in SETTINGS
    with pytest.raises(ConfigurationError) as caught:
        read_identity(write(folder, content), "weekly")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("seconds", [-1, 3600])
def test_who_has_to_be_admitted_again_logs_in_again_once_the_token_has_expired(
    folder: Path, seconds: int
) -> None:
    logins, exp = folder / "logins", str(int(time.time()) + seconds)
    command = [sys.executable, str(folder / "provider.py"), "https://login.example"]
    credential = read_identity(write(folder, login(*command, str(logins), exp)), "weekly")
    signer, refresh = credential.signer, credential.refresh
    assert isinstance(signer, Login)
    assert refresh is not None

    def id_token() -> str:
        binding = Binding("weekly", Fingerprint.of(b"c"), "t" * 24, (7,))
        claims = Claims.of(binding, "participant", int(time.time()))
        proof = UnverifiedToken(signer.sign(claims).assertion)
        return str(proof.hint("id_token"))

    before = id_token()
    asyncio.run(refresh())
    expired = seconds < 0
    assert len(set(logins.read_text().split())) == 1 + expired  # each with a key of its own
    assert (id_token() != before) is expired


def test_a_login_that_fails_when_it_is_needed_again_is_one_line(folder: Path) -> None:
    command = [sys.executable, str(folder / "provider.py"), "https://login.example"]
    path = write(folder, login(*command, str(folder / "logins"), "1"))
    refresh = read_identity(path, "weekly").refresh
    assert refresh is not None
    (folder / "provider.py").write_text("raise SystemExit(3)")
    with pytest.raises(ConfigurationError, match="ended with 3"):
        asyncio.run(refresh())


def test_a_token_for_another_key_is_not_shown_to_anybody(folder: Path) -> None:
    payload = {"iss": "https://login.example", "nonce": "of somebody else"}
    token = sign({"alg": "Ed25519"}, payload, OKPKey.generate_key("Ed25519"))
    with pytest.raises(ConfigurationError, match="for another key") as caught:
        read_identity(write(folder, login("echo", token)), "weekly")
    assert token not in str(caught.value)


def test_an_issuer_that_is_no_address(folder: Path) -> None:
    bad = login(sys.executable, str(folder / "provider.py"), "ftp://login.example")
    with pytest.raises(ConfigurationError, match=r"of use \(issuer\)"):
        read_identity(write(folder, bad), "weekly")


@pytest.mark.parametrize("command", [["join", "--name", "A"], ["record", "--out", "x.mkv"]])
def test_the_commands_say_it_in_one_line(
    folder: Path,
    command: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)

    def refused(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["halfkey", *command, *arguments])
        with pytest.raises(SystemExit) as caught:
            main()
        said = capsys.readouterr()
        assert (caught.value.code, said.out, said.err.count("\n")) == (2, "", 1)
        return said.err

    place = ["--focus", "https://127.0.0.1:9", "--conference", "weekly"]
    trust = ["--trust-focus", str(folder / "authority.crt")]
    bad = write(folder, passport(key="gone.key"))
    for arguments, said in (
        ([*place, *trust, "--identity", str(bad)], "[passport] key: can't be read"),
        ([*place, *trust, "--identity", "gone.toml"], "gone.toml: can't be read"),
        (["--identity", str(bad)], "--focus"),
        (["https://a/join/c#1x", "--identity", str(bad)], "LINK, --"),
        (
            [*place[:2], "--conference", "a b", *trust, "--identity", str(bad)],
            "--conference 'a b'",
        ),
    ):
        assert said in refused(*arguments)
    assert write(folder, passport(), head="").exists()
    assert "authority is missing" in refused(*place, *trust, "--identity", "me.toml")
