"""One run of the demo: who is started when, who leaves, and what is asked of whom at the end."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from halfkey.cli.children import Child, ChildFailed, Children, Message
from halfkey.cli.demo.leaver import understood
from halfkey.cli.demo.options import LOGS, PICTURE, DemoOptions
from halfkey.cli.demo.picture import View, draw
from halfkey.cli.demo.report import EndpointFacts, Facts, Received
from halfkey.cli.demo.table import Flow, LiveView
from halfkey.cli.demo.theft import Secrets, steal
from halfkey.cli.linking import VARIABLE
from halfkey.cli.servers import Servers
from halfkey.operations.distribution import Distribution
from halfkey.profiles import DOUBLE_256

JOIN_TIMEOUT = 60.0
"""Seconds that everybody together has to join."""

REKEY_TIMEOUT = 10.0
"""Seconds that the Endpoints together have to change keys after the leaving."""

FINAL_TIMEOUT = 20.0
"""Seconds that an Endpoint has to say its last, once it was told to stop."""

MARK_TIMEOUT = 10.0
"""Seconds that an Endpoint has to tell its counters."""

_CONFERENCE = "demo"
_CAPTURED_BYTES = 4096


class Participant:
    """One Endpoint process, and the latest of what it said about itself."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.child: Child | None = None
        self.joined = asyncio.Event()
        self.facts = EndpointFacts(name)
        self.switched: dict[int, Message] = {}
        self.latest: Message = {}
        self.final: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self.marks: asyncio.Queue[Message] = asyncio.Queue()

    def first_switch(self, after: float) -> Message | None:
        """Its first change of keys after a moment; None if there was none."""
        later = [message for message in self.switched.values() if message["at"] > after]
        return min(later, key=lambda message: message["at"], default=None)

    async def mark(self) -> Message:
        """Its counters as of now.

        Raises:
            ChildFailed: it doesn't say.
        """
        await self.process.send({"command": "mark"})
        try:
            return await asyncio.wait_for(self.marks.get(), MARK_TIMEOUT)
        except TimeoutError:
            raise ChildFailed(f"{self.name} does not answer any more") from None

    @property
    def process(self) -> Child:
        """The process.

        Raises:
            ChildFailed: it was never started.
        """
        if self.child is None:
            raise ChildFailed(f"{self.name} was not started")
        return self.child


