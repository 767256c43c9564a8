"""The folder of the demo's private keys: for nobody else to read, and gone with the demo.

A demo that is killed outright can't take it away. So each holds a lock on its folder, which the
system lets go of with the process, and every start removes the folders that nobody holds.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PREFIX = "halfkey-demo-"

# No sweep takes a folder that isn't locked yet: it gets the other name once it is.
_UNLOCKED_PREFIX = "halfkey-unlocked-"


@contextmanager
def credentials_folder() -> Iterator[Path]:
    """Makes the folder, and removes it and those that killed demos of this user left."""
    parent = Path(tempfile.gettempdir())
    _sweep(parent)
    made = Path(tempfile.mkdtemp(prefix=_UNLOCKED_PREFIX, dir=parent))
    descriptor = os.open(made, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        made = made.rename(made.with_name(PREFIX + made.name.removeprefix(_UNLOCKED_PREFIX)))
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
        os.close(descriptor)


def _sweep(parent: Path) -> None:
    """Removes the folders of demos whose processes are gone."""
    for folder in parent.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):  # another's, or held, or gone meanwhile
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                if os.fstat(descriptor).st_uid == os.getuid():
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(descriptor)
