"""The service with a real Key Distributor behind the real tunnel, and real Endpoints before it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import os
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from halfkey._media import Switch
from halfkey.errors import ConfigurationError, HalfkeyError
from halfkey.key_distributor.events import Disassociated, TunnelClosed, TunnelOpened
from halfkey.media_distributor import core
from halfkey.media_distributor.driver import MAXIMUM_TUNNELS, Driver, TunnelProtocol
from halfkey.media_distributor.events import (
    ParticipantDisconnected,
    ParticipantKeyed,
)
from halfkey.media_distributor.service import MediaDistributorOptions, run
from halfkey.tls import client_context, server_context
from halfkey.tunnel import EndpointDisconnect, SupportedProfiles, UnsupportedVersion, stream
from tests.endpoint.waiting import until
from tests.key_distributor.helpers import Certificates
from tests.media_distributor.system import (
    TIMEOUT,
    Endpoint,
    KeyDistributor,
    MediaDistributor,
    key_distributor,
    media_distributor,
    options,
)

ANY = ("127.0.0.1", 0)
HELLO = SupportedProfiles(0, (9, 10)).encode()
REFUSALS = (ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
async def both(
    certificates: Certificates,
) -> AsyncIterator[tuple[KeyDistributor, MediaDistributor]]:
    """A Key Distributor, and a Media Distributor that has dialled it."""
    async with (
        key_distributor(certificates) as kd,
        media_distributor(certificates, dial=kd.addresses["tunnel"], capture_bytes=64) as md,
    ):
        await md.tunnel()
        yield kd, md


@contextlib.asynccontextmanager
async def joined(
    kd: KeyDistributor, md: MediaDistributor, *numbers: int
) -> AsyncIterator[list[Endpoint]]:
    """Endpoints that have their keys; closed at the end."""
    endpoints = [Endpoint(number) for number in numbers]
    try:
        for endpoint in endpoints:
            await endpoint.join(kd, md)
        await until(
            lambda: (
                {f"P{n}" for n in numbers}
                <= {event.participant for event in md.events if isinstance(event, ParticipantKeyed)}
            )
        )
        yield endpoints
    finally:
        for endpoint in endpoints:
            endpoint.close()


async def test_a_conference_through_the_tunnel(
    both: tuple[KeyDistributor, MediaDistributor],
) -> None:
    """Handshakes with the Key Distributor, MediaKeys, and media that only Endpoints open."""
    kd, md = both
    async with joined(kd, md, 1, 2) as (alice, bob):
        for sender, receiver in ((alice, bob), (bob, alice)):
            sender.send(1, b"a word in private")
            assert (await receiver.received()).endswith(b"a word in private")
        statistics = await md.statistics()
        assert statistics["forwarded_packets"] == 2
        assert statistics["participants"] == statistics["associations"] == 2
        assert statistics["tunnel"] == {"connected": True, "unsupported_version": None}
        async with md.focus.get(md.url("/captured")) as response:
            captured = await response.json()
        kept = base64.b64decode(captured[str(alice.offered.audio)])
        assert len(kept) == len(b"a word in private") + 16
        assert b"word" not in kept


@pytest.mark.parametrize(
    ("bound", "advertise"),
    [("0.0.0.0", "127.0.0.1"), ("::", "127.0.0.1"), ("::", "::1"), ("::1", None)],
)
async def test_endpoints_send_to_what_is_advertised(
    certificates: Certificates, bound: str, advertise: str | None
) -> None:
    """Also over IPv4 to an IPv6 socket, where STUN must tell the IPv4 address."""
    async with (
        key_distributor(certificates) as kd,
        media_distributor(
            certificates, dial=kd.addresses["tunnel"], media=(bound, 0), advertise=advertise
        ) as md,
    ):
        await md.tunnel()
        async with joined(kd, md, 1, 2) as (alice, bob):
            alice.send(1, b"by that way")
            assert (await bob.received()).endswith(b"by that way")


async def test_the_key_distributor_learns_who_left(
    both: tuple[KeyDistributor, MediaDistributor],
) -> None:
    """The Focus told the Media Distributor alone: EndpointDisconnect carries it on."""
    kd, md = both
    async with joined(kd, md, 1, 2):
        assert await md.remove("P1") == 204
        await until(lambda: kd.of(Disassociated))
        (gone,) = kd.of(Disassociated)
        assert (gone.participant, gone.reason) == ("P1", "disconnected")
        assert ParticipantDisconnected("c", "P1", "left") in md.events


async def test_the_key_distributor_learns_who_fell_silent(
    both: tuple[KeyDistributor, MediaDistributor], monkeypatch: pytest.MonkeyPatch
) -> None:
    kd, md = both
    async with joined(kd, md, 1, 2) as (_, bob):
        monkeypatch.setattr(core, "PRESENCE_TIMEOUT", 0.5)
        # Whoever joins arms the timer for everybody's new deadline.
        carol = Endpoint(3)
        await carol.admit(kd, md)
        await carol.check()
        async with asyncio.timeout(TIMEOUT):
            while not kd.of(Disassociated):
                await bob.check()
                await carol.check()
                await asyncio.sleep(0.05)
        carol.close()
        (gone,) = kd.of(Disassociated)
        assert (gone.participant, gone.reason) == ("P1", "disconnected")
        assert ParticipantDisconnected("c", "P1", "timeout") in md.events


async def test_the_key_distributor_ends_an_association(
    both: tuple[KeyDistributor, MediaDistributor],
) -> None:
    """Evicted there, a participant has no keys here at once."""
    kd, md = both
    async with joined(kd, md, 1, 2) as (alice, bob):
        host, port = kd.addresses["admission"]
        url = f"https://{host}:{port}/conferences/c/participants/P1"
        async with kd.focus.delete(url) as response:
            assert response.status == 204
        await until(lambda: ParticipantDisconnected("c", "P1", "key_distributor") in md.events)
        alice.send(1, b"after all")
        await md.until(lambda now: now["dropped"].get("no_keys", 0) == 1)
        bob.send(1, b"to nobody")
        await md.until(lambda now: now["dropped"].get("receiver_not_ready", 0) == 1)
        assert (await md.statistics())["forwarded_packets"] == 0


async def test_the_key_distributor_dials(certificates: Certificates) -> None:
    """RFC 9185 section 5.2: either side may; the Media Distributor speaks first all the same."""
    async with (
        media_distributor(certificates, tunnel=ANY) as md,
        key_distributor(certificates, tunnel=None, dial=(md.addresses["tunnel"],)) as kd,
    ):
        await md.tunnel()
        async with joined(kd, md, 1, 2) as (alice, bob):
            alice.send(1, b"all the same")
            assert (await bob.received()).endswith(b"all the same")


async def test_tunnels_from_both_sides_live_side_by_side(certificates: Certificates) -> None:
    """RFC 9185 section 5.2 allows several: neither is given up for the other."""
    with socket.create_server(ANY) as reserved:
        place = reserved.getsockname()
    async with (
        media_distributor(certificates, tunnel=ANY, dial=place) as md,
        key_distributor(certificates, tunnel=place, dial=(md.addresses["tunnel"],)) as kd,
    ):
        await until(lambda: len(kd.of(TunnelOpened)) == 2)
        async with joined(kd, md, 1, 2) as (alice, bob):
            alice.send(1, b"by either way")
            assert (await bob.received()).endswith(b"by either way")
        assert kd.of(TunnelClosed) == []


async def test_media_go_on_while_the_key_distributor_restarts(certificates: Certificates) -> None:
    async with contextlib.AsyncExitStack() as stack:
        first = await stack.enter_async_context(contextlib.AsyncExitStack())
        kd = await first.enter_async_context(key_distributor(certificates))
        place = kd.addresses["tunnel"]
        md = await stack.enter_async_context(media_distributor(certificates, dial=place))
        await md.tunnel()
        alice, bob = await stack.enter_async_context(joined(kd, md, 1, 2))
        await first.aclose()
        await md.tunnel(connected=False)
        alice.send(1, b"all by ourselves")
        assert (await bob.received()).endswith(b"all by ourselves")
        late = Endpoint(3)
        stack.callback(late.close)
        kd = await stack.enter_async_context(key_distributor(certificates, tunnel=place))
        await md.tunnel()
        await late.join(kd, md)
        await until(lambda: ParticipantKeyed("c", "P3") in md.events)
        bob.send(1, b"and after that")
        assert (await alice.received()).endswith(b"and after that")


@contextlib.asynccontextmanager
async def open_gate(place: tuple[str, int], target: tuple[str, int]) -> AsyncIterator[None]:
    """Carries TCP from one address to another as long as the context is open."""
    carrying: set[asyncio.Task[None]] = set()

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        other_reader, other_writer = await asyncio.open_connection(*target)
        for way in (pour(reader, other_writer), pour(other_reader, writer)):
            carrying.add(asyncio.create_task(way))

    async with await asyncio.start_server(carry, *place):
        try:
            yield
        finally:
            for task in carrying:
                task.cancel()


async def test_a_handshake_waits_for_a_tunnel(certificates: Certificates) -> None:
    """DTLS sends again what was dropped while the Key Distributor couldn't be reached."""
    with socket.create_server(ANY) as reserved:
        place = reserved.getsockname()
    async with (
        key_distributor(certificates) as kd,
        media_distributor(certificates, dial=place) as md,
    ):
        with contextlib.closing(Endpoint(1)) as alice:
            await alice.admit(kd, md)
            await alice.check()
            alice.start()
            await md.until(lambda now: now["dropped"].get("no_tunnel", 0) >= 1)
            async with open_gate(place, kd.addresses["tunnel"]):
                await until(lambda: ParticipantKeyed("c", "P1") in md.events)


