"""docs/roles.md does what it says: its commands are run as they stand, on other ports."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from pathlib import Path

from PIL import Image

DOCUMENT = Path(__file__).parent.parent.parent / "docs/roles.md"
PATIENCE = 120


def test_every_command_of_the_document(tmp_path: Path) -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```$", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 7
    script = "set -eu\nset -m\n" + "".join(blocks)
    script = script.replace("/path/to/halfkey/.venv/bin", str(Path(sys.executable).parent))
    for port, free in zip(sorted(set(re.findall(r":(70\d\d)", script))), _ports(), strict=False):
        script = script.replace(f":{port}", f":{free}")
    run = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE
    )
    assert run.returncode == 0, run.stderr
    assert "Alice.png" in run.stdout
    assert "joined in" in run.stderr
    assert "receiving video of Alice" in run.stderr
    with Image.open(tmp_path / "pictures/Alice.png") as picture:
        assert picture.width >= 320
        assert len(picture.convert("RGB").getcolors(1 << 20) or ()) > 100


def _ports() -> list[int]:
    """Ports that were free a moment ago, for TCP and for UDP."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(8)]
    ports = [listening.getsockname()[1] for listening in sockets]
    for listening in sockets:
        listening.close()
    return ports
