"""The servers on loopback when one of them doesn't answer any more."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from halfkey.cli.children import ChildFailed, Children
from halfkey.cli.servers import Servers


async def test_a_frozen_media_distributor_is_named(
    tmp_path: Path,
) -> None:
    children = Children()
    started = Servers(children, tmp_path, tmp_path, patience=2.0)
    try:
        await started.start()
        assert started.media_distributor is not None
        assert (await started.media_statistics())["forwarded_packets"] == 0
        os.kill(started.media_distributor.pid, signal.SIGSTOP)
        complaint = "^the Media Distributor did not answer /statistics within 2 s$"
        with pytest.raises(ChildFailed, match=complaint):
            await started.media_statistics()
        os.kill(started.media_distributor.pid, signal.SIGCONT)
    finally:
        await started.close()
        await children.stop()