async def test_whom_the_media_distributor_dials_must_be_known(certificates: Certificates) -> None:
    """A stranger answers at the address first, then the Key Distributor itself."""

    def greeting(who: tuple[Path, Path], listener: socket.socket) -> bytes:
        raw, _ = listener.accept()
        raw.settimeout(TIMEOUT)
        context = server_context(*who, trusted=certificates.md[0])
        with context.wrap_socket(raw, server_side=True) as connection:
            return connection.recv(100)

    with socket.create_server(ANY) as listener:
        listener.settimeout(TIMEOUT)
        async with media_distributor(certificates, dial=listener.getsockname()) as md:
            for who in (certificates.stranger, certificates.focus):
                with pytest.raises(ssl.SSLError):
                    await asyncio.to_thread(greeting, who, listener)
            assert not (await md.statistics())["tunnel"]["connected"]
            assert await asyncio.to_thread(greeting, certificates.kd, listener) == HELLO


async def tunnel_to(md: MediaDistributor, context: ssl.SSLContext) -> Streams:
    """Dials as a Key Distributor; in TLS 1.3 a refusal may show only at the first read."""
    reader, writer = await asyncio.open_connection(
        *md.addresses["tunnel"], ssl=context, server_hostname="md"
    )
    hello = await asyncio.wait_for(reader.readexactly(len(HELLO)), TIMEOUT)
    assert hello == HELLO
    return reader, writer


