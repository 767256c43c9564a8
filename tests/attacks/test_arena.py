"""The check at the end of every attack finds what it looks for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.attacks.arena import Attacker, arena
from tests.e2e.system import CONFERENCE
from tests.endpoint.waiting import until


async def test_a_listener_with_a_key_would_be_found(tmp_path: Path) -> None:
    """Where the Key Distributor believes the Focus, its own client does get an EKTKey."""
    async with arena(tmp_path, believe_focus=True) as field:
        attacker = Attacker()
        offer = attacker.offer(None)
        admission = await field.kd.admit(CONFERENCE, "ghost", offer)
        allocation = await field.md.allocate(CONFERENCE, "ghost", offer)
        await attacker.associate(admission, allocation, None)
        await until(lambda: attacker.spis)
        assert not attacker.has_nothing
        with pytest.raises(TimeoutError):
            await field.check(seconds=0.5)
        # What it found was shown; the arena's own check shall not find it again.
        field.system.key_events.clear()
        await attacker.transport.close()
