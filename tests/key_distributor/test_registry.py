"""Who may be admitted beside whom."""

from __future__ import annotations

import os

import pytest

from halfkey.dtls import Fingerprint
from halfkey.key_distributor.conference import Participant
from halfkey.key_distributor.policy import Policy
from halfkey.key_distributor.registry import AdmissionRefused, Registry

ALICE, BOB = Fingerprint.of(b"alice"), Fingerprint.of(b"bob")
ID1, ID2, ID3 = "a" * 20, "b" * 20, "c" * 255


@pytest.fixture
def registry() -> Registry:
    return Registry(Policy(participants=2, conferences=2), os.urandom)


def admit(
    registry: Registry, conference: str, participant: str, fingerprint: Fingerprint, tls_id: str
) -> tuple[Participant, bool]:
    admitted, is_new = registry.prepare(conference, participant, fingerprint, tls_id)
    if is_new:
        registry.add(admitted)
    return admitted, is_new


def test_who_is_only_prepared_is_not_there(registry: Registry) -> None:
    prepared, is_new = registry.prepare("c", "alice", ALICE, ID1)
    assert is_new
    assert (len(registry), registry.conferences, registry.find("c", "alice")) == (0, {}, None)
    registry.add(prepared)
    assert (len(registry), registry.find("c", "alice")) == (1, prepared)


def test_a_participant_is_found_by_name_and_by_tls_id(registry: Registry) -> None:
    admitted, is_new = admit(registry, "c", "alice", ALICE, ID1)
    assert is_new
    assert registry.find("c", "alice") is admitted
    assert registry.by_external_session_id(ID1.encode()) is admitted
    assert registry.by_external_session_id(ID2.encode()) is None
    assert registry.find("other", "alice") is None
    assert len(admitted.own_tls_id) >= 20


def test_each_admission_has_a_tls_id_of_its_own(registry: Registry) -> None:
    first, _ = admit(registry, "c", "alice", ALICE, ID1)
    second, _ = admit(registry, "c", "bob", BOB, ID2)
    assert first.own_tls_id != second.own_tls_id


def test_the_same_again_is_no_second_admission(registry: Registry) -> None:
    first, _ = admit(registry, "c", "alice", ALICE, ID1)
    assert admit(registry, "c", "alice", ALICE, ID1) == (first, False)


@pytest.mark.parametrize(("fingerprint", "tls_id"), [(BOB, ID1), (ALICE, ID2)])
def test_an_admission_is_never_changed(
    registry: Registry, fingerprint: Fingerprint, tls_id: str
) -> None:
    admit(registry, "c", "alice", ALICE, ID1)
    with pytest.raises(AdmissionRefused, match="remove it first"):
        admit(registry, "c", "alice", fingerprint, tls_id)


@pytest.mark.parametrize("conference", ["c", "other"])
def test_a_tls_id_belongs_to_one_participant(registry: Registry, conference: str) -> None:
    admit(registry, "c", "alice", ALICE, ID1)
    with pytest.raises(AdmissionRefused, match="in use"):
        admit(registry, conference, "bob", ALICE, ID1)


def test_removal_frees_the_tls_id_and_ends_an_empty_conference(registry: Registry) -> None:
    admitted, _ = admit(registry, "c", "alice", ALICE, ID1)
    registry.remove(admitted)
    assert registry.by_external_session_id(ID1.encode()) is None
    assert not registry.conferences
    assert admit(registry, "other", "alice", ALICE, ID1)[1]


def test_conferences_and_participants_are_bounded(registry: Registry) -> None:
    admit(registry, "c", "1", ALICE, ID1)
    admit(registry, "c", "2", ALICE, ID2)
    with pytest.raises(AdmissionRefused, match="full"):
        admit(registry, "c", "3", ALICE, ID3)
    admit(registry, "d", "1", ALICE, ID3)
    with pytest.raises(AdmissionRefused, match="too many conferences"):
        admit(registry, "e", "1", ALICE, "e" * 20)
    assert set(registry.conferences) == {"c", "d"}


@pytest.mark.parametrize(
    ("conference", "participant", "tls_id"),
    [
        ("", "p", ID1),
        ("c" * 129, "p", ID1),
        ("c", "p\n", ID1),
        ("c", "p", "short"),
        ("c", "p", "x" * 256),
        ("c", "p", "has spaces in it, you see"),
        ("c", "p", ID1 + "\n"),
    ],
)
def test_malformed_values_are_named(
    registry: Registry, conference: str, participant: str, tls_id: str
) -> None:
    with pytest.raises(AdmissionRefused) as caught:
        admit(registry, conference, participant, ALICE, tls_id)
    assert caught.value.malformed
    assert "\n" not in str(caught.value)
