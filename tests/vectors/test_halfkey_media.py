"""halfkey._media against rfc8723.json and rfc8870.json."""

import json
from pathlib import Path
from typing import Any

import pytest

from halfkey import _media
from halfkey.errors import PacketRejected, UsageError
from tests.reference import double, rtp
from tests.vectors.media_contexts import (
    SHORT,
    deliver,
    install_key,
    new_receiver,
    octets,
    sender,
)

Vector = dict[str, Any]

HIGHEST_ROC = 3
"""Contexts begin at ROC 0 and are walked from there; a sender's two ROCs can't be told apart."""


def load(file: str) -> list[Vector]:
    vectors: list[Vector] = json.loads((Path(__file__).parent / file).read_text())["vectors"]
    return vectors


DOUBLE = load("rfc8723.json")
EKT = load("rfc8870.json")


def of_kind(vectors: list[Vector], *kinds: str) -> pytest.MarkDecorator:
    chosen = [vector for vector in vectors if vector["kind"] in kinds]
    assert chosen
    return pytest.mark.parametrize("vector", chosen, ids=lambda vector: vector["id"])


def keys_of(vector: Vector) -> double.DoubleKeys:
    return double.double_keys(octets(vector["master_key"]), octets(vector["master_salt"]))


# What the reference notices, and what Halfkey calls it. A step that the reference refuses late
# may be refused earlier for another of these reasons.
REASONS = {
    "malformed": {"malformed"},
    "outer_authentication": {"hop_authentication"},
    "ohb": {"original_header_block"},
    "inner_authentication": {"inner_authentication"},
    "no_inner_key": {"no_inner_key"},
    "replayed": {"replayed"},
    "ekt_field": {"ekt_field"},
    "ekt_unknown_spi": {"unknown_spi"},
    "ekt_authentication": {"ekt_authentication"},
    "ekt_key_length": {"ekt_key_length"},
    # RFC 8870 section 4.1 rejects the field; whether the packet goes with it is open, and these
    # packets are under the key that the field would have brought.
    "ekt_epoch": {"ekt_epoch", "inner_authentication"},
}


def assert_refused(refused: str, rejected: PacketRejected) -> None:
    assert rejected.reason in REASONS[refused]


@of_kind(DOUBLE, "kdf")
@pytest.mark.parametrize("half", ["inner", "outer"])
def test_session_key(vector: Vector, half: str) -> None:
    encryption = vector[half]["labels"][0]
    assert encryption["label"] == 0
    key, salt = octets(vector[half]["master_key"]), octets(vector[half]["master_salt"])
    hop_profile = {9: 7, 10: 8}[vector["profile"]]
    derived = _media.derive_srtp_session_key(hop_profile, key, salt)
    assert derived == octets(encryption["output"])


SENT = [
    vector
    for vector in DOUBLE
    if vector["kind"] in ("protect", "relay")
    and vector["input"]["inner_roc"] == vector["input"]["outer_roc"] <= HIGHEST_ROC
]


@pytest.mark.parametrize("vector", SENT, ids=lambda vector: vector["id"])
def test_protect(vector: Vector) -> None:
    protected = vector["protect"]["outer"]
    packet = octets(vector["input"]["rtp_packet"])
    context = sender(vector)
    ssrc, sequence_number = protected["ssrc"], protected["sequence_number"]
    assert context.rollover_counter(ssrc, sequence_number) == vector["input"]["inner_roc"]
    field = b"some EKT field\0\x11\3"
    expected = octets(protected["aad"] + protected["ciphertext"])
    assert context.protect(packet, field) == expected + field
    with pytest.raises(UsageError):
        context.protect(packet, field)
    assert sender(vector).protect(packet) == expected + SHORT


RECEIVED = [
    vector
    for vector in DOUBLE
    if vector["kind"] in ("protect", "relay") and vector["unprotect"]["outer"]["roc"] <= HIGHEST_ROC
]


@pytest.mark.parametrize("vector", RECEIVED, ids=lambda vector: vector["id"])
def test_unprotect(vector: Vector) -> None:
    expected = vector["unprotect"]
    inner_roc, outer_roc = expected["inner"]["roc"], expected["outer"]["roc"]
    inner, outer = expected["inner"], expected["outer"]
    keys = double.double_keys(
        octets(inner["master_key"] + outer["master_key"]),
        octets(inner["master_salt"] + outer["master_salt"]),
    )
    packet = octets(vector["srtp_packet"])
    profile = vector["input"]["profile"]
    context, delivered = deliver(profile, keys, packet, inner_roc, outer_roc)
    unprotected = context.unprotect(delivered)
    assert unprotected.packet == octets(expected["rtp_packet"])
    assert unprotected.ssrc == inner["ssrc"]
    assert unprotected.inner_sequence_number == expected["inner_sequence_number"]
    assert unprotected.inner_payload_type == expected["inner_payload_type"]
    with pytest.raises(PacketRejected, match="replayed"):
        context.unprotect(delivered)


