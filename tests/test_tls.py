"""TLS contexts on real sockets over loopback: who gets in, who doesn't, and what bad files say."""

from __future__ import annotations

import contextlib
import socket
import ssl
import stat
import threading
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from halfkey.errors import ConfigurationError
from halfkey.pki import make_certificate
from halfkey.tls import client_context, server_context

Pair = tuple[Path, Path]


@pytest.fixture
def server(tmp_path: Path) -> Pair:
    return make_certificate(tmp_path, "server")


@pytest.fixture
def client(tmp_path: Path) -> Pair:
    return make_certificate(tmp_path, "client")


@pytest.fixture
def stranger(tmp_path: Path) -> Pair:
    return make_certificate(tmp_path, "stranger")


def exchange(server_side: ssl.SSLContext, client_side: ssl.SSLContext, name: str = "localhost"):
    """One connection: the server echoes what it gets. Gives (echo, TLS version)."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            raw, _ = listener.accept()
            raw.settimeout(10)
            it = server_side.wrap_socket(raw, server_side=True, do_handshake_on_connect=False)
            try:
                it.do_handshake()
                it.sendall(it.recv(100))
                it.close()
            except OSError:
                _close_gently(socket.socket(fileno=it.detach()))

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            raw = socket.create_connection(listener.getsockname(), timeout=10)
            with client_side.wrap_socket(raw, server_hostname=name) as connection:
                connection.sendall(b"hello")
                # In TLS 1.3 a refusal of the client's certificate shows at the first read.
                return connection.recv(100), connection.version()
        finally:
            thread.join()


def _close_gently(connection: socket.socket) -> None:
    """Reads to the end first: closed with something unread it is reset, and the alert lost."""
    with connection, contextlib.suppress(OSError):
        connection.settimeout(10)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(4096):
            pass


def test_both_sides_authenticate_over_tls_1_3(server: Pair, client: Pair) -> None:
    accepting = server_context(*server, trusted=client[0])
    dialling = client_context(server[0], *client)
    assert exchange(accepting, dialling) == (b"hello", "TLSv1.3")


def test_a_client_with_an_unknown_certificate_is_refused(
    server: Pair, client: Pair, stranger: Pair
) -> None:
    accepting = server_context(*server, trusted=client[0])
    with pytest.raises(ssl.SSLError, match="UNKNOWN_CA"):
        exchange(accepting, client_context(server[0], *stranger))
    assert exchange(accepting, client_context(server[0], *client))[0] == b"hello"


def test_a_client_without_certificate_is_refused_where_one_is_required(
    server: Pair, client: Pair
) -> None:
    accepting = server_context(*server, trusted=client[0])
    with pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"):
        exchange(accepting, client_context(server[0]))


def test_a_server_that_asks_for_no_certificate_takes_any_client(server: Pair) -> None:
    assert exchange(server_context(*server), client_context(server[0]))[0] == b"hello"


def test_a_server_with_an_unknown_certificate_is_refused(
    server: Pair, client: Pair, stranger: Pair
) -> None:
    accepting = server_context(*stranger, trusted=client[0])
    with pytest.raises(ssl.SSLCertVerificationError):
        exchange(accepting, client_context(server[0], *client))


def test_a_tls_1_2_client_is_refused(server: Pair, client: Pair) -> None:
    accepting = server_context(*server, trusted=client[0])
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname = False
    old.load_verify_locations(server[0])
    old.load_cert_chain(*client)
    assert exchange(accepting, old)[1] == "TLSv1.3"
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
        exchange(accepting, old)


def test_a_pinned_certificate_vouches_for_no_other(
    server: Pair, client: Pair, tmp_path: Path
) -> None:
    """What the client's own key signs isn't believed: the certificate is no CA."""
    issuer = x509.load_pem_x509_certificate(client[0].read_bytes())
    issuer_key = serialization.load_pem_private_key(client[1].read_bytes(), None)
    other = x509.load_pem_x509_certificate(make_certificate(tmp_path, "other")[0].read_bytes())
    forged = (
        x509.CertificateBuilder()
        .subject_name(other.subject)
        .issuer_name(issuer.subject)
        .public_key(other.public_key())
        .serial_number(2)
        .not_valid_before(other.not_valid_before_utc)
        .not_valid_after(other.not_valid_after_utc)
        .sign(issuer_key, other.signature_hash_algorithm)  # type: ignore[arg-type]
    )
    path = tmp_path / "forged.crt"
    path.write_bytes(forged.public_bytes(serialization.Encoding.PEM))
    accepting = server_context(*server, trusted=client[0])
    with pytest.raises(ssl.SSLError, match="UNKNOWN_CA"):
        exchange(accepting, client_context(server[0], path, tmp_path / "other.key"))


def test_host_names_are_checked_on_request_only(server: Pair) -> None:
    accepting = server_context(*server)
    assert exchange(accepting, client_context(server[0]), "elsewhere")[0] == b"hello"
    strict = client_context(server[0], check_hostname=True)
    assert exchange(accepting, strict, "127.0.0.1")[0] == b"hello"
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        exchange(accepting, strict, "elsewhere")


def test_the_key_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    (tmp_path / "kd.key").write_text("an old one, readable by all")
    (tmp_path / "kd.key").chmod(0o644)
    _, key = make_certificate(tmp_path, "kd")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_every_certificate_is_fresh(tmp_path: Path) -> None:
    first = make_certificate(tmp_path, "kd")[0].read_bytes()
    assert make_certificate(tmp_path, "kd")[0].read_bytes() != first


@pytest.mark.parametrize("name", ["", "a/b", "../x", "-x", "x" * 64, "a b"])
def test_a_name_of_no_use_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match="certificate name"):
        make_certificate(tmp_path, name)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="gone"):
        make_certificate(tmp_path / "gone", "kd")


def fault(certificate: Path, key: Path, trusted: Path) -> str:
    with pytest.raises(ConfigurationError) as caught:
        server_context(certificate, key, trusted)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_bad_files_are_named_with_the_fix(server: Pair, client: Pair, tmp_path: Path) -> None:
    certificate, key = server
    noise = tmp_path / "noise.pem"
    noise.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    gone = tmp_path / "gone.pem"
    assert str(gone) in fault(gone, key, certificate)
    assert str(gone) in fault(certificate, gone, certificate)
    assert str(gone) in fault(certificate, key, gone)
    assert "no certificate" in fault(noise, key, certificate)
    assert "not a private key" in fault(certificate, noise, certificate)
    assert "no certificate" in fault(certificate, key, noise)
    assert "doesn't belong" in fault(certificate, client[1], certificate)


def test_an_expired_certificate_is_refused(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path, "late", validity_days=0)
    assert "expired on" in fault(certificate, key, certificate)


def test_an_encrypted_key_is_refused_without_a_question(server: Pair, tmp_path: Path) -> None:
    plain = serialization.load_pem_private_key(server[1].read_bytes(), None)
    locked = tmp_path / "locked.key"
    locked.write_bytes(
        plain.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    assert "unencrypted" in fault(server[0], locked, server[0])


def test_half_a_pair_is_refused(server: Pair) -> None:
    with pytest.raises(ConfigurationError, match="both or neither"):
        client_context(server[0], certificate=server[0])
