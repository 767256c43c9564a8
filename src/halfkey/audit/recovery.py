"""Where a log goes on when it is opened.

Everything up to the checkpoint was durable before anybody was told so, and what came after it is at
most one batch. If a crash tore that batch, its unfinished tail is moved into a file of its own; no
whole line up to there is touched. Anything else that doesn't fit is no work of a crash: then the
log isn't opened.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from halfkey.audit.chain import Checkpoint, digest_of
from halfkey.audit.disk import CHECKPOINT_FILE, Disk, log_files, torn_file
from halfkey.audit.faults import AuditLogBroken
from halfkey.audit.records import Recovered
from halfkey.audit.walk import read_checkpoint, walk


@dataclass(frozen=True, slots=True)
class Recovery:
    """Where to go on.

    Attributes:
        place: the last line.
        record: what is to be recorded of how it was found; None if all was well.
    """

    place: Checkpoint
    record: Recovered | None


def recover(directory: Path, key: Ed25519PublicKey, disk: Disk) -> Recovery:
    """Finds the end of a log, and moves an unfinished tail away.

    Raises:
        AuditLogBroken: the log is not as it was written.
        OSError: the folder can't be used.
    """
    paths = log_files(directory)
    if not paths and not (directory / CHECKPOINT_FILE).exists():
        return Recovery(Checkpoint(), None)
    start, state = _checkpoint(directory, key)
    if start.seq:
        paths = _from_checkpoint(paths, start)
    place, fault = start, None
    try:
        for entry in walk(paths, key, start):
            place = entry.place
    except AuditLogBroken as found:
        fault = found
    cut = _cut(paths, place, fault, state, disk) if fault else b""
    if not cut and state == "sound":
        return Recovery(place, None)
    digest = hashlib.sha256(cut).hexdigest() if cut else ""
    return Recovery(place, Recovered(len(cut), digest, state))


def _checkpoint(directory: Path, key: Ed25519PublicKey) -> tuple[Checkpoint, str]:
    try:
        return read_checkpoint(directory, key), "sound"
    except AuditLogBroken as fault:
        is_missing = fault.fault == "is missing"
        return Checkpoint(), "missing" if is_missing else "unreadable"


def _from_checkpoint(paths: list[Path], checkpoint: Checkpoint) -> list[Path]:
    """The files from the checkpoint's on, once its line was found there as it says."""
    after = [path for path in paths if path.name >= checkpoint.file]
    if not after or after[0].name != checkpoint.file:
        raise AuditLogBroken(checkpoint.file, None, "the file is missing")
    with after[0].open("rb") as file:
        file.seek(checkpoint.end - checkpoint.length)
        line = file.read(checkpoint.length)
    if digest_of(line) != checkpoint.digest:
        fault = f"record {checkpoint.seq}, the checkpoint's, isn't there as it was written"
        raise AuditLogBroken(checkpoint.file, checkpoint.number, fault)
    return after


def _cut(
    paths: list[Path], place: Checkpoint, fault: AuditLogBroken, state: str, disk: Disk
) -> bytes:
    """Moves what follows the last whole line away, if a crash can have left it there."""
    last = paths[-1]
    if fault.line is None or fault.file != last.name:
        raise fault
    kept = place.end if place.file == last.name else 0
    with last.open("rb") as file:
        file.seek(kept)
        tail = file.read()
    # Without a checkpoint nobody knows what was acknowledged: then only half a line may go.
    if state != "sound" and b"\n" in tail:
        raise fault
    _keep(last.parent / torn_file(place.seq), tail, disk)
    descriptor = disk.open(last, os.O_WRONLY)
    try:
        os.ftruncate(descriptor, kept)
        disk.sync(descriptor)
    finally:
        disk.close(descriptor)
    return tail


def _keep(path: Path, tail: bytes, disk: Disk) -> None:
    descriptor = disk.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        disk.write(descriptor, tail)
        disk.sync(descriptor)
    finally:
        disk.close(descriptor)
    disk.sync_directory(path.parent)
