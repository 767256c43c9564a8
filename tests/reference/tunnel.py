"""The messages of the DTLS tunnel: RFC 9185 section 6, presented as in RFC 8446 section 3."""

from tests.reference.primitives import Refused

SUPPORTED_PROFILES = 1
UNSUPPORTED_VERSION = 2
MEDIA_KEYS = 3
TUNNELED_DTLS = 4
ENDPOINT_DISCONNECT = 5


def tunnel_message(message_type: int, body: bytes) -> bytes:
    """Section 6.1: MsgType msg_type; uint16 length; body."""
    return message_type.to_bytes(1) + len(body).to_bytes(2) + body


def vector(value: bytes, octets_of_length: int) -> bytes:
    """A variable-length vector of RFC 8446 section 3.4."""
    return len(value).to_bytes(octets_of_length) + value


def supported_profiles(version: int, profiles: list[int]) -> bytes:
    """Section 6.2. protection_profiles<2..2^16-1>: two octets of length."""
    values = b"".join(profile.to_bytes(2) for profile in profiles)
    return tunnel_message(SUPPORTED_PROFILES, version.to_bytes(1) + vector(values, 2))


def unsupported_version(highest_version: int) -> bytes:
    """Section 6.3."""
    return tunnel_message(UNSUPPORTED_VERSION, highest_version.to_bytes(1))


def media_keys(
    association_id: bytes,
    protection_profile: int,
    mki: bytes,
    client_write_key: bytes,
    server_write_key: bytes,
    client_write_salt: bytes,
    server_write_salt: bytes,
) -> bytes:
    """Section 6.4. All vectors are of at most 255 octets: one octet of length."""
    body = association_id + protection_profile.to_bytes(2) + vector(mki, 1)
    for value in (client_write_key, server_write_key, client_write_salt, server_write_salt):
        body += vector(value, 1)
    return tunnel_message(MEDIA_KEYS, body)


def tunneled_dtls(association_id: bytes, dtls_message: bytes) -> bytes:
    """Section 6.5. dtls_message<1..2^16-1>: two octets of length."""
    return tunnel_message(TUNNELED_DTLS, association_id + vector(dtls_message, 2))


def endpoint_disconnect(association_id: bytes) -> bytes:
    """Section 6.6."""
    return tunnel_message(ENDPOINT_DISCONNECT, association_id)


class _Fields:
    """Reads a body from its start; whatever doesn't fit is Refused("malformed")."""

    def __init__(self, body: bytes) -> None:
        self._rest = body

    def take(self, length: int) -> bytes:
        if len(self._rest) < length:
            raise Refused("malformed", "body ends in a field")
        taken, self._rest = self._rest[:length], self._rest[length:]
        return taken

    def number(self, length: int) -> int:
        return int.from_bytes(self.take(length))

    def vector(self, octets_of_length: int, least: int) -> bytes:
        value = self.take(self.number(octets_of_length))
        if len(value) < least:
            raise Refused("malformed", "vector shorter than its least length")
        return value

    def end(self) -> None:
        if self._rest:
            raise Refused("malformed", "octets after the last field")


def parse_message(message: bytes) -> dict[str, int | list[int] | bytes]:
    """One whole TunnelMessage: its fields by name, and msg_type."""
    head = _Fields(message)
    message_type = head.number(1)
    fields = _Fields(head.take(head.number(2)))
    head.end()
    parsed = _body(message_type, fields)
    fields.end()
    return {"msg_type": message_type} | parsed


def _body(message_type: int, fields: _Fields) -> dict[str, int | list[int] | bytes]:
    match message_type:
        case 1:
            version, profiles = fields.number(1), fields.vector(2, 2)
            if len(profiles) % 2:
                raise Refused("malformed", "half a protection profile")
            pairs = [int.from_bytes(profiles[at : at + 2]) for at in range(0, len(profiles), 2)]
            return {"version": version, "protection_profiles": pairs}
        case 2:
            return {"highest_version": fields.number(1)}
        case 3:
            return {
                "association_id": fields.take(16),
                "protection_profile": fields.number(2),
                "mki": fields.vector(1, 0),
                "client_write_SRTP_master_key": fields.vector(1, 1),
                "server_write_SRTP_master_key": fields.vector(1, 1),
                "client_write_SRTP_master_salt": fields.vector(1, 1),
                "server_write_SRTP_master_salt": fields.vector(1, 1),
            }
        case 4:
            return {"association_id": fields.take(16), "dtls_message": fields.vector(2, 1)}
        case 5:
            return {"association_id": fields.take(16)}
        case _:
            raise Refused("unknown_type")
