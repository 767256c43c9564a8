"""The cases of rfc8870.json: EKTFields, and packets that reach an Endpoint with them."""

from collections.abc import Iterator

from tests.reference import ekt
from tests.reference.ekt import EktPlaintext, FullEktField
from tests.vectors import ekt_scenarios
from tests.vectors.ekt_scenario import CIPHERS
from tests.vectors.material import PROFILES, Json, head, number, octets


def fields() -> Iterator[Json]:
    """Full EKT Fields by themselves: every key length with every cipher, and the edges."""
    edges = [(0, 0, 0), (0xFFFF, 0xFFFF, 0xFFFFFFFF), (0x1234, 1, 0x00010002)]
    for cipher, key_length in CIPHERS.items():
        for master_key_length in (16, 32):
            for count, (spi, epoch, roc) in enumerate(edges, 1):
                ident = f"full/{cipher}/{8 * master_key_length}-bit-{count}"
                plaintext = EktPlaintext(
                    srtp_master_key=octets(f"{ident}/master key", master_key_length),
                    ssrc=number(f"{ident}/SSRC", 32),
                    roc=roc,
                )
                key = octets(f"{ident}/EKT key", key_length)
                yield _full(ident, cipher, key, plaintext, spi, epoch)


def _full(
    ident: str, cipher: str, key: bytes, plaintext: EktPlaintext, spi: int, epoch: int
) -> Json:
    ciphertext = ekt.encrypt(key, plaintext)
    encoded = plaintext.encode()
    length = 8 * len(plaintext.srtp_master_key)
    description = f"Full EKT Field: {length}-bit master key under {cipher}"
    return head(ident, 8870, "4.1, 4.4.1", description) | {
        "kind": "full_field",
        "ekt_cipher": cipher,
        "ekt_key": key.hex(),
        "srtp_master_key": plaintext.srtp_master_key.hex(),
        "ssrc": plaintext.ssrc,
        "roc": plaintext.roc,
        "spi": spi,
        "epoch": epoch,
        "ekt_plaintext": encoded.hex(),
        "alternative_initial_value": (b"\xa6\x59\x59\xa6" + len(encoded).to_bytes(4)).hex(),
        "padded_ekt_plaintext": (encoded + bytes(-len(encoded) % 8)).hex(),
        "ekt_ciphertext": ciphertext.hex(),
        "ekt_field": FullEktField(ciphertext, spi, epoch).encode().hex(),
    }


def other_fields() -> Iterator[Json]:
    """The Short EKT Field, and Extension EKT Fields of types that nobody knows."""
    vector = head("short", 8870, "4.1", "Short EKT Field") | {"kind": "other_field"}
    yield vector | {"message_type": 0, "ekt_field": ekt.short_field().hex()}
    for message_type, length in ((0x03, 1), (0x7F, 9), (0xFF, 1024)):
        ident = f"extension/{message_type:02x}"
        data = octets(ident, length)
        description = f"Extension EKT Field of {length} octets of data"
        yield head(ident, 8870, "4.1", description) | {
            "kind": "other_field",
            "message_type": message_type,
            "extension_data": data.hex(),
            "ekt_field": ekt.extension_field(data, message_type).hex(),
        }


def ekt_keys() -> Iterator[Json]:
    """The ekt_key handshake message."""
    for cipher, key_length in CIPHERS.items():
        for salt_length, spi, ttl in ((12, 0x1234, 86400), (14, 0, 1), (256, 0xFFFF, 0xFFFFFF)):
            ident = f"ekt-key/{cipher}/salt-{salt_length}"
            key, salt = octets(f"{ident}/key", key_length), octets(f"{ident}/salt", salt_length)
            description = f"EKTKey for {cipher} with a salt of {salt_length} octets"
            yield head(ident, 8870, "5.2.2", description) | {
                "kind": "ekt_key",
                "ekt_cipher": cipher,
                "ekt_key_value": key.hex(),
                "srtp_master_salt": salt.hex(),
                "ekt_spi": spi,
                "ekt_ttl": ttl,
                "body": ekt.ekt_key_message(key, salt, spi, ttl).hex(),
            }


def vectors() -> Iterator[Json]:
    yield from fields()
    yield from other_fields()
    yield from ekt_keys()
    for profile in PROFILES:
        for scenario in ekt_scenarios.scenarios(profile):
            yield scenario.vector()
