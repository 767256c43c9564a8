"""Seeds for the fuzzer, made by the code itself: what is valid, for it to spoil."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from uuid import UUID

from halfkey.codec import Writer
from halfkey.dtls import extensions as extension
from halfkey.dtls.messages.ack import Ack
from halfkey.dtls.messages.certificate_1_3 import (
    CertificateEntry,
    CertificateMessage,
    CertificateRequest,
)
from halfkey.dtls.messages.encrypted_extensions import EncryptedExtensions
from halfkey.dtls.messages.framing import decode_fragments
from halfkey.dtls.messages.key_update import KeyUpdate
from halfkey.dtls.messages.new_session_ticket import NewSessionTicket
from halfkey.dtls.record import RecordNumber
from halfkey.dtls.registries import ContentType, ExtensionType, HandshakeType
from halfkey.profiles import DOUBLE_128
from halfkey.tunnel.connection import KeyDistributorTunnel, MediaDistributorTunnel
from halfkey.tunnel.messages import MediaKeys
from tests.dtls.helpers import (
    CLIENT_CERTIFICATE,
    RECORD_HEADER,
    client_configuration,
    connected,
    ekt_key,
    is_protected,
    server_configuration,
    split_records,
)
from tests.fuzz import key_distributor as distributor
from tests.fuzz.targets import SECRET, VERSIONS, frame
from tests.identity.helpers import CLAIMS
from tests.identity.test_link import LINK
from tests.sdp.samples import ANSWER, OFFER

ASSOCIATION = UUID(int=1 << 100)
_SHARE = extension.KeyShareEntry(29, bytes(32))
_PROTECTED = (
    EncryptedExtensions({ExtensionType.KEY_SHARE: _SHARE.encode()}),
    CertificateRequest(b"", {ExtensionType.SIGNATURE_ALGORITHMS: b"\0\2\4\3"}),
    CertificateMessage(b"", (CertificateEntry(CLIENT_CERTIFICATE.der, {}),)),
    NewSessionTicket(7200, 1, b"nonce", b"ticket", {}),
    KeyUpdate(1),
)


def _handshakes() -> list[list[bytes]]:
    """The datagrams of a handshake, for each choice of `VERSIONS`."""
    return [
        [
            datagram
            for _, datagram in connected(
                client_configuration(versions=versions), server_configuration(versions=versions)
            ).datagrams
        ]
        for versions in VERSIONS
    ]


def _dtls_datagrams() -> list[bytes]:
    return [frame(sent[:count]) for sent in _handshakes() for count in (1, 3, 4)]


def _dtls_handshake() -> list[bytes]:
    inserted = [
        bytes((index, 1 | choice << 1, 0, 0)) + one
        for choice, sent in enumerate(_handshakes())
        for index, one in enumerate(sent)
    ]
    return [bytes(5), *inserted]


def _dtls_authenticated() -> list[bytes]:
    body = ekt_key().encode()
    fragment = bytes([HandshakeType.EKT_KEY]) + len(body).to_bytes(3, "big") + bytes([0, 9])
    fragment += bytes(3) + len(body).to_bytes(3, "big") + body
    ack = Ack((RecordNumber(1, 1), RecordNumber(1, 2))).encode()
    key_update = bytes([HandshakeType.KEY_UPDATE]) + bytes.fromhex("000001 0007 000000 000001 01")
    framed = [
        frame([bytes([ContentType.ACK]) + ack]),
        frame([bytes([ContentType.APPLICATION_DATA]) + b"none of it"]),
        frame([bytes([ContentType.HANDSHAKE]) + fragment]),
        frame([bytes([ContentType.HANDSHAKE]) + key_update]),
        frame([bytes([ContentType.ALERT]) + b"\x01\x5a"]),
    ]
    return [bytes([choice]) + one for choice in range(len(VERSIONS)) for one in framed]


def _dtls_messages() -> list[bytes]:
    seeds = [b"\0" + ekt_key().encode(), b"\0" + Ack((RecordNumber(1, 1),)).encode()]
    seeds += [b"\0" + message.encode() for message in _PROTECTED]
    for datagram in (one for sent in _handshakes() for one in sent):
        for record in split_records(datagram):
            if not is_protected(record) and record[0] == ContentType.HANDSHAKE:
                seeds += [b"\0" + one.data for one in decode_fragments(record[RECORD_HEADER:])]
    return seeds


def _dtls_extensions() -> list[bytes]:
    contents: dict[int, bytes] = {
        ExtensionType.SUPPORTED_GROUPS: extension.encode_uint16_list((29, 23)),
        ExtensionType.USE_SRTP: extension.encode_use_srtp((9, 10)),
        ExtensionType.SUPPORTED_EKT_CIPHERS: extension.encode_uint8_list((1, 2)),
        ExtensionType.EXTERNAL_SESSION_ID: extension.encode_external_session_id(bytes(24)),
        ExtensionType.EXTERNAL_ID_HASH: extension.encode_external_id_hash(bytes(32)),
        ExtensionType.SUPPORTED_VERSIONS: extension.encode_offered_versions((0xFEFC, 0xFEFD)),
        ExtensionType.COOKIE: extension.encode_cookie(bytes(69)),
        ExtensionType.KEY_SHARE: extension.encode_key_shares([_SHARE]),
    }
    writer = Writer()
    extension.write_extensions(writer, contents)
    return [writer.getvalue()]


def _dtls_certificate() -> list[bytes]:
    return [CLIENT_CERTIFICATE.der]


def _tunnel() -> list[bytes]:
    distributor = MediaDistributorTunnel((9, 10))
    kd = KeyDistributorTunnel()
    kd.receive_data(hello := distributor.data_to_send(), 0.0)
    kd.send_media_keys(
        MediaKeys(ASSOCIATION, DOUBLE_128, b"", *(bytes(16),) * 2, *(bytes(12),) * 2)
    )
    kd.send_tunneled_dtls(ASSOCIATION, b"a datagram")
    kd.send_endpoint_disconnect(ASSOCIATION)
    distributor.send_tunneled_dtls(ASSOCIATION, b"another")
    return [hello + distributor.data_to_send(), kd.data_to_send()]


def _key_distributor() -> list[bytes]:
    return [frame(chunks) for chunks in distributor.seeds()]


def _sdp() -> list[bytes]:
    return [OFFER.encode(), ANSWER.encode()]


def _link() -> list[bytes]:
    return [str(LINK).encode()]


def _assertion() -> list[bytes]:
    value = str(SECRET.sign(CLAIMS)).encode()
    return [value, base64.b64encode(base64.b64decode(value) + b"\r")]


def _key_set() -> list[bytes]:
    key = {**SECRET.public_jwk, "kid": "one", "use": "sig", "alg": "EdDSA"}
    return [json.dumps({"keys": [key]}).encode()]


_SEEDS: dict[str, Callable[[], list[bytes]]] = {
    "dtls_datagrams": _dtls_datagrams,
    "dtls_handshake": _dtls_handshake,
    "dtls_authenticated": _dtls_authenticated,
    "dtls_messages": _dtls_messages,
    "dtls_extensions": _dtls_extensions,
    "dtls_certificate": _dtls_certificate,
    "tunnel": _tunnel,
    "key_distributor": _key_distributor,
    "sdp": _sdp,
    "link": _link,
    "assertion": _assertion,
    "key_set": _key_set,
}


def seeds(target: str) -> list[bytes]:
    """Inputs to begin with; each target takes one of its own for valid."""
    return _SEEDS[target]()
