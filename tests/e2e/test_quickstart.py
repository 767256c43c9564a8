"""docs/quickstart.md does what it says: its commands are run as they stand, on other ports."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from halfkey.endpoint.media import tone_of
from tests.cli.upping import first_port
from tests.endpoint.files import write_movie
from tests.recorder.helpers import decoded, strength

DOCUMENT = Path(__file__).parents[2] / "docs/quickstart.md"
PATIENCE = 240
FILM_TONE = 700


@pytest.fixture
async def film(tmp_path: Path) -> Path:
    path = tmp_path / "film.mp4"
    await write_movie(path, seconds=4.0, tone=FILM_TONE)
    return path


def the_scripts(film: Path) -> tuple[str, str]:
    """What is typed in the first terminal, and in the second."""
    document = DOCUMENT.read_text()
    for to_fill_in in ("/path/to/halfkey/.venv/bin", "--port 7000", "/path/to/film.mp4"):
        assert to_fill_in in document
    document = document.replace("/path/to/halfkey/.venv/bin", str(Path(sys.executable).parent))
    document = document.replace("--port 7000", f"--port {first_port()}")
    document = document.replace("/path/to/film.mp4", str(film))
    first, second = document.split("## 2. The second terminal")
    scripts = [
        re.findall(r"^```sh\n(.*?)^```$", part, re.MULTILINE | re.DOTALL)
        for part in (first, second)
    ]
    assert [len(blocks) for blocks in scripts] == [1, 7]
    # Job control in the second alone: in the first Ctrl-C has to reach what runs there.
    return "set -eu\n" + "".join(scripts[0]), "set -eum\n" + "".join(scripts[1])


@contextmanager
def terminal(script: str, folder: Path, said: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Types a script; what it says goes to files: what is left running would hold a pipe open."""
    with said.with_suffix(".out").open("w") as out, said.with_suffix(".err").open("w") as err:
        process = subprocess.Popen(
            ["bash", "-c", script], cwd=folder, stdout=out, stderr=err, start_new_session=True
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def test_every_command_of_the_quickstart(tmp_path: Path, film: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    one, two = the_scripts(film)
    with (
        terminal(one, folder, tmp_path / "one") as first,
        terminal(two, folder, tmp_path / "two") as second,
    ):
        status = second.wait(PATIENCE)
        said, told = (tmp_path / "two.out").read_text(), (tmp_path / "two.err").read_text()
        assert status == 0, told
        os.killpg(first.pid, signal.SIGINT)  # Ctrl-C
        first.wait(PATIENCE)
    assert "ready at" in (tmp_path / "one.err").read_text()
    check_what_was_told(told)
    check_recording(folder / "weekly.mkv")
    check_audit(said)
    for name, seen in (("Bob", "seen-by-alice"), ("Alice", "seen-by-bob")):
        with Image.open(folder / seen / f"{name}.png") as picture:
            assert picture.height == 180
    assert "#" not in said, "a link is on its way to a terminal"


def check_what_was_told(told: str) -> None:
    for name in ("Alice (host, ", "Bob (", "Minutes ("):
        assert re.search(rf"{re.escape(name)}invite:[0-9a-f]+\) is here, verified", told)
    codes = set(re.findall(r"halfkey (join|record): conference code: (\w+ \w+ \w+ \d{4}) ", told))
    of_recorder = {code for role, code in codes if role == "record"}
    of_others = {code for role, code in codes if role == "join"}
    assert of_recorder
    assert of_recorder <= of_others, "the recorder's codes are everybody's"
    assert "removed Bob, for good" in told
    assert "halfkey: no longer in weekly: " in told, "what Bob's command ended with"


def check_recording(path: Path) -> None:
    """Both sounds, and two pictures beside each other that change."""
    found = decoded(path)
    assert found.duration is not None
    assert found.duration > 10
    sounds = found.only("audio").heard(found.duration - 6, found.duration - 3)
    assert strength(sounds, tone_of(0)) > 500, "Bob"
    assert strength(sounds, FILM_TONE) > 500, "Alice"
    assert strength(sounds, 777) < 200, "the control: nobody sends this"
    picture = found.only("video").seen(found.duration - 4)
    halves = picture.to_image().convert("L")
    width, height = halves.size
    for left in (0, width // 2):
        _, lightest = halves.crop((left, 0, left + width // 2, height)).getextrema()
        assert lightest > 40, "somebody's picture is missing"


def check_audit(said: str) -> None:
    """Exactly those three, each by name and by the identity that the invite has."""
    _, _, answer = said.partition("could decrypt:")
    holders, _, _ = answer.partition("verified up to")
    lines = holders.strip().splitlines()
    names = [
        re.match(r" +\w+  (\w+)  invite:[0-9a-f]+  sent .* acknowledged ", f" {one}")
        for one in lines
    ]
    assert sorted(name[1] if name else "?" for name in names) == ["Alice", "Bob", "Minutes"]
