"""kill -9 of real writers, over and over: no acknowledged record is lost."""

from __future__ import annotations

import multiprocessing
import time
from pathlib import Path

from halfkey.audit.reader import LogReader, verify
from halfkey.audit.records import Admitted
from tests.audit.helpers import KEY
from tests.audit.writer import write_until_killed

ROUNDS = 50


def live_and_die(directory: Path, life: int) -> list[tuple[int, str]]:
    """Runs a writer, kills it at some moment, and gives what it had acknowledged."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.audit.writer"])
    ours, theirs = context.Pipe(duplex=False)
    writer = context.Process(target=write_until_killed, args=(directory, life, theirs))
    writer.start()
    theirs.close()
    acknowledged = [ours.recv() for _ in range(life % 7)]
    # The moment of the kill wanders through a cycle of writing.
    time.sleep(life * 0.37e-3)
    writer.kill()
    writer.join()
    assert writer.exitcode == -9
    try:
        while True:
            acknowledged.append(ours.recv())
    except EOFError:
        ours.close()
    return acknowledged


def test_no_acknowledged_record_is_lost(tmp_path: Path) -> None:
    acknowledged = {}
    for life in range(ROUNDS):
        for seq, participant in live_and_die(tmp_path, life):
            assert seq not in acknowledged, "a number was given twice: what had it was lost"
            acknowledged[seq] = participant
    assert len(acknowledged) > ROUNDS
    found = {
        line.seq: record.participant
        for line, record in LogReader(tmp_path, KEY.public_key()).records()
        if isinstance(record, Admitted)
    }
    assert {seq: found.get(seq) for seq in acknowledged} == acknowledged
    assert verify(tmp_path, KEY.public_key()).files > 1
