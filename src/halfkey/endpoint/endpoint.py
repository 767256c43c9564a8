"""An Endpoint: joins a conference, sends its tracks, and decodes everybody else's.

endpoint = Endpoint(EndpointOptions("https://focus:8443", "weekly", "Alice", Path("focus.pem")))
endpoint.add_track(track)
await endpoint.join()
async for event in endpoint.events():
    ...
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Coroutine
from http import HTTPStatus
from typing import Any

from aiortc.mediastreams import MediaStreamTrack

from halfkey.backoff import Backoff
from halfkey.dtls import Certificate
from halfkey.endpoint.aiortc_adapter import (
    Receiver,
    start_receiver,
)
from halfkey.endpoint.asking import Asking
from halfkey.endpoint.client import FocusClient, FocusError, Participation
from halfkey.endpoint.core import (
    AssociationTerminated,
    Connected,
    EKTKeyInstalled,
)
from halfkey.endpoint.events import (
    EndpointStatistics,
    Event,
    Joined,
    Left,
)
from halfkey.endpoint.membership import Membership
from halfkey.endpoint.options import EndpointOptions
from halfkey.endpoint.recovery import Recovery, RejoinRefusedError, Trigger
from halfkey.endpoint.remotes import Remotes
from halfkey.endpoint.rereading import Rereading
from halfkey.endpoint.roster import Source
from halfkey.endpoint.sending import Senders
from halfkey.endpoint.statistics import Statistics
from halfkey.endpoint.transport import Transport, TransportEvent
from halfkey.errors import CodecError, ConfigurationError, HalfkeyError, UsageError
from halfkey.sdp import Answer, Offer, build_offer, read_answer
from halfkey.sdp.offer import MAXIMUM_NAME_LENGTH
from halfkey.sdp.transport import Transport as TransportDescription
from halfkey.vouching.people import People
from halfkey.vouching.standing import Event as PersonEvent
from halfkey.vouching.standing import KeyDistributorRestarted, RosterStateChanged

_EVENT_LIMIT = 1024
_TLS_ID_BYTES = 30
_FIRST_BACKOFF, _LONGEST_BACKOFF = 0.25, 8.0


class JoinFailedError(HalfkeyError):
    """The conference could not be joined; the message is one line that says why."""


class Endpoint:
    """One participant of a conference; made inside a running event loop, used once.

    Args:
        options: what it has to know.

    Raises:
        ConfigurationError: an option can't be used.
    """

    def __init__(self, options: EndpointOptions) -> None:
        self._options = options
        self._loop = asyncio.get_running_loop()
        self._client = FocusClient(
            options.focus_url,
            options.conference,
            options.trusted,
            check_hostname=options.check_hostname,
        )
        self._asking = Asking(
            self._client, options.join_timeout, options.waiting_timeout, self._tell
        )
        self._certificate = Certificate.generate()
        self._tls_id = secrets.token_hex(_TLS_ID_BYTES)
        self._statistics = Statistics()
        self._transport = Transport(
            self,
            certificate=self._certificate,
            tls_id=self._tls_id,
            profiles=options.profiles,
            statistics=self._statistics,
            disclose=options.disclose,
        )
        self._senders = Senders(self._transport)
        self._feedback_ssrc = secrets.randbits(32)
        self._remotes: Remotes | None = None
        self._offer: Offer | None = None
        self._answer: Answer | None = None
        self._participation: Participation | None = None
        self._id_hashes: tuple[bytes, bytes] | None = None
        self._recovery = Recovery(self._transport.reassociate, self._rejoin, self._tell)
        self._recovering: asyncio.Task[None] | None = None
        credential = options.credential
        self._membership = None if credential is None else Membership(credential, self._person)
        self._keyed: asyncio.Future[None] = self._loop.create_future()
        self._events: asyncio.Queue[Event | None] = asyncio.Queue(_EVENT_LIMIT)
        self._tasks: set[asyncio.Task[None]] = set()
        self._leaving = False
        self._closed = False

    @property
    def ssrcs(self) -> tuple[int, ...]:
        """What it sends, in the order in which tracks were added."""
        return tuple(self._senders.sources)

    def add_track(self, track: MediaStreamTrack) -> None:
        """Adds a track to send; before `join`.

        Raises:
            UsageError: the offer has been made already, or it is neither audio nor video.
        """
        if self._offer is not None:
            raise UsageError("tracks are added before joining")
        self._senders.add(track)

    # Joining and leaving

    async def join(self) -> None:
        """Joins, and returns once the Key Distributor has given us an EKTKey and we send.

        Raises:
            ConfigurationError: the name can't be used.
            JoinFailedError: that was not to be. In either case nothing is left behind.
            UsageError: it was tried before.
        """
        if self._offer is not None or self._closed:
            raise UsageError("an Endpoint joins once")
        started = self._loop.time()
        try:
            await self._negotiate()
            async with asyncio.timeout(self._options.join_timeout):
                await self._keyed
        except ConfigurationError:
            await self.close()
            raise
        except (HalfkeyError, TimeoutError) as error:
            await self.close()
            reason = str(error) or f"no keys within {self._options.join_timeout:g} s"
            raise JoinFailedError(f"can't join {self._options.conference}: {reason}") from error
        except BaseException:
            await self.close()
            raise
        await self._start_senders()
        self._recovering = self._loop.create_task(self._recovery.run())
        now = self._loop.time()
        self._tell(Joined(now, now - started, self.ssrcs))

    def _make_offer(self) -> Offer:
        fingerprint = self._certificate.fingerprint()
        identity = None
        if self._membership is not None:
            identity = self._membership.assert_identity(fingerprint, self._tls_id, self.ssrcs)
        own_end = TransportDescription(
            fingerprint=str(fingerprint),
            tls_id=self._tls_id,
            ice_ufrag=self._transport.ice.local_username,
            ice_pwd=self._transport.ice.local_password,
        )
        try:
            return build_offer(
                session_id=secrets.randbits(62),
                transport=own_end,
                sources=[(kind, ssrc) for ssrc, kind in self._senders.sources.items()],
                audio_slots=self._options.slots,
                video_slots=self._options.slots,
                cname=self._senders.cname,
                name=self._options.name,
                identity=identity,
            )
        except CodecError as error:
            # All but the name is of our own making.
            raise ConfigurationError(
                f"name {self._options.name!r}: it must have at most {MAXIMUM_NAME_LENGTH} "
                "printable characters; choose another"
            ) from error

    async def _renew_offer(self) -> Offer:
        if self._membership is not None:
            await self._membership.refresh()
        self._offer = self._make_offer()
        return self._offer

    async def _negotiate(self) -> None:
        """Offer, answer, path and handshake, for the first time."""
        self._remotes = Remotes(
            frozenset(self.ssrcs),
            self._statistics,
            self._start_receiver,
            self._tell,
            None if self._membership is None else self._membership.person_of,
        )
        await self._exchange()
        self._run(self._follow_events())
        await self._connect()

    async def _exchange(self) -> None:
        self._participation = await self._asking.ask(self._renew_offer, self._renew_sources)
        if self._offer is None:
            raise UsageError("there is no answer before the offer")
        self._answer = read_answer(self._participation.answer, self._offer)
        self._id_hashes = None
        if self._membership is not None:
            self._id_hashes = self._membership.verify(self._answer)

    async def _connect(self) -> None:
        if self._answer is None:
            raise UsageError("there is no path before the answer")
        async with asyncio.timeout(self._options.join_timeout):
            await self._transport.connect(
                self._answer.transport,
                self._senders.sources,
                self._id_hashes,
                # Ends before our own patience does, so that its reason is what is told.
                handshake_timeout=self._options.join_timeout * 2 / 3,
            )

    async def _start_senders(self) -> None:
        if self._answer is not None:
            await self._senders.start(self._answer)

    async def leave(self) -> None:
        """Leaves the conference; without `keep_listening` everything ends.

        Raises:
            FocusError: the Focus could not be told; the Endpoint has stopped sending all the same.
        """
        self._leaving = True
        await self._stop_recovering()
        try:
            await self._end_participation()
        finally:
            self._tell(Left(self._loop.time()))
            if not self._options.keep_listening:
                await self.close()

    async def _end_participation(self) -> None:
        await self._senders.stop()
        participation, self._participation = self._participation, None
        if participation is not None:
            if not self._options.keep_listening:
                # First of all: the Key Distributor believes our own goodbye, not the Focus's word.
                self._transport.end_association()
            await self._client.leave(participation)

    async def close(self) -> None:
        """Ends everything; leaves first if need be. May be called at any time."""
        if self._closed:
            return
        self._closed = self._leaving = True
        await self._stop_recovering()
        self._keyed.cancel()
        with contextlib.suppress(FocusError):
            await self._end_participation()
        if self._remotes is not None:
            await self._remotes.stop_all()
        if self._membership is not None:
            self._membership.close()
        await self._transport.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._client.close()
        self._tell(None)

    # Coming back

    def reassociate(self, reason: str) -> None:
        """Has another handshake begin with the Key Distributor; media goes on meanwhile.

        Args:
            reason: one line, for `Reassociating`.
        """
        if self._keyed.done() and not self._leaving:
            self._recovery.keys_lost(reason)

    async def _rejoin(self) -> tuple[int, ...]:
        """Tries once to get another participation, with a fresh offer; see `Recovery`."""
        old, self._participation = self._participation, None
        if old is not None:
            self._transport.end_association()  # see `_end_participation`
            with contextlib.suppress(FocusError):
                await self._client.leave(old)
        self._keyed = self._loop.create_future()
        self._keyed.add_done_callback(_note)
        await self._renew_transport()
        before = self._answer
        try:
            await self._exchange()
        except FocusError as fault:
            if fault.status == HTTPStatus.FORBIDDEN:
                raise RejoinRefusedError(str(fault)) from fault
            raise
        if _differs(before, self._answer):
            await self._replace_senders()
            raise JoinFailedError("the Focus answers other payload types than before")
        await self._connect()
        async with asyncio.timeout(self._options.join_timeout):
            await self._keyed
        await self._start_senders()
        return self.ssrcs

    async def _renew_transport(self) -> None:
        self._certificate = Certificate.generate()
        self._tls_id = secrets.token_hex(_TLS_ID_BYTES)
        await self._transport.renew(self._certificate, self._tls_id)

    async def _renew_sources(self) -> None:
        """An SSRC of ours is another's, or that of an offer of ours whose answer was lost.

        In the latter case our tls-id is taken as well.
        """
        await self._renew_transport()
        await self._replace_senders()

    async def _replace_senders(self) -> None:
        """Sends the same tracks under other SSRCs, once `_start_senders` is called."""
        await self._senders.replace()
        if self._remotes is not None:
            self._remotes.set_own(frozenset(self.ssrcs))

    async def _stop_recovering(self) -> None:
        task, self._recovering = self._recovering, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _check_our_place(self, name: str, data: dict[str, Any]) -> None:
        """Sees by what the Focus tells of the roster whether we are still in it."""
        own = "" if self._participation is None else self._participation.id
        if not own or self._leaving:
            return
        if name == "roster":
            entries = data.get("participants")
            listed = entries if isinstance(entries, list) else []
            if not any(isinstance(entry, dict) and entry.get("id") == own for entry in listed):
                self._recovery.place_lost("the Focus doesn't know us any more")
        elif name == "left" and data.get("id") == own:
            self._recovery.place_lost("the Focus says that we left")

    # Events

    async def events(self) -> AsyncIterator[Event]:
        """The events, until the Endpoint is closed; to be read by one reader."""
        while (event := await self._events.get()) is not None:
            yield event

    def _tell(self, event: Event | None) -> None:
        # Whoever doesn't read loses the oldest ones.
        if self._events.full():
            self._events.get_nowait()
        self._events.put_nowait(event)

    def _run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # What the transport tells (halfkey.endpoint.transport.Owner)

    def association_event(self, event: TransportEvent) -> None:
        """Something happened to the keys, or to the path."""
        if isinstance(event, AssociationTerminated) and not self._keyed.done():
            reason = f"the Key Distributor's association ended: {event.reason}"
            self._keyed.set_exception(JoinFailedError(reason))
        elif isinstance(event, Trigger):
            if not self._leaving:
                self._recovery.receive(event)
        elif not isinstance(event, Connected):
            if isinstance(event, EKTKeyInstalled):
                if not self._keyed.done():
                    self._keyed.set_result(None)
                if self._membership is not None:
                    self._membership.ekt_key(event.spi)
            self._tell(event)

    def new_stream(self, ssrc: int) -> Receiver | None:
        """A packet of an SSRC opened for the first time."""
        if self._remotes is None or self._closed:
            return None
        return self._remotes.start(ssrc)

    def stream_ended(self, ssrc: int) -> None:
        """The source said goodbye."""
        if self._remotes is not None:
            self._run(self._remotes.stop(ssrc))

    def _start_receiver(self, source: Source) -> Receiver:
        if self._answer is None:
            raise UsageError("nothing is received before the answer")
        feedback_ssrc = next(iter(self.ssrcs), self._feedback_ssrc)
        types = self._answer.payload_types
        return start_receiver(source.kind, source.ssrc, self._transport, feedback_ssrc, types)

    # What the Focus tells

    async def _follow_events(self) -> None:
        """Reads roster events, for ever; the roster comes anew after each break."""
        backoff = Backoff(_FIRST_BACKOFF, _LONGEST_BACKOFF)
        rereading = Rereading()
        while True:
            with contextlib.suppress(FocusError, CodecError):
                async with contextlib.aclosing(self._client.events()) as events:
                    async for event in events:
                        backoff.reset()
                        self._apply(event.name, event.data)
                        # Not before the whole has come, which is behind the Focus's own roster.
                        is_change = event.name == "vouched-change"
                        if not self._is_behind():
                            rereading.helped()
                        elif is_change and rereading.is_due(self._loop.time()):
                            break
            await asyncio.sleep(backoff.next_pause())

    def _is_behind(self) -> bool:
        """Whether the whole vouched roster is needed, which comes with the events' beginning."""
        return self.people is not None and self.people.is_behind

    def _apply(self, name: str, data: dict[str, Any]) -> None:
        self._check_our_place(name, data)
        if self._membership is not None:
            self._membership.focus_event(name, data)
        if self._remotes is not None:
            for stopping in self._remotes.apply(name, data):
                self._run(stopping)

    # What the Key Distributor vouches for

    @property
    def people(self) -> People | None:
        """Who is there and whether that is verified; None without a link, or before the answer."""
        return None if self._membership is None else self._membership.people

    def _person(self, event: PersonEvent) -> None:
        if isinstance(event, KeyDistributorRestarted):
            self.reassociate("the Key Distributor restarted")
        elif isinstance(event, RosterStateChanged) and event.reason == "spi":
            self.reassociate("the others have a key that never came here")
        self._tell(event)

    # Statistics

    def statistics(self) -> EndpointStatistics:
        """The counters as of now."""
        counters, remotes = self._statistics, self._remotes
        return EndpointStatistics(
            at=self._loop.time(),
            ekt_spi=self._transport.ekt_spi,
            sent=dict(counters.sent),
            unsent=dict(counters.unsent),
            packets_received=counters.packets_received,
            packets_opened=counters.packets_opened,
            frames_decoded=remotes.frames if remotes is not None else 0,
            last_received_at=counters.last_received_at,
            last_opened_at=counters.last_opened_at,
            last_frame_at=remotes.last_frame_at if remotes is not None else None,
            rejections=dict(counters.rejections),
            streams=remotes.counters() if remotes is not None else (),
        )


def _note(keyed: asyncio.Future[None]) -> None:
    """Takes a failure that nobody may come to await."""
    if not keyed.cancelled():
        keyed.exception()


def _differs(before: Answer | None, after: Answer | None) -> bool:
    """Whether what is being sent doesn't fit the new answer."""
    if before is None or after is None:
        return False
    agreed, answered = (
        (one.payload_types, one.extensions, [media.rejected for media in one.media])
        for one in (before, after)
    )
    return agreed != answered
