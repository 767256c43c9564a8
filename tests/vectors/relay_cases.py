"""The cases of rfc8723.json in which Media Distributors relay (RFC 8723 section 5.2)."""

from collections.abc import Iterator
from typing import Any

from tests.reference import double, rtp
from tests.reference.double import DoubleKeys
from tests.vectors.double_cases import ONE_BYTE, PADDING, TWO_BYTE
from tests.vectors.material import (
    PROFILES,
    Json,
    Keying,
    head,
    inputs,
    layer_json,
    name,
    protected_json,
    received,
    rtp_packet,
)

MID_1 = rtp.one_byte_extensions([(3, b"slot-1")])
NO_EXTENSION = {"extension": b""}
# Case: description, fields of the RTP packet, changes of each relay in turn.
RELAY: dict[str, tuple[str, Json, list[dict[str, Any]]]] = {
    "unchanged": ("a relay that changes nothing", {}, [{}]),
    "payload-type": ("PT changed", {}, [{"payload_type": 111}]),
    "sequence-number": ("SEQ changed", {}, [{"sequence_number": 0xABCD}]),
    "marker-set": ("M set; it was clear", {}, [{"marker": True}]),
    "marker-cleared": ("M cleared; it was set", {"marker": True}, [{"marker": False}]),
    "payload-type-sequence-number": (
        "PT and SEQ changed",
        {},
        [{"payload_type": 0, "sequence_number": 0}],
    ),
    "payload-type-marker": ("PT and M changed", {}, [{"payload_type": 127, "marker": True}]),
    "sequence-number-marker": ("SEQ and M changed", {}, [{"sequence_number": 1, "marker": True}]),
    "all": (
        "PT, SEQ and M changed",
        {"marker": True, "extension": ONE_BYTE},
        [{"payload_type": 97, "sequence_number": 0xFFFF, "marker": False}],
    ),
    "extension-replaced": (
        "another header extension: no change to the OHB",
        {"extension": ONE_BYTE},
        [{"extension": MID_1}],
    ),
    "extension-added": ("a header extension where none was", {}, [{"extension": MID_1}]),
    "extension-removed": (
        "no header extension any more",
        {"extension": TWO_BYTE},
        [NO_EXTENSION],
    ),
    "second-relay-again": (
        "a second relay changes the same fields again: the OHB keeps the original values",
        {},
        [
            {"payload_type": 97, "sequence_number": 1000},
            {"payload_type": 98, "sequence_number": 2000},
        ],
    ),
    "second-relay-more": (
        "a second relay changes another field: its original value joins the OHB",
        {"marker": True},
        [{"sequence_number": 1000}, {"payload_type": 98, "marker": False}],
    ),
    "second-relay-unchanged": (
        "a second relay changes nothing: the OHB stays",
        {},
        [{"payload_type": 97, "marker": True}, {}],
    ),
    "restored-payload-type": (
        "a second relay resets PT: it leaves the OHB, SEQ stays",
        {"payload_type": 96},
        [{"payload_type": 97, "sequence_number": 5}, {"payload_type": 96}],
    ),
    "restored-marker": ("a second relay resets M", {}, [{"marker": True}, {"marker": False}]),
    "restored-all": (
        "a second relay resets all: the OHB is empty again",
        {"sequence_number": 0x2345, "extension": ONE_BYTE},
        [
            {"payload_type": 97, "sequence_number": 5, "marker": True},
            {"payload_type": 96, "sequence_number": 0x2345, "marker": False},
        ],
    ),
    "empty-payload": (
        "all changed, no payload",
        {"payload": b""},
        [{"payload_type": 97, "sequence_number": 5, "marker": True}],
    ),
    "csrcs-padding": (
        "all changed, CSRCs and padding",
        {"csrcs": (7, 8), "padding": True, "payload": PADDING},
        [{"payload_type": 97, "sequence_number": 5, "marker": True}],
    ),
}


def vectors() -> Iterator[Json]:
    for profile in PROFILES:
        for case, (description, fields, hops) in RELAY.items():
            yield _relay(profile, f"relay-{case}", description, fields, hops, (0, 0))
        yield _relay(
            profile,
            "relay-rocs-differ",
            "SEQ changed across the wrap: each hop has its own ROC, the inner one is the sender's",
            {"sequence_number": 0xFFF0},
            [{"sequence_number": 3}],
            (2, 0),
        )


def _relay(
    profile: int,
    case: str,
    description: str,
    fields: Json,
    hops: list[dict[str, Any]],
    rocs: tuple[int, int],
) -> Json:
    """`rocs`: the sender's, and that of every hop after the first."""
    ident = name(profile, case)
    keying = Keying(profile, ident)
    packet = rtp_packet(ident, **fields)
    keys, inner_roc, roc = keying.keys(), rocs[0], rocs[0]
    protected = double.protect(keys, packet.encode(), inner_roc, roc)
    vector = head(ident, 8723, "5.2", description) | {"kind": "relay"}
    vector["input"] = inputs(keying, packet, inner_roc, roc)
    vector["protect"] = protected_json(keys, protected, inner_roc, roc)
    vector["relays"] = []
    data = protected.outer.packet
    for count, changes in enumerate(hops, 1):
        after = keying.hop(count)
        relayed = double.relay(
            keys.outer, after.outer, data, receive_roc=roc, send_roc=rocs[1], changes=changes
        )
        vector["relays"].append(_hop(keys, after, relayed, changes, (roc, rocs[1])))
        keys, roc, data = after, rocs[1], relayed.sealed.packet
    vector["srtp_packet"] = data.hex()
    vector["unprotect"] = received(keys, data, inner_roc, roc)
    return vector


def _hop(
    before: DoubleKeys,
    after: DoubleKeys,
    relayed: double.Relayed,
    changes: dict[str, Any],
    rocs: tuple[int, int],
) -> Json:
    return {
        "receive": layer_json(before.outer, relayed.opened, rocs[0]),
        "changes": {
            key: value.hex() if isinstance(value, bytes) else value
            for key, value in changes.items()
        },
        "ohb_before": relayed.ohb_before.hex(),
        "ohb_after": relayed.ohb_after.hex(),
        "header": relayed.header.hex(),
        "send": layer_json(after.outer, relayed.sealed, rocs[1]),
        "srtp_packet": relayed.sealed.packet.hex(),
    }
