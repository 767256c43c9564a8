"""The conference code: what participants compare aloud.

Everybody in a conference whose authority, roster and EKTKey are the same has the same code. Whoever
put a listener between two of them, or split them over two conferences, has made the codes differ.

A code has three words of 2,048 each and four digits: 33 + 13.3, together 46 bits. An attacker whose
conference shall show a given code (its own authority, its own entries, all of them its choice) has
to try 2**45 of them on average. Each trial costs one scrypt of 16 MiB, some tens of milliseconds of
a processor: over 10,000 years of 100 cores, and it can start only when the code is known, which
names certificates, tls-ids and an SPI that are fresh in each call. The hash of the authority in the
link is what keeps such an attacker out in the first place; the code tells people that it did.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import cache

from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from mnemonic import Mnemonic

from halfkey.identity.jose import canonical
from halfkey.vouching.roster import RosterEntry, RosterVouch

_CONTEXT = b"halfkey conference code 1"
_WORDS = 3
_WORD_BITS = 11
_DIGITS = 4
_COST, _BLOCK, _LANES = 1 << 14, 8, 1  # 16 MiB


def conference_code(ca_sha256: bytes, entries: Iterable[RosterEntry], spi: int | None) -> str:
    """Makes the code, such as ``"orbit velvet canyon 0417"``.

    It takes some tens of milliseconds, on purpose: make it once for each roster.

    Args:
        ca_sha256: hash of the Key Distributor's authority, 32 bytes.
        entries: of the vouched roster, in any order.
        spi: of the current EKTKey; None for none.
    """
    content = {
        "authority": ca_sha256.hex(),
        "entries": [entry.as_json() for entry in RosterVouch.ordered(entries)],
        "spi": spi,
    }
    digest = hashlib.sha256(canonical(content)).digest()
    stretched = Scrypt(salt=_CONTEXT, length=16, n=_COST, r=_BLOCK, p=_LANES).derive(digest)
    number = int.from_bytes(stretched, "big")
    spoken = []
    for _ in range(_WORDS):
        number, index = divmod(number, 1 << _WORD_BITS)
        spoken.append(_words()[index])
    # 95 bits are left, so that the remainder favours no number to speak of.
    return f"{' '.join(spoken)} {number % 10**_DIGITS:0{_DIGITS}}"


@cache
def _words() -> tuple[str, ...]:
    return tuple(Mnemonic("english").wordlist)
