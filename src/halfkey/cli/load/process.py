"""What the operating system says of a process: CPU time, memory, context switches."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from halfkey.cli.children import ChildFailed

_TICKS = os.sysconf("SC_CLK_TCK")
_USER, _SYSTEM = 11, 12  # fields 14 and 15 of proc_pid_stat(5), behind the name


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process has used.

    Attributes:
        cpu: seconds on a core, all threads, to the nanosecond.
        user: those in the program, to a clock tick.
        system: those in the kernel, to a clock tick.
        switches: context switches, voluntary and not.
        rss: bytes of memory that are resident.
    """

    cpu: float
    user: float
    system: float
    switches: int
    rss: int

    def since(self, before: Usage) -> Usage:
        """What was used from then on; memory as it is now."""
        return Usage(
            self.cpu - before.cpu,
            self.user - before.user,
            self.system - before.system,
            self.switches - before.switches,
            self.rss,
        )


def usage(pid: int) -> Usage:
    """Reads it.

    Raises:
        ChildFailed: there is no such process any more.
    """
    folder = Path("/proc") / str(pid)
    try:
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
        threads = list((folder / "task").iterdir())
        nanoseconds = sum(int((one / "schedstat").read_text().split()[0]) for one in threads)
        status = [_status(one / "status") for one in threads]
        rss = status[0]["VmRSS"]  # which a process that has ended has not
    except (OSError, LookupError, ValueError) as fault:
        raise ChildFailed(f"/proc doesn't tell what the Media Distributor uses: {fault}") from None
    names = "voluntary_ctxt_switches", "nonvoluntary_ctxt_switches"
    return Usage(
        cpu=nanoseconds / 1e9,
        user=int(fields[_USER]) / _TICKS,
        system=int(fields[_SYSTEM]) / _TICKS,
        switches=sum(one[name] for one in status for name in names),
        rss=rss * 1024,
    )


def _status(path: Path) -> dict[str, int]:
    """The numbers of a status file, by name."""
    pairs = (line.partition(":") for line in path.read_text().splitlines())
    found = ((name, rest.split()) for name, _, rest in pairs)
    return {name: int(words[0]) for name, words in found if words and words[0].isdecimal()}
