"""What can be asked of `halfkey load`, checked before anything starts."""

from __future__ import annotations

import resource
from dataclasses import dataclass, replace
from pathlib import Path

from halfkey._media import MAX_WORKERS
from halfkey.cli import arguments
from halfkey.cli.load.trace import read as read_trace
from halfkey.cli.load.traffic import Traffic, speech, video
from halfkey.errors import ConfigurationError
from halfkey.key_distributor.policy import Policy
from halfkey.media_distributor.core import MAXIMUM_PARTICIPANTS
from halfkey.media_distributor.request import MAXIMUM_SLOTS
from halfkey.profiles import SRTPProtectionProfile

RESULT, PICTURE = "load.json", "load.png"
"""What a run leaves in its folder."""

FLOODS = ("garbage", "replay", "unknown")

MAXIMUM_LOAD = 20_000_000.0
MAXIMUM_DURATION = 86_400.0

_USUAL_STREAM, _USUAL_LOAD = 6_000.0, 300_000.0
"""What a livestream offers if nothing is said: packets a second of the stream, and in all."""

_MAXIMUM_BURSTS = 1_000_000
"""Of all streams: each has its own list."""

_SPARE_DESCRIPTORS = 64

_DESCRIPTORS_OF_A_JOIN = 4
"""A socket for each version of IP; the one in use once more for the generator, and for checks."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """Who sends to whom.

    Attributes:
        name: as it is asked for.
        kind: ``"audio"`` or ``"video"``.
        receivers: how many receive in a conference, if nothing is said.
        speakers: how many send, besides them; None where everybody does both.
    """

    name: str
    kind: str
    receivers: int
    speakers: int | None

    def traffic(self) -> Traffic:
        """What each stream sends."""
        return speech() if self.kind == "audio" else video()


SCENARIOS = {
    one.name: one
    for one in (
        Scenario("audio", "audio", 50, 10),
        Scenario("meeting", "audio", 10, None),
        Scenario("livestream", "video", 50, 1),
    )
}


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """One run.

    Attributes:
        scenario: who sends to whom.
        receivers: in each conference.
        speakers: in each conference; None where everybody sends and receives.
        conferences: how many at once.
        workers: the Media Distributor's threads that forward.
        duration: seconds.
        traffic: of each stream.
        profile: the double profile.
        sample: each receiver opens one packet of so many.
        floor: whether the floor is measured, too.
        sweep: whether to go through loads, from a tenth of this one on, until packets are lost.
        flood: what is sent besides, in a second run; None for none.
        out: the folder for load.json, load.png and the servers' logs.
        direct: whether hop keys are given to the Media Distributor, and nobody joins.
        json: whether stdout carries the report document and nothing else.
    """

    scenario: Scenario
    receivers: int
    speakers: int | None
    conferences: int
    workers: int
    duration: float
    traffic: Traffic
    profile: SRTPProtectionProfile
    sample: int
    floor: bool
    sweep: bool
    flood: str | None
    direct: bool
    out: Path
    json: bool

    @property
    def key_length(self) -> int:
        """Bytes of a master key of either layer."""
        return self.profile.parameters.hop_profile.parameters.key_length

    @property
    def streams(self) -> int:
        """All streams of all conferences."""
        return self.conferences * (self.receivers if self.speakers is None else self.speakers)

    @property
    def ways(self) -> int:
        """All pairs of a stream and a receiver of it."""
        return self.streams * self.others

    @property
    def others(self) -> int:
        """How many receivers each stream has."""
        return self.receivers - 1 if self.speakers is None else self.receivers

    @property
    def slots(self) -> int:
        """How many streams each receiver is sent."""
        return self.receivers - 1 if self.speakers is None else self.speakers

    @property
    def participants(self) -> int:
        """All of all conferences."""
        return self.conferences * (self.receivers + (self.speakers or 0))

    @classmethod
    def check(
        cls,
        scenario: str,
        *,
        receivers: int | None,
        speakers: int | None,
        conferences: int,
        workers: int,
        duration: float,
        load: float | None,
        profile: str,
        sample: int,
        floor: bool,
        sweep: bool,
        flood: str | None,
        direct: bool,
        trace: Path | None,
        out: Path,
        json: bool,
    ) -> LoadOptions:
        """Checks what a person typed.

        Raises:
            ConfigurationError: an option is wrong, or `out` can't be used.
        """
        if scenario not in SCENARIOS:
            raise ConfigurationError(f"{scenario}: give {', '.join(SCENARIOS)}")
        chosen = SCENARIOS[scenario]
        if speakers is not None and chosen.speakers is None:
            raise ConfigurationError("--speakers: in a meeting everybody speaks; give --receivers")
        least = 2 if chosen.speakers is None else 1
        receivers = chosen.receivers if receivers is None else receivers
        arguments.within("--receivers", receivers, least, MAXIMUM_PARTICIPANTS - 1)
        speakers = chosen.speakers if speakers is None else speakers
        if speakers is not None:
            arguments.within("--speakers", speakers, 1, MAXIMUM_SLOTS)
        arguments.within("--conferences", conferences, 1, MAXIMUM_PARTICIPANTS // 2)
        arguments.within("--workers", workers, 1, MAX_WORKERS)
        arguments.within("--duration", duration, 0.5, MAXIMUM_DURATION)
        arguments.within("--sample", sample, 1, 1_000_000)
        if flood is not None and flood not in FLOODS:
            raise ConfigurationError(f"--flood {flood}: give {', '.join(FLOODS)}")
        if flood is not None and sweep:
            raise ConfigurationError("--flood and --sweep: give one of them")
        traffic = chosen.traffic() if trace is None else read_trace(trace)
        double = arguments.profile(profile)
        made = cls(
            scenario=chosen,
            receivers=receivers,
            speakers=speakers,
            conferences=conferences,
            workers=workers,
            duration=duration,
            traffic=traffic,
            profile=double,
            sample=sample,
            floor=floor,
            sweep=sweep,
            flood=flood,
            direct=direct,
            out=out,
            json=json,
        )
        made._check_numbers()
        _make(out)
        return made._offering(load, trace)

    def _check_numbers(self) -> None:
        if self.slots > MAXIMUM_SLOTS:
            raise ConfigurationError(
                f"--receivers {self.receivers}: a meeting has {MAXIMUM_SLOTS + 1} or fewer"
            )
        if self.participants > MAXIMUM_PARTICIPANTS:
            raise ConfigurationError(
                f"--receivers, --speakers and --conferences make {self.participants} participants; "
                f"a Media Distributor takes {MAXIMUM_PARTICIPANTS}"
            )
        if not self.direct and self.participants // self.conferences > Policy().participants:
            raise ConfigurationError(
                f"--receivers, --speakers: a Key Distributor takes {Policy().participants} "
                "participants in a conference; ask for fewer, or give --direct"
            )
        self._check_descriptors()

    def _check_descriptors(self) -> None:
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        needed = self.participants * (1 if self.direct else _DESCRIPTORS_OF_A_JOIN)
        needed += _SPARE_DESCRIPTORS
        if most != resource.RLIM_INFINITY and needed > most:
            raise ConfigurationError(
                f"--receivers: {self.participants} participants need {needed} open files, and the "
                f"system allows {most}; raise 'ulimit -n', or ask for fewer"
            )

    def times(self, factor: float) -> LoadOptions:
        """With so many times the load."""
        return replace(self, traffic=self.traffic.at(self.traffic.rate * factor))

    def _offering(self, load: float | None, trace: Path | None) -> LoadOptions:
        """With so many packets a second to be forwarded in all; a trace goes by its own time if
        nothing is said."""
        if trace is not None:
            self._check_trace(trace)
        if load is None and (trace is not None or self.scenario.kind == "audio"):
            return self
        if load is None:
            load = min(_USUAL_STREAM * self.ways, _USUAL_LOAD)
        arguments.within("--load", load, 1, MAXIMUM_LOAD)
        return replace(self, traffic=self.traffic.at(load / self.ways))

    def _check_trace(self, trace: Path) -> None:
        load, bursts = self.traffic.rate * self.ways, len(self.traffic.bursts) * self.streams
        if load > MAXIMUM_LOAD:
            raise ConfigurationError(
                f"--trace {trace}: is {load:,.0f} packets a second to all receivers, more than "
                f"{MAXIMUM_LOAD:,.0f}; ask for fewer"
            )
        if bursts > _MAXIMUM_BURSTS:
            raise ConfigurationError(
                f"--trace {trace}: is too long for {self.streams} streams; cut it, or ask for fewer"
            )


def _make(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name in (RESULT, PICTURE):
            (out / name).unlink(missing_ok=True)  # nothing of an earlier run is taken for ours
            (out / name).touch()
            (out / name).unlink()
    except OSError as error:
        raise ConfigurationError(
            f"--out {out}: {RESULT} can't be written there ({error.strerror}); name another folder"
        ) from error
