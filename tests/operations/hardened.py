"""Runs a program as MemoryDenyWriteExecute= of systemd does: with the same system call filter.

    python hardened.py PROGRAM ARGUMENT...

Memory that is writable can't be executable, and nothing that is mapped becomes executable later.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys

_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _SECCOMP_MODE_FILTER = 22, 38, 2
_LOAD, _IF_EQUAL, _AND, _RETURN = 0x20, 0x15, 0x54, 0x06
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050001  # the latter with EPERM
_NUMBER, _PROTECTION = 0, 32  # where the filter finds the call's number and third argument
_WRITE, _EXECUTE = 2, 4
_MMAP_MPROTECT = {"x86_64": (9, 10), "aarch64": (222, 226)}


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def deny_write_execute() -> None:
    """Puts the filter on this process, and on all that it becomes and starts."""
    mmap, mprotect = _MMAP_MPROTECT[platform.machine()]
    both = _WRITE | _EXECUTE
    lines = [  # code, lines to skip if true, lines to skip if not, operand
        (_LOAD, 0, 0, _NUMBER),
        (_IF_EQUAL, 2, 0, mmap),
        (_IF_EQUAL, 4, 0, mprotect),
        (_RETURN, 0, 0, _ALLOW),
        (_LOAD, 0, 0, _PROTECTION),
        (_AND, 0, 0, both),
        (_IF_EQUAL, 3, 4, both),
        (_LOAD, 0, 0, _PROTECTION),
        (_AND, 0, 0, _EXECUTE),
        (_IF_EQUAL, 0, 1, _EXECUTE),
        (_RETURN, 0, 0, _REFUSE),
        (_RETURN, 0, 0, _ALLOW),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in lines))
    program = _Program(len(lines), ctypes.cast(code, ctypes.c_void_p))
    libc = ctypes.CDLL(None, use_errno=True)
    for call in (
        (_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        (_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0),
    ):
        if libc.prctl(*call) != 0:
            raise OSError(ctypes.get_errno(), "the filter can't be set")


if __name__ == "__main__":
    deny_write_execute()
    os.execv(sys.argv[1], sys.argv[1:])
