"""What `halfkey join` tells a person about the conference, line by line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from halfkey.cli.printing import printable


def line(message: Mapping[str, Any]) -> str | None:
    """A line for one of the Endpoint's messages (see `halfkey.endpoint.process`); None for none."""
    teller = _TELLERS.get(message.get("event", ""))
    return None if teller is None else teller(message)


def _person(message: Mapping[str, Any]) -> str:
    unverified = message["unverified"]
    standing = "verified" if unverified is None else f"NOT verified: {unverified}"
    return f"{_who(message)} is here, {standing}"


def _person_left(message: Mapping[str, Any]) -> str:
    return f"{_who(message)} has left"


def _who(message: Mapping[str, Any]) -> str:
    role = "" if message["role"] == "participant" else f"{message['role']}, "
    return f"{message['name']} ({role}{printable(message['identity'])})"


def _roster(message: Mapping[str, Any]) -> str:
    if message["unverified"] is None:
        return "the Key Distributor vouches for everybody listed here"
    return f"nobody here is verified at the moment: {message['unverified']}"


def _joined(message: Mapping[str, Any]) -> str:
    return f"joined in {message['ms']:.0f} ms; Ctrl-C leaves"


def _ekt_key(message: Mapping[str, Any]) -> str:
    return f"the Key Distributor gave the EKT key with SPI {message['spi']:04x}"


def _track(message: Mapping[str, Any]) -> str:
    return f"receiving {message['kind']} of {message['name']}"


def _stopped(message: Mapping[str, Any]) -> str:
    return f"sending stopped: {message['reason']}"


def _terminated(message: Mapping[str, Any]) -> str:
    return f"the Key Distributor ended the association: {message['reason']}"


def _recorded(message: Mapping[str, Any]) -> str:
    chapters = len(message["chapters"])
    return f"{message.get('seconds', 0):.0f} s, {chapters} chapters: {message['path']}"


def _final(message: Mapping[str, Any]) -> str:
    received = [
        f"{figures['audio_frames']} audio and {figures['video_frames']} video frames of {name}"
        for name, figures in message["received"].items()
    ]
    return "decoded " + ("; ".join(received) if received else "nothing: nobody else was there")


_TELLERS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "waiting": lambda _: "waiting to be let in; Ctrl-C gives up",
    "joined": _joined,
    "person": _person,
    "person_left": _person_left,
    "roster": _roster,
    "code": lambda message: f"conference code: {message['code']} (the same for everybody?)",
    "key_distributor_restarted": lambda _: "the Key Distributor has restarted",
    "statement_refused": lambda message: f"a false statement was refused: {message['reason']}",
    "ekt_key": _ekt_key,
    "track": _track,
    "stopped": _stopped,
    "terminated": _terminated,
    "final": _final,
    "recording": lambda message: f"recording to {message['path']}",
    "recorded": _recorded,
    "warning": lambda message: str(message["text"]),
}
