"""The scenarios of rfc8870.json: packets in order, as they reach a receiving Endpoint."""

from collections.abc import Iterator

from tests.reference import ekt
from tests.vectors.ekt_scenario import Scenario
from tests.vectors.material import KEY_LENGTH

SHORT = ekt.short_field()


def scenarios(profile: int) -> Iterator[Scenario]:
    yield from key_changes(profile)
    yield from epochs(profile)
    yield from rollover(profile)
    yield from discarded_fields(profile)
    yield from refused_fields(profile)


def key_changes(profile: int) -> Iterator[Scenario]:
    for cipher in ("AESKW128", "AESKW256"):
        s = Scenario(profile, f"first-key-{cipher}", "4.3.2, 4.6", "a new sender", cipher=cipher)
        s.step("before any key", s.packet("A", 99), SHORT)
        for sequence_number in (100, 101, 102):
            s.step("three Full EKT Fields", s.packet("A", sequence_number), s.full("A"))
        s.step("Short EKT Field", s.packet("A", 103), SHORT)
        s.step("the same packet again", s.packet("A", 103), SHORT)
        yield s

    s = Scenario(profile, "rekey", "4.3.1, 4.3.2", "a new key under the same EKTKey, 250 ms ahead")
    s.step("key A", s.packet("A", 100), s.full("A"))
    s.step("key B announced, A in use", s.packet("A", 101), s.full("B", epoch=1))
    s.step("key B announced again", s.packet("A", 102), s.full("B", epoch=1))
    s.step("B in use", s.packet("B", 104), s.full("B", epoch=1))
    s.step("a late packet under A: trial decryption", s.packet("A", 103), SHORT)
    s.step("B", s.packet("B", 105), SHORT)
    yield s

    s = Scenario(profile, "new-ekt-key", "4.1, 4.5", "a new SPI: a new key, the epoch from 0 again")
    s.step("key A under SPI 1", s.packet("A", 100), s.full("A", epoch=5))
    s.step("B announced under SPI 2", s.packet("A", 101), s.full("B", spi=2))
    s.step("B in use, with SPI 2's salt", s.packet("B", 102, spi=2), s.full("B", spi=2))
    s.step("a late packet under A, with SPI 1's salt", s.packet("A", 99), SHORT)
    yield s

    s = Scenario(
        profile,
        "long-salt",
        "4.3.2 step 4",
        "an srtp_master_salt longer than needed: its first 12 octets",
        salt_length=16,
    )
    yield s.step("key A", s.packet("A", 100), s.full("A"))


def epochs(profile: int) -> Iterator[Scenario]:
    choice = "the field's key is never taken; here the packet goes with it, which no RFC demands"
    s = Scenario(profile, "epoch-lower", "4.1", "another key under a lower epoch", choice=choice)
    s.step("key A, epoch 3", s.packet("A", 100), s.full("A", epoch=3))
    s.step("key B, epoch 4", s.packet("B", 101), s.full("B", epoch=4))
    s.step("key C, epoch 2", s.packet("C", 102), s.full("C", epoch=2))
    s.step("C was not taken", s.packet("C", 103), SHORT)
    s.step("B goes on", s.packet("B", 104), SHORT)
    yield s

    s = Scenario(profile, "epoch-equal", "4.1", "another key under the same epoch", choice=choice)
    s.step("key A, epoch 0", s.packet("A", 100), s.full("A"))
    s.step("key B, epoch 0", s.packet("B", 101), s.full("B"))
    s.step("B was not taken", s.packet("B", 102), SHORT)
    s.step("A goes on", s.packet("A", 103), s.full("A"))
    yield s

    s = Scenario(profile, "epoch-gap", "4.1", "an epoch more than one higher: keys were missed")
    s.step("key A, epoch 0", s.packet("A", 100), s.full("A"))
    s.step("key B, epoch 65535", s.packet("B", 101), s.full("B", epoch=0xFFFF))
    yield s


def rollover(profile: int) -> Iterator[Scenario]:
    s = Scenario(
        profile,
        "late-joiner",
        "4.1, 4.3.2",
        "the sender's ROC is large, the hop's is 0: the inner one comes from the EKTField",
    )
    roc = 0x00012345
    s.step(
        "key A with its ROC",
        s.packet("A", 0xFFFE, inner_roc=roc),
        s.full("A", roc=roc),
    )
    s.step("Short EKT Field", s.packet("A", 0xFFFF, inner_roc=roc), SHORT)
    s.step("both wrap", s.packet("A", 0, inner_roc=roc + 1, outer_roc=1), SHORT)
    s.step(
        "the same key and epoch, the next ROC: another EKTCiphertext, no new key",
        s.packet("A", 1, inner_roc=roc + 1, outer_roc=1),
        s.full("A", roc=roc + 1),
    )
    s.step(
        "a new key goes on with the ROC",
        s.packet("B", 2, inner_roc=roc + 1, outer_roc=1),
        s.full("B", roc=roc + 1, epoch=1),
    )
    yield s

    s = Scenario(
        profile,
        "relayed",
        "RFC 8723 5.2, RFC 8870 4.3.2",
        "a relay changed SEQ and PT and passed the EKTField on: the inner index is the OHB's",
    )
    changes = {"sequence_number": 7, "payload_type": 111}
    s.step("key A", s.packet("A", 0xFFFF, inner_roc=9, relayed_as=changes), s.full("A", roc=9))
    changes = {"sequence_number": 8, "payload_type": 111}
    s.step("the inner SEQ wraps", s.packet("A", 0, inner_roc=10, relayed_as=changes), SHORT)
    yield s


