"""Our DTLS against every foreign stack, in both roles: the same profile, certificates and keys."""

from __future__ import annotations

import pytest

from halfkey.dtls import AlertDescription, Certificate, Role
from halfkey.dtls.configuration import MINIMUM_PMTU
from halfkey.profiles import SRTPProtectionProfile
from tests.interop.dtls.absence import MissingError
from tests.interop.dtls.judges import JUDGES
from tests.interop.dtls.peer import Judge, Verdict, check_agreement, shake_hands

BOTH_ROLES = pytest.mark.parametrize("role", list(Role), ids=lambda role: f"as_{role.value}")
EVERY_JUDGE = pytest.mark.parametrize("judge", JUDGES, ids=lambda judge: judge.title)
EVERY_PROFILE = pytest.mark.parametrize(
    ("judge", "profile"),
    [
        pytest.param(judge, profile, id=f"{judge.title}-{profile.name}")
        for judge in JUDGES
        for profile in judge.profiles
    ],
)


def judged(
    judge: Judge,
    role: Role,
    profile: SRTPProtectionProfile,
    *,
    expected: Certificate | None = None,
    pmtu: int = 1200,
) -> Verdict:
    """A handshake; where the machine lacks what the judge needs, that is shown as such."""
    try:
        return shake_hands(judge, role, profile, expected=expected, pmtu=pmtu)
    except MissingError as error:
        pytest.xfail(f"{judge.name} is absent: {error}")


@BOTH_ROLES
@EVERY_PROFILE
def test_both_sides_agree_on_profile_certificates_and_keys(
    judge: Judge, role: Role, profile: SRTPProtectionProfile
) -> None:
    check_agreement(judge, judged(judge, role, profile), profile)


@BOTH_ROLES
@EVERY_JUDGE
def test_our_fragments_are_put_together(judge: Judge, role: Role) -> None:
    profile = judge.profiles[0]
    check_agreement(judge, judged(judge, role, profile, pmtu=MINIMUM_PMTU), profile)


@BOTH_ROLES
@EVERY_JUDGE
def test_a_foreign_certificate_is_refused_with_bad_certificate(judge: Judge, role: Role) -> None:
    verdict = judged(judge, role, judge.profiles[0], expected=Certificate.generate("somebody"))
    assert verdict.completed is None
    assert verdict.terminated is not None
    assert verdict.terminated.alert is AlertDescription.BAD_CERTIFICATE


@EVERY_JUDGE
def test_the_keys_of_two_handshakes_are_told_apart(judge: Judge) -> None:
    """What is compared is no constant, and the comparison notices."""
    one, other = (judged(judge, Role.CLIENT, judge.profiles[0]) for _ in range(2))
    mixed = Verdict(one.completed, None, other.report, one.exported)
    with pytest.raises(AssertionError, match="the SRTP keys differ"):
        check_agreement(judge, mixed, judge.profiles[0])