@of_kind(DOUBLE, "repair")
def test_repair(vector: Vector) -> None:
    given = vector["input"]
    keys, packet = keys_of(given), octets(given["rtp_packet"])
    protected = octets(vector["srtp_packet"]) + SHORT
    assert sender(vector).protect_repair(packet) == protected
    assert new_receiver(given["profile"], keys).unprotect_repair(protected) == packet


@of_kind(DOUBLE, "rtcp")
def test_rtcp(vector: Vector) -> None:
    outer, packet = keys_of(vector).outer, octets(vector["rtcp_packet"])
    hop = (vector["profile"], outer.master_key, outer.master_salt)
    receiver = _media.DoubleReceiver(*hop)
    assert receiver.unprotect_rtcp(octets(vector["srtcp_packet"])) == packet
    with pytest.raises(PacketRejected, match="replayed"):
        receiver.unprotect_rtcp(octets(vector["srtcp_packet"]))
    if vector["encrypted"] and vector["index"] <= 1:
        # Senders count from 0 (RFC 3711 section 3.4) or, as some do, from 1.
        context = _media.DoubleSender(*hop)
        sent = [context.protect_rtcp(packet) for _ in range(vector["index"] + 1)]
        first = int.from_bytes(sent[0][-4:]) & 0x7FFFFFFF
        assert first <= vector["index"]
        assert sent[vector["index"] - first] == octets(vector["srtcp_packet"])


@of_kind(DOUBLE, "refuse")
def test_refused_packet(vector: Vector) -> None:
    keys, packet = keys_of(vector), octets(vector["srtp_packet"])
    intact = octets(vector.get("intact_srtp_packet") or vector["srtp_packet"])
    context = new_receiver(vector["profile"], keys)
    install_key(context, keys, rtp.parse(intact).ssrc)
    with pytest.raises(PacketRejected) as rejected:
        context.unprotect(packet + SHORT)
    assert_refused(vector["refused"], rejected.value)
    if "intact_srtp_packet" in vector:
        # What was refused at the hop has changed nothing. A relay's packet that fails later has
        # used up its index there, so a new receiver judges the intact one.
        if vector["refused"] not in ("malformed", "outer_authentication"):
            context = new_receiver(vector["profile"], keys)
            install_key(context, keys, rtp.parse(intact).ssrc)
        context.unprotect(intact + SHORT)


@of_kind(DOUBLE, "refuse_rtcp")
def test_refused_rtcp(vector: Vector) -> None:
    outer = keys_of(vector).outer
    context = _media.DoubleReceiver(vector["profile"], outer.master_key, outer.master_salt)
    with pytest.raises(PacketRejected) as rejected:
        context.unprotect_rtcp(octets(vector["srtcp_packet"]))
    assert_refused(vector["refused"], rejected.value)


@of_kind(EKT, "full_field")
def test_full_ekt_field(vector: Vector) -> None:
    made = _media.full_ekt_field(
        octets(vector["ekt_key"]),
        vector["spi"],
        vector["epoch"],
        vector["ssrc"],
        vector["roc"],
        octets(vector["srtp_master_key"]),
    )
    assert made == octets(vector["ekt_field"])


@of_kind(EKT, "receive")
def test_receive(vector: Vector) -> None:
    context = _media.DoubleReceiver(
        vector["profile"], octets(vector["hop_master_key"]), octets(vector["hop_master_salt"])
    )
    for parameters in vector["ekt_parameter_sets"]:
        key, salt = octets(parameters["ekt_key"]), octets(parameters["srtp_master_salt"])
        context.add_ekt_parameter_set(parameters["spi"], key, salt)
    for step in vector["steps"]:
        _step(context, step)


def _step(context: _media.DoubleReceiver, step: Vector) -> None:
    packet = octets(step["packet"])
    if "refused" in step:
        with pytest.raises(PacketRejected) as rejected:
            context.unprotect(packet)
        assert_refused(step["refused"], rejected.value)
        return
    unprotected = context.unprotect(packet)
    assert unprotected.packet == octets(step["rtp_packet"]), step["description"]
    assert unprotected.ekt_spi == step["ekt_spi"]
    assert unprotected.ekt_epoch == step["ekt_epoch"]
    assert unprotected.new_key == step["new_key"], step["description"]
