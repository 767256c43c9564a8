"""How a scenario of rfc8870.json is put together."""

from dataclasses import dataclass, field, replace

from tests.reference import double, ekt
from tests.reference.ekt import EktParameterSet, EktPlaintext, FullEktField, InboundProcessing
from tests.reference.endpoint import ReceivingEndpoint
from tests.reference.kdf import session_keys
from tests.reference.primitives import Refused
from tests.vectors.material import KEY_LENGTH, Json, head, name, octets, rtp_packet

CIPHERS = {"AESKW128": 16, "AESKW256": 32}
"""Octets of an EKTKey (RFC 8870 section 4.4.1)."""


@dataclass
class Scenario:
    """One sender's packets over one hop, judged in order by the reference's receiver."""

    profile: int
    case: str
    section: str
    description: str
    steps: list[Json] = field(default_factory=list)
    salt_length: int = 12
    cipher: str = "AESKW128"
    choice: str = ""

    def __post_init__(self) -> None:
        self.ident = name(self.profile, self.case)
        self.template = rtp_packet(self.ident, sequence_number=100)
        self.hop = session_keys(
            self.octets("hop master key", self.key_length), self.octets("hop master salt", 12)
        )
        self.sets = {
            spi: EktParameterSet(
                ekt_key=self.octets(f"EKT key {spi}", CIPHERS[self.cipher]),
                srtp_master_salt=self.octets(f"salt {spi}", self.salt_length),
            )
            for spi in (1, 2)
        }
        processing = InboundProcessing(dict(self.sets), self.key_length)
        self.receiver = ReceivingEndpoint(self.hop, processing)

    @property
    def key_length(self) -> int:
        return KEY_LENGTH[self.profile]

    @property
    def ssrc(self) -> int:
        return self.template.ssrc

    def octets(self, label: str, n: int) -> bytes:
        return octets(f"{self.ident}/{label}", n)

    def master_key(self, key: str) -> bytes:
        """Sender's inner master keys are named A, B, C."""
        return self.octets(f"inner master key {key}", self.key_length)

    def full(
        self,
        key: str,
        *,
        spi: int = 1,
        epoch: int = 0,
        roc: int = 0,
        ssrc: int | None = None,
        master_key: bytes | None = None,
        ekt_key: bytes | None = None,
    ) -> bytes:
        plaintext = EktPlaintext(
            srtp_master_key=self.master_key(key) if master_key is None else master_key,
            ssrc=self.ssrc if ssrc is None else ssrc,
            roc=roc,
        )
        ciphertext = ekt.encrypt(ekt_key or self.sets[spi].ekt_key, plaintext)
        return FullEktField(ciphertext, spi, epoch).encode()

    def packet(
        self,
        key: str,
        sequence_number: int,
        *,
        spi: int = 1,
        inner_roc: int = 0,
        outer_roc: int = 0,
        relayed_as: dict[str, int] | None = None,
    ) -> bytes:
        """An SRTP packet under the named inner key, with the salt that came with the SPI."""
        keys = double.DoubleKeys(
            session_keys(self.master_key(key), self.sets[spi].srtp_master_salt[:12]), self.hop
        )
        payload = self.octets(f"payload {len(self.steps)}", 24)
        original = replace(self.template, sequence_number=sequence_number, payload=payload)
        protected = double.protect(keys, original.encode(), inner_roc, outer_roc)
        if relayed_as is None:
            return protected.outer.packet
        first = session_keys(self.octets("first hop", self.key_length), bytes(12))
        sent = double.protect(replace(keys, outer=first), original.encode(), inner_roc, 0)
        relayed = double.relay(
            first,
            self.hop,
            sent.outer.packet,
            receive_roc=0,
            send_roc=outer_roc,
            changes=dict(relayed_as),
        )
        return relayed.sealed.packet

    def step(self, description: str, packet: bytes, ekt_field: bytes) -> "Scenario":
        """Appends the packet with its EKTField, and what the reference makes of it."""
        step: Json = {"description": description, "packet": (packet + ekt_field).hex()}
        step |= {"srtp_packet": packet.hex(), "ekt_field": ekt_field.hex()}
        try:
            received = self.receiver.receive(packet + ekt_field)
        except Refused as refused:
            step["refused"] = refused.reason
        else:
            inner_keys = {self.master_key(key): key for key in "ABC"}
            step["inner_key"] = inner_keys[received.inner_key.srtp_master_key]
            step["inner_roc"], step["outer_roc"] = received.inner_roc, received.outer_roc
            step["ekt_spi"] = received.inner_key.spi
            step["ekt_epoch"] = received.inner_key.epoch
            step["new_key"] = received.new_key
            step["rtp_packet"] = received.believed.hex()
        self.steps.append(step)
        return self

    def vector(self) -> Json:
        vector = head(self.ident, 8870, self.section, self.description) | {
            "kind": "receive",
            "profile": self.profile,
            "ekt_cipher": self.cipher,
            "hop_master_key": self.hop.master_key.hex(),
            "hop_master_salt": self.hop.master_salt.hex(),
            "ekt_parameter_sets": [
                {
                    "spi": spi,
                    "ekt_key": parameters.ekt_key.hex(),
                    "srtp_master_salt": parameters.srtp_master_salt.hex(),
                }
                for spi, parameters in self.sets.items()
            ],
            "inner_master_keys": {key: self.master_key(key).hex() for key in "ABC"},
            "ssrc": self.ssrc,
            "steps": self.steps,
        }
        return vector | ({"choice": self.choice} if self.choice else {})
