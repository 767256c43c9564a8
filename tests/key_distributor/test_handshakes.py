"""The checks around the engine's own: they must hold even if it forgot one."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from halfkey import dtls
from halfkey.demux import may_be_client_hello
from halfkey.key_distributor.conference import Conference, Participant
from halfkey.key_distributor.handshakes import is_proven
from halfkey.key_distributor.policy import Policy
from halfkey.profiles import DOUBLE_128
from tests.key_distributor.world import World

TLS_ID = "t" * 24
PARTICIPANT = Participant(
    Conference("c", os.urandom), "alice", dtls.Fingerprint.of(b"certificate"), TLS_ID, "own"
)
PROVEN = dtls.HandshakeCompleted(
    DOUBLE_128,
    None,
    b"certificate",
    TLS_ID.encode(),
    b"",
    dtls.SRTPKeyingMaterial(b"", b"", b"", b""),
    dtls.ProtocolVersion.DTLS_1_3,
    dtls.CipherSuite.AES_128_GCM_SHA256,
    dtls.NamedGroup.X25519MLKEM768,
)


POLICY = Policy(dtls_groups=tuple(dtls.NamedGroup))  # also where there is no ML-KEM


def test_both_proofs_together_are_enough() -> None:
    assert is_proven(PARTICIPANT, POLICY, PROVEN)


@pytest.mark.parametrize(
    "changes",
    [
        {"peer_certificate": b"another"},
        {"peer_external_session_id": b"u" * 24},
        {"peer_external_session_id": None},
        {"peer_external_session_id": b""},
    ],
)
def test_one_proof_is_not(changes: dict[str, bytes | None]) -> None:
    assert not is_proven(PARTICIPANT, POLICY, replace(PROVEN, **changes))


@pytest.mark.parametrize(
    ("policy", "is_enough"),
    [
        (Policy(dtls_versions=(PROVEN.version,), dtls_groups=(PROVEN.group,)), True),
        (replace(POLICY, dtls_versions=(dtls.ProtocolVersion.DTLS_1_2,)), False),
        (replace(POLICY, dtls_groups=(dtls.NamedGroup.X25519,)), False),
    ],
    ids=["just what is required", "another version", "another group"],
)
def test_what_the_policy_requires_was_spoken(policy: Policy, is_enough: bool) -> None:
    assert is_proven(PARTICIPANT, policy, PROVEN) is is_enough


def test_a_client_hello_is_told_by_its_first_bytes() -> None:
    world = World()
    alice = world.endpoint(world.media_distributor(), "alice")
    alice.connection.start(world.now)
    (hello,) = alice.connection.datagrams_to_send()
    assert may_be_client_hello(hello)
    assert not may_be_client_hello(hello[:13])
    assert not may_be_client_hello(b"\x17" + hello[1:])
    assert not may_be_client_hello(hello[:4] + b"\x01" + hello[5:])  # epoch 1
    assert not may_be_client_hello(hello[:13] + b"\x02" + hello[14:])
