"""OpenSSL as a DTLS 1.2 peer in memory, through pyOpenSSL."""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL

from halfkey.dtls import Certificate

_RECORD_HEADER = 13
_DTLS_1_2 = 0xFEFD

PROFILE_NAMES = {
    7: b"SRTP_AEAD_AES_128_GCM",
    8: b"SRTP_AEAD_AES_256_GCM",
    9: b"SRTP_DOUBLE_AEAD_AES_128_GCM_AEAD_AES_128_GCM",
    10: b"SRTP_DOUBLE_AEAD_AES_256_GCM_AEAD_AES_256_GCM",
}


def split_records(data: bytes) -> list[bytes]:
    """A memory BIO hands out records end to end; each becomes a datagram of its own."""
    records = []
    while data:
        length = _RECORD_HEADER + int.from_bytes(data[11:13], "big")
        records.append(data[:length])
        data = data[length:]
    return records


class OpenSSLPeer:
    """One DTLS 1.2 connection of OpenSSL; certificates on both sides, none of them checked."""

    def __init__(
        self,
        certificate: Certificate,
        profile: int,
        *,
        server: bool,
        cipher: bytes | None = None,
        p256_only: bool = False,
        mtu: int = 1200,
    ) -> None:
        context = SSL.Context(SSL.DTLS_METHOD)
        context.set_min_proto_version(_DTLS_1_2)
        context.set_max_proto_version(_DTLS_1_2)
        context.use_certificate(x509.load_der_x509_certificate(certificate.der))
        context.use_privatekey(certificate.private_key)
        verify = SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT
        context.set_verify(verify, lambda *arguments: True)
        context.set_tlsext_use_srtp(PROFILE_NAMES[profile])
        if cipher is not None:
            context.set_cipher_list(cipher)
        if p256_only:
            context.set_tmp_ecdh(ec.SECP256R1())
        if server:
            context.set_options(SSL.OP_COOKIE_EXCHANGE)
            context.set_cookie_generate_callback(lambda connection: b"cookie of OpenSSL")
            context.set_cookie_verify_callback(
                lambda connection, cookie: cookie == b"cookie of OpenSSL"
            )
        self.connection = SSL.Connection(context)
        self.connection.set_ciphertext_mtu(mtu)
        if server:
            self.connection.set_accept_state()
        else:
            self.connection.set_connect_state()
        self.is_connected = False
        self.error: Exception | None = None

    def advance(self) -> None:
        """Handshakes as far as it goes."""
        if self.is_connected or self.error is not None:
            return
        try:
            self.connection.do_handshake()
            self.is_connected = True
        except SSL.WantReadError:
            pass
        except SSL.Error as error:
            self.error = error

    def receive_datagram(self, data: bytes) -> None:
        self.connection.bio_write(data)
        self.advance()

    def datagrams_to_send(self) -> list[bytes]:
        try:
            return split_records(self.connection.bio_read(1 << 16))
        except SSL.WantReadError:
            return []

    def selected_profile(self) -> bytes:
        return self.connection.get_selected_srtp_profile()

    def export(self, label: bytes, length: int, context: bytes | None = None) -> bytes:
        return self.connection.export_keying_material(label, length, context)
