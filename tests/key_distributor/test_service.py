"""Tunnels over real TLS sockets, and what bad configuration says."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import ssl
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from halfkey.errors import ConfigurationError
from halfkey.key_distributor.driver import TUNNELS_PER_MEDIA_DISTRIBUTOR
from halfkey.key_distributor.events import Event, Rekeyed
from halfkey.key_distributor.options import KeyDistributorOptions
from halfkey.key_distributor.policy import Policy
from halfkey.key_distributor.service import run, serve
from halfkey.tls import client_context
from halfkey.tunnel import (
    MediaDistributorTunnel,
    State,
    TunnelTerminated,
    UnsupportedVersion,
)
from tests.key_distributor.helpers import Certificates, Running
from tests.key_distributor.tunnelling import (
    TIMEOUT,
    Streams,
    admit,
    carry,
    dial,
    statistics,
    until,
)

REFUSALS = (ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)


async def test_a_tunnel_over_tls_1_3_with_certificates_on_both_sides(
    running: Running, certificates: Certificates
) -> None:
    _, writer = await dial(running, certificates.dialling(certificates.md))
    assert writer.get_extra_info("ssl_object").version() == "TLSv1.3"
    end = MediaDistributorTunnel([9, 10])
    end.send_tunneled_dtls(uuid4(), b"not a ClientHello")
    writer.write(end.data_to_send())
    answer = await until(lambda now: bool(now["dropped"]), running)
    assert answer["dropped"] == {"unknown_association": 1}
    assert answer["tunnels_now"] == 1
    writer.close()
    await until(lambda now: now["tunnels_now"] == 0, running)


async def speak(running: Running, context: ssl.SSLContext) -> bytes:
    """Dials and speaks; in TLS 1.3 a refusal may show only at the first read."""
    reader, writer = await dial(running, context)
    writer.write(MediaDistributorTunnel([9], version=1).data_to_send())
    return await asyncio.wait_for(reader.readexactly(4), TIMEOUT)


async def test_an_unknown_media_distributor_is_refused(
    running: Running, certificates: Certificates
) -> None:
    """A Focus's certificate opens no tunnel either; the right one does, in the same run."""
    for who in (certificates.stranger, certificates.focus):
        with pytest.raises(REFUSALS):
            await speak(running, certificates.dialling(who))
    with pytest.raises(REFUSALS):
        await speak(running, client_context(certificates.kd[0]))
    assert (await statistics(running))["tunnels_now"] == 0
    answer = await speak(running, certificates.dialling(certificates.md))
    assert answer == UnsupportedVersion(0).encode()


async def test_tls_1_2_is_refused(running: Running, certificates: Certificates) -> None:
    context = certificates.dialling(certificates.md)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await dial(running, context)
    context.maximum_version = ssl.TLSVersion.TLSv1_3
    await dial(running, context)


async def test_another_version_is_answered_and_the_connection_closed(
    running: Running, certificates: Certificates
) -> None:
    reader, writer = await dial(running, certificates.dialling(certificates.md))
    end = MediaDistributorTunnel([9], version=7)
    writer.write(end.data_to_send())
    end.receive_data(await asyncio.wait_for(reader.read(), TIMEOUT), 0.0)
    assert end.next_event() == UnsupportedVersion(0)
    assert end.next_event() == TunnelTerminated("unsupported_version")
    assert end.state is State.TERMINATED


async def test_a_stream_that_breaks_the_rules_is_closed(
    running: Running, certificates: Certificates
) -> None:
    reader, writer = await dial(running, certificates.dialling(certificates.md))
    writer.write(b"GET / HTTP/1.1\r\n\r\n" * 5000)
    assert await asyncio.wait_for(reader.read(), TIMEOUT) == b""


async def test_tunnels_of_one_media_distributor_are_bounded(
    running: Running, certificates: Certificates
) -> None:
    context = certificates.dialling(certificates.md)
    opened = []
    for _ in range(TUNNELS_PER_MEDIA_DISTRIBUTOR):
        opened.append(await dial(running, context))
    await until(lambda now: now["tunnels_now"] == TUNNELS_PER_MEDIA_DISTRIBUTOR, running)
    with contextlib.suppress(ConnectionError):
        reader, _ = await dial(running, context)
        assert await asyncio.wait_for(reader.read(), TIMEOUT) == b""
    assert (await statistics(running))["tunnels_now"] == TUNNELS_PER_MEDIA_DISTRIBUTOR
    opened[0][1].close()
    await until(lambda now: now["tunnels_now"] == TUNNELS_PER_MEDIA_DISTRIBUTOR - 1, running)
    await dial(running, context)
    await until(lambda now: now["tunnels_now"] == TUNNELS_PER_MEDIA_DISTRIBUTOR, running)


