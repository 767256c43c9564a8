"""docs/interop.md is what `make interop` makes; an absent or failing judge shows in it."""

from __future__ import annotations

from halfkey.dtls import Certificate, Role
from halfkey.profiles import SRTPProtectionProfile
from tests.interop.dtls.absence import AbsentError
from tests.interop.dtls.judges import JUDGES, SINGLE
from tests.interop.dtls.peer import Judge, Peer
from tests.interop.dtls.table import DOCUMENT, PASSED, combinations, count, parse, render, run


def test_the_document_has_a_row_for_everything_that_is_judged() -> None:
    rows = parse(DOCUMENT.read_text())
    asked = [
        (judge.title, role.value, profile.name)
        for judge in JUDGES
        for role, profile in combinations(judge)
    ]
    assert [(f"{row.peer}-{row.dtls}", row.role, row.profile) for row in rows] == asked, (
        "run make interop"
    )


def test_the_document_is_what_is_written_for_its_rows() -> None:
    text = DOCUMENT.read_text()
    assert render(parse(text)) == text, "run make interop"


def test_the_document_has_no_failure() -> None:
    rows = parse(DOCUMENT.read_text())
    assert [
        row for row in rows if row.result != PASSED and not row.result.startswith("absent")
    ] == []


def test_an_absent_judge_is_named_with_the_reason_and_passes_nothing() -> None:
    def absent(certificate: Certificate, role: Role, profile: SRTPProtectionProfile) -> Peer:
        raise AbsentError("there is none")

    rows = run(Judge("nobody", lambda: "1", SINGLE, absent))
    assert {row.result for row in rows} == {"absent: there is none"}
    assert count(rows) == "0 passed, 0 failed, 4 not tried"


def test_a_judge_of_other_keys_fails() -> None:
    honest = next(judge for judge in JUDGES if judge.name == "pyOpenSSL")

    def other_profile(certificate: Certificate, role: Role, profile: SRTPProtectionProfile) -> Peer:
        return honest.open(certificate, role, SINGLE[0])

    rows = run(Judge("stubborn", lambda: "1", SINGLE, other_profile))
    assert [row.result == PASSED for row in rows] == [True, True, False, False]
    assert rows[2].result.startswith("failed: ")
    assert count(rows) == "2 passed, 2 failed, 0 not tried"
