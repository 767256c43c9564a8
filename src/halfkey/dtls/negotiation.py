"""What is negotiated for SRTP and EKT, in either version: what is offered, chosen, and checked.

The extensions are the same in both versions; in 1.2 a server answers them in ServerHello, in 1.3 in
EncryptedExtensions.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from halfkey.dtls import extensions as codec
from halfkey.dtls.configuration import ClientHelloSummary, Configuration, ServerParameters
from halfkey.dtls.crypto.suites import by_strength, is_strong_enough
from halfkey.dtls.extensions import Extensions
from halfkey.dtls.faults import ProtocolFault
from halfkey.dtls.registries import AlertDescription, CipherSuite, ExtensionType
from halfkey.ekt.messages import EKTCipher
from halfkey.profiles import SRTPProtectionProfile

Carried = tuple[tuple[SRTPProtectionProfile, ...], tuple[EKTCipher, ...]]
"""Profiles and EKT ciphers that a server would accept, best first."""

_FAILURE = AlertDescription.HANDSHAKE_FAILURE
_ILLEGAL = AlertDescription.ILLEGAL_PARAMETER


class ExternalIds(NamedTuple):
    """What ties a peer's handshake to the signalling, if it sent it (RFC 8844)."""

    session_id: bytes | None
    id_hash: bytes | None

    @classmethod
    def read(cls, extensions: Extensions) -> ExternalIds:
        """Takes them from a hello or EncryptedExtensions."""
        session_id = extensions.get(ExtensionType.EXTERNAL_SESSION_ID)
        id_hash = extensions.get(ExtensionType.EXTERNAL_ID_HASH)
        return cls(
            None if session_id is None else codec.decode_external_session_id(session_id),
            None if id_hash is None else codec.decode_external_id_hash(id_hash),
        )

    @classmethod
    def of(cls, summary: ClientHelloSummary) -> ExternalIds:
        """Takes them from what was read already."""
        return cls(summary.external_session_id, summary.external_id_hash)

    def check(self, session_id: bytes | None, id_hash: bytes | None) -> None:
        """Checks them against what is expected; None expects nothing.

        Where a session id is expected, it must be there: PERC can't do without (RFC 8844 section
        4.3, RFC 9185 section 5.4). Where a hash is, also the empty one, likewise: the leave that
        RFC 8844 section 3.2 gives to peers who don't know it would be a leave to strip it.

        Raises:
            ProtocolFault: illegal_parameter.
        """
        if session_id is not None and not same(self.session_id, session_id):
            raise ProtocolFault(_ILLEGAL, "wrong external_session_id")
        if id_hash is not None and not same(self.id_hash, id_hash):
            raise ProtocolFault(_ILLEGAL, "wrong external_id_hash")


@dataclass(frozen=True, slots=True)
class Negotiated:
    """What was agreed on beside the keys.

    Attributes:
        srtp_profile: the protection profile.
        ekt_cipher: the EKT cipher, or None for no EKT.
        peer_ids: what the peer sent to tie the handshake to the signalling.
    """

    srtp_profile: SRTPProtectionProfile
    ekt_cipher: EKTCipher | None
    peer_ids: ExternalIds


def same(received: bytes | None, expected: bytes) -> bool:
    """Compares in constant time; nothing received is never the same."""
    return received is not None and hmac.compare_digest(received, expected)


# --- a client's side


def offer(configuration: Configuration) -> dict[int, bytes]:
    """A client's extensions."""
    offered = {int(ExtensionType.USE_SRTP): codec.encode_use_srtp(configuration.srtp_profiles)}
    if configuration.ekt_ciphers:
        offered[ExtensionType.SUPPORTED_EKT_CIPHERS] = codec.encode_uint8_list(
            configuration.ekt_ciphers
        )
    if configuration.external_session_id is not None:
        offered[ExtensionType.EXTERNAL_SESSION_ID] = codec.encode_external_session_id(
            configuration.external_session_id
        )
    # Also without an identity, to show support (RFC 8844 section 3.2).
    offered[ExtensionType.EXTERNAL_ID_HASH] = codec.encode_external_id_hash(
        configuration.external_id_hash
    )
    return offered


def read_answer(
    configuration: Configuration, extensions: Extensions, suite: CipherSuite
) -> Negotiated:
    """Checks a server's answer to our offer.

    Raises:
        ProtocolFault: it lacks something, or chose what wasn't offered.
        CodecError: malformed.
    """
    profile = _read_srtp_profile(configuration, extensions)
    cipher = _read_ekt_cipher(configuration, extensions)
    if cipher is not None and not is_strong_enough(cipher, profile, suite):
        raise ProtocolFault(_ILLEGAL, "EKT cipher too weak")
    ids = ExternalIds.read(extensions)
    ids.check(configuration.peer_external_session_id, configuration.peer_external_id_hash)
    return Negotiated(profile, cipher, ids)


