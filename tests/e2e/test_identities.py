"""`--identity FILE`, all of it real processes: a PASSporT, and a login at a provider."""

from __future__ import annotations

import asyncio
import datetime
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.e2e.processes import CONFERENCE, Processes, running_processes
from tests.e2e.test_links import people_of, verified
from tests.endpoint.waiting import until
from tests.identity.certificates import DAY, Holder, issue, uris
from tests.interop.oidc.provider import running as running_provider

URL = "https://cr.example/alice.pem"
ALICE = "sip:alice@example.org"
CLIENT = "halfkey-ES256"
LOG_IN = """
import asyncio, os, ssl, sys
from tests.interop.oidc.provider import RunningProvider
issuer, certificate, client = sys.argv[1:]
provider = RunningProvider(issuer, ssl.create_default_context(cafile=certificate))
print(asyncio.run(provider.log_in("ada", client, os.environ["HALFKEY_NONCE"])))
"""


def write_pem(folder: Path, name: str, holder: Holder) -> None:
    (folder / f"{name}.pem").write_bytes(holder.certificate.public_bytes(Encoding.PEM))
    key = holder.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / f"{name}.key").write_bytes(key)


@asynccontextmanager
async def attending(servers: Processes, *options: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """`halfkey join` or `record` with options; ended at the end."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "halfkey", *options, "--focus", servers.focus_url),
        *("--trust-focus", str(servers.folder / "focus.crt"), "--conference", CONFERENCE),
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


def identity_file(folder: Path, name: str, content: str) -> str:
    path = folder / f"{name}.toml"
    path.write_text('authority = "authority.crt"\n' + content)
    return str(path)


def passport_file(folder: Path, name: str, identity: str = ALICE) -> str:
    return identity_file(
        folder,
        name,
        f'[passport]\ncertificate = "alice.pem"\nkey = "alice.key"\nurl = "{URL}"\n'
        f'identity = "{identity}"\ndomain = "meet.example"\n',
    )


@pytest.mark.parametrize("command", ["join", "record"])
async def test_a_passport_lets_in_whom_its_certificate_is_for(tmp_path: Path, command: str) -> None:
    since = datetime.datetime.now(datetime.UTC) - DAY
    until_when = since + 2 * DAY
    root = issue("STI root", authority=True, since=since, until=until_when)
    alice = issue("alice", root, uris(ALICE), since=since, until=until_when)
    write_pem(tmp_path, "roots", root)
    write_pem(tmp_path, "alice", alice)
    (tmp_path / "identities.toml").write_text(
        '[passport]\nroots = "roots.pem"\ndomain = "meet.example"\nroles = ["participant"]\n'
        'conferences = ["*"]\n'
        f'[passport.certificates]\n"{URL}" = "alice.pem"\n'
    )
    record = [command, "--overwrite", "--out", str(tmp_path / "o.mkv")]
    words = [command] if command == "join" else record
    good, bad = passport_file(tmp_path, "good"), passport_file(tmp_path, "bad", "sip:eve@x.org")
    async with running_processes(tmp_path, identities=tmp_path / "identities.toml") as servers:
        watching = servers.endpoint(0)
        await watching.join()
        async with attending(servers, *words, "--name", "A", "--identity", good):
            await until(lambda: verified(watching) == {"P0", "alice@example.org"}, 60)
        async with attending(servers, *words, "--name", "E", "--identity", bad) as refused:
            assert refused.stderr is not None
            said = (await refused.stderr.read()).decode()
            assert await refused.wait() == 1
            assert "may not speak" in said.splitlines()[-1]
            assert "Traceback" not in said


async def test_a_login_lets_in_who_logged_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "log_in.py").write_text(LOG_IN)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    async with running_provider(tmp_path) as provider:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "provider.crt"))
        (tmp_path / "identities.toml").write_text(
            f'[[oidc]]\nissuer = "{provider.issuer}"\naudience = "{CLIENT}"\n'
            'roles = ["participant"]\nconferences = ["*"]\n'
        )

        def login_file(client: str) -> str:
            log_in = [sys.executable, str(tmp_path / "log_in.py"), provider.issuer]
            command = [*log_in, str(tmp_path / "provider.crt"), client]
            return identity_file(tmp_path, client, f"[oidc]\ncommand = {json.dumps(command)}\n")

        async with running_processes(tmp_path, identities=tmp_path / "identities.toml") as servers:
            watching = servers.endpoint(0)
            await watching.join()
            good = "join", "--name", "A", "--identity", login_file(CLIENT)
            async with attending(servers, *good):
                await until(lambda: verified(watching) == {"P0", "Name of ada"}, 60)
                identities = {one.entry.identity for one in people_of(watching).people()}
                assert f"oidc:{provider.issuer}#ada" in identities
            elsewhere = "join", "--name", "E", "--identity", login_file("another-service")
            async with attending(servers, *elsewhere) as refused:
                assert refused.stderr is not None
                said = (await refused.stderr.read()).decode()
                assert await refused.wait() == 1
                assert "issued for somebody else" in said
                assert "Traceback" not in said
