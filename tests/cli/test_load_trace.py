"""Traffic from a file: what it means, and what is said of one that means nothing."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from halfkey.cli.load import trace
from halfkey.cli.load.traffic import DOUBLE_OVERHEAD, Traffic
from halfkey.errors import ConfigurationError


def read(tmp_path: Path, text: str | bytes) -> Traffic:
    file = tmp_path / "trace.csv"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return trace.read(file)


def test_packets_of_one_time_and_length_are_a_burst(tmp_path: Path) -> None:
    lines = ["# seconds,bytes", "", "5.0,1000", "5.0,1000", "5.0, 300", " 5.1,700", "5.2,700"]
    traffic = read(tmp_path, "\n".join(lines) + "\n")
    times, lengths, counts = zip(*traffic.bursts, strict=True)
    assert times == pytest.approx((0, 0, 0.1, 0.2))
    assert [length - DOUBLE_OVERHEAD for length in lengths] == [1000, 300, 700, 700]
    assert counts == (2, 1, 1, 1)
    # Then it begins anew, a tenth of a second later as well.
    assert traffic.period == pytest.approx(0.3)
    assert traffic.rate == pytest.approx(5 / 0.3)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0,100\nx,100\n", "line 2: 'x,100' is not SECONDS,BYTES, such as 0.02,160"),
        ("0,100\n\n1\n", "line 3: '1' is not SECONDS,BYTES"),
        ("0,100,1\n", "line 1: '0,100,1' is not SECONDS,BYTES"),
        ("0,1.5\n", "line 1: '0,1.5' is not SECONDS,BYTES"),
        ("0," + "9" * 5000, "line 1: '0,9999"),
        ("9" * 500 + ",100\n", "line 1: '9999"),
        ("nan,100\n", "line 1: nan: give seconds from 0"),
        ("-1,100\n", "line 1: -1: give seconds from 0"),
        ("0,7\n", "line 1: 7: a payload has 8 to 1354 bytes"),
        ("0,8\n1,1355\n", "line 2: 1355: a payload has 8 to 1354 bytes"),
        ("2,100\n1,100\n", "line 2: 1 s comes before 2 s; put them in order"),
        ("", "needs packets at two different times"),
        ("1,100\n1,100\n", "needs packets at two different times"),
        (b"\xff\xfe\x00", "is no text"),
        (b"#" * ((8 << 20) + 1), "is larger than 8 MiB"),
        ("1,100\n" * 100_001, "has more than 100,000 packets"),
    ],
)
def test_what_means_nothing_is_one_line(tmp_path: Path, text: str | bytes, said: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        read(tmp_path, text)
    message = str(refused.value)
    assert message.startswith(f"--trace {tmp_path / 'trace.csv'}: {said}")
    assert "\n" not in message
    assert len(message) < 300


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nothing\.csv: can't be read"):
        trace.read(tmp_path / "nothing.csv")


def test_what_is_no_regular_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    signal.alarm(30)  # ends the test that waits for somebody who writes
    try:
        for path in (pipe, Path("/dev/zero")):
            with pytest.raises(ConfigurationError, match=f"^--trace {path}: is no regular file"):
                trace.read(path)
    finally:
        signal.alarm(0)
    with pytest.raises(ConfigurationError, match="can't be read"):
        trace.read(tmp_path)
