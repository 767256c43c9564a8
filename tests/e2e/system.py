"""A whole system in one process: Key and Media Distributor and Focus, over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from halfkey.endpoint import Endpoint, EndpointOptions
from halfkey.endpoint.media import PictureTrack, ToneTrack, VideoShape, tone_of
from halfkey.focus.service import FocusOptions
from halfkey.focus.service import run as run_focus
from halfkey.identity.invite import Invite, InviteSecret
from halfkey.identity.link import Link
from halfkey.key_distributor.options import KeyDistributorOptions
from halfkey.key_distributor.service import RunningKeyDistributor
from halfkey.key_distributor.service import serve as serve_key_distributor
from halfkey.media_distributor.service import MediaDistributorOptions
from halfkey.media_distributor.service import serve as serve_media_distributor
from halfkey.pki import make_authority, make_certificate, make_vouching_certificate
from halfkey.serving import Address
from halfkey.tls import client_context
from tests.endpoint.waiting import until

CONFERENCE = "plenary"
SHAPE = VideoShape(160, 90, 15)


@dataclass
class System:
    """Its addresses, and what its Key and Media Distributors said."""

    focus_url: str
    folder: Path
    key_events: list[Any]
    media_events: list[Any]
    media_control: str
    session: aiohttp.ClientSession
    kd: RunningKeyDistributor
    endpoints: list[Endpoint] = field(default_factory=list)
    media: Address = ("127.0.0.1", 0)

    def endpoint(self, index: int, **options: Any) -> Endpoint:
        """An Endpoint ``P<index>`` that sends its test picture and tone."""
        focus = self.folder / "focus.crt"
        return self._sending(
            index, EndpointOptions(self.focus_url, CONFERENCE, f"P{index}", focus, **options)
        )

    def member(self, index: int, link: Link | None = None, **options: Any) -> Endpoint:
        """The same, by a link: one that is given, or a fresh one."""
        link = link or self.link(f"P{index}")
        return self._sending(index, EndpointOptions.by_link(link, **options))

    def link(self, name: str, role: str = "participant", devices: int = 1) -> Link:
        """Invites somebody."""
        secret = InviteSecret.make(CONFERENCE)
        invite = Invite(f"i-{name}", CONFERENCE, name, role, secret.thumbprint, None, devices)
        self.kd.store.add_invite(invite)
        return Link(
            focus_url=self.focus_url,
            conference=CONFERENCE,
            secret=secret,
            authority=sha256_of(self.folder / "authority.crt"),
            focus=sha256_of(self.folder / "focus.crt"),
            name=name,
            role=role,
        )

    def _sending(self, index: int, options: EndpointOptions) -> Endpoint:
        endpoint = Endpoint(options)
        endpoint.add_track(ToneTrack(tone_of(index)))
        endpoint.add_track(PictureTrack(f"P{index}", index, SHAPE))
        self.endpoints.append(endpoint)
        return endpoint

    async def media_statistics(self) -> dict[str, Any]:
        """The Media Distributor's statistics."""
        async with self.session.get(f"{self.media_control}/statistics") as response:
            statistics: dict[str, Any] = await response.json()
            return statistics


def sha256_of(certificate: Path) -> bytes:
    """The hash of the first certificate in a PEM file."""
    parsed = x509.load_pem_x509_certificate(certificate.read_bytes())
    return parsed.fingerprint(hashes.SHA256())