def discarded_fields(profile: int) -> Iterator[Scenario]:
    s = Scenario(profile, "other-ssrc", "4.3.2 step 5", "a Full EKT Field of another SSRC")
    s.step("no key yet, and none comes", s.packet("A", 100), s.full("A", ssrc=s.ssrc ^ 1))
    s.step("key A", s.packet("A", 101), s.full("A"))
    other = s.full("B", ssrc=s.ssrc ^ 1, epoch=1)
    s.step("field discarded, packet processed as normal", s.packet("A", 102), other)
    s.step("B was not taken", s.packet("B", 103), SHORT)
    yield s

    s = Scenario(profile, "unknown-type", "4.1", "unknown message types: the EKT Tag is discarded")
    s.step("key A", s.packet("A", 100), s.full("A"))
    for count, message_type in enumerate((0x03, 0x7F, 0xFF)):
        tag = ekt.extension_field(s.octets(f"extension {count}", 8**count), message_type)
        s.step(f"type {message_type:#04x}", s.packet("A", 101 + count), tag)
    yield s

    choice = "type 1 isn't assignable, and may be read like an extension or refused"
    s = Scenario(profile, "legacy-type", "4.1", "message type 1, of before the RFC", choice=choice)
    s.step("key A", s.packet("A", 100), s.full("A"))
    yield s.step("type 1", s.packet("A", 101), ekt.extension_field(b"legacy", 1))


def refused_fields(profile: int) -> Iterator[Scenario]:
    s = Scenario(profile, "refuse-ciphertext", "4.3.2 step 3", "EKTCiphertexts that don't unwrap")
    s.step("key A", s.packet("A", 100), s.full("A"))
    full = s.full("B", epoch=1)
    ends = {"first": 0, "middle": (len(full) - 7) // 2, "last": len(full) - 8}
    for count, (where, at) in enumerate(ends.items(), 101):
        tag = full[:at] + bytes([full[at] ^ 0x80]) + full[at + 1 :]
        s.step(f"a bit of the {where} octet flipped", s.packet("A", count), tag)
    wrong = s.full("B", epoch=1, ekt_key=s.octets("another EKT key", 16))
    s.step("under another EKTKey", s.packet("A", 104), wrong)
    crossed = full[:-7] + b"\0\2" + full[-5:]
    s.step("under the EKTKey of another SPI", s.packet("A", 105), crossed)
    shorter = ekt.FullEktField(full[:-15], 1, 1).encode()
    s.step("64 bits of the ciphertext missing", s.packet("A", 106), shorter)
    odd = ekt.FullEktField(full[1:-7], 1, 1).encode()
    s.step("a ciphertext that is no multiple of 64 bits", s.packet("A", 107), odd)
    first = s.steps[1]["srtp_packet"]
    s.step(
        "the first of these as it was sent: its index wasn't used up", bytes.fromhex(first), full
    )
    s.step("A goes on", s.packet("A", 108), SHORT)
    yield s

    s = Scenario(profile, "refuse-unknown-spi", "4.3.2 step 2", "an SPI that nobody gave out")
    full = s.full("A")
    s.step("SPI 3", s.packet("A", 100), full[:-7] + b"\0\3" + full[-5:])
    s.step("no key was taken", s.packet("A", 101), SHORT)
    yield s

    s = Scenario(profile, "refuse-key-length", "4.3.2 step 6", "master keys of other lengths")
    lengths = [n for n in (1, 15, 17, 24, 16, 32, 64) if n != KEY_LENGTH[profile]]
    for count, length in enumerate(lengths, 100):
        full = s.full("A", master_key=s.octets("key of another length", length))
        s.step(f"{length} octets", s.packet("A", count), full)
    s.step("the right length", s.packet("A", 110), s.full("A"))
    yield s

    s = Scenario(profile, "refuse-framing", "4.1, 4.3.2 step 1", "EKTMsgLengths that can't be")
    s.step("key A", s.packet("A", 100), s.full("A"))
    framings = {
        "longer than the packet": b"\xff\xff\2",
        "zero": b"\0\0\2",
        "a Full EKT Field without a ciphertext": b"\0\1\0\1\0\7\2",
        "an extension without data": b"\0\3\3",
        "an extension of zero": b"\0\0\3",
    }
    for count, (description, tag) in enumerate(framings.items(), 101):
        s.step(description, s.packet("A", count), tag)
    full = s.full("A")
    s.step("one too short", s.packet("A", 110), full[:-3] + (len(full) - 1).to_bytes(2) + b"\2")
    s.step("one too long", s.packet("A", 111), full[:-3] + (len(full) + 1).to_bytes(2) + b"\2")
    s.step("no EKTField: the outer tag ends in its place", s.packet("A", 112), b"")
    s.step("an EKTField and nothing else", b"", full)
    s.step("a Short EKT Field and nothing else", b"", SHORT)
    s.step("A goes on", s.packet("A", 113), SHORT)
    yield s

    s = Scenario(profile, "refuse-outer", "RFC 8723 5.3", "an outer tag that fails")
    sent = s.packet("A", 100)
    s.step("the outer tag's last bit flipped", sent[:-1] + bytes([sent[-1] ^ 1]), SHORT)
    s.step("key A", sent, s.full("A"))
    yield s
