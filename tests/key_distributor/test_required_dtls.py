"""What `halfkey kd --dtls` requires of Endpoints, and what the others are told."""

from __future__ import annotations

import pytest

from halfkey.cli.arguments import required_dtls
from halfkey.dtls import AlertDescription
from halfkey.dtls.crypto import key_exchange
from halfkey.dtls.crypto.key_exchange import AVAILABLE_GROUPS
from halfkey.dtls.registries import DTLS_1_2, DTLS_1_3, NamedGroup
from halfkey.errors import ConfigurationError
from halfkey.key_distributor.policy import Policy
from tests.key_distributor.world import World

HYBRID = NamedGroup.X25519MLKEM768
CLASSICAL = (NamedGroup.X25519, NamedGroup.SECP256R1)
needs_mlkem = pytest.mark.skipif(
    HYBRID not in AVAILABLE_GROUPS, reason="the cryptography package here has no ML-KEM"
)


def world_that_requires(text: str | None) -> World:
    versions, groups = required_dtls(text)
    return World(Policy(dtls_versions=versions, dtls_groups=groups))


@needs_mlkem
def test_who_has_the_hybrid_comes_in() -> None:
    world = world_that_requires("hybrid")
    md = world.media_distributor()
    # By himself, and likewise if he insists on it: then his first ClientHello has its key share.
    for name, changes in (("alice", {}), ("bob", {"groups": (HYBRID,), "versions": (DTLS_1_3,)})):
        endpoint = world.join(md, name, **changes)
        assert (endpoint.completed.version, endpoint.completed.group) == (DTLS_1_3, HYBRID)
        assert len(endpoint.spis) == 1


@needs_mlkem
@pytest.mark.parametrize(
    ("changes", "alert", "counted"),
    [
        ({"groups": CLASSICAL}, AlertDescription.HANDSHAKE_FAILURE, "no_common_group"),
        ({"versions": (DTLS_1_2,)}, AlertDescription.PROTOCOL_VERSION, "no_common_version"),
    ],
    ids=["no ML-KEM", "DTLS 1.2"],
)
def test_who_lacks_it_is_told_so_and_gets_no_key(
    changes: dict[str, object], alert: AlertDescription, counted: str
) -> None:
    control = world_joined_by(None, changes)
    assert len(control.endpoints[0].spis) == 1
    assert counted not in control.core.snapshot()["noise"]
    world = world_joined_by("hybrid", changes)
    world.advance(60)
    (endpoint,) = world.endpoints
    assert endpoint.terminated is not None
    assert endpoint.terminated.hint is alert
    assert endpoint.spis == []
    noise = world.core.snapshot()["noise"]
    assert noise[counted] == noise["client_hello_refused"] > 0


def world_joined_by(required: str | None, changes: dict[str, object]) -> World:
    world = world_that_requires(required)
    world.join(world.media_distributor(), "alice", **changes)
    return world


@pytest.mark.parametrize(("text", "version"), [("1.2", DTLS_1_2), ("1.3", DTLS_1_3)])
def test_a_version_leaves_the_key_exchange_open(text: str, version: object) -> None:
    assert required_dtls(text) == ((version,), AVAILABLE_GROUPS)


@pytest.mark.parametrize("text", ["1.1", "HYBRID", ""])
def test_the_line_for_what_there_is_not_names_what_there_is(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"give 1\.2, 1\.3 or hybrid"):
        required_dtls(text)


def test_without_ml_kem_the_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_exchange, "AVAILABLE_GROUPS", CLASSICAL)
    with pytest.raises(ConfigurationError, match="no ML-KEM"):
        required_dtls("hybrid")
