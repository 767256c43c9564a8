"""`halfkey md` as a person starts it."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys

import pytest

from tests.key_distributor.helpers import Certificates


def command(certificates: Certificates, **changes: str) -> list[str]:
    options = {
        "certificate": str(certificates.md[0]),
        "key": str(certificates.md[1]),
        "trust-key-distributors": str(certificates.kd[0]),
        "trust-focuses": str(certificates.focus[0]),
        "tunnel-listen": "127.0.0.1:0",
        "media-listen": "127.0.0.1:0",
        "control-listen": "127.0.0.1:0",
    }
    options |= {name.replace("_", "-"): value for name, value in changes.items()}
    line = [word for name, value in options.items() for word in (f"--{name}", value)]
    return [sys.executable, "-m", "halfkey", "md", *line]


def refused(certificates: Certificates, **changes: str) -> str:
    """The one line that it ends with."""
    ended = subprocess.run(
        command(certificates, **changes), capture_output=True, text=True, timeout=60
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.count("\n") == 1
    return ended.stderr


@pytest.mark.parametrize("changes", [{}, {"media_listen": "0.0.0.0:0", "advertise": "192.0.2.7"}])
def test_it_says_where_it_is_and_ends_when_told(
    certificates: Certificates, changes: dict[str, str]
) -> None:
    started = subprocess.Popen(
        command(certificates, **changes), stderr=subprocess.PIPE, text=True, bufsize=1
    )
    assert started.stderr is not None
    try:
        ready = started.stderr.readline()
        assert ready.startswith("halfkey md: ready (")
        assert all(name in ready for name in ("media ", "control ", "tunnel "))
        started.send_signal(signal.SIGTERM)
        assert started.wait(30) == 0
        assert started.stderr.read() == ""
    finally:
        started.kill()
        started.wait()
        started.stderr.close()


@pytest.mark.parametrize("option", ["media", "control", "tunnel"])
def test_a_port_in_use(certificates: Certificates, option: str) -> None:
    kind = socket.SOCK_DGRAM if option == "media" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("127.0.0.1", 0))
        if kind is socket.SOCK_STREAM:
            taken.listen()
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        line = refused(certificates, **{f"{option}_listen": place})
    assert f"{option} address {place}: " in line
    assert "in use" in line


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"media_listen": "0.0.0.0:0"}, "--advertise HOST"),
        ({"media_listen": "[::]:0"}, "--advertise HOST"),
        ({"media_listen": "0.0.0.0:0", "advertise": "somewhere"}, "--advertise somewhere"),
        ({"media_listen": "here"}, "--media-listen here"),
        ({"workers": "0"}, "--workers 0: give a number from 1 to 64"),
        ({"workers": "65"}, "--workers 65: give a number from 1 to 64"),
        ({"workers": "4", "retransmission_cache": "3"}, "give 0 for none, or MiB from 4 (one for"),
        ({"retransmission_cache": "65537"}, "--retransmission-cache 65537: give 0 for none"),
        ({"retransmission_cache": "-1"}, "--retransmission-cache -1: give 0 for none"),
        ({"key": "/nowhere.key"}, "/nowhere.key"),
    ],
)
def test_a_wrong_option(certificates: Certificates, changes: dict[str, str], said: str) -> None:
    assert said in refused(certificates, **changes)
