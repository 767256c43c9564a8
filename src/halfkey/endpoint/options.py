"""What an Endpoint has to know before it joins."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from halfkey.endpoint.core import Disclose
from halfkey.identity.credential import Credential
from halfkey.identity.link import Link
from halfkey.profiles import DOUBLE_128, SRTPProtectionProfile


@dataclass(frozen=True, slots=True)
class EndpointOptions:
    """What an Endpoint has to know.

    Attributes:
        focus_url: ``https://host:port`` of the Focus.
        conference: the conference's name.
        name: our display name.
        trusted: PEM, the certificates believed for the Focus; or the SHA-256 of its one
            certificate; or None for whoever the system's authorities say has that name.
        check_hostname: whether its certificate must name the host too (for a bundle with a CA).
        profiles: the double profiles to offer, best first.
        slots: how many other participants' audio, and how many videos, to receive at once.
        join_timeout: seconds from the offer to the keys, at the most.
        credential: what to join with. Then our identity is shown, the answer must be that of the
            credential's Key Distributor, and people are known by more than the Focus's word. None
            believes the Focus.
        waiting_timeout: seconds to stay in a waiting room, at the most.
        keep_listening: after leaving, keep socket, keys and receivers, and go on trying to open
            what arrives.
        disclose: gets every secret of ours as it comes to be known: our KEKs, end-to-end and hop
            keys. It is for demonstrations and tests that look for them where they must not be;
            whoever has it can read the conference.
    """

    focus_url: str
    conference: str
    name: str
    trusted: Path | bytes | None
    check_hostname: bool = False
    profiles: tuple[SRTPProtectionProfile, ...] = (DOUBLE_128,)
    slots: int = 8
    join_timeout: float = 30.0
    credential: Credential | None = None
    waiting_timeout: float = 600.0
    keep_listening: bool = False
    disclose: Disclose | None = field(default=None, repr=False)

    @classmethod
    def by_link(cls, link: Link, **others: Any) -> EndpointOptions:
        """The options of somebody who has a link.

        Args:
            link: it.
            others: the options that no link has.
        """
        return cls(
            focus_url=link.focus_url,
            conference=link.conference,
            name=link.name,
            trusted=link.focus,
            check_hostname=link.focus is None,
            credential=Credential.of(link),
            **others,
        )
