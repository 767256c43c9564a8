"""halfkey.tunnel.messages against rfc9185.json."""

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from halfkey.errors import CodecError
from halfkey.tunnel import KeyDistributorTunnel, TunnelTerminated, messages

VECTORS: list[dict[str, Any]] = json.loads((Path(__file__).parent / "rfc9185.json").read_text())[
    "vectors"
]
CLASSES = (
    messages.SupportedProfiles,
    messages.UnsupportedVersion,
    messages.MediaKeys,
    messages.TunneledDtls,
    messages.EndpointDisconnect,
)
BY_NAME = {message.__name__: message for message in CLASSES}
BY_TYPE = {int(message.message_type): message for message in CLASSES}
MESSAGES = [vector for vector in VECTORS if vector["kind"] in BY_NAME]
REFUSALS = [v for v in VECTORS if v["kind"] == "refuse" and v["msg_type"] in BY_TYPE]


def value_of(name: str, value: Any) -> Any:
    """A vector's field in the type that the message class has for it."""
    if name == "association_id":
        return UUID(hex=value)
    if isinstance(value, list):
        return tuple(value)
    return bytes.fromhex(value) if isinstance(value, str) else value


def identifiers(vectors: list[dict[str, Any]]) -> list[str]:
    return [vector["id"] for vector in vectors]


@pytest.mark.parametrize("vector", MESSAGES, ids=identifiers(MESSAGES))
def test_message(vector: dict[str, Any]) -> None:
    message_class = BY_NAME[vector["kind"]]
    fields = {name: value_of(name, value) for name, value in vector["fields"].items()}
    message = message_class(**fields)
    assert message.encode() == bytes.fromhex(vector["message"])
    assert message_class.decode(bytes.fromhex(vector["body"])) == message
    assert message_class.message_type == vector["msg_type"]


@pytest.mark.parametrize("vector", REFUSALS, ids=identifiers(REFUSALS))
def test_refused_body(vector: dict[str, Any]) -> None:
    with pytest.raises(CodecError):
        BY_TYPE[vector["msg_type"]].decode(bytes.fromhex(vector["body"]))


@pytest.mark.parametrize("vector", MESSAGES, ids=identifiers(MESSAGES))
def test_every_truncation_is_refused(vector: dict[str, Any]) -> None:
    body = bytes.fromhex(vector["body"])
    for length in range(min(len(body), 400)):
        with pytest.raises(CodecError):
            BY_NAME[vector["kind"]].decode(body[:length])


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_stream_in_pieces(size: int) -> None:
    """A Key Distributor's end finds the messages, however the stream is cut."""
    vector = next(vector for vector in VECTORS if vector["kind"] == "stream")
    stream = bytes.fromhex(vector["stream"])
    tunnel = KeyDistributorTunnel()
    received = []
    for at in range(0, len(stream), size):
        tunnel.receive_data(stream[at : at + size], now=0.0)
        while (event := tunnel.next_event()) is not None:
            received.append(event.encode().hex())  # type: ignore[union-attr]
    assert received == vector["messages"]


@pytest.mark.parametrize("vector", REFUSALS, ids=identifiers(REFUSALS))
def test_refused_message_ends_the_tunnel(vector: dict[str, Any]) -> None:
    tunnel = KeyDistributorTunnel()
    if vector["msg_type"] != messages.MessageType.SUPPORTED_PROFILES:
        tunnel.receive_data(messages.SupportedProfiles(0, (9,)).encode(), now=0.0)
        assert isinstance(tunnel.next_event(), messages.SupportedProfiles)
    tunnel.receive_data(bytes.fromhex(vector["message"]), now=0.0)
    assert isinstance(tunnel.next_event(), TunnelTerminated)
    assert tunnel.next_event() is None