class Conference:
    """Runs a conference as the options say.

    Args:
        options: what was asked for.
        view: what a person watches.
        children: what starts and ends the processes.
        credentials: a folder for keys, for nobody else to read.
    """

    def __init__(
        self, options: DemoOptions, view: LiveView, children: Children, credentials: Path
    ) -> None:
        self._options = options
        self._view = view
        self._children = children
        self._participants = {name: Participant(name) for name in options.names}
        self._secrets = Secrets()
        self._servers = Servers(
            children,
            credentials,
            options.out / LOGS,
            [(_CONFERENCE, name) for name in options.names],
            self._key_event,
            kd=() if options.dtls is None else ("--dtls", options.dtls),
            md=("--capture-bytes", str(_CAPTURED_BYTES), "--hostile"),
        )
        self._facts = Facts(options.duration, options.names[-1], options.kinds)
        self._left_at = 0.0
        self._leaver_before: Message = {}
        self._leaver_after_rekey: Message = {}
        self._is_over = False
        self._captured: dict[int, bytes] = {}

    async def run(self) -> Facts:
        """Runs it from the first process to the last question.

        Raises:
            ChildFailed: a process didn't do its part.
        """
        try:
            self._view.event("starting the Key Distributor, the Media Distributor and the Focus")
            await self._servers.start()
            await self._join()
            await asyncio.sleep(self._options.duration / 2)
            await self._leave()
            remaining = self._left_at + self._options.duration / 2 - time.monotonic()
            await asyncio.sleep(max(0.0, remaining))
            await self._conclude()
        finally:
            await self._servers.close()
        return self._facts

    # Joining

    async def _join(self) -> None:
        for index, participant in enumerate(self._participants.values()):
            await self._start_endpoint(index, participant)
        try:
            async with asyncio.timeout(JOIN_TIMEOUT):
                for participant in self._participants.values():
                    await participant.joined.wait()
        except TimeoutError:
            missing = [p.name for p in self._participants.values() if not p.joined.is_set()]
            raise ChildFailed(
                f"{', '.join(missing)} did not join within {JOIN_TIMEOUT:.0f} s; "
                f"see {self._options.out / LOGS}"
            ) from None
        self._view.event("everybody has joined")

    async def _start_endpoint(self, index: int, participant: Participant) -> None:
        options = self._options
        name = participant.name
        arguments = [
            *("join", "--index", str(index)),
            *("--profile", "256" if options.profile is DOUBLE_256 else "128"),
            *("--frame-rate", str(options.frame_rate)),
            *("--slots", str(options.participants - 1)),
            *("--pictures", str(options.out / "pictures" / name)),
        ]
        if options.media is not None:
            arguments += ["--media", str(options.media)]
        if name == self._facts.leaver:
            arguments.append("--keep-listening")
        participant.child = await self._children.start(
            Child(
                name,
                arguments,
                options.out / LOGS / f"{name}.log",
                lambda message: self._endpoint_event(participant, message),
                self._secrets.add,
                {VARIABLE: str(self._servers.link(_CONFERENCE, name))},
            )
        )

    # What the children say

    def _key_event(self, message: Message) -> None:
        if self._is_over:
            return  # the stopping of everybody is no part of the story
        if message["event"] == "rekeyed":
            self._facts.rekey.reason = message["reason"]
            self._facts.rekey.new_spi = message["spi"]
            self._view.event(
                f"Key Distributor: rekeyed ({message['reason']}), SPI {message['spi']:04x}, "
                f"{message['participants']} have it after {message['ms']:.0f} ms"
            )
        elif message["event"] == "refused":
            self._view.event(f"Key Distributor: refused an association ({message['reason']})")

    def _endpoint_event(self, participant: Participant, message: Message) -> None:
        handlers = {
            "joined": self._joined,
            "ekt_key": self._ekt_key,
            "code": self._code,
            "switched": self._switched,
            "progress": self._progress,
            "left": self._left,
            "mark": self._marked,
            "final": self._final,
        }
        handler = handlers.get(message.get("event", ""))
        is_told = not self._is_over or message.get("event") == "final"
        if handler is not None and is_told:
            handler(participant, message)

    def _joined(self, participant: Participant, message: Message) -> None:
        participant.facts.join_ms = message["ms"]
        participant.facts.ssrcs = message["ssrcs"]
        self._view.rows[participant.name].state = ""
        self._view.event(f"{participant.name} joined in {message['ms']:.0f} ms")
        participant.joined.set()

    def _code(self, participant: Participant, message: Message) -> None:
        participant.facts.code = message["code"]
        self._view.event(f'{participant.name} reads the conference code "{message["code"]}"')

    def _ekt_key(self, participant: Participant, message: Message) -> None:
        self._view.event(f"{participant.name} has the EKT key with SPI {message['spi']:04x}")

    def _switched(self, participant: Participant, message: Message) -> None:
        spi = message["spi"]
        participant.switched[spi] = message
        participant.facts.sending_spi = spi
        row = self._view.rows[participant.name]
        row.spi, row.epoch = spi, message["epoch"]
        self._view.event(f"{participant.name} sends under SPI {spi:04x}")

    def _left(self, participant: Participant, _: Message) -> None:
        self._view.rows[participant.name].state = "left, listening"

    def _marked(self, participant: Participant, message: Message) -> None:
        participant.marks.put_nowait(message)

    def _final(self, participant: Participant, message: Message) -> None:
        if not participant.final.done():
            participant.final.set_result(message)

    def _progress(self, participant: Participant, message: Message) -> None:
        before, participant.latest = participant.latest, message
        seconds = message["at"] - before["at"] if before else 0.0
        if seconds <= 0:
            return
        flows = self._view.rows[participant.name].flows
        for sender, now in message["received"].items():
            then = before["received"].get(sender, {})

            def rate(key: str, now: dict[str, Any] = now, then: dict[str, Any] = then) -> float:
                return float(now[key] - then.get(key, 0)) / seconds

            flows[sender] = Flow(
                rate("video_frames"), rate("audio_frames"), rate("bytes") * 8 / 1000
            )

    # Leaving

    async def _leave(self) -> None:
        """The leaver leaves, and the others change keys; its counters are noted on both sides."""
        leaver = self._participants[self._facts.leaver]
        self._leaver_before = await leaver.mark()
        self._left_at = time.monotonic()
        self._view.event(f"{leaver.name} leaves, and goes on listening")
        await leaver.process.send({"command": "leave"})
        stayers = [p for p in self._participants.values() if p is not leaver]
        deadline = self._left_at + REKEY_TIMEOUT
        while time.monotonic() < deadline:
            switched = [participant.first_switch(self._left_at) for participant in stayers]
            if all(switched):
                last = max(message["at"] for message in switched if message is not None)
                self._facts.rekey.ms = (last - self._left_at) * 1000
                break
            await asyncio.sleep(0.02)
        self._leaver_after_rekey = await leaver.mark()

    # The end

    async def _conclude(self) -> None:
        self._view.event("searching the Media Distributor's memory")
        await self._steal()
        await self._ask_servers()
        self._is_over = True
        finals = await self._finals()
        self._count_leaver(finals[self._facts.leaver])
        # While it was a member: what it can't open after that is the very point.
        finals[self._facts.leaver] = self._leaver_before
        for name, message in finals.items():
            self._take_final(self._participants[name], message)
        self._draw()

    async def _steal(self) -> None:
        distributor = self._servers.media_distributor
        if distributor is None:
            raise ChildFailed("the Media Distributor was not started")
        endpoint = next(iter(self._participants.values())).process
        self._facts.theft = await steal(distributor.pid, endpoint.pid, self._secrets)

    async def _ask_servers(self) -> None:
        media = await self._servers.media_statistics()
        self._facts.forwarded_packets = media["forwarded_packets"]
        self._facts.dropped = media["dropped"]
        self._facts.added_latency = Distribution.of(media["added_latency"])
        keys = await self._servers.key_statistics()
        self._facts.associations = keys["associations"]
        self._facts.handshakes = keys["handshakes"]
        self._facts.ekt_keys_issued = keys["ekt_keys_issued"]
        self._facts.rekeys = keys["rekeys"]
        self._captured = await self._servers.captured_payloads()

    async def _finals(self) -> dict[str, Message]:
        """Has every Endpoint finish, and gives what each said last."""
        for participant in self._participants.values():
            participant.process.stopping = True
            await participant.process.send({"command": "stop"})
        return {
            name: await participant.process.outcome(
                participant.final, FINAL_TIMEOUT, "gave no final report"
            )
            for name, participant in self._participants.items()
        }

    def _take_final(self, participant: Participant, message: Message) -> None:
        facts = participant.facts
        facts.sent_packets = message["sent_packets"]
        facts.received = {
            sender: Received(
                audio_frames=figures["audio_frames"],
                video_frames=figures["video_frames"],
                e2e_failures=figures["e2e_failures"],
                e2e_failures_during_rekey=figures["e2e_failures_during_rekey"],
            )
            for sender, figures in message["received"].items()
        }
        self._facts.endpoints[participant.name] = facts

    def _count_leaver(self, final: Message) -> None:
        """What came to the leaver, and what it made of that, since the others changed keys."""
        last_before: dict[str, list[int] | None] = {}
        for participant in self._participants.values():
            if participant.name == self._facts.leaver:
                continue
            switch = participant.first_switch(self._left_at)
            change = {} if switch is None else switch["newest_before"]
            last_before |= {str(ssrc): change.get(str(ssrc)) for ssrc in participant.facts.ssrcs}
        made = understood(last_before, self._leaver_before["sources"], final["sources"])
        rekey = self._facts.rekey
        rekey.packets_to_leaver_after = (
            final["packets_received"] - self._leaver_after_rekey["packets_received"]
        )
        if final["last_opened_at"] is not None:
            rekey.last_opened_ms = (final["last_opened_at"] - self._left_at) * 1000
        rekey.packets_opened_by_leaver_after = made.packets_opened
        rekey.frames_decoded_by_leaver_after = made.frames_decoded

    def _draw(self) -> None:
        names = self._options.names
        owners = {ssrc: p.name for p in self._participants.values() for ssrc in p.facts.ssrcs}
        payloads: dict[str, bytes] = {}
        for ssrc, payload in self._captured.items():
            name = owners.get(ssrc, "")
            payloads[name] = max(payloads.get(name, b""), payload, key=len)
        views = [
            View(
                name,
                f"left after {self._options.duration / 2:.0f} s"
                if name == self._facts.leaver
                else "",
                self._pictures(name),
                {},
            )
            for name in names
        ]
        views.append(View("Media Distributor", "", {}, payloads, trusted=False))
        draw(self._options.out / PICTURE, names, views)

    def _pictures(self, receiver: str) -> dict[str, Path]:
        folder = self._options.out / "pictures" / receiver
        return {
            sender: path
            for sender in self._options.names
            if (path := folder / f"{sender}.png").exists()
        }