def _read_srtp_profile(
    configuration: Configuration, extensions: Extensions
) -> SRTPProtectionProfile:
    content = extensions.get(ExtensionType.USE_SRTP)
    if content is None:
        raise ProtocolFault(_FAILURE, "no use_srtp")
    profiles, mki = codec.decode_use_srtp(content)
    # RFC 5764 section 4.1.3: one profile of those offered, and no MKI as we offer none.
    if len(profiles) != 1 or profiles[0] not in configuration.srtp_profiles or mki:
        raise ProtocolFault(_ILLEGAL, "wrong use_srtp")
    return SRTPProtectionProfile(profiles[0])


def _read_ekt_cipher(configuration: Configuration, extensions: Extensions) -> EKTCipher | None:
    content = extensions.get(ExtensionType.SUPPORTED_EKT_CIPHERS)
    if content is None:
        return None
    cipher = codec.decode_selected_ekt_cipher(content)
    if cipher not in configuration.ekt_ciphers:
        raise ProtocolFault(_ILLEGAL, "EKT cipher not offered")
    return EKTCipher(cipher)


# --- a server's side

_Choice = TypeVar("_Choice", bound=int)


def choose(ours: Iterable[_Choice], theirs: Iterable[int], what: str) -> _Choice:
    """The first of ours that the client offers.

    Raises:
        ProtocolFault: handshake_failure if there is none.
    """
    offered = frozenset(theirs)
    for candidate in ours:
        if candidate in offered:
            return candidate
    raise ProtocolFault(_FAILURE, f"no common {what}")


def summarize(extensions: Extensions, peer: bytes) -> ClientHelloSummary:
    """What a ClientHello offers that a server's owner may judge.

    Raises:
        CodecError: malformed.
    """
    profiles = extensions.get(ExtensionType.USE_SRTP)
    ciphers = extensions.get(ExtensionType.SUPPORTED_EKT_CIPHERS)
    ids = ExternalIds.read(extensions)
    return ClientHelloSummary(
        srtp_profiles=() if profiles is None else codec.decode_use_srtp(profiles)[0],
        ekt_ciphers=() if ciphers is None else codec.decode_uint8_list(ciphers),
        external_session_id=ids.session_id,
        external_id_hash=ids.id_hash,
        peer=peer,
    )


def select(configuration: Configuration, summary: ClientHelloSummary) -> ServerParameters:
    """Asks the owner who this is, and how to answer.

    Raises:
        ProtocolFault: refused, or not what is expected.
    """
    ids = ExternalIds.of(summary)
    ids.check(configuration.peer_external_session_id, configuration.peer_external_id_hash)
    if configuration.select is None:
        return configuration.server_parameters()
    selected = configuration.select(summary)
    if isinstance(selected, ServerParameters):
        ids.check(None, selected.peer_external_id_hash)
        return selected
    alert = AlertDescription.ACCESS_DENIED if selected is None else selected
    raise ProtocolFault(alert, "refused by the owner")


class Choice(NamedTuple):
    """What a server chooses together: none of the three may be the weak place."""

    srtp_profile: SRTPProtectionProfile
    suite: CipherSuite
    ekt_cipher: EKTCipher | None


def choose_together(
    profiles: Iterable[SRTPProtectionProfile],
    ekt_ciphers: Iterable[EKTCipher],
    suites: Iterable[CipherSuite],
    summary: ClientHelloSummary,
    offered_suites: Iterable[int],
) -> Choice:
    """Chooses profile, suite and EKT cipher: no key may be carried under a weaker one.

    Args:
        profiles: ours, best first.
        ekt_ciphers: likewise.
        suites: likewise, of one version.
        summary: what the client offers.
        offered_suites: likewise.

    Raises:
        ProtocolFault: handshake_failure if nothing fits.
    """
    suites, offered = tuple(suites), frozenset(offered_suites)
    profile = choose(profiles, summary.srtp_profiles, "SRTP protection profile")
    ciphers = [cipher for cipher in ekt_ciphers if cipher in summary.ekt_ciphers]
    for cipher in ciphers:
        for suite in by_strength(suites, cipher.key_length):
            if suite in offered and is_strong_enough(cipher, profile, suite):
                return Choice(profile, suite, cipher)
    if ciphers:
        raise ProtocolFault(_FAILURE, "no common cipher suite that the EKT cipher admits")
    hop = profile.parameters.hop_profile.parameters
    suite = choose(by_strength(suites, hop.key_length), offered, "cipher suite")
    return Choice(profile, suite, None)


def answer(
    choice: Choice, parameters: ServerParameters, offered: Mapping[int, bytes]
) -> dict[int, bytes]:
    """A server's extensions: an answer to each that was offered."""
    extensions = {int(ExtensionType.USE_SRTP): codec.encode_use_srtp([choice.srtp_profile])}
    if choice.ekt_cipher is not None:
        extensions[ExtensionType.SUPPORTED_EKT_CIPHERS] = codec.encode_selected_ekt_cipher(
            choice.ekt_cipher
        )
    session_id = parameters.external_session_id
    if session_id is not None and ExtensionType.EXTERNAL_SESSION_ID in offered:
        extensions[ExtensionType.EXTERNAL_SESSION_ID] = codec.encode_external_session_id(session_id)
    if ExtensionType.EXTERNAL_ID_HASH in offered:
        extensions[ExtensionType.EXTERNAL_ID_HASH] = codec.encode_external_id_hash(
            parameters.external_id_hash
        )
    return extensions
