"""The authority and the vouching certificates that it makes; see test_tls.py for the others."""

from __future__ import annotations

import datetime
import ssl
import stat
from pathlib import Path

import pytest
from cryptography import x509

from halfkey.errors import ConfigurationError
from halfkey.pki import make_authority, make_certificate, make_vouching_certificate
from halfkey.tls import client_context, server_context
from halfkey.vouching.authority import VOUCHING
from tests.test_tls import exchange

Pair = tuple[Path, Path]


@pytest.fixture
def ca(tmp_path: Path) -> Pair:
    return make_authority(tmp_path, "ca")


def test_an_authority_signs_certificates_and_nothing_else(ca: Pair) -> None:
    certificate = x509.load_pem_x509_certificate(ca[0].read_bytes())
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert constraints.value == x509.BasicConstraints(ca=True, path_length=0)
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.key_cert_sign
    assert not usage.digital_signature


def test_what_vouches_is_for_nothing_else(ca: Pair, tmp_path: Path) -> None:
    chain, _ = make_vouching_certificate(tmp_path, ca, "kd")
    leaf, issuer = x509.load_pem_x509_certificates(chain.read_bytes())
    assert issuer == x509.load_pem_x509_certificate(ca[0].read_bytes())
    leaf.verify_directly_issued_by(issuer)
    usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    assert usage.critical
    assert list(usage.value) == [VOUCHING]


def test_what_vouches_is_no_server(ca: Pair, tmp_path: Path) -> None:
    """The certificate is believed by its issuer and refused for its purpose."""
    accepting = server_context(*make_vouching_certificate(tmp_path, ca, "kd"))
    with pytest.raises(ssl.SSLCertVerificationError, match="purpose"):
        exchange(accepting, client_context(ca[0]))


def test_keys_are_readable_by_their_owner_only(ca: Pair, tmp_path: Path) -> None:
    for _, key in (ca, make_vouching_certificate(tmp_path, ca, "kd")):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_no_certificate_outlives_its_authority(tmp_path: Path) -> None:
    ca = make_authority(tmp_path, "ca", validity_days=10)
    ends = []
    for days in (5, 365):
        chain, _ = make_vouching_certificate(tmp_path, ca, "kd", validity_days=days)
        leaf, issuer = x509.load_pem_x509_certificates(chain.read_bytes())
        ends.append(issuer.not_valid_after_utc - leaf.not_valid_after_utc)
    assert ends[0] >= datetime.timedelta(days=4)
    assert ends[1] == datetime.timedelta(0)


def fault(directory: Path, authority: Pair, name: str = "kd") -> str:
    with pytest.raises(ConfigurationError) as caught:
        make_vouching_certificate(directory, authority, name)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_bad_arguments_are_named_with_the_fix(ca: Pair, tmp_path: Path) -> None:
    noise = tmp_path / "noise"
    noise.write_text("noise")
    server = make_certificate(tmp_path, "server")
    late = make_authority(tmp_path, "late", validity_days=0)
    assert "can't read" in fault(tmp_path, (tmp_path / "gone", ca[1]))
    assert "PEM form" in fault(tmp_path, (noise, ca[1]))
    assert "PEM form" in fault(tmp_path, (ca[0], noise))
    assert "doesn't belong" in fault(tmp_path, (ca[0], server[1]))
    assert "not the certificate of an authority" in fault(tmp_path, server)
    assert "expired on" in fault(tmp_path, late)
    assert "certificate name" in fault(tmp_path, ca, "a/b")
    assert "the authority's" in fault(tmp_path, ca, "ca")
    assert "can't write" in fault(tmp_path / "gone", ca)
    with pytest.raises(ConfigurationError, match="certificate name"):
        make_authority(tmp_path, "../ca")
