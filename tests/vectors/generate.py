"""Makes the vector files of this directory; with --check, says whether they are what it makes."""

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path

HERE = Path(__file__).resolve().parent
# Run as a script, Python looks for modules beside it; `tests` is imported from the root.
sys.path.insert(0, str(HERE.parent.parent))

from tests.vectors import (  # noqa: E402
    double_cases,
    ekt_cases,
    refusal_cases,
    relay_cases,
    tunnel_cases,
)
from tests.vectors.material import DERIVATION, LICENCE, PROFILES, Json  # noqa: E402

FORMAT = 1


def document(title: str, vectors: Iterable[Json]) -> str:
    listed = list(vectors)
    identifiers = [vector["id"] for vector in listed]
    assert len(set(identifiers)) == len(identifiers), "identifiers are unique in a file"
    whole = {
        "title": title,
        "format": FORMAT,
        "made_by": "tests/vectors/generate.py",
        "licence": LICENCE,
        "inputs": DERIVATION,
        "notation": "octet strings in hexadecimal; numbers are JSON integers",
        "profiles": {str(number): name for number, name in PROFILES.items()},
        "vectors": listed,
    }
    return json.dumps(whole, indent=1) + "\n"


def documents() -> dict[str, str]:
    """File name to contents."""
    double = [*double_cases.vectors(), *relay_cases.vectors(), *refusal_cases.vectors()]
    return {
        "rfc8723.json": document("Double encryption for SRTP (RFC 8723)", double),
        "rfc8870.json": document("Encrypted Key Transport (RFC 8870)", ekt_cases.vectors()),
        "rfc9185.json": document("DTLS tunnel messages (RFC 9185)", tunnel_cases.vectors()),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if they differ")
    check = parser.parse_args().check
    stale = 0
    for name, text in documents().items():
        path = HERE / name
        if not check:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            print(f"{name} is not what generate.py makes: run python tests/vectors/generate.py")
            stale = 1
    return stale


if __name__ == "__main__":
    sys.exit(main())
