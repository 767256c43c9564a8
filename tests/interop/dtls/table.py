"""`make interop`: has every judge judge, prints the table and writes docs/interop.md."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from halfkey.dtls import Role
from halfkey.profiles import SRTPProtectionProfile
from tests.interop.dtls.absence import AbsentError
from tests.interop.dtls.judges import JUDGES
from tests.interop.dtls.peer import Judge, check_agreement, shake_hands

DOCUMENT = Path(__file__).parents[3] / "docs" / "interop.md"
PASSED = "passed"
HEADER = ("peer", "version", "DTLS", "our role", "profile", "key exchange", "result")
TITLE = "# Foreign stacks as judges of our DTLS"
PREFACE = """\
Made by `make interop`; don't edit it. Each row is one handshake between `halfkey.dtls` and an
implementation by somebody else, with certificates on both sides. *Passed* says that both sides
name the same protection profile, each got the other's certificate byte for byte, and the peer's
exporter gives the keys that ours gives: for SRTP (RFC 5764 section 4.2), and where the peer has a
general exporter for another label too. A peer that could not be had is named with the reason, and
counts as neither passed nor failed.

`make test` runs the same, and that each peer puts our flights together from fragments of 256 bytes
at most, and that its certificate is refused in each role if another one was expected.
No other implementation of ekt_key is known, so nobody foreign judges that."""


NO_JUDGES = {
    "mbedTLS is not among them": (
        "its use_srtp has no AEAD profile and takes no other code point, so it can't complete a "
        "handshake with us, who insist on one"
    ),
    "DTLS 1.3 of OpenSSL, GnuTLS and pion/dtls": "none of these releases has it",
    "NSS is not among them": (
        "Debian's libnss3 speaks a draft of DTLS 1.3; the newer one inside Firefox was not tried"
    ),
}
"""Stacks that were looked at and can't judge, with the reason."""


@dataclass(frozen=True)
class Row:
    """One handshake, or a judge that could not be had.

    Attributes:
        peer: the judge's name.
        version: its version.
        dtls: the version of DTLS.
        role: ours.
        profile: the protection profile's name.
        group: the group of the key exchange; "-" where there was none.
        result: `PASSED`, or what went wrong, in one line.
    """

    peer: str
    version: str
    dtls: str
    role: str
    profile: str
    group: str
    result: str

    def cells(self) -> tuple[str, ...]:
        return tuple(str(value) for value in dataclasses.astuple(self))


def combinations(judge: Judge) -> Iterator[tuple[Role, SRTPProtectionProfile]]:
    """What a judge is asked."""
    for profile in judge.profiles:
        for role in Role:
            yield role, profile


def run(judge: Judge) -> list[Row]:
    """One row for each combination; all with the reason where the judge is absent."""
    rows, dtls = [], judge.dtls.title.removeprefix("DTLS ")
    for role, profile in combinations(judge):
        version = group = "-"
        try:
            version = judge.version()
            verdict = shake_hands(judge, role, profile)
            group, result = check_agreement(judge, verdict, profile).group.name, PASSED
        except AbsentError as error:
            result = f"absent: {error}"
        except Exception as error:
            result = f"failed: {_one_line(error)}"
        rows.append(Row(judge.name, version, dtls, role.value, profile.name, group, result))
    return rows


def count(rows: Iterable[Row]) -> str:
    """How many handshakes passed, failed, and could not be tried."""
    results = [row.result for row in rows]
    passed = results.count(PASSED)
    absent = sum(result.startswith("absent") for result in results)
    return f"{passed} passed, {len(results) - passed - absent} failed, {absent} not tried"


def render(rows: list[Row]) -> str:
    """The document."""
    cells = [HEADER, tuple("-" * len(name) for name in HEADER), *(row.cells() for row in rows)]
    notes = [f"- {judge.name}: {judge.note}." for judge in JUDGES if judge.note]
    lines = [TITLE, "", PREFACE, "", *(f"| {' | '.join(one)} |" for one in cells)]
    others = [f"- {name}: {reason}." for name, reason in NO_JUDGES.items()]
    return "\n".join([*lines, "", f"{count(rows)}.", "", *notes, *others, ""])


def parse(text: str) -> list[Row]:
    """The rows of a document: what `render` wrote."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [Row(*line.strip("| ").split(" | ")) for line in lines[2:]]


def main() -> int:
    """Exit status 1 if a handshake failed."""
    _install_packages()
    rows = []
    for judge in JUDGES:
        for row in run(judge):
            print("  ".join((f"{row.peer:10}", f"{row.version:8}", *row.cells()[2:])), flush=True)
            rows.append(row)
    for name, reason in NO_JUDGES.items():
        print(f"{name}: {reason}")
    DOCUMENT.write_text(render(rows))
    print(f"{count(rows)}; written to docs/{DOCUMENT.name}")
    return int(any(row.result.startswith("failed") for row in rows))


def _install_packages() -> None:
    """Gets from the distribution what is absent, where we may."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return
    absent = [judge.package for judge in JUDGES if judge.package and not _is_there(judge)]
    if not absent:
        return
    print(f"installing {', '.join(absent)}", file=sys.stderr)
    for command in (("update",), ("install", "--yes", "--no-install-recommends", *absent)):
        # What it can't get stands in the table.
        subprocess.run(("apt-get", "--quiet=2", *command), stdout=sys.stderr, check=False)


def _is_there(judge: Judge) -> bool:
    try:
        judge.version()
    except AbsentError:
        return False
    return True


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text.replace("|", "/")


if __name__ == "__main__":
    sys.exit(main())
