"""Answers of the Key Distributor.

Its statement is signed under the authority of the link and binds both ends of the association and
the nonce of the Endpoint's own assertion.
"""

from __future__ import annotations

import base64
import datetime
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from joserfc.jwk import ECKey

from halfkey.dtls import Fingerprint
from halfkey.endpoint import Endpoint, JoinFailedError
from halfkey.identity.envelope import IdentityAssertion
from halfkey.pki import make_authority, make_vouching_certificate
from halfkey.sdp import read_offer
from halfkey.sdp.description import SessionDescription
from halfkey.vouching.answer import DOMAIN, PROTOCOL, AnswerVouch, DTLSIdentity
from halfkey.vouching.authority import VOUCHING, Authority
from tests.attacks.arena import Arena, verified
from tests.attacks.focus import Mischief
from tests.attacks.rows import Row, attack, attacks
from tests.attacks.test_offers import (
    OTHER_FINGERPRINT,
    OTHER_TLS_ID,
    Happened,
    without_identity,
)
from tests.e2e.system import CONFERENCE
from tests.endpoint.waiting import until

REFUSED = "the Endpoint refuses the answer ({}); no key"


def line_of(text: str, name: str) -> str:
    """The value of a session attribute."""
    value = SessionDescription.parse(text).session.one(name, str)
    assert isinstance(value, str)
    return value


def swapped(name: str, value: str) -> Mischief:
    """Changes one attribute of the answer."""
    return Mischief(answer=lambda text: text.replace(line_of(text, name), value))


def with_identity(change: Callable[[str], str]) -> Mischief:
    return Mischief(
        answer=lambda text: text.replace(
            line_of(text, "identity"), change(line_of(text, "identity"))
        )
    )


def admission_with(name: str, value: str) -> Mischief:
    """Makes the real Focus itself build a false answer."""
    return Mischief(admitted=lambda body: body.update({name: value}))


@attacks(
    fingerprint=Row(
        "Swaps the Key Distributor's fingerprint in the answer",
        REFUSED.format("fingerprint"),
        (admission_with("fingerprint", OTHER_FINGERPRINT),),
    ),
    tls_id=Row(
        "Swaps the Key Distributor's tls-id in the answer",
        REFUSED.format("tls_id"),
        (admission_with("tls_id", OTHER_TLS_ID),),
    ),
    malformed=Row(
        "Cuts the Key Distributor's statement short",
        REFUSED.format("malformed"),
        (with_identity(lambda value: value[:-8]),),
    ),
)
async def test_a_changed_answer(field: Arena, case: Row, happened: Happened) -> None:
    field.focus.mischief = case.values[0]
    link = field.link(0)
    outcome = await field.refused_by_endpoint(field.member(0, link))
    field.reset()
    await works(field, await field.joined(0, link))
    happened(outcome)


async def works(field: Arena, endpoint: Endpoint) -> None:
    """The control: without the attack the same way leads to a key and to a verified roster."""
    assert field.keys_issued
    await until(lambda: "P0" in verified(endpoint))


@attack(
    "Strips the identity from the answer",
    "the Endpoint refuses the answer: not signed by the conference's Key Distributor; no key",
)
async def test_an_answer_without_identity(field: Arena, happened: Happened) -> None:
    field.focus.mischief = Mischief(answer=without_identity)
    link = field.link(0)
    with pytest.raises(JoinFailedError, match="not signed by the conference's Key Distributor"):
        await field.member(0, link).join()
    assert field.keys_issued == 0
    field.reset()
    await works(field, await field.joined(0, link))
    happened(
        "the Endpoint refuses the answer: not signed by the conference's Key Distributor; no key"
    )


# Statements that the Focus makes itself


def payload_of(field: Arena, issued_at: int | None = None) -> AnswerVouch:
    """What a true statement would say for the newest offer."""
    offer = read_offer(field.focus.offers[-1])
    admitted = field.focus.admitted[-1]
    assert offer.identity is not None
    return AnswerVouch(
        conference=CONFERENCE,
        participant="p",
        name="P0",
        role="participant",
        key_distributor=DTLSIdentity(
            Fingerprint.parse(admitted["fingerprint"]), admitted["tls_id"]
        ),
        endpoint=DTLSIdentity(
            Fingerprint.parse(offer.transport.fingerprint), offer.transport.tls_id
        ),
        nonce=_nonce_of(offer.identity),
        issued_at=int(time.time()) if issued_at is None else issued_at,
    )


def _nonce_of(value: str) -> str:
    proof = IdentityAssertion.parse(value).assertion
    encoded = proof.split(".")[1]
    payload = json.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    nonce = payload["jti"]
    assert isinstance(nonce, str)
    return nonce


def of_the_system(field: Arena, _: Path) -> Authority:
    """The Key Distributor's own; only as the control of the forgeries."""
    folder = field.system.folder
    return Authority.load(folder / "vouching.crt", folder / "vouching.key")


def of_its_own(_: Arena, folder: Path) -> Authority:
    return Authority.load(
        *make_vouching_certificate(folder, make_authority(folder, "mine"), "forged")
    )


def _jwk(key: ec.EllipticCurvePrivateKey) -> ECKey:
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return ECKey.import_key(key.private_bytes(pem, form, serialization.NoEncryption()))


class WithItsOwnKey(Authority):
    """Signs with a key of its own under the true certificate chain, which is public."""

    def __init__(self, true: Authority) -> None:
        self._key = _jwk(ec.generate_private_key(ec.SECP256R1()))
        self._x5c = true._x5c


