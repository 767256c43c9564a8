"""What can be asked of `halfkey demo`, checked before anything starts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from halfkey.cli import arguments
from halfkey.errors import ConfigurationError
from halfkey.profiles import SRTPProtectionProfile

MINIMUM_PARTICIPANTS, MAXIMUM_PARTICIPANTS = 2, 12
MINIMUM_DURATION, MAXIMUM_DURATION = 6.0, 3600.0

REPORT, PICTURE, LOGS = "report.json", "what-they-saw.png", "logs"
"""What the demo leaves in its folder."""

NAMES = (
    "Alice",
    "Bob",
    "Carol",
    "Dave",
    "Erin",
    "Frank",
    "Grace",
    "Heidi",
    "Ivan",
    "Judy",
    "Ken",
    "Lena",
)


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """The options of one demo.

    Attributes:
        participants: how many Endpoints.
        duration: seconds of conference, from when everybody has joined.
        media: a file for everybody to send; None for the test picture and tone.
        profile: the double profile that Endpoints offer.
        out: the folder for the report, the picture and the logs.
        json: whether stdout carries the report document and nothing else.
        kinds: what everybody sends: ``"audio"``, ``"video"`` or both.
        dtls: the DTLS that is required, as the Key Distributor's option has it; None for
            the latest.
    """

    participants: int
    duration: float
    media: Path | None
    profile: SRTPProtectionProfile
    out: Path
    json: bool
    kinds: frozenset[str] = frozenset({"audio", "video"})
    dtls: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The participants' names; the last one leaves midway."""
        return NAMES[: self.participants]

    @property
    def frame_rate(self) -> int:
        """Pictures a second of each camera: fewer where many are to be decoded on one machine."""
        return 15 if self.participants <= 4 else 12 if self.participants <= 6 else 10

    @classmethod
    def check(
        cls,
        participants: int,
        duration: float,
        media: Path | None,
        profile: str,
        out: Path,
        json: bool,
        dtls: str | None = None,
    ) -> DemoOptions:
        """Checks what a person typed.

        Raises:
            ConfigurationError: an option is out of range, or `media` or `out` can't be used.
        """
        if not MINIMUM_PARTICIPANTS <= participants <= MAXIMUM_PARTICIPANTS:
            raise ConfigurationError(
                f"--participants {participants}: give a number from {MINIMUM_PARTICIPANTS} to "
                f"{MAXIMUM_PARTICIPANTS}"
            )
        if not MINIMUM_DURATION <= duration <= MAXIMUM_DURATION:
            raise ConfigurationError(
                f"--duration {duration:g}: give seconds from {MINIMUM_DURATION:g} to "
                f"{MAXIMUM_DURATION:g}"
            )
        chosen = arguments.profile(profile)
        arguments.required_dtls(dtls)
        from halfkey.endpoint.media import probe  # loads the codecs: only when it is to run

        _make(out)
        if media is None:
            return cls(participants, duration, media, chosen, out, json, dtls=dtls)
        kinds, _ = probe(media)
        return cls(participants, duration, media, chosen, out, json, frozenset(kinds), dtls)


def _make(out: Path) -> None:
    """Makes the folder, and makes sure that what the demo leaves there can be written."""
    try:
        (out / LOGS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"--out {out}: the folder can't be made ({error.strerror}); name another one"
        ) from error
    for name in (REPORT, PICTURE, f"{LOGS}/demo.log"):
        try:
            # Nothing of an earlier run may be taken for this one's.
            (out / name).unlink(missing_ok=True)
            (out / name).touch()
            (out / name).unlink()
        except OSError as error:
            raise ConfigurationError(
                f"--out {out}: {name} can't be written there ({error.strerror}); "
                "name another folder"
            ) from error
