"""`halfkey pki`: make the certificates and keys of a deployment, and say what a file holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from halfkey.cli.arguments import within
from halfkey.errors import ConfigurationError

AUTHORITY, VOUCHING, AUDIT = "authority", "vouching", "audit"
EVERYTHING = ("kd", "md", "focus", VOUCHING, AUDIT)

MAXIMUM_DAYS = 36_500


def register(app: typer.Typer) -> None:
    """Adds the commands to the command line."""
    pki = typer.Typer(no_args_is_help=True, help="Make certificates and keys, and look at them.")
    pki.command("make")(make)
    pki.command("show")(show)
    app.add_typer(pki, name="pki")


def make(
    out: Annotated[Path, typer.Option(help="The folder for them; made if there is none.")],
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...",
            help="kd, md, focus or any other name for a server; vouching (with the authority in "
            "the folder, or a new one); audit. All five if absent.",
        ),
    ] = None,
    host: Annotated[
        list[str] | None,
        typer.Option(help="Name or address that the servers are reached by; repeat."),
    ] = None,
    days: Annotated[
        int | None, typer.Option(help="How long certificates are valid; else a year.")
    ] = None,
) -> None:
    """Make certificates and keys; a file that is there is never written over."""
    from halfkey import pki

    within("--days", pki.VALIDITY_DAYS if days is None else days, 1, MAXIMUM_DAYS)
    wanted = tuple(dict.fromkeys(names or EVERYTHING))
    for name in wanted:
        pki.check(name, host or ())
    _make_folder(out)
    for path in _files(out, wanted):
        if path.exists():
            raise ConfigurationError(f"{path}: is there already; move it away, or choose --out")
    for path in make_all(out, wanted, tuple(host or ()), days or pki.VALIDITY_DAYS):
        typer.echo(describe(path))


def show(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="PEM files.")],
) -> None:
    """Say what PEM files hold: for whom, until when, and the SHA-256 of each certificate."""
    for path in files:
        typer.echo(describe(path))


def make_all(folder: Path, names: tuple[str, ...], hosts: tuple[str, ...], days: int) -> list[Path]:
    """Makes what these names stand for; gives the files for people to look at.

    Args:
        folder: that exists, without any of the files.
        names: as for the command.
        hosts: of the servers, besides this machine.
        days: how long certificates are valid; the authority is for as long as links.

    Raises:
        ConfigurationError: a name or host is of no use, or a file can't be written.
    """
    from halfkey import pki
    from halfkey.audit.keys import make_key

    made = []
    for name in names:
        if name == AUDIT:
            path = folder / f"{AUDIT}.key"
            make_key(path)
            made.append(path)
        elif name == VOUCHING:
            authority = folder / f"{AUTHORITY}.crt", folder / f"{AUTHORITY}.key"
            if not authority[0].exists():
                made.append(pki.make_authority(folder, AUTHORITY)[0])
            made.append(pki.make_vouching_certificate(folder, authority, VOUCHING, days)[0])
        else:
            made.append(pki.make_certificate(folder, name, days, hosts)[0])
    return made


def describe(path: Path) -> str:
    """What a PEM file holds, a line for each certificate.

    Raises:
        ConfigurationError: it can't be read, or holds neither a certificate nor an audit key.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    from halfkey.audit.keys import load_key

    try:
        content = path.read_bytes()
    except OSError as fault:
        raise ConfigurationError(
            f"{path}: can't be read ({fault.strerror}); name a file that is there"
        ) from None
    if b"CERTIFICATE" not in content:
        load_key(path)
        return f"{path}: key of an audit log"
    try:
        certificates = x509.load_pem_x509_certificates(content)
    except ValueError:
        raise ConfigurationError(f"{path}: no certificate in PEM form; name another file") from None
    return "\n".join(
        f"{path}: {one.subject.rfc4514_string()}, until {one.not_valid_after_utc:%Y-%m-%d}, "
        f"SHA-256 {one.fingerprint(hashes.SHA256()).hex()}"
        for one in certificates
    )


def _files(folder: Path, names: tuple[str, ...]) -> list[Path]:
    """What must not be there yet."""
    ends = {AUDIT: (".key",)}
    files = [folder / f"{name}{end}" for name in names for end in ends.get(name, (".crt", ".key"))]
    if AUTHORITY in names:
        raise ConfigurationError(f"{AUTHORITY}: is made with {VOUCHING}; name that")
    return files


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as fault:
        raise ConfigurationError(
            f"--out {folder}: can't be made ({fault.strerror}); name another folder"
        ) from None
