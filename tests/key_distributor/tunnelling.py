"""Endpoints behind real tunnels to a running Key Distributor."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from halfkey import dtls
from halfkey.ekt.messages import EKTCipher, EKTKey
from halfkey.profiles import DOUBLE_128
from halfkey.tunnel import MediaDistributorTunnel, TunneledDtls
from tests.key_distributor.helpers import Running

TIMEOUT = 10
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def dial(running: Running, context: ssl.SSLContext) -> Streams:
    host, port = running.addresses["tunnel"]
    return await asyncio.wait_for(
        asyncio.open_connection(host, port, ssl=context, server_hostname="kd"), TIMEOUT
    )


async def statistics(running: Running) -> dict[str, Any]:
    async with running.focus.get(running.url("/statistics")) as response:
        answer: dict[str, Any] = await response.json()
        return answer


async def until(condition: Callable[[dict[str, Any]], bool], running: Running) -> dict[str, Any]:
    """Asks for the statistics until they are as wanted; a test that waits in vain fails."""
    async with asyncio.timeout(TIMEOUT):
        while not condition(answer := await statistics(running)):  # noqa: ASYNC110 (asked over HTTPS)
            await asyncio.sleep(0.01)
        return answer


class RealEndpoint:
    """A DTLS client behind a Media Distributor's end, over a real tunnel in real time."""

    def __init__(self, answer: dict[str, str], certificate: dtls.Certificate, tls_id: str) -> None:
        self.answer, self.certificate, self.tls_id = answer, certificate, tls_id
        self.association_id = uuid4()
        self.ekt_keys: list[EKTKey] = []
        self.terminated = asyncio.Event()
        configuration = dtls.Configuration(
            role=dtls.Role.CLIENT,
            certificate=certificate,
            srtp_profiles=(DOUBLE_128,),
            ekt_ciphers=(EKTCipher.AESKW128,),
            external_session_id=tls_id.encode(),
            peer_fingerprints=(dtls.Fingerprint.parse(answer["fingerprint"]),),
            peer_external_session_id=answer["tls_id"].encode(),
        )
        self.connection = dtls.Connection(configuration, b"md")

    def drain(self, end: MediaDistributorTunnel) -> None:
        for datagram in self.connection.datagrams_to_send():
            end.send_tunneled_dtls(self.association_id, datagram)
        while (event := self.connection.next_event()) is not None:
            if isinstance(event, dtls.EKTKeyReceived):
                self.ekt_keys.append(event.ekt_key)
            elif isinstance(event, dtls.ConnectionTerminated):
                self.terminated.set()


async def admit(running: Running, name: str) -> RealEndpoint:
    """Has somebody admitted by the Focus's word."""
    certificate = dtls.Certificate.generate(name)
    tls_id = name.ljust(24, "-")
    body = {"fingerprint": str(certificate.fingerprint()), "tls_id": tls_id}
    url = running.url(f"/conferences/c/participants/{name}")
    async with running.focus.put(url, json=body) as response:
        assert response.status == 201
        return RealEndpoint(await response.json(), certificate, tls_id)


async def carry(streams: Streams, end: MediaDistributorTunnel, *endpoints: RealEndpoint) -> None:
    """A Media Distributor that does nothing but carry DTLS."""
    reader, writer = streams
    loop = asyncio.get_running_loop()
    by_id = {endpoint.association_id: endpoint for endpoint in endpoints}
    for endpoint in endpoints:
        endpoint.connection.start(loop.time())
    while True:
        for endpoint in endpoints:
            endpoint.drain(end)
        writer.write(end.data_to_send())
        data = await reader.read(65536)
        if not data:
            return
        end.receive_data(data, loop.time())
        while (event := end.next_event()) is not None:
            if isinstance(event, TunneledDtls):
                connection = by_id[event.association_id].connection
                connection.receive_datagram(event.dtls_message, loop.time())