async def test_the_key_distributor_dials_and_dials_again(certificates: Certificates) -> None:
    """From behind a firewall; the Media Distributor still speaks first."""
    accepted: asyncio.Queue[Streams] = asyncio.Queue()
    server = await asyncio.start_server(
        lambda reader, writer: accepted.put((reader, writer)),
        "127.0.0.1",
        0,
        ssl=certificates.waiting(certificates.md),
    )
    target = server.sockets[0].getsockname()[:2]
    async with server, serve(certificates.options(tunnel=None, dial=(target,))) as kd:
        assert "tunnel" not in kd.addresses
        for _ in range(2):
            reader, writer = await asyncio.wait_for(accepted.get(), TIMEOUT)
            writer.write(MediaDistributorTunnel([9], version=3).data_to_send())
            answer = await asyncio.wait_for(reader.read(), TIMEOUT)
            assert answer == UnsupportedVersion(0).encode()
            writer.close()


async def test_a_media_distributor_that_is_dialled_must_be_known_too(
    certificates: Certificates,
) -> None:
    """The same wait with a stranger's certificate, and with the right one."""

    def handshake(who: tuple[Path, Path], listener: socket.socket) -> str | None:
        raw, _ = listener.accept()
        raw.settimeout(TIMEOUT)
        with certificates.waiting(who).wrap_socket(raw, server_side=True) as connection:
            return connection.version()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(TIMEOUT)
        async with serve(certificates.options(tunnel=None, dial=(listener.getsockname(),))):
            with pytest.raises(ssl.SSLError):
                await asyncio.to_thread(handshake, certificates.stranger, listener)
            assert await asyncio.to_thread(handshake, certificates.md, listener) == "TLSv1.3"


async def test_a_conference_over_real_sockets(running: Running, certificates: Certificates) -> None:
    """Admission over HTTPS, DTLS through TLS, and a rekey when the Focus removes somebody."""
    alice, bob = await admit(running, "alice"), await admit(running, "bob")
    streams = await dial(running, certificates.dialling(certificates.md))
    end = MediaDistributorTunnel([9, 10])
    carrying = asyncio.create_task(carry(streams, end, alice, bob))
    await until(lambda now: now["ekt_keys_acknowledged"] == 2, running)
    assert alice.ekt_keys == bob.ekt_keys
    async with running.focus.delete(running.url("/conferences/c/participants/bob")) as response:
        assert response.status == 204
    await asyncio.wait_for(bob.terminated.wait(), TIMEOUT)
    figures = await until(lambda now: now["ekt_keys_acknowledged"] == 3, running)
    assert figures["rekeys"] == 1
    assert len(alice.ekt_keys) == 2
    assert len(bob.ekt_keys) == 1
    (rekeyed,) = (event for event in running.events if isinstance(event, Rekeyed))
    assert (rekeyed.reason, rekeyed.spi) == ("left", alice.ekt_keys[1].ekt_spi)
    carrying.cancel()


async def test_the_timer_runs_on_the_real_clock(certificates: Certificates) -> None:
    events: list[Event] = []
    options = certificates.options(policy=Policy(rekey_interval=1.0))
    context = certificates.dialling(certificates.focus)
    async with (
        serve(options, events.append) as kd,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session,
    ):
        running = Running(kd.addresses, session, events)
        alice = await admit(running, "alice")
        streams = await dial(running, certificates.dialling(certificates.md))
        carrying = asyncio.create_task(carry(streams, MediaDistributorTunnel([9]), alice))
        await until(lambda now: now["ekt_keys_acknowledged"] == 2, running)
        carrying.cancel()
    assert {event.reason for event in events if isinstance(event, Rekeyed)} == {"timer"}


async def start(options: KeyDistributorOptions) -> str:
    """Starts it, which must fail; gives the line."""
    with pytest.raises(ConfigurationError) as caught:
        await asyncio.wait_for(run(options, lambda _: None), TIMEOUT)
    assert "\n" not in str(caught.value)
    return str(caught.value)


async def test_bad_configuration_is_one_line_with_the_fault_and_the_fix(
    certificates: Certificates, tmp_path: Path
) -> None:
    options = certificates.options()
    gone = tmp_path / "gone.pem"
    assert str(gone) in await start(replace(options, certificate=gone))
    assert str(gone) in await start(replace(options, trusted_focuses=gone))
    assert str(gone) in await start(replace(options, trusted_media_distributors=gone))
    assert "doesn't belong" in await start(replace(options, key=certificates.md[1]))
    assert "ttl 5" in await start(replace(options, policy=Policy(ttl=5)))
    assert "dial one" in await start(replace(options, tunnel=None))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = taken.getsockname()
        for name in ("admission", "tunnel"):
            line = await start(replace(options, **{name: address}))
            assert f"{name} address 127.0.0.1:{address[1]}" in line
            assert "in use" in line
            assert "choose another" in line
    assert "127.0.0.1:70000" in await start(replace(options, tunnel=("127.0.0.1", 70000)))
    assert "host.invalid" in await start(replace(options, tunnel=("host.invalid", 0)))


async def test_run_says_where_it_is_and_ends_when_cancelled(certificates: Certificates) -> None:
    ready: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(run(certificates.options(), ready.set_result))
    addresses = await asyncio.wait_for(ready, TIMEOUT)
    assert set(addresses) == {"admission", "tunnel"}
    assert resource.getrlimit(resource.RLIMIT_CORE)[0] == 0  # a core file would hold keys
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for address in addresses.values():
        with pytest.raises(ConnectionError):
            await asyncio.open_connection(*address)
