"""What is said of a peer that no connection can be had with, and how often."""

from __future__ import annotations

import ssl

import pytest

from halfkey.peering import FaultTeller, Peer

PEER = Peer("the peer", "--our-bundle", "--its-bundle", "--dial")
PLACE = ("192.0.2.1", 7001)


def tls_fault(reason: str) -> ssl.SSLError:
    fault = ssl.SSLError(1, reason)
    fault.reason = reason
    return fault


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("TLSV1_ALERT_UNKNOWN_CA", "doesn't believe our certificate"),
        ("SSLV3_ALERT_BAD_CERTIFICATE", "look at its --its-bundle"),
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "look at its --its-bundle"),
        ("PEER_DID_NOT_RETURN_A_CERTIFICATE", "give it one that --our-bundle holds"),
        ("WRONG_VERSION_NUMBER", "speaks no TLS 1.3 that we understand (wrong version number)"),
    ],
)
def test_each_kind_says_where_to_look(
    caplog: pytest.LogCaptureFixture, reason: str, said: str
) -> None:
    FaultTeller(PEER).refused(PLACE, tls_fault(reason))
    (line,) = caplog.messages
    assert line.startswith("the peer at 192.0.2.1:7001 ")
    assert said in line


def test_a_peer_with_ever_new_faults_is_told_of_a_few_times(
    caplog: pytest.LogCaptureFixture,
) -> None:
    teller = FaultTeller(PEER)
    for number in range(100):
        teller.refused(PLACE, tls_fault(f"FAULT_{number}"))
    assert len(caplog.messages) == 8
    teller.succeeded()
    teller.refused(PLACE, tls_fault("FAULT_99"))
    assert len(caplog.messages) == 9


def test_what_changes_is_told_when_it_changes(caplog: pytest.LogCaptureFixture) -> None:
    teller = FaultTeller(PEER)
    for fault in (
        ConnectionRefusedError(111, ""),
        ConnectionRefusedError(111, ""),
        OSError(113, ""),
    ):
        teller.failed(PLACE, fault)
    teller.ended(PLACE, None)
    teller.ended(PLACE, ConnectionResetError(104, ""))
    assert [line.partition("7001 ")[2].partition(";")[0] for line in caplog.messages] == [
        "can't be reached (Connection refused)",
        "can't be reached (No route to host)",
        "ends connections at once",
    ]
