"""GnuTLS as a DTLS 1.2 judge in memory, through its C library.

GnuTLS has no name for an AEAD profile, but its use_srtp takes any code point. Its own derivation of
SRTP keys knows only the lengths of old profiles, so they come from its exporter.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives import serialization

from halfkey.dtls import Certificate, Role
from halfkey.profiles import SRTPProtectionProfile
from tests.interop.dtls.absence import MissingError
from tests.interop.dtls.peer import (
    OTHER_LABEL,
    OTHER_LENGTH,
    SRTP_LABEL,
    Report,
    srtp_length,
)

PRIORITIES = b"NORMAL:-VERS-ALL:+VERS-DTLS1.2"
MTU = 1200

# From gnutls.h.
_SERVER, _CLIENT, _DATAGRAM, _NONBLOCK = 1, 2, 4, 8
_CERTIFICATE_CREDENTIALS = 1
_REQUIRE_CERTIFICATE = 2
_DER = 0
_EAGAIN = 11

_Receive = ctypes.CFUNCTYPE(
    ctypes.c_ssize_t, ctypes.c_void_p, ctypes.POINTER(ctypes.c_char), ctypes.c_size_t
)
_Send = ctypes.CFUNCTYPE(
    ctypes.c_ssize_t, ctypes.c_void_p, ctypes.POINTER(ctypes.c_char), ctypes.c_size_t
)
_Wait = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_uint)


class _Datum(ctypes.Structure):
    _fields_ = (("data", ctypes.c_void_p), ("size", ctypes.c_uint))

    @classmethod
    def of(cls, data: bytes) -> _Datum:
        return cls(ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p), len(data))


def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libgnutls.so.30")
    except OSError as error:
        raise MissingError("libgnutls.so.30 is missing; the package is libgnutls30") from error
    library.gnutls_check_version.restype = ctypes.c_char_p
    library.gnutls_strerror.restype = ctypes.c_char_p
    library.gnutls_certificate_get_peers.restype = ctypes.POINTER(_Datum)
    library.gnutls_transport_set_errno.argtypes = (ctypes.c_void_p, ctypes.c_int)
    return library


def version() -> str:
    """Such as "3.7.9".

    Raises:
        MissingError: there is no GnuTLS.
    """
    found: bytes = _library().gnutls_check_version(None)
    return found.decode()


class GnuTLSPeer:
    """One association; certificates on both sides, none of them checked."""

    def __init__(
        self, certificate: Certificate, role: Role, profile: SRTPProtectionProfile
    ) -> None:
        self._gnutls = _library()
        self._role = role
        self._profile = profile
        self._is_done = False
        self._incoming: list[bytes] = []
        self._outgoing: list[bytes] = []
        self._credentials = ctypes.c_void_p()
        self._session = ctypes.c_void_p()
        self._load(certificate)
        self._open()

    def start(self) -> None:
        self._advance()

    def receive_datagram(self, data: bytes) -> None:
        self._incoming.append(data)
        self._advance()

    def datagrams_to_send(self) -> list[bytes]:
        datagrams, self._outgoing = self._outgoing, []
        return datagrams

    def report(self) -> Report | None:
        if not self._is_done:
            return None
        profile = ctypes.c_int()
        self._check("gnutls_srtp_get_selected_profile", self._session, ctypes.byref(profile))
        count = ctypes.c_uint()
        peers = self._gnutls.gnutls_certificate_get_peers(self._session, ctypes.byref(count))
        assert count.value == 1, "GnuTLS saw another number of certificates than one"
        return Report(
            profile=profile.value,
            certificate=ctypes.string_at(peers[0].data, peers[0].size),
            srtp=self._export(SRTP_LABEL, srtp_length(profile.value)),
            exported=self._export(OTHER_LABEL, OTHER_LENGTH),
        )

    def close(self) -> None:
        self._gnutls.gnutls_deinit(self._session)
        self._gnutls.gnutls_certificate_free_credentials(self._credentials)

    def _load(self, certificate: Certificate) -> None:
        key = certificate.private_key.private_bytes(
            serialization.Encoding.DER,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        self._check("gnutls_certificate_allocate_credentials", ctypes.byref(self._credentials))
        files = _Datum.of(certificate.der), _Datum.of(key)
        self._check(
            "gnutls_certificate_set_x509_key_mem",
            *(self._credentials, *(ctypes.byref(one) for one in files), _DER),
        )

    def _open(self) -> None:
        flags = (_CLIENT if self._role is Role.CLIENT else _SERVER) | _DATAGRAM | _NONBLOCK
        session = self._session
        self._check("gnutls_init", ctypes.byref(session), flags)
        self._check("gnutls_priority_set_direct", session, PRIORITIES, None)
        self._check("gnutls_credentials_set", session, _CERTIFICATE_CREDENTIALS, self._credentials)
        self._gnutls.gnutls_certificate_server_set_request(session, _REQUIRE_CERTIFICATE)
        self._gnutls.gnutls_dtls_set_mtu(session, MTU)
        self._check("gnutls_srtp_set_profile", session, int(self._profile))
        # Kept, so that they live as long as the session.
        self._callbacks: tuple[Any, ...] = (
            _Receive(self._pull),
            _Send(self._push),
            _Wait(self._wait),
        )
        pull, push, wait = self._callbacks
        self._gnutls.gnutls_transport_set_pull_function(session, pull)
        self._gnutls.gnutls_transport_set_push_function(session, push)
        self._gnutls.gnutls_transport_set_pull_timeout_function(session, wait)

    def _advance(self) -> None:
        if self._is_done:
            return
        result = self._gnutls.gnutls_handshake(self._session)
        if result == 0:
            self._is_done = True
        elif self._gnutls.gnutls_error_is_fatal(result):
            # As a peer it would say so with an alert.
            self._gnutls.gnutls_alert_send_appropriate(self._session, result)

    def _export(self, label: bytes, length: int) -> bytes:
        output = ctypes.create_string_buffer(length)
        self._check(
            "gnutls_prf_rfc5705",
            *(self._session, len(label), label, 0, None, length, output),
        )
        return output.raw

    def _check(self, name: str, *arguments: Any) -> None:
        function: Callable[..., int] = getattr(self._gnutls, name)
        result = function(*arguments)
        if result < 0:
            raise RuntimeError(f"{name}: {self._gnutls.gnutls_strerror(result).decode()}")

    # --- what GnuTLS calls

    def _pull(self, _: object, buffer: Any, size: int) -> int:
        if not self._incoming:
            self._gnutls.gnutls_transport_set_errno(self._session, _EAGAIN)
            return -1
        data = self._incoming.pop(0)[:size]
        ctypes.memmove(buffer, data, len(data))
        return len(data)

    def _push(self, _: object, data: Any, size: int) -> int:
        self._outgoing.append(ctypes.string_at(data, size))
        return size

    def _wait(self, _: object, milliseconds: int) -> int:
        return int(bool(self._incoming))
