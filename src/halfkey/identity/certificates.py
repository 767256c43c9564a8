"""Which certificate may speak for a telephone number or a SIP URI (RFC 8224 section 8, RFC 8226).

A certificate speaks for what it lists: telephone numbers in its TNAuthList or as ``tel:`` URIs
among its subject alternative names, SIP URIs among these, or a whole domain as a DNS name there.
A TNAuthList that names a service provider counts only for providers that are configured, since
nothing here knows whose number is whose.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Collection, Iterable, Sequence
from typing import Annotated, Any, Literal

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import verification
from joserfc.jwk import ECKey

from halfkey.identity.claims import AssertionRefused

MAXIMUM_CHAIN = 6
"""Certificates that a chain may have, without the root."""

TN_AUTHORIZATION_LIST = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.26")

_MAXIMUM_NUMBERS = 64 * 1024  # bytes of a TNAuthList
# What the library raises, once asked for it, over a part of a certificate that it can't read.
_UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)

_NUMBER = re.compile(r"tel:\+([1-9][0-9]{2,14})")
_SIP = re.compile(r"(sips?):([A-Za-z0-9_.!~*'()&=+$,;?/%-]{1,128})@([A-Za-z0-9.-]{1,253})")


@asn1.sequence
class _Range:
    start: asn1.IA5String
    count: int


_Entry = (
    Annotated[asn1.Variant[asn1.IA5String, Literal["spc"]], asn1.Explicit(0)]
    | Annotated[asn1.Variant[_Range, Literal["range"]], asn1.Explicit(1)]
    | Annotated[asn1.Variant[asn1.IA5String, Literal["one"]], asn1.Explicit(2)]
)


@asn1.sequence
class _Wrapped:
    # The decoder wants a SEQUENCE with members, and a TNAuthList is a SEQUENCE OF.
    entries: list[_Entry]


class SigningCertificates:
    """The authorities whose certificates may sign PASSporTs.

    Args:
        roots: at least one.
        service_providers: codes of those that are believed for any telephone number.
    """

    def __init__(
        self, roots: Iterable[x509.Certificate], service_providers: Collection[str] = ()
    ) -> None:
        self._store = verification.Store(list(roots))
        self._service_providers = frozenset(service_providers)

    def verified(self, chain: Sequence[x509.Certificate], now: float) -> x509.Certificate:
        """Checks a chain up to a root, and that its first certificate may sign with P-256.

        Args:
            chain: the signer's certificate first.
            now: Unix time, seconds.

        Returns:
            The signer's certificate.

        Raises:
            AssertionRefused: by ``"certificate"``.
        """
        if not 1 <= len(chain) <= MAXIMUM_CHAIN:
            raise AssertionRefused("certificate")
        leaf = chain[0]
        try:
            verifier = (
                verification.PolicyBuilder()
                .store(self._store)
                .time(datetime.datetime.fromtimestamp(now, datetime.UTC))
                .max_chain_depth(MAXIMUM_CHAIN)
                .extension_policies(
                    ca_policy=verification.ExtensionPolicy.webpki_defaults_ca(),
                    ee_policy=_signer_policy(),
                )
                .build_client_verifier()
            )
            verifier.verify(leaf, list(chain[1:]))
            key = leaf.public_key()
        except (verification.VerificationError, *_UNREADABLE):
            raise AssertionRefused("certificate") from None
        if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
            raise AssertionRefused("certificate")
        return leaf

    def may_speak_for(self, certificate: x509.Certificate, identity: str) -> bool:
        """Whether a verified certificate lists an identity.

        Args:
            certificate: from `verified`.
            identity: ``tel:+...``, ``sip:...`` or ``sips:...``, as `canonical_identity` gives it.
        """
        try:
            names = _alternative_names(certificate)
            if identity in _uris(names):
                return True
            number = _NUMBER.fullmatch(identity)
            if number is not None:
                return self._lists(certificate, number[1])
        except _UNREADABLE:
            return False
        domain = identity.rpartition("@")[2]
        return domain in {name.lower() for name in names.get_values_for_type(x509.DNSName)}

    def _lists(self, certificate: x509.Certificate, number: str) -> bool:
        for entry in _telephone_entries(certificate):
            value = entry.value
            if isinstance(value, _Range):
                listed = _in_range(number, value.start.as_str(), value.count)
            elif entry.tag == "one":
                listed = value.as_str() == number
            else:
                listed = value.as_str() in self._service_providers
            if listed:
                return True
        return False


def canonical_identity(uri: str) -> str | None:
    """An identity in the form by which it is compared, or None where it has none.

    The host's letters are made small, those of the user are left (RFC 3261 section 19.1.4).

    Args:
        uri: ``tel:+`` and 3 to 15 digits, or ``sip:user@domain``.
    """
    if _NUMBER.fullmatch(uri):
        return uri
    match = _SIP.fullmatch(uri)
    return f"{match[1]}:{match[2]}@{match[3].lower()}" if match else None


def certificate_key(certificate: x509.Certificate) -> ECKey:
    """The certificate's P-256 key."""
    key = certificate.public_key()
    return ECKey.import_key(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def _signer_policy() -> verification.ExtensionPolicy:
    policy = verification.ExtensionPolicy.permit_all()
    return policy.require_present(
        x509.KeyUsage, verification.Criticality.AGNOSTIC, _may_sign
    ).may_be_present(x509.BasicConstraints, verification.Criticality.AGNOSTIC, _is_no_authority)


def _may_sign(
    policy: verification.Policy, certificate: x509.Certificate, usage: x509.KeyUsage
) -> None:
    if not usage.digital_signature:
        raise ValueError("the certificate is not for signatures")


def _is_no_authority(
    policy: verification.Policy,
    certificate: x509.Certificate,
    constraints: x509.BasicConstraints | None,
) -> None:
    if constraints is not None and constraints.ca:
        raise ValueError("the certificate is an authority's")


def _alternative_names(certificate: x509.Certificate) -> x509.SubjectAlternativeName:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return x509.SubjectAlternativeName([])
    return found.value


def _uris(names: x509.SubjectAlternativeName) -> set[str | None]:
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    return {canonical_identity(uri) for uri in uris}


def _telephone_entries(certificate: x509.Certificate) -> Sequence[asn1.Variant[Any, Any]]:
    try:
        found = certificate.extensions.get_extension_for_oid(TN_AUTHORIZATION_LIST)
    except x509.ExtensionNotFound:
        return []
    encoded = found.value.public_bytes()
    if not 1 <= len(encoded) <= _MAXIMUM_NUMBERS:
        return []
    size = len(encoded).to_bytes((len(encoded).bit_length() + 7) // 8, "big")
    length = size if len(encoded) < 0x80 else bytes([0x80 | len(size)]) + size
    return asn1.decode_der(_Wrapped, b"\x30" + length + encoded).entries


def _in_range(number: str, start: str, count: int) -> bool:
    # A range keeps its length: it doesn't go from 999 to 1000.
    if not start.isdecimal() or not start.isascii() or len(start) != len(number) or count < 2:
        return False
    return int(start) <= int(number) < int(start) + count
