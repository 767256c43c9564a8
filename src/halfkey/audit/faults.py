"""What can be wrong with a log."""

from __future__ import annotations

from halfkey.errors import HalfkeyError


class AuditUnavailable(HalfkeyError):  # noqa: N818 (a state)
    """The log can take no more records, for good; the message says why.

    Whoever gets it must not do what the record was to tell: no EKTKey leaves. After the cause is
    mended, opening the log anew goes on where it ended.
    """


class AuditLogBroken(HalfkeyError):  # noqa: N818 (a state)
    """The log is not as it was written.

    Attributes:
        file: the name of the file in which that shows.
        line: its line number there, from 1; None where it isn't about a line.
        fault: what is wrong with it.
    """

    def __init__(self, file: str, line: int | None, fault: str) -> None:
        place = file if line is None else f"{file} line {line}"
        super().__init__(f"{place}: {fault}")
        self.file = file
        self.line = line
        self.fault = fault


class UnfinishedLine(AuditLogBroken):
    """The last line of a file has no end: it is being written, or was torn, or cut."""
