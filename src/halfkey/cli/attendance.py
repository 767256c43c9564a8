"""What `halfkey join` tells a person about the conference, line by line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def line(message: Mapping[str, Any]) -> str | None:
    """A line for one of the Endpoint's messages (see `halfkey.endpoint.process`); None for none."""
    teller = _TELLERS.get(message.get("event", ""))
    return None if teller is None else teller(message)


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
    "joined": _joined,
    "ekt_key": _ekt_key,
    "track": _track,
    "stopped": _stopped,
    "terminated": _terminated,
    "final": _final,
    "recording": lambda message: f"recording to {message['path']}",
    "recorded": _recorded,
    "warning": lambda message: str(message["text"]),
}
