"""Private keys of a demo don't outlive it for long, however it ends."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from halfkey.cli.demo.credentials import PREFIX, credentials_folder

HOLDER = """
import sys
from halfkey.cli.demo.credentials import credentials_folder
with credentials_folder() as folder:
    (folder / "kd.key").write_text("a key")
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def test_it_is_for_nobody_else_and_goes() -> None:
    with credentials_folder() as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "kd.key").write_text("a key")
    assert not folder.exists()


def test_a_killed_demo_s_folder_goes_at_the_next_start_and_a_living_one_s_stays(
    temporary: Path,
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    held = Path(process.stdout.readline().strip())
    elsewhere = temporary / "elsewhere"
    elsewhere.mkdir()
    (temporary / f"{PREFIX}link").symlink_to(elsewhere)
    with credentials_folder() as own:
        assert {path.name for path in temporary.glob("halfkey-*")} == {
            held.name,
            own.name,
            f"{PREFIX}link",
        }
        assert (held / "kd.key").read_text() == "a key"
    process.kill()
    process.communicate()
    assert (held / "kd.key").exists(), "what the next start is for"
    with credentials_folder() as own:
        assert not held.exists()
        assert own.exists()
    assert elsewhere.exists()