async def test_who_dials_the_media_distributor_must_be_known(certificates: Certificates) -> None:
    def dialling(who: tuple[Path, Path]) -> ssl.SSLContext:
        return client_context(certificates.md[0], *who)

    async with media_distributor(certificates, tunnel=ANY) as md:
        for context in (
            dialling(certificates.stranger),
            dialling(certificates.focus),
            client_context(certificates.md[0]),
        ):
            with pytest.raises(REFUSALS):
                await tunnel_to(md, context)
        assert not (await md.statistics())["tunnel"]["connected"]
        await tunnel_to(md, dialling(certificates.kd))
        await md.tunnel()


async def test_tunnels_are_bounded(certificates: Certificates) -> None:
    context = client_context(certificates.md[0], *certificates.kd)
    async with media_distributor(certificates, tunnel=ANY) as md:
        opened = [await tunnel_to(md, context) for _ in range(MAXIMUM_TUNNELS)]
        with pytest.raises(REFUSALS):
            await tunnel_to(md, context)
        opened[0][1].close()
        await opened[0][1].wait_closed()
        await md.tunnel()
        async with asyncio.timeout(TIMEOUT):
            while True:
                with contextlib.suppress(*REFUSALS):
                    opened.append(await tunnel_to(md, context))
                    break


async def test_a_refused_version_is_said_once_and_the_tunnel_tried_again(
    certificates: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    """RFC 9185 section 5.5. What follows the first four octets may be anything."""
    answers = [UnsupportedVersion(7).encode() + bytes(9), UnsupportedVersion(7).encode()]
    answers += [UnsupportedVersion(8).encode(), EndpointDisconnect(uuid4()).encode()]
    tried: list[bytes] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tried.append(await reader.readexactly(len(HELLO)))
        writer.write(answers[len(tried) - 1])
        if len(tried) < len(answers):
            assert await reader.read() == b""
            writer.close()

    tls = server_context(*certificates.kd, trusted=certificates.md[0])
    server = await asyncio.start_server(refuse, *ANY, ssl=tls)
    with caplog.at_level(logging.WARNING, "halfkey"):
        async with (
            server,
            media_distributor(certificates, dial=server.sockets[0].getsockname()) as md,
        ):
            await md.until(lambda now: now["tunnel"]["unsupported_version"] == 7)
            await md.until(lambda now: now["tunnel"]["unsupported_version"] == 8)
            await md.until(lambda now: now["dropped"].get("unknown_association", 0) == 1)
            statistics = await md.statistics()
    assert statistics["tunnel"] == {"connected": True, "unsupported_version": None}
    assert tried == [HELLO] * 4
    lines = [one.getMessage() for one in caplog.records if one.name.startswith("halfkey")]
    assert [f"speaks up to version {n}" in line for n, line in zip((7, 8), lines, strict=True)] == [
        True,
        True,
    ]


async def test_a_tunnel_that_breaks_the_rules_is_given_up(certificates: Certificates) -> None:
    context = client_context(certificates.md[0], *certificates.kd)
    async with media_distributor(certificates, tunnel=ANY) as md:
        reader, writer = await tunnel_to(md, context)
        writer.write(EndpointDisconnect(uuid4()).encode())
        await md.until(lambda now: now["dropped"].get("unknown_association", 0) == 1)
        writer.write(HELLO)  # which is ours alone to say
        await md.tunnel(connected=False)
        with contextlib.suppress(*REFUSALS):
            assert await asyncio.wait_for(reader.read(), TIMEOUT) == b""


async def test_a_tunnel_with_too_much_waiting_is_given_up_at_once(
    both: tuple[KeyDistributor, MediaDistributor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What must not be lost can't be queued: the next tunnel starts clean."""
    kd, md = both
    alice = Endpoint(1)
    await alice.admit(kd, md)
    await alice.check()
    monkeypatch.setattr(stream, "HARD_SEND_LIMIT", 0)
    alice.start()
    await until(lambda: kd.of(TunnelClosed))
    monkeypatch.undo()
    await until(lambda: len(kd.of(TunnelOpened)) == 2)
    alice.close()


async def test_a_dead_peer_is_noticed_by_tcp() -> None:
    """RFC 9185 has no keepalive of its own."""
    accepted: asyncio.Queue[Streams] = asyncio.Queue()
    driver = Driver(Switch(*ANY), False, lambda event: None)
    loop = asyncio.get_running_loop()
    async with await asyncio.start_server(lambda *streams: accepted.put_nowait(streams), *ANY) as (
        server
    ):
        place = server.sockets[0].getsockname()
        transport, _ = await loop.create_connection(lambda: TunnelProtocol(driver), *place)
        connection = transport.get_extra_info("socket")
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        patience = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
        assert 0 < patience <= 60_000
        driver.close()
        (await accepted.get())[1].close()


async def start(options: MediaDistributorOptions) -> str:
    """Starts it, which must fail; gives the line."""
    with pytest.raises(ConfigurationError) as caught:
        await asyncio.wait_for(run(options, lambda _: None), TIMEOUT)
    assert "\n" not in str(caught.value)
    return str(caught.value)


async def test_bad_configuration_is_one_line_with_the_fault_and_the_fix(
    certificates: Certificates, tmp_path: Path
) -> None:
    good = options(certificates, tunnel=ANY)
    gone = tmp_path / "gone.pem"
    for name in ("certificate", "key", "trusted_focuses", "trusted_key_distributors"):
        assert str(gone) in await start(replace(good, **{name: gone}))
    assert "doesn't belong" in await start(replace(good, key=certificates.kd[1]))
    assert "dial one" in await start(replace(good, tunnel=None))
    with socket.create_server(ANY) as taken, socket.socket(type=socket.SOCK_DGRAM) as udp:
        udp.bind(ANY)
        for name, holder in (("control", taken), ("tunnel", taken), ("media", udp)):
            address = holder.getsockname()
            line = await start(replace(good, **{name: address}))
            assert line.startswith(f"{name} address 127.0.0.1:{address[1]}: ")
            assert "in use" in line
            assert line.endswith("choose another host or port")
    assert "127.0.0.1:70000" in await start(replace(good, control=("127.0.0.1", 70000)))
    assert "media address media.invalid:0" in await start(replace(good, media=("media.invalid", 0)))
    assert "--advertise" in await start(replace(good, media=("0.0.0.0", 0)))


async def test_run_says_where_it_is_and_frees_all_of_it(certificates: Certificates) -> None:
    ready: asyncio.Future[dict[str, tuple[str, int]]] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(run(options(certificates, tunnel=ANY), ready.set_result))
    addresses = await asyncio.wait_for(ready, TIMEOUT)
    assert set(addresses) == {"media", "control", "tunnel"}
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for name in ("control", "tunnel"):
        with pytest.raises(ConnectionError):
            await asyncio.open_connection(*addresses[name])
    Switch(*addresses["media"]).close()


def pollers() -> set[int]:
    """The descriptors that threads of this process wait at."""
    descriptors = Path("/proc/self/fd")
    targets = {int(path.name): path.readlink() for path in descriptors.iterdir() if path.exists()}
    return {number for number, target in targets.items() if "[eventpoll]" in target.name}


async def test_a_worker_that_ends_by_itself_ends_all_of_it(certificates: Certificates) -> None:
    """For as long as it ran on, what that worker forwarded would go nowhere."""
    others = pollers()
    ready: asyncio.Future[dict[str, tuple[str, int]]] = asyncio.get_running_loop().create_future()
    settings = options(certificates, tunnel=ANY, workers=2)
    task = asyncio.create_task(run(settings, ready.set_result))
    addresses = await asyncio.wait_for(ready, TIMEOUT)
    victim, *_ = workers = sorted(pollers() - others)
    assert len(workers) == 2
    # What it waits at becomes something that nobody can wait at.
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as stranger:
        os.dup2(stranger.fileno(), victim)
        for ssrc in range(2):
            stranger.sendto(bytes([0x80, *bytes(10), ssrc]), addresses["media"])
    with pytest.raises(HalfkeyError, match="a worker of the media path has ended"):
        await asyncio.wait_for(task, TIMEOUT)
