"""Failures around a rekey are counted apart from all others."""

from __future__ import annotations

from halfkey.endpoint.statistics import LEAD, STREAM_LIMIT, TAIL, ReceivedStream, Statistics


def opened_stream() -> ReceivedStream:
    statistics = Statistics()
    return statistics.opened(1, 100, 0.0)


def counts(stream: ReceivedStream) -> tuple[int, int, int]:
    return stream.before_key, stream.e2e_failures, stream.e2e_failures_during_rekey


def test_packets_before_any_key_are_no_failures() -> None:
    stream = ReceivedStream(1)
    stream.failed(0.0, for_want_of_a_key=True)
    assert counts(stream) == (1, 0, 0)
    stream.failed(0.0, for_want_of_a_key=False)
    assert counts(stream) == (1, 1, 0)


def test_want_of_a_key_is_a_failure_once_packets_were_opened() -> None:
    stream = opened_stream()
    stream.failed(1.0, for_want_of_a_key=True)
    assert counts(stream) == (0, 1, 0)


def test_the_window_of_a_rekey() -> None:
    stream = opened_stream()
    stream.rekeyed(100.0)
    stream.failed(100.0 + TAIL - 0.01, for_want_of_a_key=False)
    assert counts(stream) == (0, 0, 1)
    stream.failed(100.0 + TAIL, for_want_of_a_key=False)
    assert counts(stream) == (0, 1, 1)


def test_failures_just_before_we_learn_of_a_rekey_belong_to_it() -> None:
    stream = opened_stream()
    stream.failed(100.0 - LEAD - 0.01, for_want_of_a_key=False)
    stream.failed(100.0 - LEAD + 0.01, for_want_of_a_key=False)
    stream.failed(99.9, for_want_of_a_key=True)
    assert counts(stream) == (0, 3, 0)
    stream.rekeyed(100.0)
    assert counts(stream) == (0, 1, 2)
    stream.rekeyed(100.1)
    assert counts(stream) == (0, 1, 2)


def test_the_number_of_streams_is_bounded() -> None:
    statistics = Statistics()
    for ssrc in range(STREAM_LIMIT + 10):
        statistics.opened(ssrc, 50, 1.0)
    assert len(statistics.streams) == STREAM_LIMIT
    assert statistics.packets_opened == STREAM_LIMIT + 10
