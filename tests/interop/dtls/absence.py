"""Why a judge, or another tool of the tests, can't be had.

Imports nothing of Halfkey: the fuzzer has to see the first import of all that it watches.
"""

from __future__ import annotations


class AbsentError(Exception):
    """The judge can't be had on this machine; the text says why, in one line."""


class MissingError(AbsentError):
    """It needs something of the machine that we don't bring ourselves; not a fault of ours."""
