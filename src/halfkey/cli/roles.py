"""The commands that run one role: `halfkey kd`, `md` and `focus`.

Each imports its service only when it runs, so that a Media Distributor's process never loads what
belongs to the others.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from halfkey.cli.arguments import (
    Certificate,
    Key,
    Supervised,
    address,
    both,
    required_dtls,
    within,
)
from halfkey.cli.configured import CheckConfig, Config, as_written
from halfkey.cli.forwarding import Stats
from halfkey.cli.operating import (
    DrainSeconds,
    LogFormat,
    LogLevel,
    MetricsListen,
    Operation,
)
from halfkey.operations.certificates import check_files
from halfkey.operations.role import DRAIN_SECONDS, Operated
from halfkey.operations.telling import Telling
from halfkey.serving import Ready


def register(app: typer.Typer) -> None:
    """Adds the commands to the command line."""
    app.command("kd")(key_distributor)
    app.command("md")(media_distributor)
    app.command("focus")(focus)


def key_distributor(
    context: typer.Context,
    certificate: Certificate,
    key: Key,
    trust_media_distributors: Annotated[
        Path, typer.Option(help="PEM bundle: the Media Distributors that may have tunnels.")
    ],
    trust_focuses: Annotated[
        Path, typer.Option(help="PEM bundle: the Focuses that may admit participants.")
    ],
    tunnel_listen: Annotated[
        str | None, typer.Option(help="HOST:PORT to wait at for Media Distributors.")
    ] = None,
    dial: Annotated[
        list[str] | None, typer.Option(help="HOST:PORT of a Media Distributor to dial; repeat.")
    ] = None,
    admission_listen: Annotated[
        str, typer.Option(help="HOST:PORT of the admission API.")
    ] = "127.0.0.1:7002",
    ekt_ttl: Annotated[int, typer.Option(help="Life of an EKT key in seconds.")] = 3600,
    rekey_interval: Annotated[
        float | None, typer.Option(help="Seconds between rekeys; none leaves it to the life.")
    ] = None,
    dtls: Annotated[
        str | None,
        typer.Option(help="1.2, 1.3 or hybrid (1.3 with ML-KEM): require it; else the best."),
    ] = None,
    state: Annotated[
        Path | None, typer.Option(help="Folder for invites and admissions; else they end with it.")
    ] = None,
    vouching_certificate: Annotated[
        Path | None,
        typer.Option(help="PEM file: the vouching certificate, then its authority's; for links."),
    ] = None,
    vouching_key: Annotated[
        Path | None, typer.Option(help="PEM file: the vouching certificate's private key.")
    ] = None,
    identities: Annotated[
        Path | None,
        typer.Option(help="TOML file: whose assertions are believed besides invites."),
    ] = None,
    believe_focus: Annotated[
        bool, typer.Option("--believe-focus", help="Admit by the Focus's word, without assertions.")
    ] = False,
    metrics_listen: MetricsListen = None,
    log_format: LogFormat = "text",
    log_level: LogLevel = "warning",
    drain_seconds: DrainSeconds = DRAIN_SECONDS,
    config: Config = None,
    check_config: CheckConfig = False,
    supervised: Supervised = False,
) -> None:
    """Run a Key Distributor: admits participants, ends their DTLS, hands out EKT keys."""
    from halfkey.key_distributor.identities import Identities
    from halfkey.key_distributor.options import KeyDistributorOptions
    from halfkey.key_distributor.policy import MAXIMUM_TTL, MINIMUM_REKEY_INTERVAL, Policy
    from halfkey.key_distributor.service import run
    from halfkey.vouching.authority import Authority

    logs = log_format, log_level
    with as_written(context):
        operation = Operation.of("kd", certificate, metrics_listen, logs, drain_seconds, supervised)
        vouching = both(vouching_certificate, vouching_key, "--vouching-certificate")
        if rekey_interval is not None:
            within("--rekey-interval", rekey_interval, MINIMUM_REKEY_INTERVAL, MAXIMUM_TTL)
        versions, groups = required_dtls(dtls)
        options = KeyDistributorOptions(
            certificate=certificate,
            key=key,
            trusted_media_distributors=trust_media_distributors,
            trusted_focuses=trust_focuses,
            tunnel=None if tunnel_listen is None else address(tunnel_listen, "--tunnel-listen"),
            dial=tuple(address(target, "--dial") for target in dial or ()),
            admission=address(admission_listen, "--admission-listen"),
            policy=Policy(
                dtls_versions=versions,
                dtls_groups=groups,
                ttl=ekt_ttl,
                rekey_interval=rekey_interval,
            ),
            state=state,
            vouching=vouching,
            identities=identities,
            believe_focus=believe_focus,
        )
        options.check()
        check_files(certificate, key, trust_media_distributors, trust_focuses)
        if vouching is not None:
            Authority.load(*vouching, time.time())
            operation.certificates["vouching"] = vouching[0]
        if identities is not None:
            Identities.read(identities)
    if check_config:
        operation.approve()
        return

    async def serve(ready: Ready, telling: Telling, operated: Operated) -> None:
        await run(options, ready, telling.on_event, operated)

    operation.run(serve)


def media_distributor(
    context: typer.Context,
    certificate: Certificate,
    key: Key,
    trust_key_distributors: Annotated[
        Path, typer.Option(help="PEM bundle: the Key Distributors to have tunnels with.")
    ],
    trust_focuses: Annotated[
        Path, typer.Option(help="PEM bundle: the Focuses that may use the control API.")
    ],
    key_distributor: Annotated[
        str | None, typer.Option(help="HOST:PORT of the Key Distributor's tunnel, to dial.")
    ] = None,
    tunnel_listen: Annotated[
        str | None, typer.Option(help="HOST:PORT to wait at for a Key Distributor that dials.")
    ] = None,
    media_listen: Annotated[
        str, typer.Option(help="HOST:PORT for STUN, DTLS and SRTP over UDP.")
    ] = "127.0.0.1:7004",
    advertise: Annotated[
        str | None,
        typer.Option(
            metavar="HOST",
            help="IP address that Endpoints send media to, where --media-listen isn't that.",
        ),
    ] = None,
    control_listen: Annotated[
        str, typer.Option(help="HOST:PORT of the control API.")
    ] = "127.0.0.1:7003",
    workers: Annotated[
        int | None, typer.Option(help="Threads that forward media; else one a core, 8 at most.")
    ] = None,
    retransmission_cache: Annotated[
        int,
        typer.Option(
            metavar="MIB", help="Memory for repairing what receivers lose of video; 0 for none."
        ),
    ] = 64,
    capture_bytes: Annotated[
        int, typer.Option(hidden=True, help="Payload bytes to keep per SSRC, for the demo.")
    ] = 0,
    hostile: Annotated[
        bool, typer.Option("--hostile", hidden=True, help="Go on forwarding to who left.")
    ] = False,
    direct: Annotated[
        bool, typer.Option("--direct", hidden=True, help="Take hop keys by control; load tests.")
    ] = False,
    stats: Stats = None,
    metrics_listen: MetricsListen = None,
    log_format: LogFormat = "text",
    log_level: LogLevel = "warning",
    drain_seconds: DrainSeconds = DRAIN_SECONDS,
    config: Config = None,
    check_config: CheckConfig = False,
    supervised: Supervised = False,
) -> None:
    """Run a Media Distributor: forwards media it can't open, carries DTLS it can't read."""
    from halfkey.media_distributor.service import MediaDistributorOptions, default_workers, run

    logs = log_format, log_level
    with as_written(context):
        operation = Operation.of("md", certificate, metrics_listen, logs, drain_seconds, supervised)
        options = MediaDistributorOptions(
            certificate=certificate,
            key=key,
            trusted_key_distributors=trust_key_distributors,
            trusted_focuses=trust_focuses,
            media=address(media_listen, "--media-listen"),
            advertise=advertise,
            control=address(control_listen, "--control-listen"),
            dial=None if key_distributor is None else address(key_distributor, "--key-distributor"),
            tunnel=None if tunnel_listen is None else address(tunnel_listen, "--tunnel-listen"),
            workers=default_workers() if workers is None else workers,
            retransmission_cache=retransmission_cache,
            capture_bytes=capture_bytes,
            keep_forwarding_after_disconnect=hostile,
            direct=direct,
        )
        options.check()
        check_files(certificate, key, trust_key_distributors, trust_focuses)
    if check_config:
        operation.approve()
        return

    async def serve(ready: Ready, telling: Telling, operated: Operated) -> None:
        await run(options, ready, telling.on_event, operated)

    operation.run(serve)


def focus(
    context: typer.Context,
    certificate: Certificate,
    key: Key,
    key_distributor: Annotated[str, typer.Option(help="https://HOST:PORT of its admission API.")],
    media_distributor: Annotated[str, typer.Option(help="https://HOST:PORT of its control API.")],
    trust_key_distributors: Annotated[
        Path, typer.Option(help="PEM bundle: the Key Distributor that is believed.")
    ],
    trust_media_distributors: Annotated[
        Path, typer.Option(help="PEM bundle: the Media Distributor that is believed.")
    ],
    listen: Annotated[str, typer.Option(help="HOST:PORT for Endpoints.")] = "127.0.0.1:7000",
    state: Annotated[
        Path | None, typer.Option(help="Folder for who is in; else a restart makes them rejoin.")
    ] = None,
    metrics_listen: MetricsListen = None,
    log_format: LogFormat = "text",
    log_level: LogLevel = "warning",
    drain_seconds: DrainSeconds = DRAIN_SECONDS,
    config: Config = None,
    check_config: CheckConfig = False,
    supervised: Supervised = False,
) -> None:
    """Run a Focus: takes offers, gives answers, keeps the roster. It holds no media key."""
    from halfkey.focus.service import FocusOptions, run

    logs = log_format, log_level
    with as_written(context):
        operation = Operation.of(
            "focus", certificate, metrics_listen, logs, drain_seconds, supervised
        )
        host, port = address(listen, "--listen")
        options = FocusOptions(
            host=host,
            port=port,
            certificate=certificate,
            key=key,
            key_distributor_url=key_distributor,
            media_distributor_url=media_distributor,
            client_certificate=certificate,
            client_key=key,
            key_distributor_trust=trust_key_distributors,
            media_distributor_trust=trust_media_distributors,
            state=state,
        )
        options.check()
        check_files(certificate, key, trust_key_distributors, trust_media_distributors)
    if check_config:
        operation.approve()
        return

    async def serve(ready: Ready, telling: Telling, operated: Operated) -> None:
        await run(options, ready, operated)

    operation.run(serve)
