"""What the handshakes of client and server share in DTLS 1.2."""

from __future__ import annotations

from typing import ClassVar

from halfkey.dtls import extensions as codec
from halfkey.dtls.channel import Channel
from halfkey.dtls.configuration import Configuration
from halfkey.dtls.crypto.key_exchange import KeyExchange
from halfkey.dtls.crypto.key_schedule import KeySchedule
from halfkey.dtls.faults import ProtocolFault
from halfkey.dtls.handshake import Handshake, present
from halfkey.dtls.messages.certificate import CertificateMessage
from halfkey.dtls.messages.finished import Finished
from halfkey.dtls.proofs import FinishedProof, Outcome, judge_certificate, verify_finished
from halfkey.dtls.registries import (
    DTLS_1_2,
    AlertDescription,
    ExtensionType,
    NamedGroup,
    ProtocolVersion,
)
from halfkey.dtls.states import State
from halfkey.dtls.transcript import Transcript


class Handshake12(Handshake):
    """One side of a handshake."""

    version: ClassVar[ProtocolVersion] = DTLS_1_2

    def __init__(
        self, configuration: Configuration, channel: Channel, state: State, transcript: Transcript
    ) -> None:
        super().__init__(configuration, channel, state, transcript)
        self._group: NamedGroup | None = None
        self._key_exchange: KeyExchange | None = None
        self._schedule: KeySchedule | None = None
        self._client_random = b""
        self._server_random = b""

    def wipe(self) -> None:
        """See `Stage`."""
        self._key_exchange = None
        if self._schedule is not None:
            self._schedule.wipe()

    def _receive_certificate(self, body: bytes, now: float) -> None:
        message = CertificateMessage.decode(body)
        self._certificate = judge_certificate(
            message.certificate_list, present(self.peer_fingerprints)
        )

    def _derive(self, peer_public_key: bytes) -> KeySchedule:
        """Makes the key schedule, once ClientKeyExchange is in the transcript."""
        self._schedule = KeySchedule(
            self._parameters,
            self._client_random,
            self._server_random,
            present(self._key_exchange).exchange(peer_public_key),
            self._hash_of_all(),
        )
        self._key_exchange = None
        return self._schedule

    def _verify_finished(self, sender: bytes, body: bytes) -> FinishedProof:
        return verify_finished(
            present(self._schedule), sender, Finished.decode(body), self._hash_before_latest()
        )

    def _complete(self, finished: FinishedProof) -> None:
        """Holds every proof."""
        self.outcome = Outcome(
            present(self._certificate),
            present(self._possession),
            finished,
            present(self._negotiated),
            present(self._suite),
            present(self._group),
            present(self._schedule),
        )


def check_point_formats(extensions: codec.Extensions) -> None:
    """If there are ec_point_formats, they must have the uncompressed one (RFC 8422 5.1.2).

    Raises:
        ProtocolFault: illegal_parameter.
    """
    content = extensions.get(ExtensionType.EC_POINT_FORMATS)
    if content is None:
        return
    if codec.UNCOMPRESSED_POINT_FORMAT not in codec.decode_uint8_list(content):
        raise ProtocolFault(AlertDescription.ILLEGAL_PARAMETER, "no uncompressed point format")
