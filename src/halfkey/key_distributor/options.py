"""How a Key Distributor is started."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from halfkey.errors import ConfigurationError
from halfkey.key_distributor.policy import Policy
from halfkey.serving import Address


@dataclass(frozen=True, slots=True)
class KeyDistributorOptions:
    """How to run a Key Distributor.

    Attributes:
        certificate: PEM, for the tunnels and the admission API.
        key: PEM, its private key.
        trusted_media_distributors: PEM bundle: who may have tunnels.
        trusted_focuses: PEM bundle: who may use the admission API.
        tunnel: the address to wait at for Media Distributors; None not to; port 0 for any.
        dial: the addresses of Media Distributors to dial.
        admission: the address of the admission API; port 0 for any.
        policy: what is granted.
        state: a folder for what survives a restart; None to begin anew each time.
        vouching: PEM files: the vouching certificate with its authority's, and its key; None to
            vouch for nothing, which no Endpoint that joins with a link puts up with.
        identities: a file that says whose identity assertions are believed besides invites; see
            `halfkey.key_distributor.identities`.
        believe_focus: whether a participant without identity assertion is admitted by the Focus's
            word alone. Then whoever runs the Focus can let anybody in.
    """

    certificate: Path
    key: Path
    trusted_media_distributors: Path
    trusted_focuses: Path
    tunnel: Address | None = ("127.0.0.1", 0)
    dial: tuple[Address, ...] = ()
    admission: Address = ("127.0.0.1", 0)
    policy: Policy = field(default_factory=Policy)
    state: Path | None = None
    vouching: tuple[Path, Path] | None = None
    identities: Path | None = None
    believe_focus: bool = False

    def check(self) -> None:
        """Raises `ConfigurationError`, in one line, for what can't be followed."""
        self.policy.check()
        if self.tunnel is None and not self.dial:
            raise ConfigurationError(
                "no way to a Media Distributor: listen for tunnels, or dial one"
            )
        if self.state is not None and not self.state.is_dir():
            raise ConfigurationError(f"{self.state}: no such folder; make it for the state")
