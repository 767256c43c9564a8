"""docs/quickstart.md does what it says: its commands are run as they stand, on other ports."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from halfkey.endpoint.media import tone_of
from tests.cli.upping import free_ports
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


def the_script(film: Path) -> str:
    blocks = re.findall(r"^```sh\n(.*?)^```$", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 9
    script = "set -eu\nset -m\n" + "".join(blocks)
    script = script.replace("/path/to/halfkey/.venv/bin", str(Path(sys.executable).parent))
    assert "--port 7000" in script
    assert "/path/to/film.mp4" in script
    script = script.replace("--port 7000", f"--port {free_ports()}")
    return script.replace("/path/to/film.mp4", str(film))


def test_every_command_of_the_quickstart(tmp_path: Path, film: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    script = the_script(film)
    # Files and not pipes: what a child would leave running would hold a pipe open.
    with (tmp_path / "out").open("w+") as out, (tmp_path / "err").open("w+") as err:
        run = subprocess.run(
            ["bash", "-c", script], cwd=folder, stdout=out, stderr=err, timeout=PATIENCE
        )
    said, told = (tmp_path / "out").read_text(), (tmp_path / "err").read_text()
    assert run.returncode == 0, told
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