@asynccontextmanager
async def running_system(
    folder: Path,
    *,
    hostile: bool = False,
    media: Mapping[str, Any] | None = None,
    **key_distributor: Any,
) -> AsyncIterator[System]:
    """Everything up, and the tunnel connected; what joined is closed at the end.

    Args:
        folder: for credentials.
        hostile: whether the Media Distributor goes on forwarding to who left.
        media: other options of its.
        key_distributor: options of the Key Distributor.
    """
    for name in ("kd", "md", "focus", "observer"):
        make_certificate(folder, name)
    make_vouching_certificate(folder, make_authority(folder, "authority"), "vouching")
    focuses = _bundle(folder, "focus", "observer")
    key_events: list[Any] = []
    media_events: list[Any] = []
    async with AsyncExitStack() as stack:
        kd = await stack.enter_async_context(
            serve_key_distributor(
                replace(_key_distributor_options(folder, focuses), **key_distributor),
                key_events.append,
            )
        )
        options = _media_distributor_options(folder, focuses, kd.addresses["tunnel"], hostile)
        options = replace(options, **(media or {}))
        media_addresses = await stack.enter_async_context(
            serve_media_distributor(options, media_events.append)
        )
        focus_url = await stack.enter_async_context(
            _focus(folder, _url(kd.addresses["admission"]), _url(media_addresses["control"]))
        )
        observer = client_context(
            _bundle(folder, "kd", "md"), folder / "observer.crt", folder / "observer.key"
        )
        session = await stack.enter_async_context(
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=observer))
        )
        system = System(
            focus_url,
            folder,
            key_events,
            media_events,
            _url(media_addresses["control"]),
            session,
            kd,
            media=media_addresses["media"],
        )
        await _tunnel(system)
        try:
            yield system
        finally:
            await asyncio.gather(*(endpoint.close() for endpoint in system.endpoints))


def _key_distributor_options(folder: Path, focuses: Path) -> KeyDistributorOptions:
    return KeyDistributorOptions(
        certificate=folder / "kd.crt",
        key=folder / "kd.key",
        trusted_media_distributors=folder / "md.crt",
        trusted_focuses=focuses,
        vouching=(folder / "vouching.crt", folder / "vouching.key"),
        believe_focus=True,
    )


def _media_distributor_options(
    folder: Path, focuses: Path, tunnel: tuple[str, int], hostile: bool
) -> MediaDistributorOptions:
    return MediaDistributorOptions(
        certificate=folder / "md.crt",
        key=folder / "md.key",
        trusted_key_distributors=folder / "kd.crt",
        trusted_focuses=focuses,
        dial=tunnel,
        keep_forwarding_after_disconnect=hostile,
    )


async def _tunnel(system: System) -> None:
    async with asyncio.timeout(20):
        while not (await system.media_statistics())["tunnel"]["connected"]:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


@asynccontextmanager
async def _focus(folder: Path, key_distributor: str, media_distributor: str) -> AsyncIterator[str]:
    ready: list[dict[str, tuple[str, int]]] = []
    options = FocusOptions(
        host="127.0.0.1",
        port=0,
        certificate=folder / "focus.crt",
        key=folder / "focus.key",
        key_distributor_url=key_distributor,
        media_distributor_url=media_distributor,
        client_certificate=folder / "focus.crt",
        client_key=folder / "focus.key",
        key_distributor_trust=folder / "kd.crt",
        media_distributor_trust=folder / "md.crt",
    )
    task = asyncio.create_task(run_focus(options, ready.append))
    await until(lambda: ready or task.done())
    if task.done():
        task.result()
    try:
        yield _url(ready[0]["focus"])
    finally:
        task.cancel()
        await asyncio.wait({task})


def _url(address: tuple[str, int]) -> str:
    return f"https://{address[0]}:{address[1]}"


def _bundle(folder: Path, *names: str) -> Path:
    path = folder / f"{'-'.join(names)}.bundle"
    path.write_text("".join((folder / f"{name}.crt").read_text() for name in names))
    return path


def frames(endpoint: Endpoint, sender: str) -> int:
    """The fewer of the audio and video frames that an Endpoint decoded of a sender."""
    streams = [stream for stream in endpoint.statistics().streams if stream.name == sender]
    return min(stream.frames for stream in streams) if len(streams) == 2 else 0


def everyone_has(endpoints: Iterable[tuple[int, Endpoint]], count: int) -> bool:
    """Whether each of these Endpoints decoded so many frames of each other one."""
    present = list(endpoints)
    return all(
        frames(endpoint, f"P{other}") >= count
        for index, endpoint in present
        for other, _ in present
        if other != index
    )
