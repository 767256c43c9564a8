"""Parameter sets: fresh keys, SPIs that never meet, and when a rekey counts as complete."""

from __future__ import annotations

import os

import pytest

from halfkey.ekt.messages import EKTCipher
from halfkey.key_distributor.conference import Conference, SPIsExhausted
from halfkey.key_distributor.policy import Policy

POLICY = Policy(ttl=1000)
CIPHER = EKTCipher.AESKW128


def new(conference: Conference, now: float, cipher: EKTCipher = CIPHER) -> int:
    return conference.new_parameter_set(cipher, POLICY, now).spi


@pytest.mark.parametrize("cipher", list(EKTCipher))
def test_every_parameter_set_has_a_fresh_key_salt_and_spi(cipher: EKTCipher) -> None:
    conference = Conference("c", os.urandom)
    made = [conference.new_parameter_set(cipher, POLICY, 0.0) for _ in range(200)]
    assert len({one.spi for one in made}) == 200
    assert len({one.ekt_key for one in made}) == 200
    assert len({one.srtp_master_salt for one in made}) == 200
    assert {len(one.ekt_key) for one in made} == {cipher.key_length}
    assert {len(one.srtp_master_salt) for one in made} == {12}


def test_the_first_spi_is_random_and_the_counter_wraps() -> None:
    conference = Conference("c", lambda length: b"\xff" * length)
    assert [new(conference, 0.0) for _ in range(3)] == [0xFFFF, 0, 1]


def test_an_spi_is_not_used_again_before_its_ttl_has_passed() -> None:
    conference = Conference("c", bytes)
    assert new(conference, 0.0) == 0
    for _ in range(0xFFFF):
        new(conference, 500.0)
    with pytest.raises(SPIsExhausted):
        new(conference, 999.0)
    assert conference.current is None  # no key rather than an ambiguous one
    assert new(conference, 1001.0) == 0  # the very first has expired, no other
    with pytest.raises(SPIsExhausted):
        new(conference, 1001.0)


def test_a_late_participant_gets_what_is_left_of_the_ttl() -> None:
    conference = Conference("c", os.urandom)
    current = conference.new_parameter_set(CIPHER, POLICY, 50.0)
    assert current.message(50.0).ekt_ttl == 1000
    assert current.message(250.5).ekt_ttl == 799
    assert current.message(5000.0).ekt_ttl == 1


def test_keys_stay_out_of_repr() -> None:
    conference = Conference("c", lambda length: b"K" * length)
    current = conference.new_parameter_set(CIPHER, POLICY, 0.0)
    assert "KKKK" not in repr(current)
