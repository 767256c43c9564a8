"""Packet transforms through `halfkey._media`, beside raw AES-GCM calls from Python in the same run.

The raw calls are those of `cryptography`: two seals for a Double protect, two opens for unprotect,
an open and a seal for a hop's re-seal. Both sides pay for Python's calls and for new bytes.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from halfkey._media import (
    DoubleReceiver,
    DoubleSender,
    SrtpReceiver,
    SrtpSender,
    full_ekt_field,
)

_PAYLOADS = (160, 1200)
_PROFILES = {"double-128": (9, 16), "double-256": (0xA, 32)}
_BATCH = 64
_ROUNDS = 300
_SSRC = 0x01020304
_SALT = bytes(12)
_EKT_KEY = bytes(16)
_HEADER = b"\x90\x60\0\0" + bytes(4) + _SSRC.to_bytes(4, "big") + b"\xbe\xde\0\x01\x31v0\0"
_OHB = b"\0"

Round = Callable[[], tuple[float, float]]


def _packets(payload_length: int) -> Iterator[bytes]:
    """RTP packets with consecutive sequence numbers, without end."""
    rest = _HEADER[4:] + bytes(payload_length)
    index = 0
    while True:
        index += 1
        yield _HEADER[:2] + (index & 0xFFFF).to_bytes(2, "big") + rest


def _timed(run: Callable[[], None]) -> float:
    """Microseconds a packet that `run` takes for a batch."""
    begin = time.perf_counter()
    run()
    return (time.perf_counter() - begin) * 1e6 / _BATCH


def _nonce(packet: bytes) -> bytes:
    return bytes(10) + packet[2:4]


def _keys(length: int) -> tuple[bytes, bytes, bytes]:
    return b"\1" * length, b"\2" * length, b"\3" * length


def _sender(profile: int, length: int) -> DoubleSender:
    hop, inner, _ = _keys(length)
    sender = DoubleSender(profile, hop, _SALT)
    sender.set_inner_key(_SSRC, inner, _SALT)
    return sender


def _protect(profile: int, length: int, payload_length: int) -> Round:
    sender = _sender(profile, length)
    inner, outer = (AESGCM(key) for key in _keys(length)[:2])
    packets = _packets(payload_length)

    def run() -> tuple[float, float]:
        batch = [next(packets) for _ in range(_BATCH)]

        def ours() -> None:
            for packet in batch:
                sender.protect(packet)

        def raw() -> None:
            for packet in batch:
                nonce = _nonce(packet)
                sealed = inner.encrypt(nonce, packet[20:], packet[:12])
                outer.encrypt(nonce, sealed + _OHB, packet[:20])

        return _timed(ours), _timed(raw)

    return run


def _unprotect(profile: int, length: int, payload_length: int) -> Round:
    sender = _sender(profile, length)
    receiver = DoubleReceiver(profile, _keys(length)[0], _SALT)
    receiver.add_ekt_parameter_set(1, _EKT_KEY, _SALT)
    field = full_ekt_field(_EKT_KEY, 1, 0, _SSRC, 0, _keys(length)[1])
    packets = _packets(payload_length)
    receiver.unprotect(sender.protect(next(packets), field))
    inner, outer = (AESGCM(key) for key in _keys(length)[:2])

    def run() -> tuple[float, float]:
        batch = [next(packets) for _ in range(_BATCH)]
        protected = [sender.protect(packet) for packet in batch]
        sealed = [
            (
                _nonce(packet),
                packet[:20],
                outer.encrypt(
                    _nonce(packet),
                    inner.encrypt(_nonce(packet), packet[20:], packet[:12]) + _OHB,
                    packet[:20],
                ),
            )
            for packet in batch
        ]

        def ours() -> None:
            for packet in protected:
                receiver.unprotect(packet)

        def raw() -> None:
            for nonce, header, data in sealed:
                inner.decrypt(nonce, outer.decrypt(nonce, data, header)[:-1], header[:12])

        return _timed(ours), _timed(raw)

    return run


def _reseal(profile: int, length: int, payload_length: int) -> Round:
    """A hop's work with the single profile of the outer layer: open, change SEQ and OHB, seal."""
    single = {9: 7, 0xA: 8}[profile]
    upstream, _, downstream = _keys(length)
    sender = _sender(profile, length)
    receive = SrtpReceiver(single, upstream, _SALT)
    send = SrtpSender(single, downstream, _SALT)
    opener, sealer = AESGCM(upstream), AESGCM(downstream)
    packets = _packets(payload_length)
    payload = bytes(payload_length + 17)  # with the inner tag and the OHB

    def run() -> tuple[float, float]:
        batch = [next(packets) for _ in range(_BATCH)]
        protected = [sender.protect(packet)[:-1] for packet in batch]
        sealed = [
            (_nonce(packet), packet[:20], opener.encrypt(_nonce(packet), payload, packet[:20]))
            for packet in batch
        ]

        def ours() -> None:
            for packet in protected:
                opened = receive.unprotect(packet)
                number = int.from_bytes(opened[2:4], "big") ^ 1
                changed = opened[:2] + number.to_bytes(2, "big") + opened[4:-1]
                send.protect(changed + opened[2:4] + b"\1")

        def raw() -> None:
            for nonce, header, data in sealed:
                sealer.encrypt(nonce, opener.decrypt(nonce, data, header), header)

        return _timed(ours), _timed(raw)

    return run


_OPERATIONS = {"protect": _protect, "unprotect": _unprotect, "reseal": _reseal}


def _measure_one(run: Round) -> tuple[float, float]:
    """Medians over rounds in which both take turns."""
    for _ in range(_ROUNDS // 10):
        run()
    ours, raw = zip(*(run() for _ in range(_ROUNDS)), strict=True)
    return statistics.median(ours), statistics.median(raw)


def measure() -> list[dict[str, object]]:
    """The measurements, one row of the table each; times in microseconds a packet."""
    rows: list[dict[str, object]] = []
    for name, (profile, length) in _PROFILES.items():
        for payload_length in _PAYLOADS:
            for operation, prepare in _OPERATIONS.items():
                ours, raw = _measure_one(prepare(profile, length, payload_length))
                rows.append(
                    {
                        "operation": operation,
                        "profile": name,
                        "payload_bytes": payload_length,
                        "us": ours,
                        "raw_us": raw,
                        "ratio": ours / raw,
                    }
                )
    return rows


if __name__ == "__main__":
    for row in measure():
        print(row)
