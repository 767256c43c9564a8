"""A receiving Endpoint: EKT (RFC 8870 4.3.2), Double (RFC 8723 5.3) and indices (RFC 3711 3.3)."""

from dataclasses import dataclass, field, replace

from tests.reference import double, rtp
from tests.reference.ekt import InboundProcessing, InstalledKey, split_field
from tests.reference.kdf import SessionKeys, session_keys
from tests.reference.primitives import Refused
from tests.reference.srtp import Protected, RolloverCounter


@dataclass(frozen=True)
class Received:
    believed: bytes
    """The RTP packet that the application may believe (RFC 8723 section 5.3)."""
    unprotected: double.DoubleUnprotected
    inner_roc: int
    outer_roc: int
    inner_key: InstalledKey
    new_key: bool
    """Whether this packet's EKTField brought a key that wasn't known for the SSRC."""


@dataclass
class ReceivingEndpoint:
    """One hop's packets for one Endpoint. Refused: the packet is discarded."""

    outer: SessionKeys
    ekt: InboundProcessing
    outer_counters: dict[int, RolloverCounter] = field(default_factory=dict)
    inner_counters: dict[int, RolloverCounter] = field(default_factory=dict)

    def receive(self, packet: bytes) -> Received:
        srtp_packet, _ = split_field(packet)
        header = rtp.parse(srtp_packet)
        # RFC 8870 section 4.3.2 looks at the EKTField first, and a packet that fails there never
        # comes to SRTP processing, so it uses up no index. Here the hop's tag is looked at before,
        # so that no field counts which came with a forged packet; the index is recorded after.
        counter = self.outer_counters.get(header.ssrc, RolloverCounter())
        outer_roc = counter.estimate(header.sequence_number)
        counter.check(outer_roc, header.sequence_number)
        outer = double.unprotect_outer(self.outer, srtp_packet, outer_roc)
        known = len(self.ekt.keys.get(header.ssrc, []))
        self.ekt.receive(packet, header.ssrc)
        counter.update(outer_roc, header.sequence_number)
        self.outer_counters[header.ssrc] = counter
        received = self._inner(outer, header.ssrc, outer_roc)
        return replace(received, new_key=len(self.ekt.keys[header.ssrc]) > known)

    def _inner(self, outer: Protected, ssrc: int, outer_roc: int) -> Received:
        """Trial decryption with the newest key first (RFC 8870 section 4.3.2)."""
        keys = self.ekt.keys.get(ssrc, [])
        if not keys:
            raise Refused("no_inner_key")
        sequence_number = double.original_header(outer).sequence_number
        refusal = Refused("inner_authentication")
        for key in keys:
            try:
                return self._try(key, outer, ssrc, sequence_number, outer_roc)
            except Refused as failure:
                refusal = failure
        raise refusal

    def _try(
        self, key: InstalledKey, outer: Protected, ssrc: int, sequence_number: int, outer_roc: int
    ) -> Received:
        # "After a re-keying occurs, the rollover counter always maintains its sequence of values"
        # (RFC 3711 section 3.3.1); the ROC of an EKTField starts it.
        counter = self.inner_counters.get(ssrc, RolloverCounter(roc=key.roc))
        inner_roc = counter.estimate(sequence_number)
        counter.check(inner_roc, sequence_number)
        keys = session_keys(key.srtp_master_key, key.srtp_master_salt)
        unprotected = double.unprotect_inner(keys, outer, inner_roc)
        counter.update(inner_roc, sequence_number)
        self.inner_counters[ssrc] = counter
        return Received(unprotected.packet, unprotected, inner_roc, outer_roc, key, new_key=False)
