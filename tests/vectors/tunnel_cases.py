"""The cases of rfc9185.json: every tunnel message, and malformed ones."""

import uuid
from collections.abc import Iterator
from functools import partial

from tests.reference import tunnel
from tests.vectors.material import KEY_LENGTH, PROFILES, Json, head, octets, refusal


def association(label: str) -> bytes:
    """A UUIDv4 (RFC 4122), as an association identifier is."""
    return uuid.UUID(bytes=octets(f"{label}/association", 16), version=4).bytes


def _vector(ident: str, section: str, description: str, kind: str, message: bytes) -> Json:
    """Fields as the reference's parser reads them back, so that it and the encoder agree."""
    fields = {
        key: value.hex() if isinstance(value, bytes) else value
        for key, value in tunnel.parse_message(message).items()
    }
    message_type = fields.pop("msg_type")
    return head(ident, 9185, section, description) | {
        "kind": kind,
        "msg_type": message_type,
        "fields": fields,
        "body": message[3:].hex(),
        "message": message.hex(),
    }


def supported_profiles() -> Iterator[Json]:
    cases = {
        "rfc-example": ("the example of section 7", 0, [9, 10]),
        "one": ("one profile", 0, [9]),
        "with-plain": ("plain profiles too, the double ones first", 0, [10, 9, 8, 7]),
        "unknown": ("profiles that nobody knows", 0, [0xFFFF, 9, 0]),
        "version-255": ("another version", 255, [9]),
    }
    for case, (description, version, profiles) in cases.items():
        message = tunnel.supported_profiles(version, profiles)
        ident = f"supported-profiles/{case}"
        yield _vector(ident, "6.2", description, "SupportedProfiles", message)


def unsupported_version() -> Iterator[Json]:
    for version in (0, 1, 255):
        message = tunnel.unsupported_version(version)
        ident = f"unsupported-version/{version}"
        yield _vector(ident, "6.3", f"highest version {version}", "UnsupportedVersion", message)


def media_keys() -> Iterator[Json]:
    for profile, profile_name in PROFILES.items():
        for mki_length in (0, 4, 255):
            ident = f"media-keys/{8 * KEY_LENGTH[profile]}-mki-{mki_length}"
            message = tunnel.media_keys(
                association(ident),
                profile,
                octets(f"{ident}/mki", mki_length),
                octets(f"{ident}/client key", KEY_LENGTH[profile]),
                octets(f"{ident}/server key", KEY_LENGTH[profile]),
                octets(f"{ident}/client salt", 12),
                octets(f"{ident}/server salt", 12),
            )
            description = f"outer halves of {profile_name}, {mki_length} octets of MKI"
            yield _vector(ident, "5.4, 6.4", description, "MediaKeys", message)


def tunneled_dtls() -> Iterator[Json]:
    for length in (1, 13, 1200, 13 + 2**14):
        ident = f"tunneled-dtls/{length}"
        record = b"\x16\xfe\xfd" + octets(f"{ident}/record", length)
        message = tunnel.tunneled_dtls(association(ident), record[:length])
        description = f"{length} octets of DTLS"
        if length > 2**14:
            description += ": the longest DTLS 1.2 record but for its expansion"
        yield _vector(ident, "6.5", description, "TunneledDtls", message)


def endpoint_disconnect() -> Iterator[Json]:
    ident = "endpoint-disconnect"
    message = tunnel.endpoint_disconnect(association(ident))
    yield _vector(ident, "6.6", "an association ends", "EndpointDisconnect", message)


def streams() -> Iterator[Json]:
    """Messages don't keep the boundaries of TLS records or reads."""
    ident = "stream"
    first, second = association(f"{ident}/1"), association(f"{ident}/2")
    messages = [
        tunnel.supported_profiles(0, [9, 10]),
        tunnel.tunneled_dtls(first, b"\x16\xfe\xff" + octets(f"{ident}/1", 200)),
        tunnel.tunneled_dtls(second, b"\x16\xfe\xff" + octets(f"{ident}/2", 300)),
        tunnel.tunneled_dtls(first, b"\x14\xfe\xfd" + octets(f"{ident}/3", 11)),
        tunnel.endpoint_disconnect(second),
    ]
    description = "a Media Distributor's stream with two associations interleaved"
    yield head(ident, 9185, "5.3, 6.1", description) | {
        "kind": "stream",
        "messages": [message.hex() for message in messages],
        "stream": b"".join(messages).hex(),
    }


def refusals() -> Iterator[Json]:
    profiles = tunnel.supported_profiles(0, [9, 10])
    keys = bytes.fromhex(next(media_keys())["message"])
    dtls = tunnel.tunneled_dtls(association("refuse"), b"\x16\xfe\xfdrecord")
    ended = tunnel.endpoint_disconnect(association("refuse"))
    message = tunnel.tunnel_message
    cases = {
        "profiles-none": ("no profile", message(1, b"\0\0\0")),
        "profiles-odd": ("half a profile", message(1, b"\0\0\3\0\x09\0")),
        "profiles-length": ("profiles run past the body", message(1, b"\0\0\4\0\x09")),
        "profiles-trailing": ("an octet after the profiles", message(1, profiles[3:] + b"\0")),
        "profiles-empty": ("an empty SupportedProfiles", message(1, b"")),
        "version-empty": ("an empty UnsupportedVersion", message(2, b"")),
        "version-trailing": ("an UnsupportedVersion of two octets", message(2, b"\0\0")),
        "keys-truncated": ("MediaKeys, the last octet missing", message(3, keys[3:-1])),
        "keys-trailing": ("MediaKeys, an octet more", message(3, keys[3:] + b"\0")),
        "keys-key-empty": ("MediaKeys without a client key", message(3, keys[3:22] + bytes(4))),
        "keys-no-salt": ("MediaKeys without salts", message(3, keys[3 : 22 + 34])),
        "dtls-empty": ("TunneledDtls without DTLS", message(4, dtls[3:19] + b"\0\0")),
        "dtls-trailing": ("TunneledDtls, an octet more", message(4, dtls[3:] + b"\0")),
        "dtls-truncated": ("TunneledDtls, the last octet missing", message(4, dtls[3:-1])),
        "dtls-no-length": ("TunneledDtls without its vector", message(4, dtls[3:19])),
        "disconnect-short": ("15 octets of association_id", message(5, ended[3:-1])),
        "disconnect-trailing": ("17 octets of association_id", message(5, ended[3:] + b"\0")),
        "type-0": ("message type 0 is reserved", message(0, b"")),
        "type-6": ("message type 6 is unassigned", message(6, bytes(16))),
        "type-255": ("message type 255", message(255, b"body")),
    }
    for case, (description, malformed) in cases.items():
        yield head(f"refuse/{case}", 9185, "6", description) | {
            "kind": "refuse",
            "msg_type": malformed[0],
            "body": malformed[3:].hex(),
            "message": malformed.hex(),
            "refused": refusal(partial(tunnel.parse_message, malformed)),
        }


def vectors() -> Iterator[Json]:
    yield from supported_profiles()
    yield from unsupported_version()
    yield from media_keys()
    yield from tunneled_dtls()
    yield from endpoint_disconnect()
    yield from streams()
    yield from refusals()
