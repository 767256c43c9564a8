"""No key without its record on the disk, and no key once the disk fails."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from halfkey.audit import records
from halfkey.audit.disk import Disk
from halfkey.audit.faults import AuditUnavailable
from halfkey.audit.log import AuditLog
from halfkey.dtls import Fingerprint
from halfkey.key_distributor.auditing import Auditing
from halfkey.key_distributor.places import AUDIT_FOLDER, STATE_FILE
from halfkey.key_distributor.service import run
from halfkey.key_distributor.store import Store
from halfkey.tunnel import MediaDistributorTunnel
from tests.key_distributor.helpers import Certificates
from tests.key_distributor.test_restart import associate, started
from tests.key_distributor.tunnelling import TIMEOUT, admit, carry, dial, statistics
from tests.key_distributor.world import World


def lines(folder: Path) -> list[dict[str, Any]]:
    text = "".join(path.read_text() for path in sorted(folder.glob("*.jsonl")))
    return [json.loads(line) for line in text.splitlines()]


async def test_what_happens_is_in_the_log(certificates: Certificates, tmp_path: Path) -> None:
    options = certificates.options(state=tmp_path)
    async with started(certificates, options) as running:
        alice = await admit(running, "alice")
        await associate(running, certificates, alice)
        async with running.focus.delete(running.url("/conferences/c/participants/alice")):
            pass
    told = [line["event"] for line in lines(tmp_path / AUDIT_FOLDER)]
    assert told[0] == "started"
    assert told[-1] == "stopped"
    wanted = ["tunnel_opened", "associated", "ekt_key_sent", "ekt_key_acknowledged", "removed"]
    assert [event for event in told if event in wanted] == wanted
    sent = next(one for one in lines(tmp_path / AUDIT_FOLDER) if one["event"] == "ekt_key_sent")
    assert sent["participants"] == ["alice"]
    assert sent["spi"] == alice.ekt_keys[0].ekt_spi


class WatchedDisk(Disk):
    """Counts what was synced, and fails when told to."""

    def __init__(self) -> None:
        self.is_full = False
        self.syncs = 0

    def write(self, descriptor: int, data: bytes) -> None:
        if self.is_full:
            raise OSError(28, "No space left on device")
        super().write(descriptor, data)

    def sync(self, descriptor: int) -> None:
        super().sync(descriptor)
        self.syncs += 1


def test_a_key_is_on_the_disk_before_it_may_leave(tmp_path: Path) -> None:
    world, disk = World(), WatchedDisk()
    log = AuditLog.open(tmp_path, Ed25519PrivateKey.generate(), disk=disk, linger=60.0)
    auditing = Auditing(log, "instance")
    md = world.media_distributor()
    for number in range(150):
        world.join(md, f"p{number:03}")
    for event in world.events:
        auditing.on_event(event)
    before = disk.syncs
    auditing.commit()
    sent = [line for line in lines(tmp_path) if line["event"] == "ekt_key_sent"]
    told = [participant for line in sent for participant in line["participants"]]
    assert told == [f"p{number:03}" for number in range(150)]
    assert 1 <= disk.syncs - before <= 3  # one batch and its checkpoint, not one for each key
    auditing.commit()  # nothing is owed any more
    auditing.close()


def test_when_the_disk_is_full_commit_says_so_and_goes_on_saying_so(tmp_path: Path) -> None:
    world, disk = World(), WatchedDisk()
    log = AuditLog.open(tmp_path, Ed25519PrivateKey.generate(), disk=disk)
    auditing = Auditing(log, "instance")
    auditing.start("configuration")
    world.join(world.media_distributor(), "alice")
    for event in world.events:
        auditing.on_event(event)
    disk.is_full = True
    with pytest.raises(AuditUnavailable, match="No space left"):
        auditing.commit()
    disk.is_full = False
    with pytest.raises(AuditUnavailable):
        auditing.note(records.InviteRevoked("a1"))
    with pytest.raises(AuditUnavailable):
        auditing.close()


def full(self: Disk, descriptor: int, data: bytes) -> None:
    raise OSError(28, "No space left on device")


async def test_no_key_leaves_once_the_log_fails(
    certificates: Certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same handshake with a log that works gets its key: see above."""
    stack = AsyncExitStack()
    running = await stack.enter_async_context(
        started(certificates, certificates.options(state=tmp_path))
    )
    alice = await admit(running, "alice")
    streams = await dial(running, certificates.dialling(certificates.md))
    monkeypatch.setattr(Disk, "write", full)
    # Ends because the Key Distributor closes every tunnel.
    await asyncio.wait_for(carry(streams, MediaDistributorTunnel([9, 10]), alice), TIMEOUT)
    with pytest.raises(AuditUnavailable, match="No space left"):
        await stack.aclose()
    assert alice.ekt_keys == []
    assert not any(one["event"] == "ekt_key_sent" for one in lines(tmp_path / AUDIT_FOLDER))


async def test_nobody_is_admitted_once_the_log_fails(
    certificates: Certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even in answers: the same admission with a log that works comes first."""
    stack = AsyncExitStack()
    running = await stack.enter_async_context(
        started(certificates, certificates.options(state=tmp_path))
    )
    await admit(running, "alice")
    monkeypatch.setattr(Disk, "write", full)
    body = {"fingerprint": str(Fingerprint.of(b"bob's")), "tls_id": "b" * 24}
    for _ in range(2):
        async with running.focus.put(
            running.url("/conferences/c/participants/bob"), json=body
        ) as response:
            answer = await response.json()
            assert (response.status, "audit log" in answer["error"]) == (503, True)
    assert (await statistics(running))["participants_now"] == 1
    with pytest.raises(AuditUnavailable, match="No space left"):
        await stack.aclose()
    monkeypatch.undo()
    store = Store(tmp_path / STATE_FILE)
    assert [one.participant for one in store.admissions()] == ["alice"]
    store.close()


async def test_an_admission_is_on_the_disk_before_it_is_answered(
    certificates: Certificates, tmp_path: Path
) -> None:
    """Or after a crash somebody could get a key of whom the log has no name."""
    async with started(certificates, certificates.options(state=tmp_path)) as running:
        await admit(running, "alice")
        told = [line for line in lines(tmp_path / AUDIT_FOLDER) if line["event"] == "admitted"]
        assert [line["participant"] for line in told] == ["alice"]


async def speak(addresses: dict[str, Any], certificates: Certificates) -> None:
    """A Media Distributor that connects: a record that nobody waits for."""
    context = certificates.dialling(certificates.md)
    _, writer = await asyncio.open_connection(
        *addresses["tunnel"], ssl=context, server_hostname="kd"
    )
    writer.write(MediaDistributorTunnel([9]).data_to_send())
    await asyncio.sleep(0.2)
    writer.close()


async def test_a_key_distributor_whose_log_fails_ends_and_says_why(
    certificates: Certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = certificates.options(state=tmp_path)
    ready: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
    running = asyncio.create_task(run(options, ready.set_result))
    addresses = await asyncio.wait_for(ready, TIMEOUT)
    monkeypatch.setattr(Disk, "write", full)
    for _ in range(2):  # the first only begins to fail, the second finds out
        await speak(addresses, certificates)
    with pytest.raises(AuditUnavailable, match="No space left"):
        await asyncio.wait_for(running, TIMEOUT)