class WithChain(Authority):
    """Signs under any chain, whatever a `Trust` thinks of it."""

    def __init__(
        self, key: ec.EllipticCurvePrivateKey, leaf: x509.Certificate, ca: x509.Certificate
    ) -> None:
        self._key = _jwk(key)
        ders = (one.public_bytes(serialization.Encoding.DER) for one in (leaf, ca))
        self._x5c = [base64.b64encode(der).decode() for der in ders]


def with_its_own_key(field: Arena, folder: Path) -> Authority:
    return WithItsOwnKey(of_the_system(field, folder))


def of_the_same_authority(
    field: Arena, usage: x509.ObjectIdentifier, end: datetime.timedelta
) -> Authority:
    """A certificate that the link's authority did make, but not for this, or not for now."""
    folder = field.system.folder
    ca = x509.load_pem_x509_certificate((folder / "authority.crt").read_bytes())
    ca_key: Any = serialization.load_pem_private_key((folder / "authority.key").read_bytes(), None)
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    usages = dict.fromkeys(
        (
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "key_cert_sign",
            "crl_sign",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    leaf = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "leaf")]))
        .issuer_name(ca.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(ca.not_valid_before_utc)
        .not_valid_after(now + end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(digital_signature=True, **usages), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=True)
        .add_extension(issuer, critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    return WithChain(key, leaf, ca)


HOUR = datetime.timedelta(hours=1)


def as_a_server(field: Arena, _: Path) -> Authority:
    return of_the_same_authority(field, ExtendedKeyUsageOID.SERVER_AUTH, HOUR)


def expired(field: Arena, _: Path) -> Authority:
    return of_the_same_authority(field, VOUCHING, -HOUR / 60)


@attacks(
    own_key=Row(
        "Forges the Key Distributor's answer with a key of its own under the true certificate",
        REFUSED.format("signature"),
        (with_its_own_key, 0),
    ),
    own_authority=Row(
        "Forges it under an authority of its own", REFUSED.format("authority"), (of_its_own, 0)
    ),
    server_certificate=Row(
        "Forges it with a server certificate of the same authority",
        REFUSED.format("certificate"),
        (as_a_server, 0),
    ),
    expired_certificate=Row(
        "Forges it with a vouching certificate that has expired",
        REFUSED.format("expired"),
        (expired, 0),
    ),
    too_old=Row(
        "Gives a true statement that is two minutes old",
        REFUSED.format("expired"),
        (of_the_system, -120),
    ),
)
async def test_a_forged_answer(field: Arena, case: Row, happened: Happened, tmp_path: Path) -> None:
    make, age = case.values
    (tmp_path / "forge").mkdir()
    authority = make(field, tmp_path / "forge")

    def forge(_: str) -> str:
        return payload_of(field, int(time.time()) + age).sign(authority)

    field.focus.mischief = with_identity(forge)
    link = field.link(0)
    outcome = await field.refused_by_endpoint(field.member(0, link))
    happened(outcome)


async def test_the_forger_would_know_how(field: Arena, tmp_path: Path) -> None:
    """The control: the same statement with the Key Distributor's key is believed at first.

    Its DTLS end then proves another statement (external_id_hash), so that the join fails there.
    """
    authority = of_the_system(field, tmp_path)
    field.focus.mischief = with_identity(lambda _: payload_of(field).sign(authority))
    with pytest.raises(JoinFailedError, match="association ended"):
        await field.member(0).join()
    assert field.keys_issued == 0


async def test_a_certificate_made_in_the_same_way_is_believed(field: Arena) -> None:
    """The control of the certificates: this one may vouch, and is valid."""
    made = of_the_same_authority(field, VOUCHING, HOUR)
    field.focus.mischief = with_identity(lambda _: payload_of(field).sign(made))
    with pytest.raises(JoinFailedError, match="association ended"):
        await field.member(0).join()


@attack("Gives a roster's statement in place of an answer's", REFUSED.format("type"))
async def test_a_statement_of_another_type(field: Arena, happened: Happened) -> None:
    await field.joined(1)
    await until(lambda: field.focus.statements)
    text, _ = field.focus.statements[-1]
    value = str(IdentityAssertion(DOMAIN, PROTOCOL, text))
    field.focus.mischief = with_identity(lambda _: value)
    link = field.link(0)
    outcome = await field.refused_by_endpoint(field.member(0, link))
    field.reset()
    await works(field, await field.joined(0, link))
    happened(outcome)


# True statements, in the wrong place


@attack("Gives the statement of an earlier call of the same person", REFUSED.format("nonce"))
async def test_the_answer_of_an_earlier_call(field: Arena, happened: Happened) -> None:
    link = field.link(0)
    earlier = await field.joined(0, link)
    value = line_of(field.focus.answers[-1], "identity")
    await earlier.leave()
    field.focus.mischief = with_identity(lambda _: value)
    outcome = await field.refused_by_endpoint(field.member(0, link))
    field.reset()
    await works(field, await field.joined(0, link))
    happened(outcome)


@attack("Gives the statement that was made for somebody else", REFUSED.format("nonce"))
async def test_the_answer_for_another(field: Arena, happened: Happened) -> None:
    await field.joined(1)
    value = line_of(field.focus.answers[-1], "identity")
    field.focus.mischief = with_identity(lambda _: value)
    link = field.link(0)
    outcome = await field.refused_by_endpoint(field.member(0, link))
    field.reset()
    await works(field, await field.joined(0, link))
    happened(outcome)


@attack("Gives one person the whole answer of another", REFUSED.format("nonce"))
async def test_the_whole_answer_for_another(field: Arena, happened: Happened) -> None:
    await field.joined(1)
    other = field.focus.answers[-1]
    field.focus.mischief = Mischief(answer=lambda _: other)
    link = field.link(0)
    outcome = await field.refused_by_endpoint(field.member(0, link))
    field.reset()
    await works(field, await field.joined(0, link))
    happened(outcome)
