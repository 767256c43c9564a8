"""No key of a real conference is in its log, in any writing."""

from __future__ import annotations

import base64
from pathlib import Path

from halfkey.audit.log import AuditLog
from halfkey.audit.records import EKTKeySent, Rekey
from halfkey.key_distributor.auditing import Auditing
from tests.audit.helpers import KEY, records_of
from tests.key_distributor.world import World


def writings(secret: bytes) -> list[bytes]:
    """The ways in which a secret could stand in a file."""
    plain = [secret, secret.hex().encode(), base64.b64encode(secret).rstrip(b"=")]
    return [*plain, secret.hex().upper().encode(), base64.urlsafe_b64encode(secret).rstrip(b"=")]


def secrets_in(directory: Path, secrets: set[bytes]) -> set[bytes]:
    """Those that are in any file of the folder."""
    content = b"\0".join(path.read_bytes() for path in directory.iterdir())
    return {secret for secret in secrets if any(one in content for one in writings(secret))}


def test_no_secret_of_a_conference_is_in_its_log(tmp_path: Path) -> None:
    world = World()
    media_distributor = world.media_distributor()
    alice, bob, carol = (world.join(media_distributor, name) for name in ("alice", "bob", "carol"))
    world.core.remove("c", "carol", world.now, "evicted")
    world.pump()
    world.advance(5)

    auditing = Auditing(AuditLog.open(tmp_path, KEY), "instance")
    auditing.start("configuration")
    for event in world.events:
        auditing.on_event(event)
    auditing.commit()
    auditing.close()

    keys = {key for one in (alice, bob, carol) for key in one.ekt_keys}
    told = {record.spi for record in records_of(tmp_path) if isinstance(record, EKTKeySent | Rekey)}
    assert {key.ekt_spi for key in keys} == told
    assert len(told) == 2
    secrets = {key.ekt_key_value for key in keys} | {key.srtp_master_salt for key in keys}
    secrets.add(KEY.private_bytes_raw())
    assert secrets_in(tmp_path, secrets) == set()

    # The control: each of them is found in each writing.
    for secret in secrets:
        for one in writings(secret):
            (tmp_path / "planted").write_bytes(b"xx" + one + b"yy")
            assert secrets_in(tmp_path, secrets) == {secret}
