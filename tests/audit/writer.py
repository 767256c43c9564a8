"""Processes that write a log until they are killed or the disk is full."""

from __future__ import annotations

import json
import resource
import sys
from multiprocessing.connection import Connection
from pathlib import Path

from halfkey.audit.faults import AuditUnavailable
from halfkey.audit.log import AuditLog
from halfkey.audit.records import Admitted
from tests.audit.helpers import KEY

UNRELIED = 8
"""Records between those that somebody waits for."""


def write_until_killed(directory: Path, life: int, said: Connection) -> None:
    """Appends without end; says each number and participant once it is durable."""
    log = AuditLog.open(directory, KEY, maximum_size=20_000)
    count = 0
    while True:
        for _ in range(UNRELIED):
            log.append(Admitted("weekly", f"unrelied-{life}", name="x" * 100))
        participant = f"life-{life}-{count}"
        seq = log.append_durably(Admitted("weekly", participant, name="x" * (count * 37 % 200)))
        said.send((seq, participant))
        count += 1


def write_until_full(directory: Path, limit: int) -> None:
    """Appends until a file may grow no more; prints what was durable, and how that ended."""
    log = AuditLog.open(directory, KEY)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    durable = 0
    try:
        while True:
            durable = log.append_durably(Admitted("weekly", f"p{durable}"))
    except AuditUnavailable as fault:
        told = str(fault)
    again = []
    for attempt in (lambda: log.append(Admitted("weekly", "late")), log.close):
        try:
            attempt()
        except AuditUnavailable as fault:
            again.append(str(fault))
    print(json.dumps({"durable": durable, "told": told, "again": again}))


if __name__ == "__main__":
    write_until_full(Path(sys.argv[1]), int(sys.argv[2]))
