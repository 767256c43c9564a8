"""What the policy refuses at start, and which suite it chooses."""

from __future__ import annotations

import math

import pytest

from halfkey.ekt.messages import EKTCipher
from halfkey.errors import ConfigurationError
from halfkey.key_distributor.policy import Policy, Suite, choose_suite
from halfkey.profiles import DOUBLE_128, DOUBLE_256, SRTPProtectionProfile

BOTH = (DOUBLE_128, DOUBLE_256)
CODES = (9, 10)
CIPHERS = (1, 2)


@pytest.mark.parametrize(
    ("policy", "word"),
    [
        (Policy(ttl=9), "^--ekt-ttl 9: "),
        (Policy(ttl=1 << 24), "^--ekt-ttl 16777216: "),
        (Policy(rekey_interval=0.5), "^--rekey-interval 0.5: "),
        (Policy(rekey_interval=math.nan), "^--rekey-interval nan: "),
        (Policy(rekey_interval=math.inf), "^--rekey-interval inf: "),
        (Policy(handshake_age=math.nan), "^handshake_age nan: "),
        (Policy(handshake_age=-1), "^handshake_age -1: "),
        (Policy(orphan_age=math.inf), "^orphan_age inf: "),
        (Policy(profiles=()), "profiles"),
        (Policy(profiles=(SRTPProtectionProfile.AEAD_AES_128_GCM,)), "profiles"),
    ],
)
def test_what_is_out_of_range_is_named(policy: Policy, word: str) -> None:
    with pytest.raises(ConfigurationError, match=word) as caught:
        policy.check()
    assert "\n" not in str(caught.value)


def test_the_bounds_themselves_are_fine() -> None:
    Policy(ttl=10, rekey_interval=1.0).check()
    Policy(ttl=(1 << 24) - 1, rekey_interval=None, orphan_age=0).check()


def test_a_key_is_replaced_by_the_timer_or_before_its_ttl_whichever_is_first() -> None:
    assert Policy(ttl=100, rekey_interval=50).key_life == (50, "timer")
    assert Policy(ttl=100, rekey_interval=90).key_life == (80, "ttl")
    assert Policy(ttl=100).key_life == (80, "ttl")


def test_the_suite_is_what_all_three_share_by_our_preference() -> None:
    assert choose_suite(BOTH, CODES, CODES, CIPHERS) == Suite(DOUBLE_128, EKTCipher.AESKW128)
    assert choose_suite(BOTH[::-1], CODES, CODES, CIPHERS) == Suite(DOUBLE_256, EKTCipher.AESKW256)
    assert choose_suite(BOTH, (10,), CODES, CIPHERS) == Suite(DOUBLE_256, EKTCipher.AESKW256)
    assert choose_suite(BOTH, CODES, (10, 7), CIPHERS) == Suite(DOUBLE_256, EKTCipher.AESKW256)
    assert choose_suite(BOTH, (9,), (10,), CIPHERS) == "no_common_profile"
    assert choose_suite(BOTH, (7, 8), (7, 8), CIPHERS) == "no_common_profile"


def test_the_ekt_cipher_is_never_weaker_than_the_srtp_cipher() -> None:
    """RFC 8870 section 6."""
    assert choose_suite(BOTH, (10,), CODES, (1,)) == "no_ekt_cipher"
    assert choose_suite(BOTH, (9,), CODES, (2,)) == Suite(DOUBLE_128, EKTCipher.AESKW256)
    assert choose_suite(BOTH, CODES, CODES, ()) == "no_ekt_cipher"
